"""
Do the queues drop what their authors say they drop?
"""

from __future__ import annotations

from random import Random

import pytest

from twisted_utp.testing.link import Link
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.queues import RED, CoDel, DropTail, Queue
from twisted_utp.testing.simulator import SECOND, Simulator

MEGABIT = 1_000_000


def packet(size: int = 1000) -> Packet:
    """A packet of that many bytes on the wire."""
    return Packet(bytes(size - 28), ("10.0.0.1", 1), ("10.0.0.2", 2))


def offer(queue: Queue, *, rate: int, load: float, seconds: int, size: int = 1000) -> tuple[Link, list[int]]:
    """
    Offer a constant load to a link with that queue.

    @return: the link, and the queueing delay in µs at every millisecond.
    """
    simulator = Simulator()
    link = Link(simulator, lambda packets: None, rate=rate, queue=queue)
    gap = round(size * 8 * SECOND / (rate * load))
    delays: list[int] = []
    for time in range(0, seconds * SECOND, gap):
        simulator.call_later(time, lambda: link.send([packet(size)]))
    for time in range(0, seconds * SECOND, 1000):
        simulator.call_later(time, lambda: delays.append(link.queueing_delay))
    simulator.run()
    return link, delays


def test_fifo_and_bookkeeping() -> None:
    """First in, first out, and the bytes are counted."""
    queue, random = DropTail(nbytes=5000), Random(0)
    first, second = packet(), packet(500)
    assert queue.enqueue(first, now=5, random=random) and queue.enqueue(second, now=6, random=random)
    assert (len(queue), queue.nbytes, first.enqueued_at) == (2, 1500, 5)
    assert queue.dequeue(now=9) is first and queue.dequeue(now=9) is second and queue.dequeue(now=9) is None
    assert queue.nbytes == 0 and queue.most_bytes == 1500


def test_tail_drop_in_milliseconds_follows_the_rate() -> None:
    """100 ms at 10 Mb/s are 125,000 bytes; at another rate they are others."""
    queue = DropTail(milliseconds=100)
    Link(Simulator(), rate=10 * MEGABIT, queue=queue).set_rate(MEGABIT)
    assert queue.limit_bytes == 12_500
    queue.set_rate(1000)
    assert queue.limit_bytes == 1500  # always one full packet


def test_tail_drop_in_packets() -> None:
    """Some routers count packets, whatever their size."""
    queue, random = DropTail(packets=2), Random(0)
    assert [queue.enqueue(packet(), now=1, random=random) for _ in range(3)] == [True, True, False]
    assert queue.limit_bytes is None


def test_tail_drop_under_overload_is_full() -> None:
    """At 150 % load the queue stands at its limit and a third is dropped."""
    link, delays = offer(DropTail(milliseconds=100), rate=10 * MEGABIT, load=1.5, seconds=10)
    assert 98_000 < min(delays[5000:]) <= max(delays[5000:]) <= 100_000
    assert link.counters.queue_drops / link.counters.sent == pytest.approx(1 / 3, abs=0.02)


def test_codel_leaves_a_busy_link_alone() -> None:
    """Below capacity CoDel drops nothing."""
    link, _ = offer(CoDel(), rate=10 * MEGABIT, load=0.95, seconds=5)
    assert link.counters.queue_drops == 0


def test_codel_tolerates_a_burst() -> None:
    """A burst that drains within the interval is what queues are for."""
    simulator = Simulator()
    link = Link(simulator, lambda packets: None, rate=10 * MEGABIT, queue=CoDel())
    link.send([packet() for _ in range(100)])  # 80 ms
    simulator.run()
    assert link.counters.queue_drops == 0


def test_codel_first_drop_comes_after_an_interval() -> None:
    """The delay must have been above the target for 100 ms before the first drop."""
    simulator = Simulator()
    link = Link(simulator, lambda packets: None, rate=10 * MEGABIT, queue=CoDel())
    link.send([packet() for _ in range(300)])  # 240 ms
    simulator.run_for(100_000)
    assert link.counters.queue_drops == 0
    simulator.run_for(10_000)
    assert link.counters.queue_drops == 1
    simulator.run()
    assert 2 <= link.counters.queue_drops <= 4  # the next after 100 ms / sqrt(2)
    assert link.counters.queue_drops == link.queue.dropped


def test_codel_drops_ever_faster_under_a_constant_overload() -> None:
    """Against a sender that does not listen CoDel's drops speed up, and the delay ends far below tail drop's."""
    link, delays = offer(CoDel(), rate=10 * MEGABIT, load=1.05, seconds=30)
    assert 0.01 < link.counters.queue_drops / link.counters.sent < 0.06
    assert sum(delays[-5000:]) / 5000 < 0.5 * max(delays)


def test_codel_bounds_its_memory() -> None:
    """CoDel's limit in packets drops the tail."""
    queue, random = CoDel(packets=3), Random(0)
    assert sum(queue.enqueue(packet(), now=1, random=random) for _ in range(9)) == 3


def test_codel_spares_the_last_packet() -> None:
    """With less than a full packet left behind it nothing is dropped, however old (RFC 8289, 5.5)."""
    queue, random = CoDel(), Random(0)
    for at in range(1, 20):
        queue.enqueue(packet(1400), now=at * SECOND, random=random)
        assert queue.dequeue(now=at * SECOND + SECOND // 2) is not None
    assert queue.dropped == 0


def test_red_drops_nothing_while_short() -> None:
    """Below the lower threshold RED is a plain queue."""
    link, _ = offer(RED(nbytes=100_000), rate=10 * MEGABIT, load=0.9, seconds=5)
    assert link.counters.queue_drops == 0


def test_red_keeps_the_average_between_its_thresholds() -> None:
    """Under a mild overload the drops begin early and hold the queue below the upper threshold."""
    queue = RED(nbytes=120_000, probability=0.2)
    link, delays = offer(queue, rate=10 * MEGABIT, load=1.05, seconds=30)
    assert queue.low < queue.average < queue.high
    assert link.counters.queue_drops / link.counters.sent == pytest.approx(1 - 1 / 1.05, abs=0.01)
    assert max(delays[-10_000:]) < queue.high * 8 / 10


def test_red_drops_everything_above_the_upper_threshold() -> None:
    """An average above the upper threshold admits nothing."""
    queue, random = RED(nbytes=100_000, weight=1.0, low=1000, high=3000), Random(0)
    assert [queue.enqueue(packet(), now=1, random=random) for _ in range(2)] == [True, True]
    while queue.nbytes < 3000:
        queue.enqueue(packet(), now=1, random=random)
    assert not queue.enqueue(packet(), now=1, random=random)


def test_red_forgets_while_idle() -> None:
    """The average falls while nothing arrives, as if small packets had found an empty queue."""
    queue, random = RED(nbytes=100_000, weight=0.01), Random(0)
    queue.set_rate(10 * MEGABIT)
    queue.average = 40_000.0
    queue.enqueue(packet(), now=10, random=random)
    queue.dequeue(now=20)
    queue.enqueue(packet(), now=20 + SECOND, random=random)
    assert queue.average < 1.0 * 40_000 * 0.01


def test_red_checks_its_thresholds() -> None:
    """Thresholds that make no sense are refused."""
    with pytest.raises(ValueError, match="expected 0 <= low < high"):
        RED(nbytes=1000, low=900, high=800)
