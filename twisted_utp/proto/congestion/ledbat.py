"""
How does a background transfer fill an idle link and yield on a busy one (BEP-29, RFC 6817 LEDBAT)?

It keeps the queue that it causes near a target: below it the window grows in proportion to the distance, above it
shrinks by a share of itself.  Where RFC 6817 is slow or wrong, delay decides: see docs/congestion.rst for the
evidence.

  - Slow start is exponential and ends by delay; the window is then what the path was seen to carry.
  - An empty queue for whole round trips is the permission to grow exponentially again, up to the window that was
    had before (after an outage, or when a TCP download ends), and after a while beyond it.
  - A loss with a queue halves the window (RFC 6817) and says that the buffer is shallower than the target: aim for
    half of it.  A loss without any queue is more likely the radio's than a router's, and cuts by a fifth, as in
    TCP Veno (Fu and Liew, 2003).
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample, CongestionController, register_congestion_controller
from twisted_utp.proto.congestion.rounds import Rounds
from twisted_utp.proto.constants import (
    CUT_WITHOUT_QUEUE,
    DOUBT_INTERVAL,
    EMPTY_ROUNDS_TO_EXPLORE,
    EXPLORING_GAIN,
    INITIAL_WINDOW_PACKETS,
    MAX_CWND_INCREASE_PER_RTT,
    MAX_EXPLORING_BACKOFF,
    MIN_EFFECTIVE_TARGET,
    MIN_WINDOW_PACKETS,
    NO_QUEUE,
    OVERFLOW_PACKETS,
    OVERFLOW_SHARE,
    SLOW_START_EXIT,
    SLOWDOWN_ROUNDS,
    TARGET_RECOVERY_TIME,
)


class Ledbat(CongestionController):
    """
    RFC 6817 with the constants of BEP-29.

    @ivar effective_target: what is aimed for, µs: C{target_delay}, or less where the buffer is shallower.
    @ivar w_max: the window that the path carried before the last loss or yielding, bytes.
    @ivar rounds: the last round trips.
    """

    __slots__ = (
        "_before_loss",
        "_dispute_began",
        "_disputed_in",
        "_doubt_at",
        "_doubting_until",
        "_empty_rounds",
        "_exploring_backoff",
        "_has_explored",
        "_is_yielding",
        "effective_target",
        "rounds",
        "w_max",
    )

    def __init__(self, *, mss: int, target_delay: int) -> None:
        super().__init__(mss=mss, target_delay=target_delay)
        self.cwnd = float(INITIAL_WINDOW_PACKETS * mss)
        self.effective_target = float(target_delay)
        self.w_max = 0.0
        self.rounds = Rounds()
        self._empty_rounds = 0
        self._doubt_at = self._doubting_until = 0
        self._dispute_began = self._disputed_in = -2  # rounds; none yet
        self._is_yielding = False
        self._exploring_backoff = 1  # times EMPTY_ROUNDS_TO_EXPLORE; more while drops come below the target
        self._has_explored = False  # the first slow start is over
        # cwnd, ssthresh and target as they were, for a loss that turns out to be none.
        self._before_loss: tuple[float, float, float] | None = None

    # --- Acknowledgements --------------------------------------------------------------------------------------

    def on_target_delay(self, target_delay: int) -> None:
        """
        Another queueing delay is to be aimed for, µs; what was learnt of the buffer was learnt for the old one.
        """
        super().on_target_delay(target_delay)
        self.effective_target = float(target_delay)

    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """
        Once an acknowledgement: slow start, or the share of this acknowledgement in the round trip's change.
        """
        is_new_round = self.rounds.on_ack(now, sample)
        is_fresh_dispute = self._is_fresh_dispute(sample) and now >= self._doubt_at
        if not is_fresh_dispute and self._is_doubting(now, sample):
            return
        if is_new_round:
            self._on_round(sample)
        delay = sample.queuing_delay
        if self.in_slow_start:
            if self._is_too_long(delay):
                self._leave_slow_start(now, sample)
            elif not sample.app_limited:
                self.cwnd += sample.bytes_acked * self._slow_start_gain(sample)
            return
        if delay is None or is_fresh_dispute:
            return
        delay += sample.burst  # the target is for the longest queue: others wait in it, too
        change = self._change(delay, sample)
        if change > 0 and (sample.app_limited or sample.in_recovery):
            return
        self._note_yielding(delay)
        self.cwnd += change * min(sample.bytes_acked / self.cwnd, 1.0)
        self._keep_minimum()
        self.ssthresh = min(self.ssthresh, self.cwnd)  # shrinking is no return to slow start

    def _is_doubting(self, now: int, sample: AckSample) -> bool:
        """
        When a queue drives us away of which the peer says that it is on the way back, step back now and then: two
        packets for two round trips, and what they find is not ours (L{RoundTripGrowth
        <twisted_utp.proto.growth.RoundTripGrowth>}).
        """
        if self._doubting_until:
            if now < self._doubting_until:
                return True
            self._doubting_until = 0
        elif sample.is_disputed and self._is_yielding and now >= self._doubt_at and not sample.in_recovery:
            rtt = max(sample.rtt, sample.min_rtt)
            self._doubting_until = now + SLOWDOWN_ROUNDS * rtt
            self._doubt_at = now + DOUBT_INTERVAL * rtt
            # Quickly back to half; an empty queue then allows the rest as quickly.
            self.w_max = max(self.w_max, self.cwnd)
            self.ssthresh = self.cwnd / 2
            self.cwnd = min(self.cwnd, float(MIN_WINDOW_PACKETS * self.mss))
            return True
        return False

    def _is_fresh_dispute(self, sample: AckSample) -> bool:
        """
        Has the peer disputed our round trips for less than a whole round?  A clock that is set makes it seem so.

        A dispute ends with a whole round without one, so that a word of truth now and then does not make it fresh.
        """
        if not sample.is_disputed:
            return False
        count = self.rounds.count
        if count > self._disputed_in + 1:
            self._dispute_began = count
        self._disputed_in = count
        return count < self._dispute_began + 2

    def _change(self, delay: int, sample: AckSample) -> float:
        """
        By how much the window should change in this round trip, bytes.

        Below the target RFC 6817 (2.4.2); above it at least that much, and half of what would drain the excess.
        """
        target = self.effective_target
        change = MAX_CWND_INCREASE_PER_RTT * max((target - delay) / target, -1.0)
        return min(change, self._decrease(delay, sample)) if delay > target else change

    def _decrease(self, delay: int, sample: AckSample) -> float:
        """
        LEDBAT++'s multiplicative decrease, never more than half.

        The draft's C{W * (delay / target - 1)} overshoots where the round trip is longer than the target;
        C{W * excess / rtt} is exactly the excess, and half of it leaves room for the news being a round trip old.
        """
        rtt = max(sample.rtt, sample.min_rtt + delay, 1)
        return -self.cwnd / 2 * min((delay - self.effective_target) / rtt, 1.0)

    def _note_yielding(self, delay: int) -> None:
        """
        Remember the window from which a queue of others drives us away.
        """
        is_above = delay > self.effective_target
        if is_above and not self._is_yielding:
            self.w_max = self.cwnd
        self._is_yielding = is_above

    def _on_round(self, sample: AckSample) -> None:
        """
        A round trip is over.
        """
        rounds = self.rounds
        self.effective_target = min(
            self.effective_target * (1 + min(rounds.duration / TARGET_RECOVERY_TIME, 1.0)), float(self.target_delay)
        )
        if self.effective_target >= self.target_delay:
            self._exploring_backoff = 1
        if rounds.shortest is None or not self._is_empty(rounds.shortest):
            self._empty_rounds = 0
            return
        self._empty_rounds += 1
        if self.in_slow_start or sample.in_recovery or sample.app_limited:
            return
        if self._empty_rounds >= EMPTY_ROUNDS_TO_EXPLORE * self._exploring_backoff:
            self.ssthresh = float("inf")
        elif self.cwnd < self.w_max and self._exploring_backoff == 1:
            self.ssthresh = self.w_max

    def _is_empty(self, delay: int) -> bool:
        return delay <= min(NO_QUEUE, self.effective_target / 4)

    # --- Slow start --------------------------------------------------------------------------------------------

    def _slow_start_gain(self, sample: AckSample) -> float:
        """
        What each acknowledged byte adds: 1 doubles the window in a round trip (RFC 5681 (3.1)), at first and up to
        a window that the path carried.  Beyond that a quarter, as in CSS (RFC 9406 (4.2)).
        """
        return EXPLORING_GAIN if self._has_explored and self.ssthresh == float("inf") else 1.0

    def _is_too_long(self, delay: int | None) -> bool:
        """
        Three quarters of the target are filled: the window that causes the rest is under way.
        """
        return delay is not None and delay > SLOW_START_EXIT * self.effective_target

    def _leave_slow_start(self, now: int, sample: AckSample) -> None:
        """
        The window is up to twice as large as the one that caused this delay.  Fall back to what comes through in a
        round trip with the target's queue.
        """
        reverse_queue = 0 if sample.is_disputed else sample.reverse_queue
        carried = self.rounds.rate(now) * (sample.min_rtt + reverse_queue + self.effective_target)
        self.cwnd = max(min(self.cwnd, carried), self.cwnd / 2)
        self._keep_minimum()
        self.ssthresh = self.cwnd
        self._empty_rounds = 0
        self._has_explored = True

    # --- Loss --------------------------------------------------------------------------------------------------

    def on_loss(self, *, now: int, bytes_in_flight: int, bytes_lost: int = 0) -> None:
        """
        Halve (RFC 6817 (2.4.2)), unless nothing speaks of congestion.
        """
        self._before_loss = (self.cwnd, self.ssthresh, self.effective_target)
        longest = self.rounds.longest
        if longest is not None and longest <= NO_QUEUE and not self._has_overflowed(bytes_in_flight, bytes_lost):
            self.w_max = max(self.w_max, self.cwnd)
            self._cut_to(self.cwnd * CUT_WITHOUT_QUEUE)
            return
        if longest is not None:
            shallower = max(longest / 2, float(MIN_EFFECTIVE_TARGET))
            self.effective_target = min(self.effective_target, shallower)
            # Exploring has overflowed a short buffer, or others' packets fill it: wait longer before the next time.
            self._exploring_backoff = (
                min(self._exploring_backoff * 2, MAX_EXPLORING_BACKOFF)
                if longest < self.target_delay
                else self._exploring_backoff
            )
        self._cut_to(self.cwnd / 2)
        if longest is None or longest <= 2 * self.target_delay:
            self.w_max = self.cwnd  # the buffer overflowed at our window; far above the target it is others' doing
        self._empty_rounds = 0

    def _has_overflowed(self, bytes_in_flight: int, bytes_lost: int) -> bool:
        """
        On a path that is shorter than any queue we would notice, a buffer holds whole windows in less time than that:
        on a machine or a LAN it is mostly the peer's socket.  It loses the end of a flight, not a packet here and
        there.
        """
        return 0 < self.rounds.path < NO_QUEUE and bytes_lost > max(
            bytes_in_flight * OVERFLOW_SHARE, OVERFLOW_PACKETS * self.mss
        )

    def _cut_to(self, cwnd: float) -> None:
        self.cwnd = min(self.cwnd, max(cwnd, float(MIN_WINDOW_PACKETS * self.mss)))
        self.ssthresh = self.cwnd
        self._has_explored = True

    def on_timeout(self, *, now: int, bytes_in_flight: int) -> None:
        """
        One packet, then slow start (RFC 5681 (3.1)).

        The first time, up to the window that there was: delay ends this slow start where TCP needs another loss to
        end its own.  When it times out again before that window is regained, up to half of what was in flight.
        """
        if self.cwnd > self.mss:
            is_repeated = self.in_slow_start and self.w_max >= self.ssthresh
            self._before_loss = (self.cwnd, self.ssthresh, self.effective_target)
            half = float(max(bytes_in_flight // 2, MIN_WINDOW_PACKETS * self.mss))
            self.ssthresh = half if is_repeated else max(self.cwnd, half)
            self.w_max = half if is_repeated else max(self.w_max, self.ssthresh)
        self.cwnd = float(self.mss)
        self._empty_rounds = 0

    def on_spurious_loss(self, *, now: int) -> None:
        """
        Take the cut back (RFC 4015).
        """
        if self._before_loss is not None:
            cwnd, ssthresh, target = self._before_loss
            self.cwnd, self.ssthresh = max(self.cwnd, cwnd), max(self.ssthresh, ssthresh)
            self.effective_target = max(self.effective_target, target)
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
