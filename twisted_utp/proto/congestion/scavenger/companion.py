"""
Shares the link with a flow that keeps a constant queue, as LEDBAT and libutp do (BEP-29's 100 ms).

Its queue never empties, so we would stay away for ever.  That helps nobody, as such a flow makes room for others.  So
we take a part of the link, slowly.

The other flow makes room only while the queue exceeds its target, and slowly, too: by 3000 bytes a round trip at the
most.  At 20 Mb/s, a queue that is longer by a tenth moves a twentieth of the link in half a minute.  So we let the
queue grow by a third of that target, and no further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.congestion.scavenger.phase import Phase
from twisted_utp.proto.constants import (
    SCAVENGER_COMPANION_FALL,
    SCAVENGER_COMPANION_GROWTH,
    SCAVENGER_COMPANION_SETTLES,
    SCAVENGER_COMPANION_SHARE,
    SCAVENGER_COMPANION_TRIPS,
)

if TYPE_CHECKING:
    from twisted_utp.proto.congestion.scavenger.controller import Scavenger


class Companion(Phase):
    """
    Sends at a rate that rises while the other flow makes room.

    @ivar base: the queue that the other flow keeps, µs.
    """

    __slots__ = ("_goal", "base")

    name = "companion"
    holds_back = True

    def __init__(self, flow: Scavenger, now: int, base: int) -> None:
        super().__init__(flow, now)
        self.base = base
        self._goal = SCAVENGER_COMPANION_SHARE * flow.link_rate
        self._set(min(flow.pacing_rate or flow.trips.rate, self._goal))

    def _set(self, rate: float) -> None:
        flow = self.flow
        flow.pacing_rate = rate
        flow.cwnd = max(flow.least_window, 2 * rate * (flow.path + self.base))

    def _has_settled(self, now: int) -> bool:
        """
        Is the load over that revealed the other flow, and its reaction to that load as well?
        """
        return now - self.since > SCAVENGER_COMPANION_SETTLES

    @property
    def _slack(self) -> float:
        return max(SCAVENGER_COMPANION_GROWTH, 2 * self.flow.packet_time)

    def on_ack(self, now: int, sample: AckSample, delay: int | None) -> None:
        """
        End this when the other flow has left, or when somebody else has come.
        """
        flow = self.flow
        if not flow.queue.is_known or not self._has_settled(now):
            return
        if flow.queue.length < max(self.base / 2, flow.least_empty):
            flow.come_back(now)
        elif flow.queue.length > self.base + 2.5 * self._slack:
            self._give_up(now)

    def on_trip(self, now: int, sample: AckSample) -> None:
        """
        Send a little more while it makes room, and less while it does not.
        """
        flow = self.flow
        if not self._has_settled(now):
            return
        goal = self._goal
        over = flow.queue.length - self.base
        if over < -self.base / 2:
            return  # it has gone: see on_ack
        if over < -max(SCAVENGER_COMPANION_FALL, self.base / 4):
            self._give_up(now)  # it is not constant
        elif over <= self._slack:
            self._set(min(flow.pacing_rate + goal / SCAVENGER_COMPANION_TRIPS, goal))
        elif over > 1.5 * self._slack:
            self._set(max(0.9 * flow.pacing_rate, goal / SCAVENGER_COMPANION_TRIPS))

    def on_loss(self, now: int) -> None:
        """
        A flow that keeps a constant queue causes no losses, so somebody else has come.
        """
        self._give_up(now)

    def _give_up(self, now: int) -> None:
        self.flow.flat_queue = None
        self.flow.step_aside(now, "companion")
