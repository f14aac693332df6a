"""
One direction of a link, and what happens to packets on it.

In this order: taps and the route hook (tests' own fingers), outage, MTU, queue and rate, loss, corruption,
duplication, delay with jitter and reordering.  A link on which nothing of that is set costs one event for all
packets that are sent in the same microsecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from twisted_utp.testing.checks import check_model, check_probability, check_whole
from twisted_utp.testing.jitter import Jitter
from twisted_utp.testing.loss import Loss, RandomLoss
from twisted_utp.testing.packet import Packet, Sink
from twisted_utp.testing.queues import DropTail, Queue
from twisted_utp.testing.simulator import ScheduledCall, Simulator

BITS_PER_BYTE_US = 8_000_000
"""Bits in a byte times microseconds in a second: size * this / rate is the time on the wire in µs."""

Tap = Callable[[Packet], bool]
"""Sees each packet that is sent; True takes it off the wire."""

Route = Callable[[Packet], "Iterable[tuple[int, Packet]] | None"]
"""Decides alone what becomes of a packet: L{None} drops it, otherwise C{(extra delay in µs, packet)} pairs."""


@dataclass(slots=True)
class LinkCounters:
    """
    What went in, what came out, and where the rest is.  Bytes are on the wire, headers included.
    """

    sent: int = 0
    sent_bytes: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    taken: int = 0
    down: int = 0
    too_big: int = 0
    queue_drops: int = 0
    lost: int = 0
    corrupted: int = 0
    duplicated: int = 0
    reordered: int = 0


class Link:
    """
    One direction.

    @ivar counters: what happened so far.
    @ivar taps: see every packet before anything else happens to it.
    @ivar route: when set, it takes the place of loss, corruption, duplication and reordering.
    @ivar sink: where packets come out.
    @ivar on_too_big: called with each packet above the MTU and the MTU, for an ICMP answer.
    """

    _down_until = 0
    _serving: ScheduledCall | None = None
    _remainder = 0  # of the division that gave the last packet's time on the wire
    _last_arrival = 0
    _batch: list[Packet] | None = None
    _batch_from = 0
    _batch_due = 0

    def __init__(
        self,
        simulator: Simulator,
        sink: Sink | None = None,
        *,
        rate: int | None = None,
        delay: int = 0,
        jitter: Jitter | None = None,
        loss: Loss | float | None = None,
        reorder: float = 0.0,
        reorder_delay: int = 0,
        duplicate: float = 0.0,
        corrupt: float = 0.0,
        mtu: int | None = None,
        fragments: bool = False,
        queue: Queue | None = None,
        coalesce: int = 0,
    ) -> None:
        """
        @param rate: bits per second on the wire, IP and UDP headers included; L{None} is infinitely fast.
        @param delay: µs from one end to the other.
        @param jitter: what is added to that.
        @param loss: a model, or the probability of losing each packet.
        @param reorder: probability that a packet is held back by C{reorder_delay} µs, so that others overtake it.
        @param duplicate: probability that a packet comes out twice.
        @param corrupt: probability that one bit of the payload flips, unseen by the UDP checksum.
        @param mtu: bytes of the largest IP packet; larger ones vanish, see C{on_too_big}.
        @param fragments: larger ones without the DF bit pass nevertheless, as IPv4 fragments.
        @param queue: what waits for a busy link; tail drop by default.
        @param coalesce: µs for which the receiving network card gathers packets for one interrupt.
        @raise TypeError: naming the setting that is of the wrong type.
        @raise ValueError: naming the setting that is out of range.
        """
        self.simulator = simulator
        self.sink: Sink = sink if sink is not None else _no_sink
        self.counters = LinkCounters()
        self.taps: list[Tap] = []
        self.route: Route | None = None
        self.on_too_big: Callable[[Packet, int], object] | None = None
        self.delay = _check_time("delay", delay)
        self.jitter: Jitter | None = check_model("jitter", jitter, Jitter, "UniformJitter(5_000)")
        if loss is not None and not isinstance(loss, Loss):
            loss = RandomLoss(check_probability("loss", loss))
        self.loss = loss
        self.reorder = check_probability("reorder", reorder)
        self.reorder_delay = _check_time("reorder_delay", reorder_delay)
        self.duplicate = check_probability("duplicate", duplicate)
        self.corrupt = check_probability("corrupt", corrupt)
        self.mtu: int | None = check_whole("mtu", mtu, "bytes", lowest=1, optional=True)
        self.fragments = fragments
        self.coalesce = _check_time("coalesce", coalesce)
        queue = check_model("queue", queue, Queue, "DropTail(milliseconds=200)")
        self.queue = queue if queue is not None else DropTail()
        self.rate: int | None = None
        self.set_rate(rate)

    # --- Changing the weather ---------------------------------------------------------------------------------

    def set_rate(self, rate: int | None) -> None:
        """
        From now on (after the packet that is being sent) C{rate} bits per second: L{None} is infinitely fast, 0
        holds everything in the queue.
        """
        self.rate = check_whole("rate", rate, "bits per second", example="2 Mb/s is 2_000_000", optional=True)
        if rate:
            self.queue.set_rate(rate)
        if self._serving is None:
            self._serve()

    def set_rate_at(self, time: int, rate: int | None) -> None:
        """
        L{set_rate} at C{time} µs.
        """
        self.simulator.call_at(time, self.set_rate, rate)

    def set_delay(self, delay: int) -> None:
        """
        Another route: what is sent from now on takes C{delay} µs, and overtakes what is under way on a longer one.
        """
        self.delay = _check_time("delay", delay)

    def set_delay_at(self, time: int, delay: int) -> None:
        """
        L{set_delay} at C{time} µs.
        """
        self.simulator.call_at(time, self.set_delay, delay)

    def down_for(self, duration: int) -> None:
        """
        An outage: what is sent during the next C{duration} µs is lost; what is on the link arrives.
        """
        self._down_until = max(self._down_until, self.simulator.now + duration)

    def down_at(self, time: int, duration: int) -> None:
        """
        L{down_for} at C{time} µs.
        """
        self.simulator.call_at(time, self.down_for, duration)

    # --- Reading the instruments ------------------------------------------------------------------------------

    @property
    def is_down(self) -> bool:
        """
        Is there an outage?
        """
        return self.simulator.now < self._down_until

    @property
    def queueing_delay(self) -> int:
        """
        How many µs a packet that joins now waits for those before it (the one being sent not counted).
        """
        return self.queue.nbytes * BITS_PER_BYTE_US // self.rate if self.rate else 0

    # --- The way of a packet ----------------------------------------------------------------------------------

    def send(self, packets: list[Packet]) -> None:
        """
        Put packets on the link, in order.
        """
        counters = self.counters
        counters.sent += len(packets)
        for packet in packets:
            counters.sent_bytes += packet.size
        if self.taps:
            packets = [packet for packet in packets if not self._is_taken(packet)]
        if self._down_until > self.simulator.now:
            counters.down += len(packets)
            return
        if self.mtu is not None:
            packets = [packet for packet in packets if self._fits(packet)]
        if self.rate is not None or self.queue.nbytes:
            for packet in packets:
                self._enqueue(packet)
        else:
            self._travel(packets)

    def _is_taken(self, packet: Packet) -> bool:
        # Every tap sees every packet, so no any() that stops at the first.
        if True in [tap(packet) for tap in self.taps]:
            self.counters.taken += 1
            return True
        return False

    def _fits(self, packet: Packet) -> bool:
        assert self.mtu is not None
        if packet.size <= self.mtu or (self.fragments and not packet.dont_fragment):
            return True
        self.counters.too_big += 1
        if self.on_too_big is not None:
            self.on_too_big(packet, self.mtu)
        return False

    def _enqueue(self, packet: Packet) -> None:
        before = self.queue.dropped
        self.queue.enqueue(packet, now=self.simulator.now, random=self.simulator.random)
        self.counters.queue_drops += self.queue.dropped - before
        if self._serving is None:
            self._serve()

    def _serve(self) -> None:
        """
        Take the next packet from the queue and start sending it.
        """
        self._serving = None
        if self.rate == 0:
            return
        before = self.queue.dropped
        packet = self.queue.dequeue(now=self.simulator.now)
        self.counters.queue_drops += self.queue.dropped - before
        if packet is None:
            self._remainder = 0
            return
        duration = 0
        if self.rate:
            # Fractions of a microsecond are carried over, or the rate would be off by half of one per packet.
            duration, self._remainder = divmod(packet.size * BITS_PER_BYTE_US + self._remainder, self.rate)
        self._serving = self.simulator.call_later(duration, self._served, packet)

    def _served(self, packet: Packet) -> None:
        if self._is_a_mere_queue():
            # On the wire for no time: no event more.
            packet.arrived_at = self.simulator.now
            self._hand_over([packet])
        else:
            self._travel([packet])
        self._serve()

    def _is_a_mere_queue(self) -> bool:
        return not (self.delay or self.coalesce or self._is_bad or self.route is not None)

    def _travel(self, packets: list[Packet]) -> None:
        """
        From the sending end to the receiving one.
        """
        if self.route is not None:
            for packet in packets:
                self._travel_by_route(packet)
        elif not self._is_bad:
            arrival = self.simulator.now + self.delay
            for packet in packets:
                self._arrive(packet, arrival)
        else:
            for packet in packets:
                self._travel_badly(packet)

    @property
    def _is_bad(self) -> bool:
        """
        May something happen on the wire?
        """
        return self.loss is not None or self.jitter is not None or bool(self.reorder or self.duplicate or self.corrupt)

    def _travel_by_route(self, packet: Packet) -> None:
        assert self.route is not None
        ways = self.route(packet)
        if ways is None:
            self.counters.lost += 1
            return
        for extra, one in ways:
            self._arrive(one, self.simulator.now + self.delay + extra)

    def _travel_badly(self, packet: Packet) -> None:
        random, counters = self.simulator.random, self.counters
        if self.loss is not None and self.loss.loses(random):
            counters.lost += 1
            return
        if self.corrupt and random.random() < self.corrupt:
            counters.corrupted += 1
            packet = flip_bit(packet, random.randrange(max(1, len(packet.data) * 8)))
        self._arrive_late(packet)
        if self.duplicate and random.random() < self.duplicate:
            counters.duplicated += 1
            self._arrive_late(packet.copy())

    def _arrive_late(self, packet: Packet) -> None:
        random = self.simulator.random
        arrival = self.simulator.now + self.delay
        if self.jitter is not None:
            arrival += self.jitter.sample_at(self.simulator.now, random)
            if self.jitter.keeps_order:
                arrival = max(arrival, self._last_arrival)
        if self.reorder and random.random() < self.reorder:
            self.counters.reordered += 1
            arrival += self.reorder_delay
        else:
            self._last_arrival = arrival
        self._arrive(packet, arrival)

    def _arrive(self, packet: Packet, arrival: int) -> None:
        """
        Join the batch that arrives then, or start one.
        """
        packet.arrived_at = arrival
        if self._batch is not None and self._batch_from <= arrival <= self._batch_due:
            self._batch.append(packet)
            return
        self._batch = batch = [packet]
        # One that overtakes the batch's first joins it too, and waits twice as long at the most.
        self._batch_from = arrival - self.coalesce
        self._batch_due = arrival + self.coalesce
        self.simulator.call_at(self._batch_due, self._deliver, batch)

    def _deliver(self, batch: list[Packet]) -> None:
        if batch is self._batch:
            self._batch = None
        if self.coalesce:
            batch.sort(key=_arrived_at)
        self._hand_over(batch)

    def _hand_over(self, batch: list[Packet]) -> None:
        counters = self.counters
        counters.delivered += len(batch)
        for packet in batch:
            counters.delivered_bytes += packet.size
        self.sink(batch)


def flip_bit(packet: Packet, bit: int) -> Packet:
    """
    A copy of C{packet} in which one bit of the payload is another.
    """
    copy = packet.copy()
    if packet.data:
        data = bytearray(packet.data)
        data[bit // 8] ^= 1 << bit % 8
        copy.data = bytes(data)
    return copy


def _arrived_at(packet: Packet) -> int:
    return packet.arrived_at


def _no_sink(packets: list[Packet]) -> None:
    raise AssertionError("the link leads nowhere: give it a sink, or join hosts with Network.join")


def _check_time(name: str, value: int) -> int:
    checked: int = check_whole(name, value, "µs", example="25 ms is 25_000")
    return checked
