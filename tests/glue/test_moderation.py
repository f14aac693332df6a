"""
Does a port whose reading is moderated carry the same bytes as fast, with a fraction of the wake-ups, and do questions
take as long as ever?
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from twisted_utp._moderation import SWITCH
from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.values import Datagram, host_and_port
from twisted_utp.protocol import UTPProtocol
from twisted_utp.testing import MILLISECOND, Link, Network, Simulator
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.queues import DropTail
from twisted_utp.testing.reactor import SimulatedReactor, SimulatedUDPPort
from twisted_utp.udp import IHoldingPort, PlainTrainPort

SOURCE, SINK = "10.0.0.1", "10.0.0.2"
RATE = 20_000_000
UNTIL_HELD = 2.0
"""Seconds by which the sink's port is held for sure.  Filling a link takes time, so no more than that."""


@implementer(IHoldingPort)
class HoldingPort(PlainTrainPort):
    """
    A simulated UDP port that reads when it is told to, as the one for Linux does.

    @ivar wakeups: reads that brought something; C{vain} those that did not.
    """

    def __init__(self, reactor: SimulatedReactor, protocol: UTPProtocol) -> None:
        self.reactor, self.protocol = reactor, protocol
        self.wakeups = self.vain = 0
        self.is_held = False
        self.can_hold = True
        self.times: Callable[[], int] | None = None
        self._waiting: list[Datagram] = []
        port = SimulatedUDPPort(reactor, 9000, protocol, "", 65_535)
        port._receive = self._arrived  # type: ignore[method-assign]
        super().__init__(port)
        protocol.makeConnection = self._connect  # type: ignore[method-assign]
        port.startListening()

    def _connect(self, transport: Any) -> None:
        self.protocol.transport = self
        self.protocol.doStart()

    def _arrived(self, packets: list[Packet]) -> None:
        at = self.times() if self.times is not None else 0
        self._waiting += [Datagram(packet.data, host_and_port(packet.source), 0, at) for packet in packets]
        if not self.is_held:
            self.poll()

    def hold(self, clock: Callable[[], int]) -> bool:
        """See IHoldingPort."""
        self.is_held = self.can_hold
        self.times = clock if self.can_hold else None
        return self.can_hold

    def release(self) -> None:
        """See IHoldingPort."""
        self.is_held = False
        if self._waiting:
            self.reactor.callLater(0, self.poll)

    def forget_times(self) -> None:
        """See IHoldingPort."""
        self.times = None

    def poll(self) -> bool:
        """See IHoldingPort."""
        batch, self._waiting = self._waiting, []
        self.wakeups += bool(batch)
        self.vain += not batch
        if batch:
            self.protocol.datagrams_received(batch)
        return bool(batch)


class Filling(Protocol):
    """Writes for ever."""

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """There is room."""
        self.transport.write(bytes(65_536))

    def stopProducing(self) -> None:
        """The end."""


class Asking(Protocol):
    """Asks for so many bytes, and unless C{again} is false once more; C{took} is in ms."""

    def __init__(self, reactor: SimulatedReactor, size: int, *, again: bool = True) -> None:
        self.reactor, self.size, self.again = reactor, size, again
        self.took: list[float] = []
        self.left = 0
        self.asked = 0.0

    def ask(self) -> None:
        """A question of one byte."""
        self.left, self.asked = self.size, self.reactor.seconds()
        self.transport.write(b"?")

    def dataReceived(self, data: bytes) -> None:
        self.left -= len(data)
        if not self.left:
            self.took.append((self.reactor.seconds() - self.asked) * 1e3)
            if self.again:
                self.ask()


class Serving(Protocol):
    """Counts what it gets, but answers questions."""

    received = 0

    def __init__(self, size: int) -> None:
        self.size = size

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)
        if len(data) == 1:
            self.transport.write(bytes(self.size))


class Ends:
    """
    A source and a sink, and a bottleneck of 20 Mb/s, 25 ms away, between them.
    """

    def __init__(self, size: int = 1, *, congestion: str = UTPConfig().congestion, **there: Any) -> None:
        simulator = Simulator(3)
        network = Network(simulator)
        hosts = network.add_host(SOURCE), network.add_host(SINK)
        queue = DropTail(milliseconds=500)
        self.there = Link(simulator, **{"rate": RATE, "delay": 25 * MILLISECOND, "queue": queue, **there})
        network.join(*hosts, there=[self.there], back=[Link(simulator, delay=25 * MILLISECOND)])
        self.reactors = [SimulatedReactor(host) for host in hosts]
        config = UTPConfig(congestion=congestion)
        self.protocols = [UTPProtocol(reactor, config) for reactor in self.reactors]
        self.ports = [HoldingPort(*both) for both in zip(self.reactors, self.protocols, strict=True)]
        self.size = size
        self.served: list[Serving] = []
        self.protocols[1].listen(Factory.forProtocol(self._serve))

    def _serve(self) -> Serving:
        self.served.append(Serving(self.size))
        return self.served[-1]

    def connect(self, build: Callable[[], Protocol]) -> Any:
        """From the source's only port."""
        connecting = self.protocols[0].connect(Factory.forProtocol(build), SINK, 9000)
        return self.reactors[0].wait_for(connecting)

    def fill(self, seconds: float = 4.0) -> Any:
        """Let a flow find its rate."""
        connected = self.connect(Filling)
        self.advance(seconds)
        return connected

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.reactors[0].advance(seconds)

    def count(self, seconds: float) -> tuple[float, list[int], int]:
        """For so long: the share of the link that is used, both ends' wake-ups, and the sink's datagrams."""
        received = sum(serving.received for serving in self.served)
        wakeups = [port.wakeups + port.vain for port in self.ports]
        sent = self.protocols[1].stats().datagrams_sent
        self.advance(seconds)
        used = (sum(serving.received for serving in self.served) - received) * 8 / seconds / RATE
        after = [port.wakeups + port.vain for port in self.ports]
        wakeups = [now - before for now, before in zip(after, wakeups, strict=True)]
        return used, wakeups, self.protocols[1].stats().datagrams_sent - sent

    def ask(self, seconds: float) -> list[float]:
        """What questions took, ms."""
        asking = self.connect(lambda: Asking(self.reactors[0], self.size))
        asking.ask()
        self.advance(seconds)
        return asking.took


@pytest.fixture
def unmoderated(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ends]:
    """Makes ends on which nothing waits."""

    def make(*arguments: Any, **keywords: Any) -> Ends:
        with monkeypatch.context() as patch:
            patch.setenv(SWITCH, "0")
            return Ends(*arguments, **keywords)

    return make


def test_a_stream_is_read_in_batches(unmoderated: Callable[..., Ends]) -> None:
    """
    Behind a bottleneck of 1,650 packets a second neither end wakes up for each of them, the sink acknowledges batches,
    and the link is as full as without that.
    """
    plain = unmoderated()
    plain.fill()
    before, wakeups, acks = plain.count(4)
    # The sink wakes for each packet, and acknowledges every second.
    assert before > 0.9 and wakeups[1] > 4 * 1500 and min(wakeups[0], acks) > 4 * 750
    ends = Ends()
    ends.fill()
    used, wakeups, acks = ends.count(4)
    assert used > before - 0.01
    assert max(wakeups) < 4 * 250 and acks < 4 * 250


@pytest.mark.parametrize(("congestion", "most"), [("ledbat++", 75), ("scavenger", 200)])
def test_bursts_make_the_queue_no_longer(unmoderated: Callable[..., Ends], congestion: str, most: int) -> None:
    """
    On 4 Mb/s seven packets, 20 ms of the line, are read, acknowledged and sent at once; but the queue that others meet
    is at most 3 ms longer than without that.  Where only a short queue stands, reads wait for less: two packets.
    """
    queues = []
    for make in (Ends, unmoderated):
        ends = make(rate=4_000_000, congestion=congestion)
        ends.fill(5)
        wakeups = sum(port.wakeups + port.vain for port in ends.ports)
        seen = []
        for _ in range(400):
            ends.advance(0.00731)
            seen.append(ends.there.queueing_delay / 1e3)
        queues.append(_quantile(seen, 0.95))
        if make is Ends:
            assert sum(port.wakeups + port.vain for port in ends.ports) - wakeups < 2 * 3 * most
    assert queues[0] <= queues[1] + 3


@pytest.mark.parametrize("size", [1, 10_000])
def test_questions_never_wait(unmoderated: Callable[..., Ends], size: int) -> None:
    """Alone on the path each answer takes exactly as long as without moderation, to the microsecond."""
    took = Ends(size).ask(6)
    assert len(took) > 50
    assert took == unmoderated(size).ask(6)


@pytest.mark.parametrize("size", [1, 10_000])
def test_questions_beside_a_stream(unmoderated: Callable[..., Ends], size: int) -> None:
    """
    On the port of a bulk flow, whoever goes on asking is answered as soon as without moderation: half of the answers
    within 1 ms of that, nineteen of twenty within 3.
    """
    took, before = [], []
    for results, make in ((took, Ends), (before, unmoderated)):
        ends = make(size)
        ends.fill(3)
        results += ends.ask(4)
    assert len(took) > 20
    assert _quantile(took, 0.5) <= _quantile(before, 0.5) + 1
    assert _quantile(took, 0.95) <= _quantile(before, 0.95) + 3


def test_a_question_now_and_then_beside_a_stream(unmoderated: Callable[..., Ends]) -> None:
    """Who has a connection on the port and asks after seconds of silence is answered at most 3 ms later."""
    took, before = [], []
    for results, make in ((took, Ends), (before, unmoderated)):
        ends = make()
        ends.fill(3)
        asking = ends.connect(lambda reactor=ends.reactors[0]: Asking(reactor, 1, again=False))
        for _ in range(3):
            ends.advance(1.13)
            asking.ask()
        ends.advance(0.2)
        results += asking.took
    assert len(took) == len(before) == 3
    assert max(took) <= max(before) + 3


def test_a_question_makes_the_asker_s_port_read_at_once() -> None:
    """A port that reads a stream in batches stops doing so when it asks something, until long after the answer."""
    ends = Ends()
    ends.fill(UNTIL_HELD)
    assert ends.ports[1].is_held
    protocol = ends.served[0]
    protocol.transport.write(b"?")
    ends.advance(0.03)
    assert not ends.ports[1].is_held


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * len(values))]


def test_a_held_port_is_polled_until_the_stream_ends() -> None:
    """When nothing comes any more the reactor watches the socket again, and nothing is woken up in vain."""
    ends = Ends()
    filling = ends.fill(UNTIL_HELD)
    assert ends.ports[1].is_held
    filling.transport.abortConnection()
    ends.advance(2)
    assert not any(port.is_held for port in ends.ports)
    vain = [port.vain for port in ends.ports]
    ends.advance(10)
    assert [port.vain for port in ends.ports] == vain


def test_receive_times_are_forgotten() -> None:
    """Two seconds after the last hold, at the next packet, the kernel need not write them any more."""
    ends = Ends()
    filling = ends.fill(UNTIL_HELD)
    assert ends.ports[1].times is not None
    filling.transport.abortConnection()
    ends.advance(3)
    ends.ask(1)
    assert ends.ports[1].times is None


def test_the_port_closes_while_it_is_held() -> None:
    """Nobody polls it afterwards."""
    ends = Ends()
    ends.fill(UNTIL_HELD)
    assert ends.ports[1].is_held
    ends.protocols[1].stopProtocol()
    vain = ends.ports[1].vain
    ends.advance(1)
    assert ends.ports[1].vain == vain and not ends.reactors[1].getDelayedCalls()


def test_a_port_that_tells_no_times() -> None:
    """Nothing waits there."""
    ends = Ends()
    for port in ends.ports:
        port.can_hold = False
    ends.fill()
    used, wakeups, _ = ends.count(2)
    assert used > 0.8 and wakeups[1] > 2 * 1400


@pytest.mark.parametrize(("congestion", "least"), [("ledbat++", 0.85), ("scavenger", 0.7)])
def test_a_lossy_path(unmoderated: Callable[..., Ends], congestion: str, least: float) -> None:
    """
    With one packet in a hundred lost, about as much gets through as without moderation.  A scavenger, which uses twice
    as much of such a link, loses a fifth.
    """
    amounts = []
    for make in (Ends, unmoderated):
        ends = make(loss=0.01, congestion=congestion)
        ends.fill(2)
        amounts.append(ends.count(12)[0])
    assert amounts[0] > least * amounts[1]


def test_losses_by_chance_do_not_wake_for_each_packet() -> None:
    """
    Where a short path loses one packet in a hundred, windows are small, but what one wake-up reads, acknowledges and
    sends is several packets.  It was one or two.
    """
    ends = Ends(rate=200_000_000, delay=0, loss=0.01)  # 25 ms there and back
    ends.fill(1)
    amount, wakeups, acks = ends.count(2)
    packets = amount * RATE * 2 / 8 / 1400
    assert packets > 3000
    assert max(*wakeups, acks) < packets / 3


def test_what_a_poll_raises(monkeypatch: pytest.MonkeyPatch, logged: Any) -> None:
    """It is logged, and the port is read again a moment later."""
    ends = Ends()
    ends.fill(UNTIL_HELD)
    port = ends.ports[1]
    assert port.is_held
    with monkeypatch.context() as patch:

        def fail() -> bool:
            raise RuntimeError("a socket that is no more")

        patch.setattr(port, "poll", fail)
        ends.advance(0.05)
    ends.advance(2)
    assert ends.count(1)[0] > 0.5
    assert [str(error) for error in logged] == ["a socket that is no more"]
