"""
Tells how long a packet has waited behind others of its own burst.

Bursts leave faster than the link carries them.  So the last packet of ten waits for nine that are its own.  A
receiver that reads in batches acknowledges the last packet of each batch, which may be anywhere in one of our bursts.
What that packet has waited for those before it would look like a queue that comes and goes.

A burst stands in the queue in one piece.  So two of its packets show how long the link takes for what lies between
them, whoever else uses it.  The rate that comes through is no measure of that: a flow with only a part of the link
would take the link for slower than it is, and so subtract too much.

Both delays of a pair are the peer's word.  But the link is no slower than what came through in our own round trips, so
no more than that is subtracted.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample

WAIT_SAMPLES = 64
"""The usual wait is smoothed over so many samples."""

MEAN_SAMPLES = 16
"""The same for the mean of pairs."""

FASTER, SLOWER = 4, 64
"""
What a pair of packets changes is divided by this, if it shows a faster link, and if it shows a slower one.  Jitter
makes a link look slower, and subtracting too much would hide others' queue.
"""


class OwnBursts:
    """
    Estimates the wait behind our own bursts.

    @ivar usual: that wait, µs, smoothed.
    """

    __slots__ = ("_ahead", "_mean_per_byte", "_per_byte", "_raw", "_sent_at", "usual")

    def __init__(self) -> None:
        self.usual = 0.0
        self._per_byte = 0.0  # µs that the link takes for a byte; 0 while that is unknown
        self._mean_per_byte = 0.0  # the same, but jitter makes neither a faster nor a slower link of it
        self._sent_at = self._ahead = self._raw = 0  # of the last sample

    def on_ack(self, at: int, sample: AckSample, mss: int, carried: float) -> int:
        """
        @param at: when the acknowledgement arrived, µs.
        @param carried: bytes per µs that the link carries at least; 0 while that is unknown, and then nothing is
            subtracted.
        @return: how long its packet has waited, µs.  One packet ahead of it does not count: pairs are usual, and the
            levels allow for them.
        """
        raw = sample.raw_delay
        if raw is None or not sample.latest_rtt:
            return 0
        sent_at = at - sample.latest_rtt
        if sent_at == self._sent_at and sample.ahead > self._ahead and raw >= self._raw:
            per_byte = (raw - self._raw) / (sample.ahead - self._ahead)
            self._mean_per_byte += (per_byte - self._mean_per_byte) / (MEAN_SAMPLES if self._mean_per_byte else 1)
            if per_byte:
                before = self._per_byte or per_byte
                self._per_byte = before + (per_byte - before) / (FASTER if per_byte < before else SLOWER)
        self._sent_at, self._ahead, self._raw = sent_at, sample.ahead, raw
        per_byte = min(self._per_byte, 1 / carried) if carried else 0.0
        waited = max(sample.ahead - mss, 0) * per_byte
        if waited or self.usual:
            self.usual += (waited - self.usual) / WAIT_SAMPLES
        return round(waited)

    @property
    def link_rate(self) -> float:
        """
        Bytes per µs that the link carries, ours and others'; 0 while that is unknown.  It may be too large by a third.
        """
        return 1 / self._per_byte if self._per_byte else 0.0

    @property
    def mean_rate(self) -> float:
        """
        The link's rate, bytes per µs, 0 while it is unknown.  Jitter makes it too small rather than too large.
        """
        return 1 / self._mean_per_byte if self._mean_per_byte else 0.0
