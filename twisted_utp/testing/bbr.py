"""
A model of BBR, for downloads that share a link.

Version 1, as draft-cardwell-iccrg-bbr-congestion-control-00 describes it and as most of what runs BBR ran it.  It sends
at the rate that came through at most in the last ten round trips, keeps two of the path's windows in flight at most,
looks for more each eight round trips, and drains the queue for a fifth of a second each ten seconds to see how long the
path is.  Left out: the detection of policers and the allowance for aggregated acknowledgements, which Linux has and the
draft has not.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.testing.delivery import RateBasedController, RateSample

HIGH_GAIN = 2.885  # 2 / ln 2 (4.3.2.1)
CYCLE = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)  # (4.3.4.1)
CWND_GAIN = 2.0
BANDWIDTH_ROUNDS = 10  # (4.1.1.3)
MIN_RTT_WINDOW = 10_000_000  # (4.1.2), as PROBE_RTT_TIME (4.3.5)
PROBE_RTT_DURATION = 200_000
PROBE_RTT_SEGMENTS = 4
FULL_GROWTH = 1.25  # (4.3.2.2)
FULL_ROUNDS = 3
INITIAL_SEGMENTS = 10
MARGIN = 0.99
"""Linux paces a percent below the rate, so that a queue can drain."""


class Mode(Enum):
    """
    The states of (4.3.1).
    """

    STARTUP = "startup"
    DRAIN = "drain"
    PROBE_BW = "probe_bw"
    PROBE_RTT = "probe_rtt"


class BBR(RateBasedController):
    """
    BBR's window and pacing rate.  Numbers in parentheses are the draft's.

    @ivar mode: what it does at present.
    @ivar bandwidth: bytes per µs that the path carries, as far as it knows.
    @ivar min_rtt: of the path, µs, as far as it knows; 0 while it does not.
    """

    __slots__ = (
        "_cwnd_gain",
        "_cycle_at",
        "_cycle_index",
        "_full_bandwidth",
        "_full_rounds",
        "_is_filled",
        "_min_rtt_at",
        "_next_round",
        "_pacing_gain",
        "_prior_cwnd",
        "_probe_done_at",
        "_probe_round_done",
        "_rates",
        "_round",
        "bandwidth",
        "min_rtt",
        "mode",
    )

    def __init__(self, *, mss: int, target_delay: int) -> None:
        super().__init__(mss=mss, target_delay=target_delay)
        self.cwnd = float(INITIAL_SEGMENTS * mss)
        self.mode = Mode.STARTUP
        self.bandwidth = 0.0
        self.min_rtt = 0
        self._rates: deque[tuple[int, float]] = deque()  # (round, rate), the largest first
        self._round = 0
        self._next_round = 0  # delivered bytes at which the round is over
        self._pacing_gain = self._cwnd_gain = HIGH_GAIN
        self._is_filled = False
        self._full_bandwidth = 0.0
        self._full_rounds = 0
        self._cycle_index = self._cycle_at = 0
        self._min_rtt_at = 0
        self._prior_cwnd = 0.0
        self._probe_done_at = 0
        self._probe_round_done = False

    # --- What TCP asks of every controller --------------------------------------------------------------------

    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """
        L{on_rate} hears all of it.
        """

    def on_loss(self, *, now: int, bytes_in_flight: int, bytes_lost: int = 0) -> None:
        """
        Packet conservation for the first round of a recovery (4.2.3.4): what is in flight, and no more.
        """
        self._prior_cwnd = max(self._prior_cwnd, self.cwnd)
        self.cwnd = max(float(bytes_in_flight), PROBE_RTT_SEGMENTS * self.mss)

    def on_timeout(self, *, now: int, bytes_in_flight: int) -> None:
        """
        One segment (4.2.3.4); the model stays, and with it the way back.
        """
        self._prior_cwnd = max(self._prior_cwnd, self.cwnd)
        self.cwnd = float(self.mss)

    # --- An acknowledgement -----------------------------------------------------------------------------------

    def on_rate(self, *, now: int, sample: RateSample) -> None:
        """
        (4.2.1): update the model, then what follows from it.
        """
        is_new_round = sample.prior_delivered >= self._next_round
        if is_new_round:
            self._next_round = sample.delivered
            self._round += 1
        self._update_bandwidth(sample)
        if is_new_round:
            self._check_filled(sample)
        self._update_mode(now, sample, is_new_round)
        self._set_pacing_rate(sample)
        self._set_window(sample, is_new_round)

    def _update_bandwidth(self, sample: RateSample) -> None:
        """
        The largest of the last ten rounds (4.1.1.3).
        """
        if not sample.rate or (sample.is_app_limited and sample.rate < self.bandwidth):
            return
        rates = self._rates
        while rates and rates[-1][1] <= sample.rate:
            rates.pop()
        rates.append((self._round, sample.rate))
        while rates[0][0] <= self._round - BANDWIDTH_ROUNDS:
            rates.popleft()
        self.bandwidth = rates[0][1]

    def _check_filled(self, sample: RateSample) -> None:
        """
        Three rounds without a quarter more (4.3.2.2).
        """
        if self._is_filled or sample.is_app_limited:
            return
        if self.bandwidth >= self._full_bandwidth * FULL_GROWTH:
            self._full_bandwidth = self.bandwidth
            self._full_rounds = 0
            return
        self._full_rounds += 1
        self._is_filled = self._full_rounds >= FULL_ROUNDS

    def _update_mode(self, now: int, sample: RateSample, is_new_round: bool) -> None:
        if self.mode is Mode.STARTUP and self._is_filled:
            self.mode = Mode.DRAIN
            self._pacing_gain, self._cwnd_gain = 1 / HIGH_GAIN, HIGH_GAIN
        if self.mode is Mode.DRAIN and sample.in_flight <= self._window(1.0):
            self._enter_probe_bw(now)
        if self.mode is Mode.PROBE_BW and self._is_phase_over(now, sample):
            self._advance(now)
        self._update_min_rtt(now, sample, is_new_round)

    # --- PROBE_BW (4.3.4) -------------------------------------------------------------------------------------

    def _enter_probe_bw(self, now: int) -> None:
        self.mode = Mode.PROBE_BW
        self._cwnd_gain = CWND_GAIN
        # Any phase but the one that drains; a draw of the draft's, a matter of the time it came here.
        self._cycle_index = (2, 3, 4, 5, 6, 7, 0)[now // 1000 % 7]
        self._cycle_at = now
        self._pacing_gain = CYCLE[self._cycle_index]

    def _is_phase_over(self, now: int, sample: RateSample) -> bool:
        is_long = now - self._cycle_at > self.min_rtt
        if self._pacing_gain == 1.0:
            return is_long
        before = sample.in_flight + sample.acked + sample.lost
        if self._pacing_gain > 1.0:
            return is_long and (sample.lost > 0 or before >= self._window(self._pacing_gain))
        return is_long or before <= self._window(1.0)

    def _advance(self, now: int) -> None:
        self._cycle_index = (self._cycle_index + 1) % len(CYCLE)
        self._cycle_at = now
        self._pacing_gain = CYCLE[self._cycle_index]

    # --- PROBE_RTT (4.3.5) ------------------------------------------------------------------------------------

    def _update_min_rtt(self, now: int, sample: RateSample, is_new_round: bool) -> None:
        has_expired = bool(self._min_rtt_at) and now > self._min_rtt_at + MIN_RTT_WINDOW
        # The draft takes an equal one for a new one.  Linux no more: a path that never varies was never probed.
        if sample.rtt and (not self.min_rtt or sample.rtt < self.min_rtt or has_expired):
            self.min_rtt = sample.rtt
            self._min_rtt_at = now
        if has_expired and self.mode is not Mode.PROBE_RTT:
            self.mode = Mode.PROBE_RTT
            self._pacing_gain = self._cwnd_gain = 1.0
            self._prior_cwnd = max(self._prior_cwnd, self.cwnd)
            self._probe_done_at = 0
        if self.mode is Mode.PROBE_RTT:
            self._probe_rtt(now, sample, is_new_round)

    def _probe_rtt(self, now: int, sample: RateSample, is_new_round: bool) -> None:
        if not self._probe_done_at:
            if sample.in_flight <= PROBE_RTT_SEGMENTS * self.mss:
                self._probe_done_at = now + PROBE_RTT_DURATION
                self._probe_round_done = False
                self._next_round = sample.delivered
            return
        self._probe_round_done = self._probe_round_done or is_new_round
        if not self._probe_round_done or now <= self._probe_done_at:
            return
        self._min_rtt_at = now
        self._restore_window()
        if self._is_filled:
            self._enter_probe_bw(now)
        else:
            self.mode = Mode.STARTUP
            self._pacing_gain = self._cwnd_gain = HIGH_GAIN

    def _restore_window(self) -> None:
        self.cwnd = max(self.cwnd, self._prior_cwnd)
        self._prior_cwnd = 0.0

    # --- What follows from the model (4.2) --------------------------------------------------------------------

    def _window(self, gain: float) -> float:
        """
        Bytes in flight that fill the path so many times (4.2.3.2), and what trains of segments need.
        """
        if not self.min_rtt:
            return float(INITIAL_SEGMENTS * self.mss)
        return gain * self.bandwidth * self.min_rtt + 3 * self._quantum()

    def _quantum(self) -> float:
        """
        What leaves at once: a millisecond of the rate, two segments at least (4.2.2).
        """
        return max(self.pacing_rate * 1000, 2.0 * self.mss)

    def _set_pacing_rate(self, sample: RateSample) -> None:
        bandwidth = self.bandwidth
        if not self._is_filled and not bandwidth and sample.rtt:
            bandwidth = INITIAL_SEGMENTS * self.mss / sample.rtt
        rate = MARGIN * self._pacing_gain * bandwidth
        if self._is_filled or rate > self.pacing_rate:
            self.pacing_rate = rate

    def _set_window(self, sample: RateSample, is_new_round: bool) -> None:
        """
        (4.2.3).
        """
        if self._prior_cwnd and is_new_round and self.mode is not Mode.PROBE_RTT and not sample.lost:
            self._restore_window()
        target = self._window(self._cwnd_gain)
        if self._is_filled:
            self.cwnd = min(self.cwnd + sample.acked, target)
        elif self.cwnd < target or sample.delivered < INITIAL_SEGMENTS * self.mss:
            self.cwnd += sample.acked
        self.cwnd = max(self.cwnd, float(PROBE_RTT_SEGMENTS * self.mss))
        if self.mode is Mode.PROBE_RTT:
            self.cwnd = min(self.cwnd, float(PROBE_RTT_SEGMENTS * self.mss))
