"""
Queues in front of a busy link, and what they drop.

Tail drop is what most home routers have; CoDel (RFC 8289) and RED (Floyd and Jacobson, 1993) are what the better
ones have, and what takes away a delay-based sender's politeness.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from math import sqrt
from random import Random

from twisted_utp.testing.checks import check_probability, check_whole
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.simulator import MILLISECOND

FULL_PACKET = 1500
DEFAULT_MILLISECONDS = 200


class Queue(ABC):
    """
    First in, first out; the kinds differ in what they drop.

    @ivar nbytes: bytes waiting, headers included.
    @ivar most_bytes: the most that ever waited.
    @ivar dropped: packets dropped so far.
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self.most_bytes = 0
        self.dropped = 0
        self._packets: deque[Packet] = deque()

    def __len__(self) -> int:
        return len(self._packets)

    def set_rate(self, rate: int) -> None:
        """
        The link's rate is C{rate} bits per second now, more than 0.
        """
        return

    def enqueue(self, packet: Packet, *, now: int, random: Random) -> bool:
        """
        Let a packet join.

        @return: False when it was dropped instead.
        """
        if not self.admits(packet, now=now, random=random):
            self.dropped += 1
            return False
        packet.enqueued_at = now
        self._packets.append(packet)
        self.nbytes += packet.size
        if self.nbytes > self.most_bytes:
            self.most_bytes = self.nbytes
        return True

    def dequeue(self, *, now: int) -> Packet | None:
        """
        The packet whose turn it is, L{None} when nothing waits.
        """
        if not self._packets:
            return None
        packet = self._packets.popleft()
        self.nbytes -= packet.size
        return packet

    @abstractmethod
    def admits(self, packet: Packet, *, now: int, random: Random) -> bool:
        """
        May this packet join?
        """


class DropTail(Queue):
    """
    Takes what fits.
    """

    def __init__(
        self, *, nbytes: int | None = None, milliseconds: float | None = None, packets: int | None = None
    ) -> None:
        """
        @param nbytes: room in bytes.
        @param milliseconds: room as time at the link's rate; at least one full packet.  The default, when no other
            bound is given.
        @param packets: room in packets.
        """
        super().__init__()
        check_whole("nbytes", nbytes, "bytes", lowest=1, optional=True)
        check_whole("packets", packets, "packets", lowest=1, optional=True)
        if milliseconds is not None and (isinstance(milliseconds, bool) or not isinstance(milliseconds, (int, float))):
            raise TypeError(f"milliseconds={milliseconds!r}: expected a number, such as 200, or None")
        if nbytes is None and milliseconds is None and packets is None:
            milliseconds = DEFAULT_MILLISECONDS
        self.limit_bytes = nbytes
        self.limit_packets = packets
        self._milliseconds = milliseconds

    def set_rate(self, rate: int) -> None:
        """
        A queue measured in time has other room at another rate.
        """
        if self._milliseconds is not None:
            self.limit_bytes = max(FULL_PACKET, round(rate / 8 * self._milliseconds / 1000))

    def admits(self, packet: Packet, *, now: int, random: Random) -> bool:
        """
        Whatever fits.
        """
        if self.limit_packets is not None and len(self._packets) >= self.limit_packets:
            return False
        return self.limit_bytes is None or self.nbytes + packet.size <= self.limit_bytes


class CoDel(Queue):
    """
    Drops from the head when packets have waited longer than C{target} for at least C{interval}, ever more often
    until they do not (RFC 8289).
    """

    def __init__(
        self, *, target: int = 5 * MILLISECOND, interval: int = 100 * MILLISECOND, packets: int = 1000
    ) -> None:
        """
        @param target: acceptable standing delay, µs.
        @param interval: a worst-case round trip, µs.
        @param packets: room in packets, beyond which the tail is dropped.
        """
        super().__init__()
        check_whole("target", target, "µs", example="5 ms is 5_000")
        check_whole("interval", interval, "µs", lowest=1, example="100 ms is 100_000")
        check_whole("packets", packets, "packets", lowest=1)
        self.target = target
        self.interval = interval
        self.limit_packets = packets
        self._dropping = False
        self._above_since = 0  # 0: not above the target
        self._drop_next = 0
        self._count = 0
        self._last_count = 0

    def admits(self, packet: Packet, *, now: int, random: Random) -> bool:
        """
        Whatever there is memory for.
        """
        return len(self._packets) < self.limit_packets

    def dequeue(self, *, now: int) -> Packet | None:
        """
        The first packet that is not dropped.
        """
        packet, droppable = self._next(now)
        if self._dropping:
            if not droppable:
                self._dropping = False
            while self._dropping and now >= self._drop_next:
                packet, droppable = self._drop(now)
                if not droppable:
                    self._dropping = False
                else:
                    self._drop_next = self._control_law(self._drop_next)
        elif droppable:
            packet, droppable = self._drop(now)
            self._dropping = True
            # Coming back soon after the last spell, go on near the rate of drops that worked then.
            recent = now - self._drop_next < 16 * self.interval
            since = self._count - self._last_count
            self._count = since if since > 1 and recent else 1
            self._last_count = self._count
            self._drop_next = self._control_law(now)
        return packet

    def _next(self, now: int) -> tuple[Packet | None, bool]:
        """
        The head of the queue, and whether the delay has been too long for too long.
        """
        packet = super().dequeue(now=now)
        if packet is None or now - packet.enqueued_at < self.target or self.nbytes <= FULL_PACKET:
            self._above_since = 0
            return packet, False
        if not self._above_since:
            self._above_since = now
            return packet, False
        return packet, now - self._above_since >= self.interval

    def _drop(self, now: int) -> tuple[Packet | None, bool]:
        self.dropped += 1
        self._count += 1
        return self._next(now)

    def _control_law(self, time: int) -> int:
        return time + round(self.interval / sqrt(max(1, self._count)))


class RED(Queue):
    """
    Drops arriving packets at random, the more probably the longer the queue has been on average.
    """

    def __init__(
        self,
        *,
        nbytes: int,
        low: int | None = None,
        high: int | None = None,
        probability: float = 0.1,
        weight: float = 0.002,
    ) -> None:
        """
        @param nbytes: room in bytes.
        @param low: average queue in bytes up to which nothing is dropped; a sixth of the room by default.
        @param high: average queue from which everything is dropped; half of the room by default.
        @param probability: of a drop when the average is just below C{high}.
        @param weight: of the present queue in the average.
        """
        super().__init__()
        check_whole("nbytes", nbytes, "bytes", lowest=1)
        self.limit_bytes = nbytes
        self.low = nbytes // 6 if low is None else low
        self.high = nbytes // 2 if high is None else high
        if not 0 <= self.low < self.high <= nbytes:
            raise ValueError(f"low={self.low!r}, high={self.high!r}: expected 0 <= low < high <= {nbytes} bytes")
        self.probability = check_probability("probability", probability)
        self.weight = check_probability("weight", weight)
        self.average = 0.0
        self._since_drop = 0
        self._idle_since = 0
        self._rate = 0

    def set_rate(self, rate: int) -> None:
        """
        Needed to let the average fall while nothing arrives.
        """
        self._rate = rate

    def admits(self, packet: Packet, *, now: int, random: Random) -> bool:
        """
        One throw.
        """
        self._measure(now)
        if self.nbytes + packet.size > self.limit_bytes or self.average >= self.high:
            self._since_drop = 0
            return False
        if self.average <= self.low:
            self._since_drop = -1
            return True
        self._since_drop += 1
        chance = self.probability * (self.average - self.low) / (self.high - self.low)
        # Spreads the drops evenly instead of in clusters: sure after 1 / chance packets without one.
        remaining = 1 - self._since_drop * chance
        if remaining <= 0 or random.random() < chance / remaining:
            self._since_drop = 0
            return False
        return True

    def dequeue(self, *, now: int) -> Packet | None:
        """
        The head, noting when the queue runs empty.
        """
        packet = super().dequeue(now=now)
        if not self._packets:
            self._idle_since = now
        return packet

    def _measure(self, now: int) -> None:
        if self._packets:
            self.average += self.weight * (self.nbytes - self.average)
        else:
            # As if small packets had found an empty queue all the while.
            passed = (now - self._idle_since) * self._rate / (8_000_000 * FULL_PACKET) if self._rate else 0.0
            self.average *= (1 - self.weight) ** max(1.0, passed)
