"""
Does the kernel's help with trains do what it should, and is nothing lost when a driver refuses it?
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock

from twisted_utp.proto.values import Datagram, Transmit
from twisted_utp.udp.offload import SWITCH, offload
from twisted_utp.udp.offload_port import LOOK_AGAIN, MAX_SEGMENTS, MAX_SINGLY, SINGLY, OffloadUDPPort

needs_kernel = pytest.mark.skipif(
    not (offload().gso and offload().gro), reason="this kernel neither cuts nor merges trains, or is told not to"
)


class Watching(Clock):
    """
    A reactor that only remembers what it was asked to watch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []
        self.writers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """See IReactorFDSet."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """See IReactorFDSet."""
        if reader in self.readers:
            self.readers.remove(reader)

    def addWriter(self, writer: Any) -> None:
        """See IReactorFDSet."""
        self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        """See IReactorFDSet."""
        if writer in self.writers:
            self.writers.remove(writer)


class Batches(DatagramProtocol):
    """
    Remembers what it was given.
    """

    def __init__(self) -> None:
        self.batches: list[list[Datagram]] = []
        self.writable = 0

    def datagrams_received(self, datagrams: list[Datagram]) -> None:
        """All of one wake-up."""
        self.batches.append(datagrams)

    def port_writable(self) -> None:
        """There is room again."""
        self.writable += 1


class Refusing:
    """
    A socket that fails as often as it is told to, and is a real one otherwise.
    """

    def __init__(self, real: Any, *errors: int, trains_only: bool = False) -> None:
        self._real = real
        self._errors = list(errors)
        self._trains_only = trains_only
        self.singles = 0
        self.trains = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _fail(self) -> None:
        if self._errors:
            code = self._errors.pop(0)
            raise OSError(code, errno.errorcode[code])

    def sendmsg(self, *arguments: Any) -> int:
        """A train."""
        self.trains += 1
        self._fail()
        return int(self._real.sendmsg(*arguments))

    def sendto(self, *arguments: Any) -> int:
        """A single datagram."""
        if not self._trains_only:
            self._fail()
        self.singles += 1
        return int(self._real.sendto(*arguments))


Ports = tuple[OffloadUDPPort, OffloadUDPPort]


def opened(reactor: Watching, interface: str = "127.0.0.1") -> OffloadUDPPort:
    """A port on loopback."""
    port = OffloadUDPPort(0, Batches(), interface, 65_535, reactor)
    port.startListening()
    return port


@pytest.fixture
def ports() -> Iterator[Ports]:
    """Two ports on loopback that nobody but the test reads."""
    reactor = Watching()
    pair = opened(reactor), opened(reactor)
    yield pair
    for port in pair:
        port.stopListening()
        reactor.advance(0)
    assert reactor.readers == [] and reactor.writers == []


def train(port: OffloadUDPPort, count: int = 10, size: int = 1402, last: int = 700) -> Transmit:
    """Datagrams that differ, for a port."""
    segments = [bytes([index & 255]) * size for index in range(count - 1)] + [b"\xff" * last]
    host = port.getHost()
    return Transmit((host.host, host.port), b"".join(segments), size, count)


def received(port: OffloadUDPPort) -> list[Datagram]:
    """What one wake-up brings."""
    port.doRead()
    batches = port.protocol.batches
    return list(batches.pop()) if batches else []


def singles(datagrams: list[Datagram]) -> list[bytes]:
    """The datagrams, whether merged or not."""
    return [
        datagram.data[at : at + (datagram.segment_size or len(datagram.data))]
        for datagram in datagrams
        for at in range(0, len(datagram.data), datagram.segment_size or len(datagram.data))
    ]


def refuse(transmit: Transmit, error: Exception) -> None:
    """No train may fail for good here."""
    raise AssertionError(error)


@needs_kernel
def test_a_train_is_one_call_each_way(ports: Ports) -> None:
    """Ten datagrams leave with one system call and arrive as one buffer that says where they end."""
    sender, receiver = ports
    sent = train(receiver)
    assert sender.send([sent], refuse) == []
    [datagram] = received(receiver)
    assert (datagram.data, datagram.segment_size) == (sent.payload, 1402)
    assert datagram.address == (sender.getHost().host, sender.getHost().port)
    assert (sender.writes, receiver.reads) == (1, 1)


@needs_kernel
def test_small_datagrams_are_one_call_each_way(ports: Ports) -> None:
    """Acknowledgements of many connections, and the FIN after a byte, are joined; they arrive as they were."""
    a, b = ports
    address = ("127.0.0.1", b.getHost().port)
    sent = [bytes([at]) * 20 for at in range(70)] + [b"y" * 21, b"z" * 20]
    assert a.send([Transmit(address, datagram, len(datagram)) for datagram in sent], refuse) == []
    assert a.writes == 3  # at most 64 in a train, and lengths differ
    assert singles(received(b)) == sent


@needs_kernel
def test_the_longest_train(ports: Ports) -> None:
    """Sixty-four segments are taken, and arrive."""
    sender, receiver = ports
    sent = train(receiver, count=MAX_SEGMENTS, size=1000)
    assert sender.send([sent], refuse) == []
    assert singles(received(receiver)) == sent.segments()


@pytest.mark.parametrize("count", [1, 2, 64])
def test_datagrams_arrive_as_they_were_sent(ports: Ports, count: int) -> None:
    """With or without the kernel's help, the same datagrams come out."""
    sender, receiver = ports
    sent = train(receiver, count=count, size=500, last=1)
    assert sender.send([sent], refuse) == []
    arrived: list[bytes] = []
    while batch := received(receiver):
        arrived += singles(batch)
    assert arrived == sent.segments()


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL])
def test_a_driver_that_cannot_cut(ports: Ports, code: int) -> None:
    """
    It says so only when it should: the train goes out one by one, and nothing is lost.  The next ones to that host
    are not tried whole, but after a while one is; other hosts' are.
    """
    sender, receiver = ports
    sender.cuts_trains = True
    sender.socket = refusing = Refusing(sender.socket, code, trains_only=True)
    sent = train(receiver)
    assert sender.send([sent], refuse) == []
    arrived: list[bytes] = []
    while batch := received(receiver):
        arrived += singles(batch)
    assert arrived == sent.segments()
    for _ in range(SINGLY):
        assert sender.send([train(receiver, count=3)], refuse) == []
    assert (refusing.trains, refusing.singles) == (1, 10 + 3 * SINGLY)
    assert sender.send([train(receiver, count=3)], refuse) == []
    assert (refusing.trains, refusing.singles) == (2, 10 + 3 * SINGLY)


def test_one_route_that_cannot_cut(ports: Ports) -> None:
    """Trains to another host leave whole; and hosts that are refused are remembered up to a number."""
    sender, receiver = ports
    sender.cuts_trains = True
    sender.socket = refusing = Refusing(sender.socket, errno.EINVAL, trains_only=True)
    port = receiver.getHost().port
    sender.send([Transmit(("127.0.0.9", port), b"xyz", 1, 3), Transmit(("127.0.0.1", port), b"xyz", 1, 3)], refuse)
    assert refusing.trains >= 2 and sender._singly == {"127.0.0.9": SINGLY}
    assert singles(received(receiver)) == [b"x", b"y", b"z"]
    sender.socket = Refusing(sender.socket, *[errno.EINVAL] * (MAX_SINGLY + 10), trains_only=True)
    for index in range(MAX_SINGLY + 10):
        sender.send([Transmit((f"127.0.{1 + index // 250}.{1 + index % 250}", port), b"xy", 1, 2)], refuse)
    assert len(sender._singly) == MAX_SINGLY


def test_a_route_that_is_narrower_than_its_interface(ports: Ports) -> None:
    """
    Datagrams longer than what the kernel believes of the path leave in fragments, but a train of them is refused: it
    goes out one by one.  Later trains may go elsewhere, and are tried again.
    """
    sender, receiver = ports
    sender.cuts_trains = True
    sender.socket = refusing = Refusing(sender.socket, errno.EMSGSIZE, trains_only=True)
    sent = train(receiver)
    assert sender.send([sent], refuse) == []
    assert sender.send([sent], refuse) == []
    assert refusing.trains >= 2 and sender._singly == {}
    arrived: list[bytes] = []
    while batch := received(receiver):
        arrived += singles(batch)
    assert arrived == 2 * sent.segments()


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOBUFS])
def test_a_full_socket_loses_nothing(ports: Ports, code: int) -> None:
    """What there is no room for is handed back, in order, and the port says when there is room again."""
    sender, receiver = ports
    sender.socket = Refusing(sender.socket, code)
    trains = [train(receiver, count=1, last=10), train(receiver, count=1, last=20)]
    assert sender.send(trains, refuse) == trains
    assert sender.reactor.writers == [sender]
    sender.doWrite()
    assert sender.protocol.writable == 1
    assert sender.reactor.writers == []
    assert sender.send(trains, refuse) == []
    assert [len(single) for single in singles(received(receiver))] == [10, 20]


def test_a_socket_that_fills_amid_single_datagrams(ports: Ports) -> None:
    """When a train goes out one by one and the socket fills, the rest of it is handed back as a shorter train."""
    sender, receiver = ports
    sender.cuts_trains = False
    real = sender.socket
    sent = train(receiver, count=5, size=100, last=50)
    assert sender.send([Transmit(sent.address, sent.payload[:200], 100, 2)], refuse) == []
    sender.socket = Refusing(real, errno.EAGAIN)
    rest = sender.send([Transmit(sent.address, sent.payload[200:], 100, 3)], refuse)
    assert [(left.count, left.payload) for left in rest] == [(3, sent.payload[200:])]
    sender.socket = real
    assert sender.send(rest, refuse) == []
    assert singles(received(receiver)) == sent.segments()


def test_what_can_never_leave(ports: Ports) -> None:
    """A datagram too long for UDP, and an address that is none, are reported and do not stop the others."""
    sender, receiver = ports
    failures: list[tuple[int, Exception]] = []
    too_long = Transmit(train(receiver).address, bytes(70_000), 70_000)
    nowhere = Transmit(("127.0.0.1", 0), b"x", 1)
    good = train(receiver, count=1, last=3)
    assert sender.send([too_long, nowhere, good], lambda sent, error: failures.append((len(sent.payload), error))) == []
    assert [length for length, _ in failures] == [70_000, 1]
    assert singles(received(receiver)) == [b"\xff" * 3]


def test_reading_leaves_others_their_turn(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is waiting, one wake-up reads so many times and no more."""
    sender, receiver = ports
    # As many as the tests' sockets hold; in earnest they are larger.
    monkeypatch.setattr("twisted_utp.udp.offload_port.MAX_READS", 100)
    address = train(receiver).address
    for index in range(105):
        sender.send([Transmit(address, bytes([index]), 1)], refuse)
    assert len(received(receiver)) == 100
    assert len(received(receiver)) == 5


def test_nothing_to_read(ports: Ports) -> None:
    """A wake-up for nothing tells nobody."""
    assert received(ports[0]) == []


def test_link_local_peers_keep_their_scope() -> None:
    """The scope id of a link-local address is part of where an answer must go."""
    from twisted_utp.udp.addresses import host_of

    assert host_of(("fe80::1", 9, 0, 3)) == "fe80::1%3"
    assert host_of(("::1", 9, 0, 0)) == "::1"
    assert host_of(("192.0.2.1", 9)) == "192.0.2.1"


def test_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """TWISTED_UTP_OFFLOAD=0 does without."""
    monkeypatch.setenv(SWITCH, "0")
    assert not offload().gso and not offload().gro


def test_one_in_each_wakeup() -> None:
    """
    While small datagrams come one by one, most wake-ups read no further; when several come, that ends soon.
    """
    reactor = Watching()
    sender, receiver = opened(reactor), opened(reactor)
    where = ("127.0.0.1", receiver.getHost().port)
    try:
        for _ in range(2 * LOOK_AGAIN):
            sender.socket.sendto(b"one", where)
            receiver.doRead()
        for _ in range(3 * LOOK_AGAIN):
            sender.socket.sendto(b"many", where)
        wakeups = 0
        while sum(len(batch) for batch in receiver.protocol.batches) < 5 * LOOK_AGAIN:
            receiver.doRead()
            wakeups += 1
            assert wakeups <= LOOK_AGAIN + 1
        assert receiver.protocol.batches[-1][-1].data == b"many"
    finally:
        sender.stopListening()
        receiver.stopListening()


def steady() -> int:
    """
    The machine's own steady clock, µs: the kernel's receive times are real ones, too.
    """
    return time.monotonic_ns() // 1000


@pytest.mark.parametrize("interface", ["127.0.0.1", "", "::1", "::"])
def test_a_held_port_is_read_when_it_is_polled(interface: str) -> None:
    """
    The reactor does not watch it; a poll brings all that waits, each datagram with the time when it came and from where
    it did before, and says whether there was something.  Released, it is as it was, and the times are forgotten apart.
    """
    reactor = Watching()
    sender, receiver = opened(reactor, interface or "127.0.0.1"), opened(reactor, interface)
    assert receiver.hold(steady) and receiver.is_held and receiver not in reactor.readers
    assert not receiver.poll() and receiver.protocol.batches == []
    host = {"": "127.0.0.1", "::": "::1"}.get(interface, interface)
    sent = [bytes([index]) * 20 for index in range(12)]
    before = steady()
    for payload in sent:
        sender.send([Transmit((host, receiver.getHost().port), payload, len(payload))], refuse)
    assert receiver.poll()
    [batch] = receiver.protocol.batches
    assert [datagram.data for datagram in batch] == sent
    assert all(before <= datagram.received_at <= steady() for datagram in batch)
    assert {datagram.address[1] for datagram in batch} == {sender.getHost().port}
    assert all((len(datagram.address) == 3) == (interface in ("", "::")) for datagram in batch)
    receiver.release()
    assert not receiver.is_held and reactor.readers.count(receiver) == 1
    receiver.forget_times()
    sender.send([Transmit((host, receiver.getHost().port), b"later", 5)], refuse)
    receiver.doRead()
    assert [(datagram.data, datagram.received_at) for datagram in receiver.protocol.batches[-1]] == [(b"later", 0)]
    for port in (sender, receiver):
        port.stopListening()
    reactor.advance(0)
    assert reactor.readers == []


@needs_kernel
def test_merged_datagrams_have_a_time_too(ports: Ports) -> None:
    """A train that is held is one buffer, its length and its time beside it."""
    sender, receiver = ports
    receiver.hold(steady)
    sent = train(receiver)
    assert sender.send([sent], refuse) == []
    assert receiver.poll()
    [[datagram]] = receiver.protocol.batches
    assert (datagram.data, datagram.segment_size) == (sent.payload, 1402) and datagram.received_at


def test_a_kernel_that_tells_no_times(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not held then: what the waiting adds would pass for a queue."""
    port = ports[0]
    monkeypatch.setattr("twisted_utp.udp.offload_port.switch_receive_times", lambda udp_socket, *, on: False)
    assert not port.hold(steady) and not port.is_held and port in port.reactor.readers


def test_a_port_is_closed_while_it_is_held() -> None:
    """Nobody watches it afterwards."""
    reactor = Watching()
    port = opened(reactor)
    port.hold(steady)
    port.stopListening()
    reactor.advance(0)
    port.release()
    assert reactor.readers == []
