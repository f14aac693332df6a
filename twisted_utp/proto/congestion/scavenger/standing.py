"""
Measures the standing queue, as soon as samples show it.

A single sample may be a burst, a late packet or a pause of a radio link.  The least of the last few milliseconds is
none of these, if there are enough samples over enough time.  So a queue is noticed within an eighth of a round trip,
not after a whole one.

What comes through meanwhile tells others' queue from a pause of the path: others' packets lie between ours.
"""

from __future__ import annotations

BUCKETS = 8
"""Parts of the time that is looked back on.  More would notice the end of a queue a little sooner, and cost more."""


class StandingQueue:
    """
    The least delay of the last moments.

    @ivar length: the least delay, µs.
    @ivar highest: the largest delay of the same time, µs.
    @ivar is_known: the samples span enough time to tell a queue from a burst.
    """

    __slots__ = ("_buckets", "_latest", "highest", "is_known", "length")

    def __init__(self) -> None:
        self._buckets: list[list[int]] = []  # [begin, least, largest, samples, bytes of the first sample, bytes]
        self._latest = 0
        self.length = self.highest = 0
        self.is_known = False

    def on_sample(self, now: int, delay: int, span: int, least: int, nbytes: int = 0) -> None:
        """
        Take a delay, µs.

        @param span: how far to look back, µs.
        @param least: look back further than that, until there are so many samples.
        @param nbytes: bytes that came through since the last sample.
        """
        self._latest = now
        buckets = self._buckets
        if buckets and now - buckets[-1][0] < span // BUCKETS:
            last = buckets[-1]
            last[1] = min(last[1], delay)
            last[2] = max(last[2], delay)
            last[3] += 1
            last[5] += nbytes
        else:
            buckets.append([now, delay, delay, 1, nbytes, nbytes])
        count = 0
        for bucket in buckets:
            count += bucket[3]
        while len(buckets) > 1 and buckets[0][0] < now - span and count - buckets[0][3] >= least:
            count -= buckets.pop(0)[3]
        length, highest = delay, delay
        for bucket in buckets:
            length, highest = min(length, bucket[1]), max(highest, bucket[2])
        self.length, self.highest = length, highest
        self.is_known = count >= least and now - buckets[0][0] >= span // 2

    @property
    def rate(self) -> float:
        """
        Bytes per µs that came through while the queue stood: since the first of the samples.
        """
        buckets = self._buckets
        if not buckets or self._latest <= buckets[0][0]:
            return 0.0
        return (sum(bucket[5] for bucket in buckets) - buckets[0][4]) / (self._latest - buckets[0][0])

    def forget(self) -> None:
        """
        Forget all samples: they say nothing about now.
        """
        self._buckets.clear()
        self.is_known = False
