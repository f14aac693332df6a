"""
Sets the levels of the queue: which counts as empty, which is the target, and which is an alarm.

All four levels grow with what makes a path's delay uncertain: how long a packet takes, how samples scatter, how the
standing queue varies.  The two alarm levels also grow with the number of false alarms.  The target does not: otherwise
flows with different memories would aim for different queues, and get different shares.
"""

from __future__ import annotations

from twisted_utp.proto.constants import (
    SCAVENGER_BLIND_VARIATION,
    SCAVENGER_CERTAIN,
    SCAVENGER_EMPTY,
    SCAVENGER_JUMP,
    SCAVENGER_LEVEL,
    SCAVENGER_MAX_EMPTY,
    SCAVENGER_MAX_SUSPICION,
    SCAVENGER_MAX_TARGET,
    SCAVENGER_MIN_DEPTH,
    SCAVENGER_MIN_TARGET,
    SCAVENGER_RADIO_VARIATIONS,
    SCAVENGER_SUSPICION_MEMORY,
    SCAVENGER_VARIATIONS,
    TARGET_RECOVERY_TIME,
)


class Levels:
    """
    The levels, in µs.

    @ivar target: the queue that we aim for while nobody else is there.
    @ivar empty: a queue up to this counts as none.
    @ivar jump: if the queue grows by more than this, beyond what we caused, somebody else made it.
    @ivar level: a queue above this is somebody else's, however slowly it grew.
    @ivar suspicion: how far alarms are distrusted: 1 at first, and more with each false alarm.
    @ivar upper: the target's upper bound, see C{targetDelay}.
    """

    __slots__ = ("_depth", "empty", "jump", "level", "suspicion", "target", "upper")

    def __init__(self, target_delay: int) -> None:
        self.suspicion = 1.0
        self._depth = 1.0  # less where the buffer is shallower than the target
        self.upper = 0
        self.target = self.empty = self.jump = self.level = 0.0
        self.bound(target_delay)
        self.update(1000.0, 0.0, 0.0)

    def bound(self, target_delay: int) -> None:
        """
        Set another upper bound of the target.
        """
        self.upper = min(target_delay, SCAVENGER_MAX_TARGET)
        self._depth = 1.0

    def update(self, packet: float, noise: float, variation: float, own_wait: float = 0.0) -> None:
        """
        Adapt the levels to what was measured.

        @param packet: the time that a packet takes, µs.
        @param noise: by how much samples exceed their round trip's least, µs.
        @param variation: by how much the standing queue changes from one round trip to the next, µs.
        @param own_wait: what our bursts add to the queue that others find, µs; samples do not contain it.
        """
        suspicion = self.suspicion
        cable = min(variation, SCAVENGER_BLIND_VARIATION)
        varies = SCAVENGER_VARIATIONS * cable + SCAVENGER_RADIO_VARIATIONS * (variation - cable)
        wanted = min(max(SCAVENGER_MIN_TARGET, 2 * packet, noise, varies), self.upper)
        self.target = max(wanted * self._depth - own_wait, min(SCAVENGER_EMPTY, wanted))
        self.empty = max(SCAVENGER_EMPTY, min(self.target / 2, SCAVENGER_MAX_EMPTY), 1.5 * packet)
        self.jump = max(SCAVENGER_JUMP * suspicion, 3 * packet, 1.5 * noise, varies)
        self.level = self.target + max(SCAVENGER_LEVEL * suspicion, 4 * packet, 2 * noise, varies)

    def update_for_crowd(self) -> None:
        """
        Allow for busy processes at both ends: the longest target, and no alarm (see L{Crowd
        <twisted_utp.proto.congestion.scavenger.crowd.Crowd>}).
        """
        self.target = float(self.upper)
        self.empty = float(SCAVENGER_MAX_EMPTY)
        self.jump = self.level = 2.0 * SCAVENGER_CERTAIN

    def pass_time(self, duration: int) -> None:
        """
        So many µs have passed: the memory of false alarms and of shallow buffers fades.
        """
        self.suspicion = max(1.0, self.suspicion * (1 - min(duration / SCAVENGER_SUSPICION_MEMORY, 0.5)))
        self._depth = min(self._depth * (1 + min(duration / TARGET_RECOVERY_TIME, 1.0)), 1.0)

    def on_false_alarm(self, factor: float = 1.5) -> None:
        """
        An alarm was false: suspect others less, and trust alarms less.
        """
        self.suspicion = min(self.suspicion * factor, SCAVENGER_MAX_SUSPICION)

    def on_true_alarm(self) -> None:
        """
        An alarm was right: suspect others more.
        """
        self.suspicion = max(self.suspicion / 1.5, 1.0)

    def on_shallow_buffer(self) -> None:
        """
        Packets were dropped near the target.
        """
        self._depth = max(self._depth / 2, SCAVENGER_MIN_DEPTH)
