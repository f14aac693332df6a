"""
Estimates by how much the peer's clock runs slow.

What the peer echoes then shrinks all the time, each sample is a new base, and its queue is never seen: a receiver that
wants more than its share need only subtract a little more from each echo.  libutp adds a penalty to the delay when the
echoes fall faster than any real clock drifts; so do we.
"""

from __future__ import annotations

from twisted_utp.proto.constants import DRIFT_PENALTY_DIVISOR, DRIFT_WINDOW, MAX_HONEST_DRIFT
from twisted_utp.proto.seqnum import signed_timestamp


class ClockDrift:
    """
    The trend of the echoes, by their averages over windows of L{DRIFT_WINDOW}.

    A queue that drains makes them fall as well, but not for long, and a clock that was set shows in two windows at
    most: three in a row must fall too fast.

    @ivar penalty: to be added to the queueing delay, µs.
    """

    __slots__ = ("_average", "_before", "_count", "_reference", "_sum", "_window_end", "penalty")

    def __init__(self) -> None:
        self._reference: int | None = None  # sums are relative to it, so that wrapping does no harm
        self._sum = 0
        self._count = 0
        self._window_end = 0
        self._average: int | None = None
        self._before = (0, 0)  # excess of the two windows before
        self.penalty = 0

    def on_sample(self, sample: int, now: int) -> None:
        """
        Take an echoed timestamp_difference, 32 bits, µs.
        """
        if self._reference is None:
            self._reference, self._window_end = sample, now + DRIFT_WINDOW
        self._sum += signed_timestamp(sample - self._reference)
        self._count += 1
        if now >= self._window_end:
            self._close_window(sample, now)

    def _close_window(self, sample: int, now: int) -> None:
        assert self._reference is not None
        average = self._reference + self._sum // self._count
        if self._average is not None:
            fell = -signed_timestamp(average - self._average)
            excess = max(fell - MAX_HONEST_DRIFT, 0)
            self.penalty = min(excess, *self._before) // DRIFT_PENALTY_DIVISOR
            self._before = (self._before[1], excess)
        self._average = average
        self._reference, self._sum, self._count = sample, 0, 0
        self._window_end = now + DRIFT_WINDOW
