"""
Hosts, and the paths that packets take between them.

A way is a list of hops.  Two ways may share a hop: that is a shared bottleneck.  A hop may also be a box that
rewrites addresses (a NAT): the final host is looked up by the address that a packet has when it comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted_utp.proto.values import Address, Obstacle
from twisted_utp.testing.clock import HostClock
from twisted_utp.testing.link import Link
from twisted_utp.testing.packet import Hop, Packet, Sink, overhead_of
from twisted_utp.testing.simulator import Simulator

FIRST_EPHEMERAL_PORT = 49152
LAST_PORT = 65535


class AddressInUse(Exception):
    """
    Somebody is bound to that address and port already.
    """


class UDPPort:
    """
    A bound UDP port of a host.

    @ivar address: where it is.
    @ivar receive: called with the packets that arrived together.
    @ivar on_returned: called with a packet that could not be delivered, why, and the next link's MTU where that is too
        small (ICMP, "fragmentation needed" and "port unreachable").
    """

    def __init__(self, host: Host, address: Address, receive: Sink) -> None:
        self.host = host
        self.address = address
        self.receive = receive
        self.on_returned: Callable[[Packet, Obstacle, int], object] | None = None
        self._inbox: list[Packet] = []
        self._overhead = overhead_of(address[0])

    def send(self, data: bytes, destination: Address, *, dont_fragment: bool = False) -> None:
        """
        Send one datagram.
        """
        self.send_all([data], destination, dont_fragment=dont_fragment)

    def send_all(self, datagrams: Sequence[bytes], destination: Address, *, dont_fragment: bool = False) -> None:
        """
        Send datagrams back to back.
        """
        source, overhead = self.address, self._overhead
        packets = [Packet(data, source, destination, len(data) + overhead, dont_fragment) for data in datagrams]
        self.host.network.send(packets)

    def close(self) -> None:
        """
        Unbind; what arrives later finds nobody.
        """
        self.host.unbind(self)

    def deliver(self, packet: Packet) -> None:
        """
        Take a packet in.  All that arrive in the same microsecond, from wherever, are received together.
        """
        if not self._inbox:
            self.host.network.simulator.call_later(0, self._drain)
        self._inbox.append(packet)

    def _drain(self) -> None:
        packets, self._inbox = self._inbox, []
        if self.host.is_bound(self):
            self.receive(packets)


class Host:
    """
    A computer.

    @ivar addresses: its numeric addresses; the first is the one that sockets bind to unless told otherwise.
    @ivar clock: what it thinks the time is.
    @ivar unreachable: datagrams that found no port open.
    @ivar answers_after: µs until the sender of such a datagram hears of it (ICMP, "port unreachable"); L{None} for
        never, as if a firewall kept that in.
    """

    def __init__(self, network: Network, addresses: tuple[str, ...], clock: HostClock) -> None:
        self.network = network
        self.addresses = addresses
        self.clock = clock
        self.unreachable = 0
        self.answers_after: int | None = None
        self._ports: dict[Address, UDPPort] = {}
        self._next_port = FIRST_EPHEMERAL_PORT

    @property
    def address(self) -> str:
        """
        Its first address.
        """
        return self.addresses[0]

    def bind(self, receive: Sink, port: int = 0, *, address: str | None = None) -> UDPPort:
        """
        Open a UDP port.

        @param port: its number; 0 takes a free one.
        @raise AddressInUse: when it is taken.
        """
        host = self.address if address is None else address
        if host not in self.addresses:
            raise ValueError(f"address={address!r}: expected one of {', '.join(self.addresses)}")
        bound = UDPPort(self, (host, port or self._free_port(host)), receive)
        if bound.address in self._ports:
            raise AddressInUse(f"{host}:{port}")
        self._ports[bound.address] = bound
        return bound

    def unbind(self, port: UDPPort) -> None:
        """
        Close a UDP port.
        """
        if self.is_bound(port):
            del self._ports[port.address]

    def is_bound(self, port: UDPPort) -> bool:
        """
        Is it open?
        """
        return self._ports.get(port.address) is port

    def port_at(self, address: Address) -> UDPPort | None:
        """
        Who is bound there?
        """
        return self._ports.get(address)

    def _free_port(self, host: str) -> int:
        for _ in range(FIRST_EPHEMERAL_PORT, LAST_PORT + 1):
            port = self._next_port
            self._next_port = port + 1 if port < LAST_PORT else FIRST_EPHEMERAL_PORT
            if (host, port) not in self._ports:
                return port
        raise AddressInUse(f"{host}: all ephemeral ports")


class Path:
    """
    The way from one address to another.
    """

    __slots__ = ("_after", "first")

    def __init__(self, hops: Sequence[Hop], last: Sink) -> None:
        self._after: dict[int, Sink] = {}
        onward = [hop.send for hop in hops] + [last]
        self.first = onward[0]
        for hop, following in zip(hops, onward[1:], strict=True):
            self._after[id(hop)] = following

    def after(self, hop: Hop) -> Sink:
        """
        Where to go from C{hop}.
        """
        return self._after[id(hop)]


class Network:
    """
    Hosts and the ways between them.

    @ivar no_route: datagrams to addresses that no way leads to; they vanish, as they would.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.no_route = 0
        self._hosts: dict[str, Host] = {}
        self._paths: dict[tuple[str, str], Path] = {}

    def add_host(self, *addresses: str, clock: HostClock | None = None) -> Host:
        """
        A new host.

        @param addresses: numeric IPv4 or IPv6 addresses.
        @param clock: its clock; by default it shows the simulator's time.
        """
        if not addresses:
            raise ValueError("addresses=(): expected at least one")
        host = Host(self, addresses, clock if clock is not None else HostClock(self.simulator))
        for address in addresses:
            if address in self._hosts:
                raise ValueError(f"address={address!r}: a host has it already")
            self._hosts[address] = host
        return host

    def host_at(self, address: str) -> Host | None:
        """
        Whose address is that?
        """
        return self._hosts.get(address)

    def join(self, one: Host, other: Host, *, there: Sequence[Hop], back: Sequence[Hop]) -> None:
        """
        Lay ways between all addresses of the same family of two hosts.

        @param there: hops from C{one} to C{other}, in order.
        @param back: hops from C{other} to C{one}.
        """
        for near in one.addresses:
            for far in other.addresses:
                if (":" in near) == (":" in far):
                    self.add_path(near, far, there)
                    self.add_path(far, near, back)

    def add_path(self, source: str, destination: str, hops: Sequence[Hop]) -> None:
        """
        Lay the way from one address to another.  Of a NAT's hosts, C{destination} is the address that is sent to.
        """
        if len({id(hop) for hop in hops}) != len(hops):
            raise ValueError("hops: expected each hop once")
        self._paths[source, destination] = Path(hops, self._arrive)
        for hop in hops:
            hop.sink = self._onward(hop)

    def send(self, packets: list[Packet]) -> None:
        """
        Put packets of one source and destination on their way.
        """
        source, destination = packets[0].source[0], packets[0].destination[0]
        path = self._paths.get((source, destination))
        if path is not None:
            for packet in packets:
                packet.path = path
            path.first(packets)
        elif source == destination or self._hosts.get(source) is self._hosts.get(destination) is not None:
            self.simulator.call_later(0, self._arrive, packets)
        else:
            self.no_route += len(packets)

    def answer_too_big(self, link: Link) -> None:
        """
        Let C{link} tell senders of its MTU, by an ICMP message that takes as long as the link's delay.
        """
        link.on_too_big = lambda packet, mtu: self._give_back(packet, Obstacle.TOO_BIG, mtu, link.delay)

    def _give_back(self, packet: Packet, obstacle: Obstacle, mtu: int, delay: int) -> None:
        self.simulator.call_later(delay, self._returned, packet, obstacle, mtu)

    def _returned(self, packet: Packet, obstacle: Obstacle, mtu: int) -> None:
        host = self._hosts.get(packet.source[0])
        port = host.port_at(packet.source) if host is not None else None
        if port is not None and port.on_returned is not None:
            port.on_returned(packet, obstacle, mtu)

    def _onward(self, hop: Hop) -> Sink:
        def onward(packets: list[Packet]) -> None:
            path = packets[0].path
            assert path is not None
            if len(packets) == 1 or all(packet.path is path for packet in packets):
                path.after(hop)(packets)
                return
            for packet in packets:
                assert packet.path is not None
                packet.path.after(hop)([packet])

        return onward

    def _arrive(self, packets: list[Packet]) -> None:
        for packet in packets:
            host = self._hosts.get(packet.destination[0])
            port = host.port_at(packet.destination) if host is not None else None
            if port is not None:
                port.deliver(packet)
            elif host is not None:
                host.unreachable += 1
                if host.answers_after is not None:
                    self._give_back(packet, Obstacle.PORT_CLOSED, 0, host.answers_after)
            else:
                self.no_route += 1
