"""
Which queue counts as none, which is aimed for, and which is somebody else's?

All four grow with what makes a path's delay uncertain: how long a packet takes, how samples scatter, how the standing
queue varies.  The alarms grow with how often one turned out to be false as well; the target does not, or flows with
other memories would aim for other queues and get other shares.
"""

from __future__ import annotations

from twisted_utp.proto.constants import (
    SCAVENGER_BLIND_VARIATION,
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
    All in µs.

    @ivar target: what is aimed for while nobody else is there.
    @ivar empty: a queue up to this is none.
    @ivar jump: growth beyond what we caused that is somebody else's doing.
    @ivar level: a queue above it is somebody else's, however slowly it came.
    @ivar suspicion: 1 at first, and more with each alarm that was false.
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
        Another upper bound.
        """
        self.upper = min(target_delay, SCAVENGER_MAX_TARGET)
        self._depth = 1.0

    def update(self, packet: float, noise: float, variation: float, own_wait: float = 0.0) -> None:
        """
        Follow what was measured.

        @param packet: the time that a packet takes, µs.
        @param own_wait: what our bursts add to the queue that others find, µs; samples are without it.
        """
        suspicion = self.suspicion
        cable = min(variation, SCAVENGER_BLIND_VARIATION)
        varies = SCAVENGER_VARIATIONS * cable + SCAVENGER_RADIO_VARIATIONS * (variation - cable)
        wanted = min(max(SCAVENGER_MIN_TARGET, 2 * packet, noise, varies), self.upper)
        self.target = max(wanted * self._depth - own_wait, min(SCAVENGER_EMPTY, wanted))
        self.empty = max(SCAVENGER_EMPTY, min(self.target / 2, SCAVENGER_MAX_EMPTY), 1.5 * packet)
        self.jump = max(SCAVENGER_JUMP * suspicion, 3 * packet, 1.5 * noise, varies)
        self.level = self.target + max(SCAVENGER_LEVEL * suspicion, 4 * packet, 2 * noise, varies)

    def pass_time(self, duration: int) -> None:
        """
        So many µs have passed: what was learnt of false alarms and of shallow buffers fades.
        """
        self.suspicion = max(1.0, self.suspicion * (1 - min(duration / SCAVENGER_SUSPICION_MEMORY, 0.5)))
        self._depth = min(self._depth * (1 + min(duration / TARGET_RECOVERY_TIME, 1.0)), 1.0)

    def suspect_less(self, factor: float = 1.5) -> None:
        """
        An alarm was false.
        """
        self.suspicion = min(self.suspicion * factor, SCAVENGER_MAX_SUSPICION)

    def suspect_more(self) -> None:
        """
        An alarm was right.
        """
        self.suspicion = max(self.suspicion / 1.5, 1.0)

    def on_shallow_buffer(self) -> None:
        """
        Packets were dropped near the target.
        """
        self._depth = max(self._depth / 2, SCAVENGER_MIN_DEPTH)
