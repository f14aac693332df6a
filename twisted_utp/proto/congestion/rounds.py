"""
What did the last round trip look like: how much came through, and how long were its shortest and longest queue?

One delay sample says little; a round trip's minimum tells a standing queue from jitter and bursts (the same test as
CoDel's, RFC 8289), its maximum tells whether a loss had a queue to be blamed on.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample


class Rounds:
    """
    Round trips, one after the other; each lasts as long as the smoothed round trip, or the latest one, says when it
    ends.

    @ivar count: how many have ended.
    @ivar shortest: smallest queueing delay of the last whole round, µs; L{None} when it had no sample.
    @ivar duration: of the last whole round, µs.
    @ivar path: the shortest round trip there was, µs.
    @ivar longest_before: largest queueing delay of the last whole round, µs.
    @ivar since: when the present round began, µs.
    """

    __slots__ = (
        "_acked",
        "_highest",
        "_lowest",
        "_rate",
        "count",
        "duration",
        "longest_before",
        "path",
        "shortest",
        "since",
    )

    def __init__(self) -> None:
        self.count = 0
        self.duration = 0
        self.path = 0
        self.shortest: int | None = None
        self.longest_before: int | None = None
        self.since = 0
        self._acked = 0
        self._lowest: int | None = None
        self._highest: int | None = None
        self._rate = 0.0

    def on_ack(self, now: int, sample: AckSample) -> bool:
        """
        Take an acknowledgement into account.

        @return: a round has ended with it.
        """
        delay = sample.queuing_delay
        if not self.since:
            self.since = now
        else:
            self._acked += sample.bytes_acked
        if delay is not None:
            self._lowest = delay if self._lowest is None else min(self._lowest, delay)
            self._highest = delay if self._highest is None else max(self._highest, delay)
        # The latest one is shorter when a queue has just gone.
        rtt = min(sample.rtt, sample.latest_rtt or sample.rtt)
        if now - self.since < rtt or now == self.since:
            return False
        self.count += 1
        self.path = sample.min_rtt
        self.duration = now - self.since
        self._rate = self._acked / self.duration
        self.shortest, self.longest_before = self._lowest, self._highest
        self.since, self._acked, self._lowest, self._highest = now, 0, None, None
        return True

    def rate(self, now: int) -> float:
        """
        Bytes per µs that come through: of the present round, when enough of it is over, or of the last one.
        """
        passed = now - self.since
        if passed * 2 < self.duration or not passed:
            return self._rate
        return max(self._rate, self._acked / passed)

    @property
    def longest(self) -> int | None:
        """
        The largest queueing delay of the present round and the one before, µs; L{None} when there is no sample.
        """
        if self._highest is None or self.longest_before is None:
            return self.longest_before if self._highest is None else self._highest
        return max(self._highest, self.longest_before)
