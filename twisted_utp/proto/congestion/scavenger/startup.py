"""
Finds the rate of an unknown path.

The window doubles in each round trip until a queue stands.  Then it stops at once, so that others notice no more than
the overshoot.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.congestion.scavenger.phase import Phase
from twisted_utp.proto.constants import SLOW_START_EXIT


class Startup(Phase):
    """
    Slow start (RFC 5681 (3.1)) that ends as LEDBAT++'s does, when three quarters of the target stand.
    """

    __slots__ = ()

    name = "startup"
    is_starting = True

    def on_ack(self, now: int, sample: AckSample, delay: int | None) -> None:
        """
        Let the window grow, or end the phase.
        """
        flow = self.flow
        queue = flow.queue
        length = queue.length if queue.is_known else sample.queuing_delay
        # Where samples scatter, a few in a row may all be late.
        enough = SLOW_START_EXIT * flow.levels.target + flow.trips.spread
        if length is not None and delay is not None and length > enough:
            flow.trips.note_present(now, flow.rtt)
            carried = flow.trips.capacity * (flow.path + flow.levels.target * 0.6)
            flow.drain(now, first=True, back=max(min(flow.cwnd, carried), flow.cwnd / 2))
        elif not sample.app_limited:
            flow.cwnd += sample.bytes_acked

    def on_loss(self, now: int) -> None:
        """
        React to a buffer that is too shallow for what doubling puts into it, or to a path that loses packets.
        """
        flow = self.flow
        if flow.trips.highest <= flow.levels.empty:
            flow.cut_without_queue()
            return
        flow.cwnd = max(flow.cwnd / 2, flow.least_window)
        flow.levels.on_shallow_buffer()
        flow.steady(now, drain_at=now + 2 * flow.path)
