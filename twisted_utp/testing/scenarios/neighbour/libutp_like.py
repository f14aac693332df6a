"""
What would libutp's window do here?

The rules and constants of the deployed library's congestion control (C{utp_internal.cpp}: C{apply_ccontrol}), on our
sender: losses are found, packets are paced and delays filtered as in all our controllers, which is kinder to it than
its own code.  It is the neighbour that most uTP peers are.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample, CongestionController, register_congestion_controller

NAME = "libutp-like"

TARGET = 100_000  # µs, CCONTROL_TARGET
GAIN = 3000  # bytes per round trip, MAX_CWND_INCREASE_BYTES_PER_RTT
SLOW_START_EXIT = 0.9  # of the target
LARGEST_WINDOW = 1024 * 1024  # its send buffer by default
LEAST_INTERVAL = 100_000  # µs between two cuts, MAX_WINDOW_DECAY


class LibutpLike(CongestionController):
    """
    One packet more per round trip in slow start, up to 3000 bytes after it; half on loss.
    """

    __slots__ = ("_cut_at", "_is_slow_start")

    def __init__(self, *, mss: int, target_delay: int = TARGET) -> None:
        super().__init__(mss=mss, target_delay=TARGET)
        self.cwnd = 2.0 * mss
        self.ssthresh = float(LARGEST_WINDOW)
        self._is_slow_start = True
        self._cut_at = 0

    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """
        What an acknowledgement adds, or takes.
        """
        delay = sample.queuing_delay
        if delay is None:
            return
        share = min(sample.bytes_acked, self.cwnd) / max(self.cwnd, sample.bytes_acked)
        change = GAIN * share * max((TARGET - delay) / TARGET, -1.0)
        if change > 0 and sample.app_limited:
            change = 0.0
        wanted = self.cwnd + change
        if self._is_slow_start:
            grown = self.cwnd + share * self.mss
            if grown > self.ssthresh or delay > TARGET * SLOW_START_EXIT:
                self._is_slow_start = False
                self.ssthresh = self.cwnd
            elif not sample.app_limited:
                wanted = max(grown, wanted)
        self.cwnd = min(max(wanted, float(self.mss)), float(LARGEST_WINDOW))

    def on_loss(self, *, now: int, bytes_in_flight: int, bytes_lost: int = 0) -> None:
        """
        Half, at most once in a tenth of a second.
        """
        if now - self._cut_at >= LEAST_INTERVAL:
            self._cut_at = now
            self.cwnd = self.ssthresh = max(self.cwnd / 2, float(self.mss))
            self._is_slow_start = False

    def on_timeout(self, *, now: int, bytes_in_flight: int) -> None:
        """
        One packet, and slow start.
        """
        self.cwnd = float(self.mss)
        self._is_slow_start = True

    @property
    def in_slow_start(self) -> bool:
        """
        In its own sense: the window grows by a packet in a round trip.
        """
        return False


register_congestion_controller(NAME, LibutpLike)
