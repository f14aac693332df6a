"""
Is somebody else filling the queue?

Our own window explains some growth; what goes beyond that, or stands above what we aim for, is another's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.constants import (
    SCAVENGER_BLIND_SUSPICION,
    SCAVENGER_BLIND_VARIATION,
    SCAVENGER_CERTAIN,
)

if TYPE_CHECKING:
    from twisted_utp.proto.congestion.scavenger.controller import Scavenger


def find_alarm(flow: Scavenger, now: int) -> str:
    """
    Why we should step aside; empty when nothing speaks for it.
    """
    trips, levels = flow.trips, flow.levels
    length = flow.queue.length
    usual = min(max(trips.minima), levels.target + levels.jump) if trips.minima else length
    windows = trips.windows
    own = 0.0
    if windows and trips.capacity:
        own = (max(flow.cwnd, max(windows)) - min(windows) + flow.late_acks.let_out(now)) / trips.capacity
    if length > max(usual, levels.empty) + levels.jump + own:
        return "jump"
    if length > levels.level + own:
        return "level"
    return ""


def varies_by_itself(flow: Scavenger) -> bool:
    """
    Does the standing queue change without anybody's doing, as on a radio whose rate changes?
    """
    if flow.queue.length > SCAVENGER_CERTAIN or flow.early_drops.are_usual:
        return False  # where packets are dropped early it varies with each drop
    return flow.trips.variation > SCAVENGER_BLIND_VARIATION or flow.levels.suspicion > SCAVENGER_BLIND_SUSPICION
