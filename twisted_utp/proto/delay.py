"""
How much of the one-way delay is queue (RFC 6817, section 3.4)?

The peer echoes "my clock minus your timestamp".  Its absolute value is meaningless (two clocks), but its minimum
over some minutes is the empty path, and what exceeds that minimum is queue.  All of it modulo 2^32.
"""

from __future__ import annotations

from twisted_utp.proto.constants import (
    BASE_HISTORY_BUCKET,
    BASE_HISTORY_BUCKETS,
    CURRENT_DELAY_FILTER,
    MAX_DRIFT_CORRECTION,
    MAX_UNEXPLAINED_DELAY,
    NO_DELAY_SAMPLE,
    TIMESTAMP_MASK,
)
from twisted_utp.proto.drift import ClockDrift
from twisted_utp.proto.seqnum import signed_timestamp


def is_delay_sample(timestamp_difference: int) -> bool:
    """
    Does the field carry a measurement?  0 and 2^31 - 1 are the two ways in which peers say "none yet".
    """
    return timestamp_difference not in (0, NO_DELAY_SAMPLE)


class BaseDelayHistory:
    """
    The smallest one-way delay of the last minutes, as minima of one-minute buckets (RFC 6817 BASE_HISTORY).
    """

    __slots__ = ("_bucket_ends", "_buckets", "base")

    def __init__(self) -> None:
        self._buckets: list[int] = []  # an empty deque takes 600 bytes
        self._bucket_ends = 0
        self.base: int | None = None

    def on_sample(self, sample: int, now: int) -> None:
        """
        Take a one-way delay, 32 bits, µs.
        """
        buckets = self._buckets
        if not buckets or now >= self._bucket_ends:
            # The oldest minute is forgotten; the base is then the minimum of what is left.
            del buckets[: max(len(buckets) - BASE_HISTORY_BUCKETS + 1, 0)]
            buckets.append(sample)
            self._bucket_ends = now + BASE_HISTORY_BUCKET
            self._find_base()
        elif signed_timestamp(sample - buckets[-1]) < 0:
            buckets[-1] = sample
            self._find_base()

    def shift(self, amount: int) -> None:
        """
        Raise (or lower) every remembered minimum by C{amount} µs.
        """
        for index, value in enumerate(self._buckets):
            self._buckets[index] = value + amount & TIMESTAMP_MASK
        self._find_base()

    def _find_base(self) -> None:
        base = self._buckets[0]
        for value in self._buckets:
            if signed_timestamp(value - base) < 0:
                base = value
        self.base = base


class OneWayDelay:
    """
    The queueing delay on the path to the peer, from its echoes, with the clocks' drift taken out.

    @ivar queuing: the filtered queueing delay in µs, 0 before the first sample.
    @ivar peer_queue: that of the peer's last packet on its way to us, not filtered.
    """

    __slots__ = ("_drift", "_ours", "_recent", "_recent_rtts", "_rtts", "_theirs", "peer_queue", "queuing")

    def __init__(self) -> None:
        self._ours = BaseDelayHistory()
        self._theirs = BaseDelayHistory()
        self._drift = ClockDrift()
        self._recent: list[int] = []
        self._recent_rtts: list[int] = []
        self._rtts = BaseDelayHistory()
        self.peer_queue = 0
        self.queuing = 0

    @property
    def base(self) -> int | None:
        """
        The base delay toward the peer, clock offset included.
        """
        return self._ours.base

    @property
    def peer_base(self) -> int | None:
        """
        The base delay toward us, clock offset included.
        """
        return self._theirs.base

    def on_their_sample(self, sample: int, now: int) -> None:
        """
        Take the delay of a packet *from* the peer.

        Only its base matters.  When that falls, their clock gained on ours (nothing else makes an empty path
        shorter), so on our own direction the same drift looks like a growing queue: raise our base by as much.
        Larger steps are route or clock changes, not drift (libutp's rule).
        """
        before = self._theirs.base
        self._theirs.on_sample(sample, now)
        after = self._theirs.base
        if after is not None:
            self.peer_queue = signed_timestamp(sample - after)
        if before is None or after is None or self._ours.base is None:
            return
        fell = -signed_timestamp(after - before)
        if 0 < fell <= MAX_DRIFT_CORRECTION:
            self._ours.shift(fell)

    def on_our_sample(self, sample: int, rtt: int, min_rtt: int, now: int) -> int | None:
        """
        Take an echoed timestamp_difference.

        @param rtt: the round trip in µs measured with this answer, or the smoothed one; 0 when unknown.
        @param min_rtt: the connection's smallest round trip, µs.
        @return: the filtered queueing delay in µs; L{None} when the sample says nothing.
        """
        if not is_delay_sample(sample):
            return None
        ours = self._ours
        if ours.base is not None and abs(signed_timestamp(sample - ours.base)) >= 1 << 30:
            return None  # a quarter of the range off, 18 minutes: no path and no drift does that
        ours.on_sample(sample, now)
        self._drift.on_sample(sample, now)
        if ours.base is None:
            return None
        current = signed_timestamp(sample - ours.base)
        if rtt and current > rtt:
            # There alone cannot take longer than there and back, so a clock was set.  What the round trip has
            # grown by is the best guess at the queue that is left; the rest goes into the base.
            queue = max(rtt - min_rtt, 0)
            ours.shift(current - queue)
            self._recent.clear()
            current = queue
        del self._recent[: max(len(self._recent) - CURRENT_DELAY_FILTER + 1, 0)]
        self._recent.append(current)
        queuing = max(min(self._recent), 0)
        self.queuing = queuing + self._unexplained(queuing, rtt, now) + self._drift.penalty
        return self.queuing

    def _unexplained(self, queuing: int, rtt: int, now: int) -> int:
        """
        What the round trip has grown by, less the queues of both ways as the timestamps tell them.

        On an honest peer's path that is next to nothing.  Much of it means that the echoes are not to be believed (a
        receiver that always reports an empty path gets no more than others), or that the peer is so busy that it
        needs time to answer, which is a queue as well.
        """
        if not rtt:
            return 0
        self._rtts.on_sample(rtt, now)
        del self._recent_rtts[: max(len(self._recent_rtts) - CURRENT_DELAY_FILTER + 1, 0)]
        self._recent_rtts.append(rtt)
        assert self._rtts.base is not None
        hidden = min(self._recent_rtts) - self._rtts.base - queuing - max(self.peer_queue, 0)
        return hidden if hidden > MAX_UNEXPLAINED_DELAY else 0
