"""
Tells whether nobody uses the link, even where flows make no queue.

A flow that has just lost packets to a router that drops early leaves half of the link empty, and no queue shows that it
uses the other half.  But a packet that arrives while another is being sent waits for it.  So if none of many packets
waits at all, nobody uses the link, and we need not return slowly.  Where delays scatter for other reasons, this proves
nothing.

A peer whose echoes are constant could prove any link idle.  So our own round trips must be constant as well, within
what late timers explain; without a round trip, a packet proves nothing.
"""

from __future__ import annotations

from twisted_utp.proto.constants import (
    SCAVENGER_IDLE_PART,
    SCAVENGER_IDLE_SAMPLES,
    SCAVENGER_IDLE_SPREAD,
    SCAVENGER_UNEXPLAINED,
)


class Idleness:
    """
    Counts packets that did not wait for others, while we use a part of the link.

    @ivar without_wait: how many packets in a row have not waited.
    """

    __slots__ = ("_counted_at", "_least", "_least_growth", "without_wait")

    def __init__(self) -> None:
        self._counted_at = 0
        self._least = self._least_growth = 1 << 60
        self.without_wait = 0

    def on_sample(
        self, now: int, delay: int, growth: int | None, packet_time: float, path: int, *, ahead: int = 0
    ) -> None:
        """
        Take the delay of a packet, µs.

        @param growth: see L{AckSample <twisted_utp.proto.congestion.base.AckSample>}.
        @param packet_time: how long the link takes for a packet, µs.
        @param path: the round trip, µs.  Others' packets may arrive together, once a round trip, so ours must be
            spread.
        @param ahead: bytes of its own burst that left before it.  It has waited for these, so it says nothing.
        """
        if ahead:
            return
        part = SCAVENGER_IDLE_PART * packet_time
        if delay > self._least + part or delay < self._least - part:
            self.without_wait = 0  # this one has waited, or those before
        self._least = min(self._least, delay)
        if growth is None:
            return
        late = part + SCAVENGER_UNEXPLAINED
        if growth > self._least_growth + late or growth < self._least_growth - late:
            self.without_wait = 0
        self._least_growth = min(self._least_growth, growth)
        if growth > self._least_growth + late:
            return
        if delay <= self._least + part and now - self._counted_at >= path / SCAVENGER_IDLE_SPREAD:
            self._counted_at = now
            self.without_wait += 1

    @property
    def is_proven(self) -> bool:
        """
        Have enough packets in a row not waited?
        """
        return self.without_wait >= SCAVENGER_IDLE_SAMPLES
