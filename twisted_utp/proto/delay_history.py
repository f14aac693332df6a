"""
The smallest delay of the last minutes (RFC 6817 BASE_HISTORY).
"""

from __future__ import annotations

from twisted_utp.proto.constants import BASE_HISTORY_BUCKET, BASE_HISTORY_BUCKETS, TIMESTAMP_MASK
from twisted_utp.proto.seqnum import signed_timestamp

# Set in a 32-bit difference that is less than 0, see L{signed_timestamp}.
_SIGN = 1 << 31


class BaseDelayHistory:
    """
    The smallest one-way delay of the last minutes, as minima of one-minute buckets (RFC 6817 BASE_HISTORY).
    """

    __slots__ = ("_bucket_ends", "_buckets", "base")

    def __init__(self) -> None:
        self._buckets: tuple[int, ...] = ()  # one or a few: a deque takes 600 bytes, an empty list 56
        self._bucket_ends = 0
        self.base: int | None = None

    def on_sample(self, sample: int, now: int) -> None:
        """
        Take a one-way delay, 32 bits, µs.
        """
        buckets = self._buckets
        if not buckets or now >= self._bucket_ends:
            # The oldest minute is forgotten; the base is then the minimum of what is left.
            self._buckets = (*buckets[max(len(buckets) - BASE_HISTORY_BUCKETS + 1, 0) :], sample)
            self._bucket_ends = now + BASE_HISTORY_BUCKET
            self._find_base()
        elif sample - buckets[-1] & _SIGN:
            self._buckets = (*buckets[:-1], sample)
            self._find_base()

    def shift(self, amount: int) -> None:
        """
        Raise (or lower) every remembered minimum by C{amount} µs.
        """
        self._buckets = tuple([value + amount & TIMESTAMP_MASK for value in self._buckets])
        self._find_base()

    def _find_base(self) -> None:
        base = self._buckets[0]
        if len(self._buckets) == 1:
            self.base = base
            return
        for value in self._buckets:
            if signed_timestamp(value - base) < 0:
                base = value
        self.base = base
