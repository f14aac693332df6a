"""
Returns to a link that seems free.

The flow sends at a paced rate, not in a burst.  It begins with a part of the rate that the link carried before, doubles
it in each round trip, and leaves again as soon as a queue stands.  A window that doubles from two packets would take as
long and show less.

The same procedure tells a longer route from a queue.  If a queue does not grow while we send more, there is none,
provided that all we send comes through: a full buffer does not grow, either.  For that, "more" must be a part of what
the link carries.  After some returns that failed, the known rate is a hundredth of it, and then no queue grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.congestion.scavenger.detector import varies_by_itself
from twisted_utp.proto.congestion.scavenger.idleness import Idleness
from twisted_utp.proto.congestion.scavenger.phase import Phase
from twisted_utp.proto.constants import (
    SCAVENGER_FULL_GEAR,
    SCAVENGER_HOST_SHARE,
    SCAVENGER_LONG_PATH,
    SCAVENGER_PROBE_INTERVAL,
    SCAVENGER_UNDIVIDED,
)

if TYPE_CHECKING:
    from twisted_utp.proto.congestion.scavenger.controller import Scavenger


class Comeback(Phase):
    """
    Sends in steps ("gears"), each a part of the known rate.

    @ivar gear: the present part of the known rate.
    """

    __slots__ = (
        "_acked", "_back", "_base", "_before", "_full", "_hurries", "_idleness", "_is_starved", "_is_trying",
        "_shift_at", "_shifted_at", "gear",
    )  # fmt: skip

    name = "comeback"
    holds_back = True

    def __init__(
        self,
        flow: Scavenger,
        now: int,
        gear: float,
        base: int,
        *,
        trying: bool = False,
        back: float = 0.0,
        is_idle: bool = False,
    ) -> None:
        """
        @param base: the queue that stands before we return, µs.
        @param trying: we return although the link did not look free.
        @param back: we were not away, but test a queue that never goes away; the window to return to, bytes.
        @param is_idle: nobody can be there.
        """
        super().__init__(flow, now)
        self._back = back
        self._base = base
        self._is_trying = trying
        self._hurries = is_idle and flow.path >= SCAVENGER_LONG_PATH
        self._idleness = Idleness()
        self.gear = gear
        carried = flow.link_rate if back else flow.trips.peak
        self._full = max(flow.known_rate, carried) if base else flow.known_rate  # bytes per µs
        self._before = 0.0  # bytes per µs: the rate of the gear before this one
        self._shifted_at = now
        self._acked = 0
        self._is_starved = False
        flow.forget_queue()
        self._set(now)

    def _set(self, now: int) -> None:
        flow = self.flow
        self._before = flow.pacing_rate if now > self.since else 0.0
        self._shifted_at = now
        self._acked = 0
        self._is_starved = False
        least = 10 * flow.mss / flow.path
        rate = self.gear * max(self._full, least)
        flow.pacing_rate = rate
        flow.cwnd = max(flow.least_window, 1.25 * rate * (flow.path + self._base + 2000))
        trip = max(flow.path, flow.rtt)
        self._shift_at = now + (trip // 2 if self._hurries and self.gear < SCAVENGER_FULL_GEAR else trip)

    def on_ack(self, now: int, sample: AckSample, delay: int | None) -> None:
        """
        Shift to the next gear, arrive, or leave again.
        """
        flow = self.flow
        queue = flow.queue
        allowed = flow.trips.noise if flow.early_drops.are_usual else flow.levels.jump
        if queue.is_known and queue.length > self._base + flow.levels.empty + allowed:
            self._fail(now)
            return
        if flow.is_guest and delay is not None and self._is_alone(now, sample, delay):
            flow.come_back(now, is_idle=True)
            return
        self._acked += sample.bytes_acked
        self._is_starved |= sample.app_limited and not sample.has_more
        if now < self._shift_at:
            return
        if self.gear < SCAVENGER_FULL_GEAR:
            self.gear = min(self.gear * 2, SCAVENGER_FULL_GEAR)
            self._set(now)
        elif self._carried_more_once:
            flow.known_rate = min(2 * flow.known_rate, flow.trips.peak)
            self._set(now)
        elif self._base and self._before < flow.pacing_rate:
            self._set(now)  # once more: what is acknowledged so far was sent in the gear before
        elif self._base and not self._is_starved and not self._comes_through(now):
            self._fail(now)
        else:
            self._arrive(now)

    def _is_alone(self, now: int, sample: AckSample, delay: int) -> bool:
        """
        Has somebody left while a guest returns in its small steps?
        """
        flow, idleness = self.flow, self._idleness
        if self._base or self._is_trying or varies_by_itself(flow) or flow.pacing_rate > flow.trips.peak / 2:
            return False  # with more than half of the link, our own packets may wait for each other
        packet = flow.link_packet_time
        idleness.on_sample(now, delay, sample.growth, packet, flow.path, ahead=sample.ahead)
        return idleness.is_proven

    @property
    def _carried_more_once(self) -> bool:
        """
        Did the link carry more in the last minute than when we left it?  Others had a part of it then, which may be
        free now: no queue stands although we send as much as we did.
        """
        flow = self.flow
        if self._base or self._is_trying or self._is_starved or flow.is_guest or varies_by_itself(flow):
            return False
        return flow.known_rate < SCAVENGER_HOST_SHARE * flow.trips.peak

    def _comes_through(self, now: int) -> bool:
        """
        Has this round trip acknowledged all that was sent in the one before, but for a burst that may be late?
        """
        burst = 4 * self.flow.mss
        return self._acked + burst >= SCAVENGER_UNDIVIDED * self._before * (now - self._shifted_at)

    def _arrive(self, now: int) -> None:
        flow = self.flow
        if self._base:
            flow.on_longer_route(self._base)
            flow.known_rate = self._full
        if self._is_trying:
            flow.probe_interval = SCAVENGER_PROBE_INTERVAL
            flow.levels.on_false_alarm()
        flow.pacing_rate = 0.0
        flow.cwnd = max(flow.known_rate * flow.path + 2 * flow.mss, flow.least_window)
        flow.steady(now, drain_at=now + 40 * flow.path)

    def on_loss(self, now: int) -> None:
        """
        Do nothing: congestion would show in the queue.  But a constant queue that loses packets is a full buffer.
        """
        if self._base:
            self._fail(now)

    def _fail(self, now: int) -> None:
        if self._back:
            self.flow.on_failed_test(now, self._base, self._back)
        else:
            self.flow.on_failed_return(now, self.gear, self._base)
