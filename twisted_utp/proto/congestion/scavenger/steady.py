"""
Fills a link with a queue of a few milliseconds.

Above the target the window shrinks by half of the excess.  Below the target it grows a little in each round trip, in
proportion to its square root.  Constant growth would take minutes on a fast link, and growth in proportion to the
window would not make shares equal.  On a radio link both are faster, as its rate is another after a second.
"""

from __future__ import annotations

from math import pow, sqrt
from typing import TYPE_CHECKING

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.congestion.scavenger.detector import find_alarm, is_radio, may_be_pause, varies_by_itself
from twisted_utp.proto.congestion.scavenger.idleness import Idleness
from twisted_utp.proto.congestion.scavenger.phase import Phase
from twisted_utp.proto.congestion.scavenger.trips import MEMORY
from twisted_utp.proto.constants import (
    SCAVENGER_BLIND_VARIATION,
    SCAVENGER_DECREASE,
    SCAVENGER_DEEP,
    SCAVENGER_EARLY_LEAST,
    SCAVENGER_EXPLORED,
    SCAVENGER_EXPLORING_ROUNDS,
    SCAVENGER_FILLED,
    SCAVENGER_GAIN_WINDOW,
    SCAVENGER_GUEST_GROWTH,
    SCAVENGER_HOST_SHARE,
    SCAVENGER_LONGEST_QUIET,
    SCAVENGER_LOSS_CUT,
    SCAVENGER_LOSS_MEMORY,
    SCAVENGER_MIN_GAIN,
    SCAVENGER_QUIET_TRIPS,
    SCAVENGER_RADIO_DECREASE,
    SCAVENGER_RADIO_MIN_GAIN,
    SCAVENGER_SHARED_TIME,
    SCAVENGER_UNDIVIDED,
    SLOWDOWN_ROUNDS,
)

if TYPE_CHECKING:
    from twisted_utp.proto.congestion.scavenger.controller import Scavenger


class Steady(Phase):
    """
    Adapts the window to the queue, and looks for alarms.

    @ivar drain_at: when the next drain is due, µs.
    """

    __slots__ = (
        "_cut_at", "_idleness", "_lost_at", "_never_empty_since", "_paused_since", "_trips_with_all", "drain_at",
    )  # fmt: skip

    name = "steady"

    def __init__(self, flow: Scavenger, now: int, drain_at: int) -> None:
        super().__init__(flow, now)
        self.drain_at = drain_at
        self._lost_at = 0
        self._cut_at = now  # when a guest last cut its window
        self._idleness = Idleness()
        self._never_empty_since = now
        self._trips_with_all = 0
        self._paused_since = 0  # when what may be the queue of a pause was first seen
        flow.trips.empty = 0

    def on_ack(self, now: int, sample: AckSample, delay: int | None) -> None:
        """
        Raise an alarm, begin a drain, or apply this acknowledgement's share of the round trip's change.
        """
        flow = self.flow
        queue = flow.queue
        if delay is None or not queue.is_known:
            return
        if now - self.since > flow.rtt:
            alarm = find_alarm(flow, now)
            if alarm and not self._is_pause(now):
                self._on_alarm(now, alarm)
                return
            if not alarm:
                self._paused_since = 0
        if flow.is_guest:
            self._change_as_guest(now, sample, delay, queue.length)
        elif now >= self.drain_at and not sample.app_limited:
            flow.drain(now)
        else:
            self._change(sample, queue.length)

    def on_trip(self, now: int, sample: AckSample) -> None:
        """
        Decide whether we are still a guest.  A flow that has nearly all that the link carried has it to itself.  And a
        queue that stays small and is never empty is another scavenger's.
        """
        flow = self.flow
        if not flow.is_guest:
            return
        # Scavengers that drain empty the queue for two round trips, which are parts of three of ours.
        if flow.trips.empty > SLOWDOWN_ROUNDS + 1 or (flow.trips.least or 0) > flow.levels.level:
            self._never_empty_since = now
        has_all = flow.trips.rate >= SCAVENGER_HOST_SHARE * flow.trips.peak
        self._trips_with_all = self._trips_with_all + 1 if has_all else 0
        # Behind a router that drops early, CUBIC's queue is as small, and at its plateau it lasts as long.
        shares = now - self._never_empty_since > SCAVENGER_SHARED_TIME and not flow.early_drops.are_usual
        if self._trips_with_all >= 2 or shares or varies_by_itself(flow):
            flow.is_guest = False
            self.drain_at = now + 40 * flow.path

    def _change_as_guest(self, now: int, sample: AckSample, delay: int, length: int) -> None:
        """
        Change the window as a guest: avoiding others' drops is worth more than our share.  At the first sign of a
        queue, long before a router drops a packet, the window is halved, and grows back slowly (as in TCP-LP).  When
        there was no queue for long, it grows by a part of itself.
        """
        flow = self.flow
        if flow.trips.rate < flow.trips.peak / 2 and not sample.in_recovery:
            # With less than half of the link, our own packets do not wait for each other.
            packet = flow.link_packet_time
            self._idleness.on_sample(now, delay, sample.growth, packet, flow.path, ahead=sample.ahead)
            if self._idleness.is_proven:
                flow.come_back(now, is_idle=True)
                return
        if length > flow.levels.empty + flow.trips.noise:
            if now - self._cut_at > flow.rtt:
                self._cut_at = now
                flow.cwnd = max(flow.cwnd / 2, flow.least_window)
            return
        if sample.app_limited or sample.in_recovery:
            return
        is_long = now - self._cut_at > max(SCAVENGER_LONGEST_QUIET, SCAVENGER_QUIET_TRIPS * flow.path)
        gain = flow.cwnd * SCAVENGER_GUEST_GROWTH if is_long else flow.mss * SCAVENGER_MIN_GAIN
        flow.cwnd += gain * min(sample.bytes_acked / flow.cwnd, 1.0)

    def _is_pause(self, now: int) -> bool:
        """
        Is this the queue of a pause?  Such a queue lasts for a round trip: then the packets that the pause has kept
        from leaving are missing in it.
        """
        if not may_be_pause(self.flow):
            return False
        self._paused_since = self._paused_since or now
        return now - self._paused_since < self.flow.rtt

    def _on_alarm(self, now: int, alarm: str) -> None:
        """
        Step aside; or drain early where delay varies by itself, which shows whose queue it is.
        """
        flow = self.flow
        if varies_by_itself(flow) or is_radio(flow):
            flow.drain(now, checks=True)
        else:
            flow.step_aside(now, alarm)

    def _change(self, sample: AckSample, length: int) -> None:
        flow = self.flow
        levels = flow.levels
        gain = self._gain()
        share = min(sample.bytes_acked / flow.cwnd, 1.0)
        if length > levels.target:
            excess = min((length - levels.target) / max(flow.rtt, flow.path + length), 1.0)
            part = SCAVENGER_RADIO_DECREASE if is_radio(flow) else SCAVENGER_DECREASE
            flow.cwnd += max(gain - flow.cwnd * part * excess, -flow.cwnd / 2) * share
            return
        if sample.app_limited or (sample.in_recovery and length > levels.empty):
            return
        is_exploring = length <= levels.empty and flow.trips.empty >= self._rounds_before_exploring(sample)
        if is_exploring and not self._drops_overshoot and self._is_filled:
            ramp = MEMORY // 2 if is_radio(flow) else MEMORY
            gain = max(gain, self._most_exploring * min(flow.trips.empty / ramp, 1.0))
        flow.cwnd += gain * share

    def _rounds_before_exploring(self, sample: AckSample) -> int:
        """
        Empty round trips after which the window grows exponentially: fewer on a radio link, which may become faster.
        """
        if self.flow.trips.variation > SCAVENGER_BLIND_VARIATION:
            return SCAVENGER_EXPLORING_ROUNDS // 2
        recently = self._lost_at and self.flow.trips.since - self._lost_at < SCAVENGER_LOSS_MEMORY
        return SCAVENGER_EXPLORING_ROUNDS * (3 if recently else 1)

    @property
    def _is_filled(self) -> bool:
        """
        Is the window what bounds the rate?  If our own processor does, a larger one only allows longer bursts.  Random
        losses leave a window unfilled as well, but then only a larger one helps.
        """
        flow = self.flow
        return flow.early_drops.are_random or flow.trips.capacity * flow.rtt >= SCAVENGER_FILLED * flow.cwnd

    @property
    def _most_exploring(self) -> float:
        """
        By how much the window grows in a round trip at most when no queue is seen, bytes.  A part of itself; but at the
        rate that we know this would make a long queue where round trips are long.
        """
        flow = self.flow
        if flow.cwnd < SCAVENGER_HOST_SHARE * flow.trips.peak * flow.path:
            return flow.cwnd / 4
        return min(flow.cwnd / 4, flow.trips.peak * max(SCAVENGER_EXPLORED, flow.levels.target))

    @property
    def _drops_overshoot(self) -> bool:
        """
        Would the router drop what we send beyond the rate that we know?
        """
        flow = self.flow
        return flow.early_drops.are_usual and flow.cwnd >= flow.trips.peak * flow.path

    def _gain(self) -> float:
        """
        The growth of the window in a round trip, bytes.
        """
        flow = self.flow
        if self._drops_overshoot:
            # Twice as much after every eight round trips without a queue: the link may have become faster.
            doublings = min(flow.trips.empty / MEMORY, 32.0)  # a flow that sends little may find no queue for hours
            return min(flow.mss * SCAVENGER_MIN_GAIN * pow(2.0, doublings), flow.cwnd / 4)
        least = SCAVENGER_RADIO_MIN_GAIN if is_radio(flow) else SCAVENGER_MIN_GAIN
        return flow.mss * max(sqrt(flow.cwnd / flow.mss / SCAVENGER_GAIN_WINDOW), least)

    def on_loss(self, now: int) -> None:
        """
        React to a loss according to the queue.  Without one, the loss is random.  With a queue that is not ours, it
        is an alarm.  With a small queue, the buffer is shallow or the router drops early; what comes through shows
        whether we have the link to ourselves.
        """
        flow = self.flow
        levels, highest = flow.levels, flow.trips.highest
        if min(highest, flow.queue.length) > levels.level:
            flow.step_aside(now, "loss")
            return
        if highest <= max(levels.empty + flow.trips.noise, levels.target / 2):
            flow.cut_without_queue()
            flow.early_drops.doubt()
            return
        if highest < 2 * levels.target:
            levels.on_shallow_buffer()
        if flow.trips.rate >= SCAVENGER_UNDIVIDED * flow.trips.peak:
            if flow.queue.length >= SCAVENGER_EARLY_LEAST and highest < max(SCAVENGER_DEEP, 2 * levels.target):
                flow.early_drops.note()
            floor = min(flow.cwnd, 0.95 * flow.trips.capacity * flow.path)
            flow.cwnd = max(SCAVENGER_LOSS_CUT * flow.cwnd, floor, flow.least_window)
        elif flow.early_drops.are_usual:
            flow.step_aside(now, "loss")
        else:
            flow.cwnd = max(flow.cwnd / 2, flow.least_window)
            self._lost_at = self._cut_at = now
            if flow.has_just_returned(now):
                flow.become_guest()
