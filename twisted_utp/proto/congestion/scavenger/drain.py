"""
Steps back for a moment, so that all who share a link see the path without a queue.

As in LEDBAT++, the flow sends two packets for each of two round trips.  If it was alone in the last drain it only
halves its window for one round trip: that empties a queue of a few milliseconds as well, and costs little.

Where delay varies by itself, the radio link may have caused an alarm.  A drain checks that: our own queue disappears
when we step back.  Half of what came through before a fade would keep a queue throughout the drain, so a check goes
down to half of what comes through now.  It lasts until a packet that left afterwards is acknowledged, and no longer if
that has met no queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.congestion.scavenger.detector import varies_by_itself
from twisted_utp.proto.congestion.scavenger.phase import Phase
from twisted_utp.proto.constants import (
    SCAVENGER_DRAIN_DEPTH,
    SCAVENGER_DRAIN_INTERVAL,
    SCAVENGER_FIRST_DRAIN_ROUNDS,
    SCAVENGER_LONG_PATH,
    SLOWDOWN_INTERVAL,
    SLOWDOWN_ROUNDS,
)

if TYPE_CHECKING:
    from twisted_utp.proto.congestion.scavenger.controller import Scavenger


class Drain(Phase):
    """
    Sends less for a round trip or two.

    @ivar back: the window to return to, bytes.
    """

    __slots__ = ("_acked", "_is_check", "_is_first", "_is_measured", "_least", "_until", "back")

    name = "drain"
    holds_back = True

    def __init__(
        self, flow: Scavenger, now: int, back: float, *, first: bool, gently: bool, checks: bool = False
    ) -> None:
        """
        @param first: what startup has queued is to drain.
        @param gently: for one round trip, by half of the window at most.
        @param checks: an alarm is checked, and gently.
        """
        super().__init__(flow, now)
        self.back = back
        self._is_check = checks
        self._is_first = first
        self._is_measured = not first or flow.path < SCAVENGER_LONG_PATH
        self._acked = 0
        self._least: int | None = None
        through = flow.trips.present(now, flow.rtt) if checks else flow.trips.capacity
        carried = min(through * flow.path, flow.cwnd)
        # Half of a long round trip would leave the link empty for longer than the queue needs to drain.
        depth = flow.trips.capacity * max(SCAVENGER_DRAIN_DEPTH, 2 * flow.levels.target)
        half = max(flow.least_window, carried / 2, 0 if first else carried - depth)
        if first or gently or checks:
            flow.cwnd = half
            self._until = now + max(flow.path, flow.rtt) + (0 if first else round(flow.levels.target))
        else:
            flow.cwnd = flow.least_window
            self._until = now + SLOWDOWN_ROUNDS * max(flow.path, flow.rtt)

    def on_ack(self, now: int, sample: AckSample, delay: int | None) -> None:
        """
        Note what is left of the queue, and end the drain when its time is over.
        """
        flow = self.flow
        if self._is_first and not flow.trips.peak:
            self._learn_packet_time(now)
        if not self._is_measured:
            self._measure(now, sample)
        if delay is not None and now > self.since + flow.rtt // 2:
            self._least = delay if self._least is None else min(self._least, delay)
            flow.delay_verifier.note_absence(sample)
        # Late acknowledgements may still be for packets that left before we stepped back, so wait for one that is not.
        # On a radio link, whose round trips change, that would often take too long, but a check needs it.
        is_answer = bool(sample.latest_rtt) and now - sample.latest_rtt >= self.since
        is_refuted = self._is_check and is_answer and delay is not None and delay <= flow.levels.empty
        patience = 0 if is_answer or (varies_by_itself(flow) and not self._is_check) else flow.rtt
        if now < self._until + patience and not is_refuted:
            return
        if self._is_first:
            # What came through while the overshoot drained is the rate of the link.
            limit = SCAVENGER_FIRST_DRAIN_ROUNDS * sample.rtt
            if delay is not None and delay > flow.levels.empty and now - self.since < limit:
                return
            flow.trips.note_present(now, flow.rtt)
            self.back = max(self.back, flow.trips.capacity * (flow.path + 0.6 * flow.levels.target))
            if delay is not None:
                self._least = delay
        self._end(now)

    def _learn_packet_time(self, now: int) -> None:
        """
        On a slow link startup may be over before a round trip is, and until then a packet counts as 1 ms long.  With
        levels that are less than one packet's time, the queue would never be empty, and the first one an alarm.
        """
        flow = self.flow
        flow.trips.note_present(now, flow.rtt)
        flow.trips.peak = flow.trips.capacity
        flow.update_levels()

    def _measure(self, now: int, sample: AckSample) -> None:
        """
        After the startup, the link is busy with the overshoot for a round trip.  What comes through in it is the link's
        rate.  In the round trip before, the window still doubled, so the link was not always busy.  This is for long
        round trips, where growth to the link's rate takes seconds: of a shared link it measures too much.
        """
        self._acked += sample.bytes_acked
        if now - self.since >= self.flow.rtt:
            self._is_measured = True
            self.flow.trips.note_rate(self._acked / (now - self.since))

    def _end(self, now: int) -> None:
        flow, least = self.flow, self._least
        flow.delay_verifier.end_absence()
        flow.is_alone = least is not None and least <= flow.levels.empty + flow.trips.noise
        if least is not None and least > flow.levels.level:
            flow.step_aside(now, "drain")
            return
        if self._tells_of_others(now):
            flow.test_lasting_queue(now, least or 0, self.back)
            return
        flow.cwnd = self.back
        wait = SLOWDOWN_INTERVAL * max(now - self.since, 4 * flow.rtt)
        flow.steady(now, drain_at=now + (SCAVENGER_DRAIN_INTERVAL if flow.is_alone else wait))

    def _tells_of_others(self, now: int) -> bool:
        """
        Is there a queue that we did not make and that never goes away?
        """
        flow = self.flow
        is_doubtful = self._is_first or flow.early_drops.are_usual or varies_by_itself(flow)
        return not is_doubtful and flow.lasting_queue.is_there(now)

    def on_loss(self, now: int) -> None:
        """
        Do nothing: the lost packet was sent before the drain.
        """
        return
