"""
Stays out of the way, and notices when the link is free.

A few packets a second measure the queue.  They also show whether the alarm was right: our own queue is gone as soon as
what we had in flight has drained, another flow's is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.congestion.scavenger.detector import is_radio
from twisted_utp.proto.congestion.scavenger.idleness import Idleness
from twisted_utp.proto.congestion.scavenger.phase import Phase
from twisted_utp.proto.constants import (
    SCAVENGER_COMPANION_QUEUE,
    SCAVENGER_DEEP,
    SCAVENGER_EARLY_QUIET_TRIPS,
    SCAVENGER_FILLER_QUEUE,
    SCAVENGER_FILLER_TIME,
    SCAVENGER_FLAT,
    SCAVENGER_FLAT_TIME,
    SCAVENGER_IDLE_SAMPLES,
    SCAVENGER_IDLE_SPREAD,
    SCAVENGER_LONGEST_QUIET,
    SCAVENGER_MAX_PROBE_INTERVAL,
    SCAVENGER_PROBE_INTERVAL,
    SCAVENGER_QUIET,
    SCAVENGER_SHARED_WINDOW,
    SCAVENGER_TRICKLE_INTERVAL,
    SCAVENGER_TRICKLE_SHARE,
    SCAVENGER_TRUSTED_SUSPICION,
)

if TYPE_CHECKING:
    from twisted_utp.proto.congestion.scavenger.controller import Scavenger


class Trickle(Phase):
    """
    Sends a few packets, until the link seems free.

    @ivar filler_has_left: somebody kept a deep queue for seconds, and it has gone.
    @ivar is_confirmed: somebody else's queue was seen after ours had drained.
    @ivar why: the reason for which we stepped aside.
    """

    __slots__ = (
        "_backlog", "_before", "_busy_since", "_deep", "_flat_highest", "_flat_least", "_flat_since", "_highest",
        "_idleness", "_low_since", "_quiet_since", "_rate", "_samples", "_smallest", "filler_has_left", "is_confirmed",
        "why",
    )  # fmt: skip

    name = "trickle"
    holds_back = True

    def __init__(self, flow: Scavenger, now: int, why: str) -> None:
        super().__init__(flow, now)
        self.why = why
        self.is_confirmed = False
        self._backlog = min(flow.queue.highest, SCAVENGER_DEEP // 2)
        self._quiet_since = self._low_since = self._flat_since = 0
        self._flat_least = self._flat_highest = 0
        self._before = 1 << 40
        self._samples = self._deep = self._highest = 0
        self._busy_since = 0
        self.filler_has_left = False
        self._idleness = Idleness()
        self._smallest = flow.queue.length  # the least length of the queue that drove us away
        carried = flow.trips.peak if flow.early_drops.are_usual else flow.known_rate
        rate = max(SCAVENGER_TRICKLE_SHARE * carried, flow.mss / SCAVENGER_TRICKLE_INTERVAL)
        self._rate = min(rate, flow.least_window / 50_000)
        self._pace()

    def _pace(self) -> None:
        """
        Set the rate.  Where the proof that nobody is there saves time: the more packets in a row have not waited, the
        sooner the next.  Behind a router that drops early that is always.  Elsewhere it is after a return that failed,
        while no queue stands; there the rate is at most 2 % of the most that the path carried, and no more packets
        leave in a round trip than count for the proof.
        """
        flow = self.flow
        rate, without_wait = self._rate, self._idleness.without_wait
        is_asking = True
        if flow.early_drops.are_usual:
            rate *= 1 + without_wait
        elif self._quiet_since and flow.quiet > SCAVENGER_QUIET:
            most = min(SCAVENGER_IDLE_SPREAD * flow.mss / flow.path, SCAVENGER_TRICKLE_SHARE * flow.trips.peak)
            doublings = min(without_wait, SCAVENGER_IDLE_SAMPLES)
            rate = max(rate, min(rate * 2**doublings, most))
        else:
            is_asking = False
        flow.pacing_rate = rate
        # The window must not hold packets back: they would then leave at the same moments of each round trip.
        flow.cwnd = max(flow.least_window, (2 if is_asking else 1) * rate * flow.path)

    def on_ack(self, now: int, sample: AckSample, delay: int | None) -> None:
        """
        Take the sample, and decide whether to return.
        """
        flow = self.flow
        if delay is None or now - self.since < flow.rtt:
            return  # our own queue is still there
        self._samples += 1
        self._highest = max(self._highest, delay)
        self._deep += delay > SCAVENGER_DEEP
        alone = delay
        # One late packet is no queue, where delays scatter.
        scatters = flow.trips.noise > 1000 or flow.levels.suspicion > SCAVENGER_TRUSTED_SUSPICION
        delay, self._before = (min(delay, self._before) if scatters else delay), delay
        has_drained = now - self.since > flow.rtt + self._backlog
        if has_drained:
            packet = flow.link_packet_time
            self._idleness.on_sample(now, alone, sample.growth, packet, flow.path, ahead=sample.ahead)
            self._pace()
            flow.delay_verifier.note_absence(sample)
        if delay > flow.levels.empty + flow.trips.noise:
            self._quiet_since = 0
            self._busy_since = self._busy_since or now
            self._smallest = min(self._smallest, delay)
            self.is_confirmed |= has_drained
        elif not self._quiet_since:
            self._quiet_since = now
            lasted = now - self._busy_since if self._busy_since else 0
            self.filler_has_left |= lasted > SCAVENGER_FILLER_TIME and self._highest > SCAVENGER_FILLER_QUEUE
        if self._is_quiet(now):
            flow.come_back(now, is_idle=self._idleness.is_proven)
        elif has_drained and self._is_flat(now, delay):
            flow.come_back(now, from_queue=self._flat_least)
        elif now - self.since > max(flow.probe_interval, 2 * self._needed) and not self._idleness.is_proven:
            self._try(now)
        else:
            self._look_for_our_kind(now, delay)

    @property
    def _needed(self) -> float:
        flow = self.flow
        if flow.early_drops.are_usual:
            trips = 3 if self._idleness.is_proven else SCAVENGER_EARLY_QUIET_TRIPS
            return trips * max(flow.path, 10_000.0)
        is_trusted = self.is_confirmed or flow.levels.suspicion < SCAVENGER_TRUSTED_SUSPICION
        if is_trusted and not is_radio(flow):
            # A flow that fills a deep buffer leaves gaps after an overflow.
            gap = min(self._highest, SCAVENGER_LONGEST_QUIET)
            # A return that failed asks for more quiet, as some flows leave the link empty now and then.
            is_idle = self._idleness.is_proven or self.filler_has_left
            return max(SCAVENGER_QUIET if is_idle else flow.quiet, 3.0 * flow.path, gap)
        return max(1.5 * flow.path, 50_000.0)

    def _is_quiet(self, now: int) -> bool:
        return bool(self._quiet_since) and now - self._quiet_since >= self._needed

    def _is_flat(self, now: int, delay: int) -> bool:
        """
        Is there a queue that does not change at all?  Others' queues change; a route that has become longer does not.
        Nor does a full buffer, but its queue has grown, while a route becomes longer from one packet to the next.
        """
        allowed = SCAVENGER_FLAT + 2 * self.flow.trips.noise + 2 * self.flow.packet_time
        least, highest = min(self._flat_least, delay), max(self._flat_highest, delay)
        if not self._flat_since or highest - least > allowed:
            self._flat_since, self._flat_least, self._flat_highest = now, delay, delay
            return False
        self._flat_least, self._flat_highest = least, highest
        if least > max(SCAVENGER_COMPANION_QUEUE, 2 * self._smallest):
            return False
        if self.flow.early_drops.are_usual and least < self.flow.levels.level:
            return False  # flows whose packets are dropped early may keep so small a queue for so long
        asked = SCAVENGER_PROBE_INTERVAL if self.why == "flat" else SCAVENGER_FLAT_TIME
        needed = max(asked, 4 * self.flow.path)
        return now - self._flat_since >= needed and least > self.flow.levels.empty + self.flow.trips.noise

    def _try(self, now: int) -> None:
        """
        In all this time the queue was not empty for long enough: load the path with a quarter of the rate, and see.
        """
        flow = self.flow
        if self._deep * 2 >= self._samples:
            flow.probe_interval = min(flow.probe_interval * 2, SCAVENGER_MAX_PROBE_INTERVAL)
            self.since = now  # load would only make a deep queue deeper
            self._samples = self._deep = 0
            return
        flow.levels.on_false_alarm()
        flow.probe_interval = SCAVENGER_PROBE_INTERVAL // 2
        flow.come_back(now, trying=True)

    def _look_for_our_kind(self, now: int, delay: int) -> None:
        """
        Share the link, if the queue stays small and is never empty: another scavenger keeps it.
        """
        flow = self.flow
        if delay > flow.levels.level:
            self._low_since = 0
        elif not self._low_since:
            self._low_since = now
        elif now - self._low_since >= 2 * self._needed:
            flow.delay_verifier.end_absence()
            flow.pacing_rate = 0.0
            flow.forget_queue()
            flow.is_alone = False
            flow.returned_at = now
            flow.cwnd = max(flow.least_window, flow.known_window * SCAVENGER_SHARED_WINDOW)
            if not self.is_confirmed:
                flow.levels.on_false_alarm(1.25)
            flow.steady(now, drain_at=now + 40 * flow.path)

    def on_loss(self, now: int) -> None:
        """
        Others still fill the buffer.
        """
        self._flat_since = 0
        if self.flow.trips.highest > self.flow.levels.level:
            self._quiet_since = 0
