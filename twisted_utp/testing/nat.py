"""
A NAT, which changes the source address of packets on their way.

A box that rewrites addresses, on the way of two hops: one that goes out, one that comes in.  It can forget its
mappings at any time, as home routers do when they restart or when a flow was silent for too long: the next packet
then leaves from another port.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_utp.proto.values import Address
from twisted_utp.testing.packet import Packet, Sink
from twisted_utp.testing.simulator import Simulator

FIRST_MAPPED_PORT = 20_000


class NATSide:
    """
    One direction through the box: a L{Hop <twisted_utp.testing.packet.Hop>}.

    @ivar sink: where what comes out goes; set by the network.
    """

    def __init__(self, rewrite: Callable[[Packet], bool]) -> None:
        self.sink: Sink = _nowhere
        self._rewrite = rewrite

    def send(self, packets: list[Packet]) -> None:
        """
        Rewrite what may pass, and pass it on.
        """
        passed = [packet for packet in packets if self._rewrite(packet)]
        if passed:
            self.sink(passed)


class NAT:
    """
    The box.  Lay the way out of the private hosts over L{outbound}, and the way to C{address} over L{inbound}::

        network.add_path("192.168.0.2", "10.0.0.2", [nat.outbound, up])
        network.add_path("10.0.0.2", "1.2.3.4", [down, nat.inbound])

    @ivar address: its public address.
    @ivar outbound: the hop from the inside to the outside.
    @ivar inbound: the hop from the outside to the inside.
    @ivar refused: packets from the outside that no mapping was for.
    """

    def __init__(
        self,
        simulator: Simulator,
        address: str,
        *,
        symmetric: bool = False,
        filtering: str | None = None,
        timeout: int | None = None,
    ) -> None:
        """
        @param symmetric: a port of its own for each destination, otherwise one for each inner address.
        @param filtering: who gets in through a port (RFC 4787 (5)): C{"anyone"} (full cone), C{"address"}, whose
            address was sent to from it (address-restricted), or C{"port"}, whose address and port were
            (port-restricted).  By default C{"port"} if it is symmetric, else C{"anyone"}.
        @param timeout: µs of silence after which a mapping is forgotten; L{None} is never.
        @raise ValueError: on another C{filtering}.
        """
        if filtering is None:
            filtering = "port" if symmetric else "anyone"
        if filtering not in ("anyone", "address", "port"):
            raise ValueError(f"filtering={filtering!r}: expected anyone, address or port")
        self.filtering = filtering
        self.address = address
        self.symmetric = symmetric
        self.timeout = timeout
        self.refused = 0
        self.outbound = NATSide(self._out)
        self.inbound = NATSide(self._in)
        self._simulator = simulator
        self._next_port = FIRST_MAPPED_PORT
        self._ports: dict[tuple[Address, Address | None], int] = {}
        self._inner: dict[int, Address] = {}
        self._contacts: dict[int, set[Address]] = {}
        self._used_at: dict[int, int] = {}

    def rebind(self) -> None:
        """
        Forget all mappings: what is sent from now on leaves from other ports, and what comes to the old ones is
        refused.
        """
        self._ports.clear()
        self._inner.clear()
        self._contacts.clear()

    def _out(self, packet: Packet) -> bool:
        key = (packet.source, packet.destination if self.symmetric else None)
        port = self._ports.get(key)
        if port is None or self._is_stale(port):
            port = self._next_port
            self._next_port += 1
            self._ports[key] = port
            self._inner[port] = packet.source
            self._contacts[port] = set()
        self._contacts[port].add(packet.destination)
        self._used_at[port] = self._simulator.now
        packet.source = (self.address, port)
        return True

    def _in(self, packet: Packet) -> bool:
        port = packet.destination[1]
        inner = self._inner.get(port)
        if inner is None or self._is_stale(port) or not self._lets_in(packet.source, port):
            self.refused += 1
            return False
        packet.destination = inner
        return True

    def _lets_in(self, source: Address, port: int) -> bool:
        if self.filtering == "address":
            return any(contact[0] == source[0] for contact in self._contacts[port])
        return self.filtering == "anyone" or source in self._contacts[port]

    def _is_stale(self, port: int) -> bool:
        return self.timeout is not None and self._simulator.now - self._used_at[port] > self.timeout


def _nowhere(packets: list[Packet]) -> None:
    raise AssertionError("the NAT leads nowhere: lay a path over it with Network.add_path")
