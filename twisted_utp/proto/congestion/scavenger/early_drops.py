"""
Tells whether a router on the path drops packets long before its queue is full (CoDel, RED).

Behind such a router the queue says little.  A flow that has just lost a packet there leaves the link half empty for
seconds, and if another flow fills it, the first one loses again.  So a scavenger that has met such drops, while it had
the link to itself, stays away for longer after an alarm, and returns as a guest.
"""

from __future__ import annotations

from twisted_utp.proto.constants import SCAVENGER_EARLY_DROPS, SCAVENGER_EARLY_MEMORY, SCAVENGER_MOST_EARLY_DROPS


class EarlyDrops:
    """
    Counts early drops.

    @ivar count: how many there were; half of them are forgotten in C{SCAVENGER_EARLY_MEMORY}.
    """

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0.0

    def note(self) -> None:
        """
        A packet was dropped at a small queue, and nobody else was there.
        """
        self.count = min(self.count + 1, SCAVENGER_MOST_EARLY_DROPS)

    def doubt(self) -> None:
        """
        A packet was lost without a queue, so packets are lost for other reasons, as on a radio link.
        """
        self.count = max(self.count - 2, -SCAVENGER_MOST_EARLY_DROPS)

    def pass_time(self, duration: int) -> None:
        """
        So many µs have passed.
        """
        self.count *= 0.5 ** (duration / SCAVENGER_EARLY_MEMORY)

    @property
    def are_usual(self) -> bool:
        """
        Are there too many drops to be chance?
        """
        return self.count >= SCAVENGER_EARLY_DROPS

    @property
    def are_random(self) -> bool:
        """
        Have packets been lost without a queue, and none early?
        """
        return self.count < 0
