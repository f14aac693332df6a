"""
CUBIC with the HyStart of Linux, which decides when slow start ends.

RFC 9438's window with the HyStart of Linux (Ha and Rhee, 2011; C{net/ipv4/tcp_cubic.c}), which most servers of the
internet run, in place of RFC 9406's.  Two tests, and whichever speaks first ends slow start at once:

  - delay: the least of a round's first samples exceeds the least there ever was by an eighth of it (4 ms at least,
    16 ms at most).  A queue of others' that was there from the start does not show; one that grows does.
  - ack train: acknowledgements that follow each other within 2 ms go on for half of the least round trip.

Until the first loss the window then grows by five percent of itself in a round trip at the least, since CUBIC's own
curve starts flat where nobody knows yet what the path carries (C{bictcp_update}; not in RFC 9438).
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.congestion.cubic import Cubic

LOW_WINDOW = 16
"""Segments below which neither test is made (C{hystart_low_window})."""

MIN_SAMPLES = 8
ACK_SPACING = 2_000
"""µs between two acknowledgements of one train at the most (C{hystart_ack_delta_us})."""

MIN_DELAY, MAX_DELAY = 4_000, 16_000
LEAST_GROWTH = 1 / 20
"""Of what is acknowledged, while no loss has shown the path's window."""


class LinuxCubic(Cubic):
    """
    CUBIC as Linux starts it, without pacing (C{pfifo}, not C{fq}).

    @ivar left_by: which test ended slow start: C{"delay"}, C{"train"}, or C{""} while none did.
    """

    __slots__ = ("_last_ack", "_least", "_left_of_round", "_round_least", "_round_start", "_samples", "left_by")

    def __init__(self, *, mss: int, target_delay: int) -> None:
        super().__init__(mss=mss, target_delay=target_delay)
        self.left_by = ""
        self._least = 0  # of all round trips, µs
        self._left_of_round = -1  # bytes that were in flight when the round began and are not acknowledged yet
        self._round_start = self._last_ack = 0
        self._round_least = 0
        self._samples = 0

    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """
        The tests come before the window grows, as in Linux.
        """
        rtt = sample.latest_rtt
        if rtt and (not self._least or rtt < self._least):
            self._least = rtt
        if self.in_slow_start:
            self._count_round(now, sample)
            if rtt and self.cwnd >= LOW_WINDOW * self.mss:
                self.left_by = self._test(now, rtt)
                if self.left_by:
                    self.ssthresh = self.cwnd
        before, grows = self.cwnd, not (self.in_slow_start or sample.app_limited or sample.in_recovery)
        super().on_ack(now=now, sample=sample)
        if grows and not self._w_max:
            self.cwnd = max(self.cwnd, before + sample.bytes_acked * LEAST_GROWTH)

    def _count_round(self, now: int, sample: AckSample) -> None:
        """
        A round ends with the first acknowledgement of what was sent after it began.
        """
        self._left_of_round -= sample.bytes_acked
        if self._left_of_round < 0:
            self._left_of_round = max(sample.bytes_in_flight - sample.bytes_acked, 0)
            self._round_start = self._last_ack = now
            self._round_least = self._samples = 0

    def _test(self, now: int, rtt: int) -> str:
        """
        Is it over, and why?
        """
        if now - self._last_ack <= ACK_SPACING:
            self._last_ack = now
            if now - self._round_start > self._least // 2:
                return "train"
        self._round_least = min(self._round_least, rtt) if self._round_least else rtt
        if self._samples < MIN_SAMPLES:
            self._samples += 1
            return ""
        allowed = min(max(self._least // 8, MIN_DELAY), MAX_DELAY)
        return "delay" if self._round_least > self._least + allowed else ""

    def _slow_start(self, sample: AckSample, round_ended: bool) -> None:
        """
        RFC 5681 (3.1).
        """
        if not sample.app_limited:
            self.cwnd += sample.bytes_acked
