"""
Sends everything that a UDP port sends to a SOCKS5 proxy, and nothing past it.

A L{SocksPort} stands between a UDP port and its protocol.  To the protocol it is a UDP port whose peers are far away;
to the UDP port it is a protocol whose only peer is the proxy's relay.  It puts a header before each datagram, and takes
it off again (RFC 1928 (7)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from twisted_utp.proto.values import Address, Datagram, Obstacle, ReturnedDatagram, Transmit, host_and_port
from twisted_utp.udp.addresses import canonical_host, is_numeric, unmapped
from twisted_utp.udp.interfaces import DatagramTooBig, ITrainPort, SendFailed
from twisted_utp.udp.opening import train_port
from twisted_utp.udp.socks_header import MAX_HEADER, header_for, read_header

# Datagrams in a train: so many with the longest header leave room in 64 KiB for the usual sizes.
MAX_SEGMENTS = 32

# Destinations whose headers are remembered, and questions to a name that an answer may belong to.  A connect sends one
# question again and again, and at most a few different ones.
MAX_HEADERS = 1024
MAX_QUESTIONS = 4


class ProxiedName:
    """
    A peer that only the proxy can find.

    The proxy looks the name up anew for each datagram, perhaps with another result, and its answers come from an
    address.  So the first address that answers stands for the name from then on.

    @ivar host: the name.
    @ivar found: the address that answered; C{""} while none has.
    """

    __slots__ = ("_is_answer", "_port", "_questions", "found", "host")

    def __init__(self, host: str, port: int, is_answer: Callable[[bytes, bytes], bool]) -> None:
        """
        @param host: in ASCII.
        @param is_answer: does the second datagram answer the first?
        """
        self.host = host.lower()
        self._port = port
        self._is_answer = is_answer
        self._questions: list[bytes] = []
        self.found = ""

    def sent(self, datagram: bytes) -> None:
        """
        A datagram leaves for the name, as such.
        """
        if datagram not in self._questions:
            self._questions = [*self._questions[1 - MAX_QUESTIONS :], datagram]

    def is_from(self, host: str, port: int, datagram: bytes) -> bool:
        """
        Does it come from whom the name stands for?
        """
        if self.found:
            return host == self.found
        if port != self._port or not any(self._is_answer(question, datagram) for question in self._questions):
            return False
        self.found = host
        self._questions.clear()
        return True


@implementer(ITrainPort)
class SocksPort(DatagramProtocol):
    """
    A UDP port whose peers are behind a proxy.

    @ivar protocol: whom it is for.
    @ivar max_segments: see L{ITrainPort}; C{takes_ipv4} and C{chooses_source} likewise.
    @ivar max_bytes: see L{ITrainPort}.
    @ivar dropped: datagrams that did not come from the relay, that had no proper header, or that were fragments.
    @ivar ended: why the proxy relays nothing any more; L{None} while it does.
    @ivar part: closes it when the reactor stops, see C{twisted_utp._stopping}.
    @ivar closing: called when it is closed; may return a C{Deferred}.
    """

    noisy = False
    max_segments = MAX_SEGMENTS
    takes_ipv4 = True
    chooses_source = False
    ended: Exception | None = None

    def __init__(self, protocol: DatagramProtocol, name: ProxiedName | None = None) -> None:
        """
        @param name: the one peer, if that is a name.
        """
        self.protocol: Any = protocol
        self.max_bytes = 0
        self.dropped = 0
        self.closing: Callable[[], object] = lambda: None
        self.part: Callable[[], Deferred[Any]] = self.stopListening
        self._name = name
        self._port: ITrainPort | None = None
        self._relay: Address = ("", 0)
        self._headers: dict[tuple[str, int], bytes] = {}
        self._is_started = False
        self._stopping: Deferred[Any] | None = None

    # --- From the UDP port -------------------------------------------------------------------------------------

    def startProtocol(self) -> None:
        """
        The UDP port is open; the protocol hears of it in L{connect_to}.
        """
        self._port = train_port(self.transport)
        self.max_bytes = self._port.max_bytes - MAX_SEGMENTS * MAX_HEADER

    def connect_to(self, host: str, port: int) -> None:
        """
        Begin.

        @param host: the relay's; a numeric address.
        @raise OSError: why nothing can be sent there.
        """
        assert self._port is not None
        self._relay = self._port.path_to(host, port)
        self._is_started = True
        self.protocol.makeConnection(self)

    def stopProtocol(self) -> None:
        """
        The UDP port is closed.
        """
        self._stop_protocol()
        self._port = None
        self.closing()

    def _stop_protocol(self) -> None:
        if self._is_started:
            self._is_started = False
            self.protocol.doStop()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """
        One datagram.
        """
        if self._port is None or not self._is_started:
            return
        for unwrapped in self._unwrap(Datagram(datagram, self._port.full_address(addr))):
            self.protocol.datagramReceived(unwrapped.data, unwrapped.address)

    def datagrams_received(self, datagrams: list[Datagram]) -> None:
        """
        A batch.
        """
        if not self._is_started:
            return
        unwrapped = [one for datagram in datagrams for one in self._unwrap(datagram)]
        if unwrapped:
            self.protocol.datagrams_received(unwrapped)

    def datagrams_returned(self, returned: list[ReturnedDatagram]) -> None:
        """
        Some have not reached the relay.  To the protocol its peers cannot be reached, then: who closed which port is
        between the proxy and us.
        """
        told = []
        for datagram in returned:
            read = read_header(datagram.quoted)
            if not self._is_started or host_and_port(datagram.address) != host_and_port(self._relay) or read is None:
                self.dropped += 1
                continue
            host, port, start = read
            obstacle = datagram.obstacle if datagram.obstacle is Obstacle.TOO_BIG else Obstacle.UNREACHABLE
            size = max(datagram.size - start, 0)
            told.append(ReturnedDatagram(self._sent_to(host, port), datagram.quoted[start:], obstacle, size))
        if told:
            self.protocol.datagrams_returned(told)

    def port_writable(self) -> None:
        """
        There is room in the socket again.
        """
        if self._is_started:
            self.protocol.port_writable()

    def connectionRefused(self) -> None:
        """
        An ICMP message that says nothing; the control connection tells whether the proxy is there.
        """

    def _unwrap(self, read: Datagram) -> list[Datagram]:
        """
        What came for the protocol in one received buffer; of one peer's datagrams in a row one buffer is made again.
        """
        data, size = read.data, read.segment_size or len(read.data) or 1
        if host_and_port(read.address) != host_and_port(self._relay):
            self.dropped += -(-len(data) // size) or 1
            return []
        runs: list[tuple[Address, list[bytes]]] = []
        for begin in range(0, len(data) or 1, size):
            segment = data[begin : begin + size]
            header = read_header(segment)
            if header is None:
                self.dropped += 1
                continue
            host, port, start = header
            payload = segment[start:]
            address = self._known_as(host, port, payload)
            if runs and runs[-1][0] == address and len(runs[-1][1][-1]) == len(runs[-1][1][0]) >= len(payload) > 0:
                runs[-1][1].append(payload)
            else:
                runs.append((address, [payload]))
        return [
            Datagram(b"".join(payloads), address, len(payloads[0]) if len(payloads) > 1 else 0, read.received_at)
            for address, payloads in runs
        ]

    def _known_as(self, host: str, port: int, payload: bytes) -> Address:
        name = self._name
        return (name.host if name is not None and name.is_from(host, port, payload) else host), port

    def _sent_to(self, host: str, port: int) -> Address:
        name = self._name
        return (name.host if name is not None and host == name.found else host), port

    # --- From the protocol -------------------------------------------------------------------------------------

    def send(self, transmits: Sequence[Transmit], failed: SendFailed) -> list[Transmit]:
        """
        See L{ITrainPort.send}.  Once the proxy relays nothing any more, nothing leaves.
        """
        if self._port is None or self.ended is not None:
            return []
        wrapped = [self._wrap(transmit) for transmit in transmits]
        rest = self._port.send(wrapped, partial(self._failed, failed))
        if not rest:
            return []
        index = len(transmits) - len(rest)
        return [_end_of(transmits[index], rest[0].count), *transmits[index + 1 :]]

    def write(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """
        Send one datagram, for a protocol that shares the port: see L{IUDPTransport
        <twisted.internet.interfaces.IUDPTransport>}.

        @param addr: numeric host, and port.
        """
        transmit = Transmit(self.path_to(addr[0], addr[1]), bytes(datagram), len(datagram))
        self.send([transmit], lambda transmit, error: None)

    def _wrap(self, transmit: Transmit) -> Transmit:
        host, port = host_and_port(transmit.address)
        name = self._name
        if name is not None and host == name.host:
            if not name.found:
                name.sent(transmit.payload)
            host = name.found or host
        header = self._header(host, port)
        payload = b"".join([header + segment for segment in transmit.segments()])
        size = transmit.segment_size + len(header)
        return Transmit(self._relay, payload, size, transmit.count, transmit.dont_fragment)

    def _header(self, host: str, port: int) -> bytes:
        header = self._headers.get((host, port))
        if header is None:
            if len(self._headers) >= MAX_HEADERS:
                self._headers.clear()
            header = self._headers[host, port] = header_for(host, port)
        return header

    def _failed(self, failed: SendFailed, transmit: Transmit, error: Exception) -> None:
        """
        The kernel did not take what we made of a train.
        """
        read = read_header(transmit.payload)
        assert read is not None, "we have written it"
        host, port, start = read
        payload = b"".join([segment[start:] for segment in transmit.segments()])
        if isinstance(error, DatagramTooBig):
            error = DatagramTooBig(max(error.size - start, 0))
        address, size = self._sent_to(host, port), transmit.segment_size - start
        failed(Transmit(address, payload, size, transmit.count, transmit.dont_fragment), error)

    @property
    def reads(self) -> int | None:
        """
        System calls that received something, if the UDP port counts them; C{writes} those that sent.
        """
        return getattr(self._port, "reads", None)

    @property
    def writes(self) -> int | None:
        """
        See C{reads}.
        """
        return getattr(self._port, "writes", None)

    @property
    def truncated(self) -> int:
        """
        What arrived incomplete and was dropped.
        """
        return getattr(self._port, "truncated", 0)

    def path_to(self, host: str, port: int, source: str = "") -> Address:
        """
        See L{ITrainPort.path_to}; the way there is the proxy's to know.

        @param host: may also be the name that this port is for.
        """
        if not is_numeric(host):
            if self._name is None or host.lower() != self._name.host:
                raise ValueError(f"{host!r}: expected an IPv4 or IPv6 address")
            return self._name.host, port
        return unmapped(canonical_host(host)), port

    def reported(self, address: Address) -> tuple[str, int]:
        """
        Who an address stands for, by what the proxy says.
        """
        name = self._name
        return (name.found if name is not None and name.found and address[0] == name.host else address[0]), address[1]

    def full_address(self, address: Address) -> Address:
        """
        See L{ITrainPort.full_address}.
        """
        return address

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        Our own end, toward the proxy.
        """
        assert self._port is not None, "the UDP port is not open"
        bound = self._port.getHost()
        assert isinstance(bound, (IPv4Address, IPv6Address))
        if len(self._relay) == 2:
            return bound
        return type(bound)("UDP", self._relay[2], bound.port)

    def stopListening(self) -> Deferred[Any]:
        """
        Stop the protocol, end the association, and close the UDP port, in this order: that of a port which answers with
        ICMP messages a proxy takes for the end, and drops what it has not relayed yet (Dante).
        """
        if self._stopping is None:
            self._stopping = waiting = Deferred[Any]()
            self._stop_protocol()
            maybeDeferred(self.closing).addBoth(lambda _: self._close()).addBoth(waiting.callback)
        done: Deferred[Any] = Deferred()
        self._stopping.addBoth(lambda _: done.callback(None))
        return done

    def _close(self) -> object:
        port = self._port
        return None if port is None else getattr(port, "close", port.stopListening)()

    def end(self, reason: Exception) -> None:
        """
        The proxy relays nothing any more.
        """
        if self.ended is None and self._stopping is None:
            self.ended = reason
            self.stopListening()


def _end_of(transmit: Transmit, count: int) -> Transmit:
    """
    The last C{count} datagrams of a train.
    """
    if count == transmit.count:
        return transmit
    begin = (transmit.count - count) * transmit.segment_size
    return Transmit(transmit.address, transmit.payload[begin:], transmit.segment_size, count, transmit.dont_fragment)
