"""
How do background transfers share a link with each other (draft-irtf-iccrg-ledbat-plus-plus)?

LEDBAT's latecomer takes the incumbent's queue for the empty path, and starves it.  LEDBAT++ lets every flow step back
now and then, so that all see the empty path, and lets additive increase meet multiplicative decrease, so that shares
become equal.

Where this differs from the draft: the delay is one-way (uTP has the timestamps that TCP lacks, so a busy way back is
no congestion); the decrease is normalised by the round trip (see L{Ledbat}); the first slow start doubles until
something queues; and a slowdown that finds the path empty puts off the next one.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample, register_congestion_controller
from twisted_utp.proto.congestion.ledbat import Ledbat
from twisted_utp.proto.constants import (
    DEFAULT_TARGET_DELAY,
    LEDBATPP_MAX_GAIN_DIVISOR,
    LEDBATPP_TARGET_DELAY,
    MAX_CWND_INCREASE_PER_RTT,
    MAX_SLOWDOWN_BACKOFF,
    MIN_WINDOW_PACKETS,
    NO_QUEUE,
    SLOWDOWN_INTERVAL,
    SLOWDOWN_ROUNDS,
)


class LedbatPlusPlus(Ledbat):
    """
    LEDBAT with slowdowns.  Its target is 60 ms unless another than the general default is set.

    @ivar slowdowns: how many there were.
    """

    __slots__ = ("_backoff", "_duration", "_frozen_until", "_least", "_slowdown_at", "_slowdown_began", "slowdowns")

    def __init__(self, *, mss: int, target_delay: int) -> None:
        super().__init__(mss=mss, target_delay=_own_default(target_delay))
        self.slowdowns = 0
        self._slowdown_at = 0  # 0: none is due
        self._slowdown_began = 0  # 0: none is under way
        self._frozen_until = 0
        self._least: int | None = None  # queueing delay seen in this slowdown
        self._duration = 0  # of the last slowdown
        self._backoff = 1

    def on_target_delay(self, target_delay: int) -> None:
        """
        See L{Ledbat.on_target_delay}; the general default stands for the draft's here, too.
        """
        super().on_target_delay(_own_default(target_delay))

    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """
        As LEDBAT, but for slowdowns.
        """
        if self._frozen_until:
            if now < self._frozen_until:
                self._note_least(sample)
                self.rounds.on_ack(now, sample)
                return
            self._ramp_up()
        elif self._slowdown_at and now >= self._slowdown_at and self._has_queue() and not sample.in_recovery:
            if self._is_out_of_the_way():
                # It would only delay the return; once back, others need a while to be disturbed again.
                self._slowdown_at = now + SLOWDOWN_INTERVAL * max(self._duration, sample.rtt)
            else:
                self._begin_slowdown(now, sample)
                return
        super().on_ack(now=now, sample=sample)
        if self._slowdown_began and not self.in_slow_start:
            self._end_slowdown(now)

    # --- Slowdowns ---------------------------------------------------------------------------------------------

    def on_loss(self, *, now: int, bytes_in_flight: int, bytes_lost: int = 0) -> None:
        """
        In a slowdown the window to return to is cut, not the two packets.
        """
        if not self._slowdown_began:
            super().on_loss(now=now, bytes_in_flight=bytes_in_flight, bytes_lost=bytes_lost)
            return
        cwnd, self.cwnd = self.cwnd, max(self.ssthresh, self.cwnd)
        super().on_loss(now=now, bytes_in_flight=bytes_in_flight, bytes_lost=bytes_lost)
        self.cwnd = min(cwnd, self.ssthresh)

    def _begin_slowdown(self, now: int, sample: AckSample) -> None:
        """
        Two packets for two round trips, so that whoever listens sees the queue without ours in it.
        """
        self.slowdowns += 1
        self._slowdown_at = 0
        self._slowdown_began = now
        self._frozen_until = now + SLOWDOWN_ROUNDS * max(sample.rtt, sample.min_rtt)
        self._least = None
        minimum = float(MIN_WINDOW_PACKETS * self.mss)
        if self.cwnd > minimum:
            self.ssthresh = self.cwnd
            self.w_max = max(self.w_max, self.cwnd)
            self.cwnd = minimum

    def _has_queue(self) -> bool:
        """
        Without a queue nobody can take it for the empty path, and there is nothing to step back from.
        """
        shortest = self.rounds.shortest
        return shortest is not None and shortest > self.target_delay / 8

    def _is_out_of_the_way(self) -> bool:
        """
        Others' queue has driven us back already, or the return from that is under way.
        """
        return self.in_slow_start or (self._is_yielding and self.cwnd * 2 < self.w_max)

    def _ramp_up(self) -> None:
        """
        Return by slow start; from half the window when nobody else was there, as pacing spreads that over a round
        trip and a long path would otherwise lose a dozen of them.
        """
        self._frozen_until = 0
        if self._was_alone():
            self.cwnd = max(self.cwnd, self.ssthresh / 2)

    def _was_alone(self) -> bool:
        return self._least is not None and self._least <= NO_QUEUE

    def _note_least(self, sample: AckSample) -> None:
        delay = sample.queuing_delay
        if delay is not None:
            self._least = delay if self._least is None else min(self._least, delay)

    def _end_slowdown(self, now: int) -> None:
        """
        The window is back.  The next one is due after nine times this one's duration; later when nobody else was
        there to profit.
        """
        self._duration = now - self._slowdown_began
        self._slowdown_began = 0
        self._backoff = min(self._backoff * 2, MAX_SLOWDOWN_BACKOFF) if self._was_alone() else 1
        self._slowdown_at = now + SLOWDOWN_INTERVAL * self._duration * self._backoff

    def _leave_slow_start(self, now: int, sample: AckSample) -> None:
        """
        After the first slow start the first slowdown is due in two round trips.
        """
        super()._leave_slow_start(now, sample)
        if not self.slowdowns and not self._slowdown_at:
            self._slowdown_at = now + SLOWDOWN_ROUNDS * sample.rtt

    def _is_too_long(self, delay: int | None) -> bool:
        """
        On the way back to a window that was carried before, its queue comes back as well.
        """
        if self._slowdown_began:
            return delay is not None and delay > self.effective_target
        return super()._is_too_long(delay)

    # --- The window --------------------------------------------------------------------------------------------

    def _change(self, delay: int, sample: AckSample) -> float:
        """
        GAIN times twice BEP-29's 3000 bytes per round trip, those at the most, less the decrease above the target.
        Flows with equal targets differ by what they take for the empty path, a packet's time or so; the queue that
        growth and decrease balance at must exceed the target by more than that, or small errors make unequal shares.
        With half of this gain two flows had 42 and 58 %, eight a Jain index of 0.87.  Where the buffer is
        shallower than the target others are known by their drops alone, and LEDBAT's growth, which ends gently,
        provokes fewer.
        """
        if self.effective_target < self.target_delay:
            return super()._change(delay, sample)
        gain = MAX_CWND_INCREASE_PER_RTT * min(2 * self._gain(sample), 1.0)
        if delay <= self.effective_target:
            return gain
        if self._backoff > 1 and delay > self.effective_target + self.target_delay / 2:
            # Somebody else is there: back to frequent slowdowns.
            self._backoff = 1
            self._slowdown_at = self._slowdown_at and min(
                self._slowdown_at, self.rounds.since + SLOWDOWN_INTERVAL * self._duration
            )
        return max(gain + self._decrease(delay, sample), -self.cwnd / 2)

    def _slow_start_gain(self, sample: AckSample) -> float:
        """
        GAIN in the first slow start from the first queue on; doubling before that, and where it returns to a window
        that the path carried.

        The draft has GAIN from the start.  As long as nothing queues, nobody is disturbed by haste: the drops in
        short buffers are the same, and 20 MB over an empty path of 50 ms take 0.63 s instead of 1.10.
        """
        if self.ssthresh != float("inf") or self._has_explored:
            return super()._slow_start_gain(sample)
        return 1.0 if self._sees_no_queue(sample) else self._gain(sample)

    def _sees_no_queue(self, sample: AckSample) -> bool:
        shortest = self.rounds.shortest or 0
        return sample.queuing_delay is not None and max(sample.queuing_delay, shortest) <= NO_QUEUE

    def _gain(self, sample: AckSample) -> float:
        """
        The draft's GAIN, C{1 / min(16, ceil(2 * TARGET / base))}: about the same growth per second at all round
        trips.
        """
        base = max(sample.min_rtt, 1)
        return 1.0 / min(LEDBATPP_MAX_GAIN_DIVISOR, -(-2 * self.target_delay // base))


register_congestion_controller("ledbat++", LedbatPlusPlus)


def _own_default(target_delay: int) -> int:
    return LEDBATPP_TARGET_DELAY if target_delay == round(DEFAULT_TARGET_DELAY * 1e6) else target_delay
