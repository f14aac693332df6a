"""
Tells whether nobody uses the link, even where flows make no queue.

A flow that has just lost packets to a router that drops early leaves half of the link empty, and no queue shows that it
uses the other half.  But a packet that arrives while another is being sent waits for it.  So if none of many packets
waits at all, nobody uses the link, and we need not return slowly.  Where delays scatter for other reasons, this proves
nothing.
"""

from __future__ import annotations

from twisted_utp.proto.constants import SCAVENGER_IDLE_PART, SCAVENGER_IDLE_SAMPLES, SCAVENGER_IDLE_SPREAD


class Idleness:
    """
    Counts packets that did not wait for others, while we use a part of the link.

    @ivar without_wait: how many packets in a row have not waited.
    """

    __slots__ = ("_counted_at", "_least", "without_wait")

    def __init__(self) -> None:
        self._counted_at = 0
        self._least = 1 << 60
        self.without_wait = 0

    def on_sample(self, now: int, delay: int, packet_time: float, path: int) -> None:
        """
        Take the delay of a packet, µs.

        @param packet_time: how long the link takes for a packet, µs.
        @param path: the round trip, µs.  Others' packets may arrive together, once a round trip, so ours must be
            spread.
        """
        part = SCAVENGER_IDLE_PART * packet_time
        if delay > self._least + part or delay < self._least - part:
            self.without_wait = 0  # this one has waited, or those before
        self._least = min(self._least, delay)
        if delay <= self._least + part and now - self._counted_at >= path / SCAVENGER_IDLE_SPREAD:
            self._counted_at = now
            self.without_wait += 1

    @property
    def is_proven(self) -> bool:
        """
        Have enough packets in a row not waited?
        """
        return self.without_wait >= SCAVENGER_IDLE_SAMPLES
