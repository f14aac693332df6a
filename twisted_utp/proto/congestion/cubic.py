"""
How does a TCP download share a link (RFC 9438 CUBIC)?

For those who want throughput rather than politeness: it fills every buffer until it loses packets, as most of the
Internet's traffic does.  Slow start ends when the queue grows (the delay test of HyStart++, RFC 9406), which spares
the path most of the overshoot.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample, CongestionController, register_congestion_controller
from twisted_utp.proto.congestion.rounds import Rounds
from twisted_utp.proto.constants import (
    CUBIC_BETA,
    CUBIC_C,
    HYSTART_MAX_DELAY,
    HYSTART_MIN_DELAY,
    HYSTART_ROUNDS,
    INITIAL_WINDOW_PACKETS,
    MIN_WINDOW_PACKETS,
)

# RFC 9438 (4.3): the additive increase with which Reno, cutting by beta, has Reno's average.
ALPHA = 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA)


class Cubic(CongestionController):
    """
    RFC 9438 with fast convergence and the Reno-friendly region.  Windows are bytes here, segments in the RFC.
    """

    __slots__ = ("_before_loss", "_css_rounds", "_epoch", "_k", "_origin", "_prior", "_rounds", "_w_est", "_w_max")

    def __init__(self, *, mss: int, target_delay: int) -> None:
        super().__init__(mss=mss, target_delay=target_delay)
        self.cwnd = float(INITIAL_WINDOW_PACKETS * mss)
        self._epoch = 0  # when this congestion avoidance stage began, µs; 0 before its first acknowledgement
        self._k = 0.0  # seconds
        self._origin = 0.0  # the plateau, bytes
        self._w_max = 0.0
        self._prior = 0.0  # cwnd_prior
        self._w_est = 0.0
        self._rounds = Rounds()
        self._css_rounds = 0
        self._before_loss: tuple[float, ...] | None = None

    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """
        RFC 9438 (4.2) to (4.5).
        """
        round_ended = self._rounds.on_ack(now, sample)
        if self.in_slow_start:
            self._slow_start(sample, round_ended)
            return
        if sample.in_recovery or sample.app_limited:
            if sample.app_limited:
                self._epoch = 0  # (5.8): time without use of the window does not count
            return
        if not self._epoch:
            self._begin_epoch(now)
        seconds = (now - self._epoch + sample.rtt) / 1e6
        wanted = self._origin + CUBIC_C * self.mss * (seconds - self._k) ** 3
        wanted = min(max(wanted, self.cwnd), 1.5 * self.cwnd)
        share = min(sample.bytes_acked / self.cwnd, 1.0)
        self._w_est += (1.0 if self._w_est >= self._prior else ALPHA) * self.mss * share
        self.cwnd = max(self.cwnd + (wanted - self.cwnd) * share, self._w_est)

    def _begin_epoch(self, now: int) -> None:
        self._epoch = now
        self._w_est = self.cwnd
        self._origin = max(self._w_max, self.cwnd)
        self._k = ((self._origin - self.cwnd) / (CUBIC_C * self.mss)) ** (1 / 3)

    def _slow_start(self, sample: AckSample, round_ended: bool) -> None:
        """
        Doubling; a quarter of that while the queue seems to grow, and the end when it has for some rounds
        (RFC 9406 (4.2)).
        """
        if sample.app_limited:
            return
        self.cwnd += sample.bytes_acked / (4 if self._css_rounds else 1)
        shortest = self._rounds.shortest
        if not round_ended or shortest is None:
            return
        if shortest < min(max(sample.min_rtt // 8, HYSTART_MIN_DELAY), HYSTART_MAX_DELAY):
            self._css_rounds = 0
            return
        self._css_rounds += 1
        if self._css_rounds > HYSTART_ROUNDS:
            self.ssthresh = self.cwnd

    def on_loss(self, *, now: int, bytes_in_flight: int, bytes_lost: int = 0) -> None:
        """
        RFC 9438 (4.6), (4.7).
        """
        self._remember()
        self._note_maximum()
        self.ssthresh = max(self.cwnd * CUBIC_BETA, float(MIN_WINDOW_PACKETS * self.mss))
        self.cwnd = min(self.cwnd, self.ssthresh)

    def on_timeout(self, *, now: int, bytes_in_flight: int) -> None:
        """
        RFC 9438 (4.8): one packet, then slow start.
        """
        if self.cwnd > self.mss:
            self._remember()
            self._note_maximum()
            self.ssthresh = max(self.cwnd * CUBIC_BETA, float(MIN_WINDOW_PACKETS * self.mss))
        self.cwnd = float(self.mss)

    def _remember(self) -> None:
        self._before_loss = (self.cwnd, self.ssthresh, self._w_max, self._k, self._origin, self._w_est, self._prior)

    def _note_maximum(self) -> None:
        converges = self.cwnd < self._w_max
        self._w_max = self.cwnd * (1 + CUBIC_BETA) / 2 if converges else self.cwnd
        self._prior = self.cwnd
        self._epoch = 0
        self._css_rounds = 0

    def on_spurious_loss(self, *, now: int) -> None:
        """
        RFC 9438 (4.9): everything as it was.
        """
        if self._before_loss is None:
            return
        cwnd, ssthresh, self._w_max, self._k, self._origin, self._w_est, self._prior = self._before_loss
        self.cwnd, self.ssthresh = max(self.cwnd, cwnd), max(self.ssthresh, ssthresh)
        self._before_loss = None

    def on_idle(self, *, now: int, timeouts: int) -> None:
        """
        RFC 9438 (5.8) leaves it to RFC 7661 or RFC 2861; the latter: halve for each timeout, grow back quickly.
        """
        initial = float(INITIAL_WINDOW_PACKETS * self.mss)
        self._epoch = 0
        if self.cwnd > initial:
            self.ssthresh = max(min(self.ssthresh, self.cwnd), initial)
            self.cwnd = max(self.cwnd / 2.0 ** min(timeouts, 64), initial)


register_congestion_controller("cubic", Cubic)
