"""
How does a background transfer fill an idle link and yield on a busy one (BEP-29, RFC 6817 LEDBAT)?

It keeps the queue that it causes near a target: below it the window grows, above it shrinks, in proportion to the
distance.  Loss halves it.  Unlike libutp's, its slow start is exponential.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample, CongestionController, register_congestion_controller
from twisted_utp.proto.constants import (
    INITIAL_WINDOW_PACKETS,
    MAX_CWND_INCREASE_PER_RTT,
    MIN_WINDOW_PACKETS,
    SLOW_START_EXIT,
)


class Ledbat(CongestionController):
    """
    RFC 6817 with the constants of BEP-29.
    """

    __slots__ = ("_before_loss",)

    def __init__(self, *, mss: int, target_delay: int) -> None:
        super().__init__(mss=mss, target_delay=target_delay)
        self.cwnd = float(INITIAL_WINDOW_PACKETS * mss)
        # cwnd and ssthresh as they were, for a loss that turns out to be none.
        self._before_loss: tuple[float, float] | None = None

    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """
        RFC 6817 (2.4.2): C{cwnd += GAIN * off_target * bytes_newly_acked * MSS / cwnd}.
        """
        delay = sample.queuing_delay
        if self.in_slow_start and not self._leave_slow_start(delay):
            if not sample.app_limited:
                self.cwnd += sample.bytes_acked
            return
        if delay is None or (sample.in_recovery and delay < self.target_delay):
            return
        off_target = max((self.target_delay - delay) / self.target_delay, -1.0)
        if off_target > 0 and sample.app_limited:
            return
        self.cwnd += MAX_CWND_INCREASE_PER_RTT * off_target * min(sample.bytes_acked / self.cwnd, 1.0)
        self._keep_minimum()

    def _leave_slow_start(self, delay: int | None) -> bool:
        """
        Leave when three quarters of the target are filled: the window that causes the rest is under way.
        """
        if delay is None or delay <= SLOW_START_EXIT * self.target_delay:
            return False
        self.ssthresh = self.cwnd
        return True

    def on_loss(self, *, now: int, bytes_in_flight: int) -> None:
        """
        Halve (RFC 6817 (2.4.2)).
        """
        self._before_loss = (self.cwnd, self.ssthresh)
        self.cwnd = min(self.cwnd, max(self.cwnd / 2, MIN_WINDOW_PACKETS * self.mss))
        self.ssthresh = self.cwnd

    def on_timeout(self, *, now: int, bytes_in_flight: int) -> None:
        """
        One packet, then slow start up to half of what was in flight (RFC 5681 (3.1)).
        """
        if self.cwnd > self.mss:
            self._before_loss = (self.cwnd, self.ssthresh)
            self.ssthresh = float(max(bytes_in_flight // 2, MIN_WINDOW_PACKETS * self.mss))
        self.cwnd = float(self.mss)

    def on_spurious_loss(self, *, now: int) -> None:
        """
        Take the cut back (RFC 4015).
        """
        if self._before_loss is not None:
            cwnd, ssthresh = self._before_loss
            self.cwnd, self.ssthresh = max(self.cwnd, cwnd), max(self.ssthresh, ssthresh)
            self._before_loss = None

    def on_idle(self, *, now: int, timeouts: int) -> None:
        """
        What the path carried a while ago says little about now: halve for each timeout (RFC 2861 (3.1)), and grow
        back quickly.
        """
        initial = float(INITIAL_WINDOW_PACKETS * self.mss)
        if self.cwnd > initial:
            self.ssthresh = max(min(self.ssthresh, self.cwnd), initial)
            self.cwnd = max(self.cwnd / 2.0 ** min(timeouts, 64), initial)

    def on_mss(self, mss: int) -> None:
        """
        The minimum is counted in packets.
        """
        super().on_mss(mss)
        self._keep_minimum()

    def _keep_minimum(self) -> None:
        self.cwnd = max(self.cwnd, float(MIN_WINDOW_PACKETS * self.mss))


register_congestion_controller("ledbat", Ledbat)
