"""
How long has a packet waited behind others of its own burst?

Bursts leave faster than the link carries them: so the last packet of ten finds a queue of nine that is its own, and is
gone with it.  Who reads in batches acknowledges the last packet of each, which is anywhere in one of our bursts; what
that has waited for the packets before it would pass for a queue that comes and goes.

A burst stands in the queue in one piece, so two of its packets tell what the link takes for what lies between them,
whoever else uses it.  The rate that comes through would tell a flow that has only a part of the link too much.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample

WAIT_SAMPLES = 64
"""Over so many the wait is smoothed."""

FASTER, SLOWER = 4, 64
"""
Parts of a change that a pair brings which tells of a faster link, and of a slower one.  Jitter makes a link look
slower, and to take out too much would hide others' queue.
"""


class OwnBursts:
    """
    @ivar usual: that wait, µs, smoothed.
    """

    __slots__ = ("_ahead", "_per_byte", "_raw", "_sent_at", "usual")

    def __init__(self) -> None:
        self.usual = 0.0
        self._per_byte = 0.0  # µs that the link takes for a byte; 0 while that is unknown
        self._sent_at = self._ahead = self._raw = 0  # of the last sample

    def on_ack(self, at: int, sample: AckSample, mss: int) -> int:
        """
        @param at: when the acknowledgement came, µs.
        @return: µs that its packet has waited.  Pairs are usual and do not count: the levels allow for them.
        """
        raw = sample.raw_delay
        if raw is None or not sample.latest_rtt:
            return 0
        sent_at = at - sample.latest_rtt
        if sent_at == self._sent_at and sample.ahead > self._ahead and raw > self._raw:
            per_byte = (raw - self._raw) / (sample.ahead - self._ahead)
            before = self._per_byte or per_byte
            self._per_byte = before + (per_byte - before) / (FASTER if per_byte < before else SLOWER)
        self._sent_at, self._ahead, self._raw = sent_at, sample.ahead, raw
        waited = max(sample.ahead - mss, 0) * self._per_byte
        if waited or self.usual:
            self.usual += (waited - self.usual) / WAIT_SAMPLES
        return round(waited)
