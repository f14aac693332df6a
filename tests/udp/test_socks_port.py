"""
Does everything go to the relay, and come from there?
"""

from __future__ import annotations

from collections.abc import Sequence
from errno import ENOBUFS
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer
from zope.interface.verify import verifyObject

from twisted_utp.proto.values import Address, Datagram, Obstacle, ReturnedDatagram, Transmit
from twisted_utp.udp.interfaces import DatagramTooBig, ITrainPort, SendFailed
from twisted_utp.udp.socks_header import header_for
from twisted_utp.udp.socks_port import MAX_QUESTIONS, MAX_SEGMENTS, ProxiedName, SocksPort

RELAY = ("192.0.2.1", 1081)
FAR, FAR6 = ("198.51.100.7", 9000), ("2001:db8::7", 9000)


@implementer(ITrainPort)
class UDPPort:
    """A UDP port that keeps what it is to send, as long as there is room."""

    max_segments, max_bytes, takes_ipv4, chooses_source = 64, 65_507, True, False

    def __init__(self) -> None:
        self.sent: list[Transmit] = []
        self.room = 1_000_000
        self.refuses: Exception | None = None
        self.stopped = 0

    def send(self, transmits: Sequence[Transmit], failed: SendFailed) -> list[Transmit]:
        for index, transmit in enumerate(transmits):
            if self.refuses is not None:
                failed(transmit, self.refuses)
                continue
            fits = min(self.room, transmit.count)
            self.room -= fits
            size, payload, count = transmit.segment_size, transmit.payload, transmit.count
            if fits:
                self.sent.append(Transmit(transmit.address, payload[: fits * size], size, fits))
            if fits < count:
                return [Transmit(transmit.address, payload[fits * size :], size, count - fits), *transmits[index + 1 :]]
        return []

    def path_to(self, host: str, port: int, source: str = "") -> Address:
        return host, port

    def full_address(self, address: Address) -> Address:
        return address

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", "192.0.2.200", 4000)

    def stopListening(self) -> None:
        self.stopped += 1


class Owner(DatagramProtocol):
    """Whom the port is for."""

    noisy = False

    def __init__(self) -> None:
        self.received: list[Datagram] = []
        self.returned: list[ReturnedDatagram] = []

    def datagrams_received(self, datagrams: list[Datagram]) -> None:
        self.received += datagrams

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received.append(Datagram(datagram, addr))

    def datagrams_returned(self, returned: list[ReturnedDatagram]) -> None:
        self.returned += returned


class Ends:
    """A port with both its neighbours."""

    def __init__(self, name: ProxiedName | None = None) -> None:
        self.udp, self.owner = UDPPort(), Owner()
        self.port = SocksPort(self.owner, name)
        self.port.makeConnection(self.udp)
        self.port.connect_to(*RELAY)
        self.failures: list[tuple[Transmit, Exception]] = []

    def send(self, *transmits: Transmit) -> list[Transmit]:
        return self.port.send(transmits, lambda transmit, error: self.failures.append((transmit, error)))

    def receive(self, *segments: bytes, source: Address = RELAY) -> list[Datagram]:
        """As one buffer, into which the kernel has merged them."""
        self.owner.received.clear()
        size = len(segments[0]) if len(segments) > 1 else 0
        self.port.datagrams_received([Datagram(b"".join(segments), source, size, 77)])
        return self.owner.received


def packets_of(transmits: Sequence[Transmit]) -> list[bytes]:
    return [segment for transmit in transmits for segment in transmit.segments()]


def test_it_is_a_train_port() -> None:
    """As far as the protocol is concerned; our end is the UDP port's."""
    ends = Ends()
    assert verifyObject(ITrainPort, ends.port)
    assert ends.owner.transport is ends.port and ends.port.getHost() == IPv4Address("UDP", "192.0.2.200", 4000)


@pytest.mark.parametrize("far", [FAR, FAR6])
def test_trains(far: Address) -> None:
    """Each datagram of a train gets its header, the last may be shorter; the longest train still fits a datagram."""
    ends = Ends()
    train = Transmit(far, b"aaaabbbbcc", 4, 3)
    assert ends.send(train) == []
    header = header_for(far[0], far[1])
    (sent,) = ends.udp.sent
    assert sent.address == RELAY
    assert sent.segments() == [header + b"aaaa", header + b"bbbb", header + b"cc"]
    assert sent.segment_size == len(header) + 4
    assert ends.port.max_bytes + MAX_SEGMENTS * 262 <= ends.udp.max_bytes and ends.port.max_segments == MAX_SEGMENTS


@pytest.mark.parametrize("room", range(8))
def test_what_there_is_no_room_for(room: int) -> None:
    """It is given back as it came, without headers, and nothing is sent twice or left out."""
    ends = Ends()
    trains = [Transmit(FAR, b"aabbc", 2, 3), Transmit(FAR6, b"ddee", 2, 2), Transmit(FAR, b"ff", 2)]
    ends.udp.room = room
    rest = ends.send(*trains)
    assert len(packets_of(ends.udp.sent)) == min(room, 6)
    assert packets_of(rest) == packets_of(trains)[room:]
    ends.udp.room = 100
    assert ends.send(*rest) == []
    assert [packet[-2:].strip(b"\x28") for packet in packets_of(ends.udp.sent)] == packets_of(trains)


def test_what_the_kernel_refuses() -> None:
    """The protocol hears of its own datagrams, and of sizes without the header."""
    ends = Ends()
    ends.udp.refuses = DatagramTooBig(1472)
    ends.send(Transmit(FAR6, b"x" * 1472, 1472, 1, True))
    ((transmit, error),) = ends.failures
    assert (transmit.address, len(transmit.payload), transmit.dont_fragment) == (FAR6, 1472, True)
    assert isinstance(error, DatagramTooBig) and error.size == 1450
    ends.udp.refuses = OSError(ENOBUFS, "no")
    ends.send(Transmit(FAR, b"aabb", 2, 2))
    assert ends.failures[1] == (Transmit(FAR, b"aabb", 2, 2), ends.udp.refuses)


def test_merged_datagrams() -> None:
    """One peer's datagrams in a row make one buffer, as the kernel would have merged them, and keep their order."""
    ends = Ends()
    one, two = header_for(*FAR), header_for("198.51.100.8", 9000)
    assert ends.receive(one + b"aaa", one + b"bbb", two + b"ccc", one + b"ddd", one + b"e") == [
        Datagram(b"aaabbb", FAR, 3, 77),
        Datagram(b"ccc", ("198.51.100.8", 9000), 0, 77),
        Datagram(b"ddde", FAR, 3, 77),
    ]
    assert ends.receive(one + b"alone") == [Datagram(b"alone", FAR, 0, 77)]
    assert ends.receive(one) == [Datagram(b"", FAR, 0, 77)]
    assert ends.port.dropped == 0


def test_strangers_and_fragments() -> None:
    """They are dropped one by one, and counted, wherever they stand; the others arrive."""
    ends = Ends()
    header = header_for(*FAR)
    fragment = header[:2] + b"\1" + header[3:]
    assert ends.receive(header + b"aaa", header + b"bbb", source=("203.0.113.9", 1081)) == []
    assert ends.port.dropped == 2
    assert ends.receive(header + b"aaa", source=(RELAY[0], 1082)) == []
    assert ends.port.dropped == 3
    assert ends.receive(header + b"aaa", fragment + b"bbb", header + b"ccc") == [Datagram(b"aaaccc", FAR, 3, 77)]
    assert ends.receive(b"short") == [] and ends.receive(b"") == []
    assert ends.port.dropped == 6
    ends.owner.received.clear()
    ends.port.datagramReceived(header + b"aaa", RELAY)
    ends.port.datagramReceived(header + b"aaa", FAR)
    assert ends.owner.received == [Datagram(b"aaa", FAR)] and ends.port.dropped == 7


def test_what_comes_back() -> None:
    """A size is that of the payload; a relay that cannot be reached makes the peer one that cannot."""
    ends = Ends()
    header = header_for(*FAR6)
    for obstacle, size in ((Obstacle.TOO_BIG, 1400), (Obstacle.PORT_CLOSED, 0)):
        ends.port.datagrams_returned([ReturnedDatagram(RELAY, header + b"quoted", obstacle, size)])
    assert ends.owner.returned == [
        ReturnedDatagram(FAR6, b"quoted", Obstacle.TOO_BIG, 1378),
        ReturnedDatagram(FAR6, b"quoted", Obstacle.UNREACHABLE, 0),
    ]
    ends.port.datagrams_returned([ReturnedDatagram(RELAY, b"", Obstacle.PORT_CLOSED)])
    ends.port.datagrams_returned([ReturnedDatagram(FAR, header, Obstacle.PORT_CLOSED)])
    assert ends.port.dropped == 2 and len(ends.owner.returned) == 2


def named() -> ProxiedName:
    return ProxiedName("Far.example", 9000, lambda question, answer: question[:1] == answer[:1])


def test_a_name_is_the_proxys_to_look_up() -> None:
    """It is sent as it is, until somebody answers: from then on the answer's address stands for it."""
    ends = Ends(named())
    address = ends.port.path_to("FAR.EXAMPLE", 9000)
    assert address == ("far.example", 9000)
    ends.send(Transmit(address, b"question", 8), Transmit(address, b"question", 8))
    assert ends.udp.sent[1].payload == header_for("far.example", 9000) + b"question"
    found = header_for("198.51.100.7", 9000)
    assert ends.receive(found + b"stray") == [Datagram(b"stray", FAR, 0, 77)], "no answer"
    assert ends.receive(header_for("198.51.100.7", 9001) + b"quack")[0].address == ("198.51.100.7", 9001)
    assert ends.port.reported(address) == address
    assert ends.receive(found + b"quite") == [Datagram(b"quite", address, 0, 77)]
    assert ends.port.reported(address) == FAR
    ends.send(Transmit(address, b"and then", 8))
    assert ends.udp.sent[2].payload == found + b"and then"
    # Its NAT may give it another port, no other host.
    assert ends.receive(header_for("198.51.100.7", 9100) + b"moved")[0].address == ("far.example", 9100)
    assert ends.receive(header_for("198.51.100.8", 9000) + b"quite")[0].address == ("198.51.100.8", 9000)
    ends.port.datagrams_returned([ReturnedDatagram(RELAY, found + b"q", Obstacle.UNREACHABLE)])
    assert ends.owner.returned[0].address == address


def test_few_questions_are_remembered() -> None:
    """The last ones; the datagrams that repeat one take no room."""
    name = named()
    for number in range(10):
        name.sent(b"%d" % number)
        name.sent(b"%d" % number)
    assert not name.is_from("198.51.100.7", 9000, b"5") and MAX_QUESTIONS == 4
    assert name.is_from("198.51.100.7", 9000, b"6")


def test_other_names() -> None:
    """There is only the one."""
    for name in (None, named()):
        with pytest.raises(ValueError, match="expected an IPv4 or IPv6 address"):
            Ends(name).port.path_to("other.example", 9000)


def test_a_protocol_that_shares_the_port() -> None:
    """What it writes goes to the relay, too."""
    ends = Ends()
    ends.port.write(b"ping", FAR)
    assert packets_of(ends.udp.sent) == [header_for(*FAR) + b"ping"] and ends.udp.sent[0].address == RELAY


def test_the_end() -> None:
    """Nothing leaves once the proxy has ended; the port is closed once."""
    ends = Ends()
    ends.port.end(ValueError("why"))
    ends.port.end(ValueError("again"))
    ends.port.stopListening()
    assert str(ends.port.ended) == "why" and ends.udp.stopped == 1
    assert ends.send(Transmit(FAR, b"late", 4)) == [] and ends.udp.sent == []


def test_goodbyes_leave() -> None:
    """First they, then the association ends, then the UDP port; that the proxy hangs up then is no reason."""
    ends = Ends()
    order: list[str] = []
    hung_up: Deferred[None] = Deferred()

    def goodbye() -> None:
        ends.send(Transmit(FAR, b"bye", 3))
        order.append(f"{len(ends.udp.sent)} sent")

    def hang_up() -> Deferred[None]:
        order.append("hung up")
        return hung_up

    ends.owner.stopProtocol = goodbye  # type: ignore[method-assign]
    ends.port.closing = hang_up
    stopped: list[Any] = []
    ends.port.stopListening().addCallback(stopped.append)
    ends.port.end(ValueError("hung up"))
    assert (order, ends.udp.stopped, stopped, ends.port.ended) == (["1 sent", "hung up"], 0, [], None)
    hung_up.callback(None)
    assert (ends.udp.stopped, stopped) == (1, [None])
