"""
Tells whether somebody else is filling the queue.

Our own window explains some growth of the queue.  Growth beyond that, or a queue far above the target, is caused by
another flow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.constants import (
    SCAVENGER_BLIND_SUSPICION,
    SCAVENGER_BLIND_VARIATION,
    SCAVENGER_CERTAIN,
    SCAVENGER_KIN_QUEUE,
    SCAVENGER_KIN_SHARE,
    SCAVENGER_PAUSE_SUSPICION,
    SCAVENGER_RADIO_PACKETS,
    SCAVENGER_WHOLE,
)

if TYPE_CHECKING:
    from twisted_utp.proto.congestion.scavenger.controller import Scavenger


def find_alarm(flow: Scavenger, now: int) -> str:
    """
    Find a reason to step aside.

    @return: "jump" or "level"; empty for no reason.
    """
    trips, levels = flow.trips, flow.levels
    length = flow.queue.length
    usual = min(max(trips.minima), levels.target + levels.jump) if trips.minima else length
    windows = trips.windows
    own = 0.0
    if windows and trips.capacity:
        own = (max(flow.cwnd, max(windows)) - min(windows) + flow.late_acks.let_out(now)) / trips.capacity
    if has_only_a_share(flow):
        own += SCAVENGER_KIN_QUEUE
    if length > max(usual, levels.empty) + levels.jump + own:
        return "jump"
    if length > levels.level + own:
        return "level"
    return ""


def has_only_a_share(flow: Scavenger) -> bool:
    """
    Do others use the link as well?  Our bursts show what it carries, and we have less.  Unless we are a guest, the
    others are scavengers: we step aside for anybody else.
    """
    return not flow.is_guest and flow.trips.capacity < SCAVENGER_KIN_SHARE * flow.own_bursts.link_rate


def may_be_pause(flow: Scavenger) -> bool:
    """
    May the queue have grown because the path, or a machine on it, stood still for some milliseconds?  Then all that
    comes through is ours, while others' packets would lie between ours.

    A burst of somebody who comes looks the same once it has passed, and waiting for the next one costs that flow a
    round trip.  So this counts only if an alarm was false lately.
    """
    if flow.levels.suspicion < SCAVENGER_PAUSE_SUSPICION or flow.early_drops.are_usual:
        return False
    return flow.queue.rate >= SCAVENGER_WHOLE * flow.trips.capacity


def varies_by_itself(flow: Scavenger) -> bool:
    """
    Does the standing queue change by itself, as on a radio link whose rate changes?
    """
    if flow.queue.length > SCAVENGER_CERTAIN or flow.early_drops.are_usual:
        return False  # where packets are dropped early, the queue varies with each drop
    return is_radio(flow) or flow.levels.suspicion > SCAVENGER_BLIND_SUSPICION


def is_radio(flow: Scavenger) -> bool:
    """
    Does the rate of the path seem to change, whatever queue stands now?  Echoes that are made up vary as well, so a
    peer whose echoes hide a queue is not believed to be behind a radio link.
    """
    # Where a packet takes long, a packet more or less is much of a change.
    least = max(SCAVENGER_BLIND_VARIATION, SCAVENGER_RADIO_PACKETS * flow.packet_time)
    varies = flow.trips.variation > least and not flow.early_drops.are_usual
    return varies and not flow.delay_verifier.is_doubtful
