"""
Spreads a window over a round trip.

A token bucket in µs of credit: in slow start, and on short paths, a burst may carry what the pacing rate moves in a
millisecond, and at least two packets.  That also bounds the length of a train, so trains grow with the rate and stay
short on slow links.  Once the rate is found, and where the path is so long that nobody notices, a burst is as long as
what a peer that reads in batches acknowledges at once (L{twisted_utp.proto.moderation}): each is a wake-up at both
ends.

In a process that is kept busy, by hundreds of connections or by other work, timers fire late.  A millisecond's worth at
a time could not keep the rate then, and many short trains would keep the process busier still: a burst may carry what
the rate moves in the time by which the timers are late.

A burst is felt by how long the path is busy with it.  Where many connections send to one host, each may send at once
what all of them send in a millisecond: small windows of a thousand need not be cut into packets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.chance import is_by_chance
from twisted_utp.proto.constants import (
    BURST_UNSEEN,
    MAX_BURST_SHARE,
    MAX_LATE_SHARE,
    MIN_BURST_PACKETS,
    PACING_BATCHES,
    PACING_BATCHES_SHARE,
    PACING_BURST,
    PACING_CALM,
    PACING_COUNT,
    PACING_GAIN,
    PACING_GAIN_SLOW_START,
    PACING_MAX,
    PACING_PACKETS,
    PACING_QUEUE_MAX,
    PACING_QUEUE_SHARE,
    PACING_RTT_SHARE,
    PACING_STEADY,
    PACING_STEADY_PACKETS,
)

if TYPE_CHECKING:
    from twisted_utp.proto.mtu import PathMtu

CERTAIN_RATES = 4
"""Times the rate that the link carries at the most; a return begins with a quarter of it."""


class Pacer:
    """
    When may how much be sent?

    @ivar follows_batches: acknowledgements come for several packets at once.
    @ivar stride: for how long of the rate a burst may make up, µs.
    """

    __slots__ = (
        "_burst",
        "_calm_at",
        "_counted_at",
        "_credit",
        "_due",
        "_late",
        "_latest",
        "_lossy_until",
        "_min_burst",
        "_others",
        "_others_sent",
        "_path",
        "_rate",
        "_sent",
        "_sent_at",
        "_stamp",
        "_train",
        "follows_batches",
        "stride",
    )

    def __init__(self, path: PathMtu | None = None) -> None:
        """
        @param path: where those who send to the same host count it.
        """
        self._path = path
        self._rate = 0.0  # bytes per µs; 0 = no round trip known yet, unlimited
        self._burst = self._min_burst = 0.0  # bytes
        self._credit = 0.0  # bytes
        self._stamp = 0
        self._train = 0.0  # bytes of the present burst
        self._sent_at = 0
        self._due = 0  # when those that wait now are to be sent; 0 when nobody waits
        self._late = 0.0  # µs by which that is missed, smoothed
        self._latest = 0  # ... and how much of it counts
        self.follows_batches = False
        self.stride = PACING_BURST
        self._sent = 0  # bytes so far
        self._others_sent = self._counted_at = 0  # by all others with that host, and when that was counted
        self._others = 0.0  # bytes that they send in PACING_BURST
        self._calm_at = 0  # until then bursts stay short, because a queue has overflowed
        self._lossy_until = 0  # until then they stay long, because packets are lost by chance

    @property
    def rate(self) -> float:
        """
        Bytes per second, 0 while there is no limit.
        """
        return self._rate * 1e6

    def set_window(self, cwnd: float, rtt: int, mss: int, *, slow_start: bool, now: int, queue: int = 0) -> None:
        """
        Follow a new window (bytes) and round trip (µs).

        The gain lets the window be filled although a timer fires late; in slow start the window doubles within
        the round trip, so the rate leads it.

        @param queue: how much of the round trip is queue, µs; it counts while acknowledgements come in batches.
        """
        if not rtt:
            return
        gain = PACING_GAIN_SLOW_START if slow_start else PACING_GAIN
        rate = gain * cwnd / rtt
        is_short = now < self._calm_at or (slow_start and now >= self._lossy_until)
        self.stride = PACING_BURST if is_short else self._longest_stride(mss / rate, rtt, queue)
        self._follow(rate, rtt, mss, now)

    def on_loss(self, now: int, queue: int, in_a_row: int) -> None:
        """
        The window was cut.  A queue that overflows, or one that drops early as CoDel does, loses more of long bursts.

        @param queue: what stands in it, µs.
        @param in_a_row: how many packets with consecutive numbers were lost.
        """
        if is_by_chance(queue, in_a_row):
            self._lossy_until = now + PACING_CALM
        else:
            self._calm_at, self._lossy_until = now + PACING_CALM, 0

    def set_rate(self, rate: float, rtt: int, mss: int, *, now: int) -> None:
        """
        Follow a rate (payload bytes per µs) that does not depend on a window.

        @param rtt: the path's round trip, µs: late timers are made up for within a part of it.
        """
        self.stride = PACING_BURST
        self._follow(rate, rtt, mss, now)

    def _follow(self, rate: float, rtt: int, mss: int, now: int) -> None:
        is_first = not self._rate
        if is_first:
            self._stamp = now
        else:
            self._refill(now)
        self._rate = rate
        self._latest = rtt // MAX_LATE_SHARE
        self._min_burst = float(MIN_BURST_PACKETS * mss)
        self._count_others(now)
        self._set_burst()
        if is_first:
            self._credit = self._burst

    def burst_after(self, nbytes: int, target: int) -> int:
        """
        An acknowledgement of several packets has come.

        @param nbytes: of theirs; 0 when it was for one or two.
        @param target: the queueing delay that is aimed for, µs.
        @return: what it lets out at once adds to the queue, µs, beyond what a filter sees of it that takes the least of
            a few delays, which are from anywhere in a burst.
        """
        self.follows_batches = nbytes > 0
        if not nbytes or self.stride <= PACING_BURST or not self._rate:
            return 0
        lasts = (nbytes - self._min_burst) * PACING_GAIN / self._rate
        return max(int(min(BURST_UNSEEN * min(lasts, self.stride), target / MAX_BURST_SHARE)), 0)

    def release(self) -> None:
        """
        No limit, until the next window.
        """
        self._rate = self._train = 0.0

    def allowance(self, now: int, size: int = 0) -> float:
        """
        Bytes that may be sent now.

        @param size: of the packet that waits.  A full bucket lets it go even if it is larger: packets keep the size
            that they were first sent with, also when the path's MTU, and bursts with it, have become smaller.
        """
        if not self._rate:
            return float("inf")
        self._refill(now)
        return self._credit if self._credit < self._burst else max(self._credit, size)

    def ahead(self, now: int) -> int:
        """
        Something is about to be sent.

        @return: bytes of its burst that left before it and still are at the bottleneck, as far as that is certain: the
            link may carry several times the rate.
        """
        self._train = max(self._train - CERTAIN_RATES * self._rate * (now - self._sent_at), 0.0)
        self._sent_at = now
        return int(self._train)

    def on_sent(self, nbytes: int) -> None:
        """
        Spend credit.

        It may go below zero: by less than a packet, or in a recovery, where a packet is repeated for each
        acknowledgement whatever the credit.  By no more than a burst, though: fifty packets that were repeated so would
        silence a flow for ten seconds that has just gone down to two packets in half a second.
        """
        if self._path is not None:
            self._path.paced_bytes += nbytes
            self._sent += nbytes
        if self._rate:
            self._train += nbytes
            self._credit = max(self._credit - nbytes, -self._burst)
            self._due = 0

    def next_at(self, mss: int) -> int:
        """
        When half a burst, and at least one packet, may be sent.

        Waiting for half a burst halves the timer wake-ups; waiting for a whole one would lose what a late timer
        lets overflow.  Where acknowledgements come in batches it is a whole one: the next of them comes first, and
        serves what waits.
        """
        burst = self._burst
        is_long = self.follows_batches and self.stride > PACING_BURST and burst > self._min_burst
        wanted = burst if is_long else min(max(burst / 2, mss), burst)
        at = self._stamp + int((wanted - self._credit) / self._rate) + 1
        self._due = self._due or at
        return at

    def _count_others(self, now: int) -> None:
        """
        What do other connections send to the host?
        """
        path, passed = self._path, now - self._counted_at
        if path is None or passed < PACING_COUNT:
            return
        sent = path.paced_bytes - self._sent
        self._others = (sent - self._others_sent) * PACING_BURST / passed if self._counted_at else 0.0
        self._others_sent, self._counted_at = sent, now

    def _set_burst(self) -> None:
        self._burst = max(self._rate * max(min(self._late, self._latest), self.stride), self._min_burst, self._others)

    def _refill(self, now: int) -> None:
        if now > self._stamp:
            if self._due and now >= self._due:
                self._late += (now - self._due - self._late) / 4
                self._due = 0
                self._set_burst()
            self._credit = min(self._credit + (now - self._stamp) * self._rate, self._burst)
            self._stamp = now

    def _longest_stride(self, packet: float, rtt: int, queue: int) -> int:
        """
        For how long a burst may make up, once the rate is found; all times in µs.

        @param packet: what a packet takes at the pacing rate.
        """
        steady, bearable = PACING_STEADY, min(rtt / PACING_RTT_SHARE, PACING_MAX)
        if self.follows_batches:
            steady = PACING_BATCHES
            bearable = min(rtt / PACING_BATCHES_SHARE, PACING_MAX)
            bearable = max(bearable, min(queue / PACING_QUEUE_SHARE, PACING_QUEUE_MAX))
        wanted = max(min(steady, packet * PACING_STEADY_PACKETS), packet * PACING_PACKETS)
        return max(int(min(wanted, bearable)), PACING_BURST)
