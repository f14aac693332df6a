"""
What is the queueing delay, if the peer's word is checked against our own clock?

The peer's echoes tell the one-way delay, but a peer may write what it likes.  Our own round trips cannot be made
shorter by anybody, but they contain the way back.  So the way back is what round trips exceed the echoes by while we
are out of the way; whatever they exceed them by beyond that, once we are back, is a queue that the echoes hide.

A route that has become longer looks like a queue for as long as the least delay is remembered, which is minutes.  Who
has found out that it is none (L{Comeback <twisted_utp.proto.congestion.scavenger.comeback.Comeback>}) says so here.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.constants import (
    MAX_REVERSE_QUEUE,
    SCAVENGER_REVERSE_QUEUE_MEMORY,
    SCAVENGER_UNEXPLAINED,
)

FAR = 1 << 60


class DelayVerifier:
    """
    @ivar hidden: queue that our round trips show and the echoes do not, µs; it is added to the latter.
    @ivar longer: what the path takes longer than the least of the last minutes, µs.
    """

    __slots__ = ("_claimed", "_difference", "_grown", "_reverse_queues", "hidden", "longer")

    def __init__(self) -> None:
        self._claimed = self._grown = FAR  # the least of this round trip
        self._difference = FAR  # the least of round trip less echo in this absence; FAR when there is none
        self._reverse_queues: list[int] = []  # the same of the last absences
        self.hidden = 0
        self.longer = 0

    def delay(self, sample: AckSample, waited: int = 0) -> int | None:
        """
        @param waited: what is our own burst's of both, µs.
        @return: the queueing delay that one acknowledgement shows, µs; L{None} when it shows none.
        """
        claim, growth = sample.raw_delay, sample.growth
        if waited:
            claim, growth = less(claim, waited), less(growth, waited)
        if growth is not None and growth < self._grown:
            self._grown = growth
        if claim is None:
            if growth is None:
                return None
            claim = growth
        elif claim < self._claimed:
            self._claimed = claim
        if self.longer > claim:
            self.longer = claim  # the old route, or another, is shorter than was thought
        return claim - self.longer + self.hidden

    def note_absence(self, sample: AckSample) -> None:
        """
        Nothing of ours queues when this acknowledgement's packet passed.
        """
        if sample.raw_delay is not None and sample.growth is not None:
            self._difference = min(self._difference, max(sample.growth - sample.raw_delay, 0))

    def end_absence(self) -> None:
        """
        We are back: what round trips exceeded the echoes by was not our doing.
        """
        if self._difference < FAR:
            del self._reverse_queues[: max(len(self._reverse_queues) - SCAVENGER_REVERSE_QUEUE_MEMORY + 1, 0)]
            self._reverse_queues.append(min(self._difference, MAX_REVERSE_QUEUE))
            self._difference = FAR

    def end_trip(self, tolerance: int) -> None:
        """
        A round trip is over.

        @param tolerance: difference that late timers and jitter explain, µs.
        """
        if self._claimed < FAR and self._grown < FAR:
            unexplained = self._grown - self._claimed - min(self._reverse_queues, default=0)
            # Little is nobody's fault.  What is more is a lie, and then all of it counts.
            self.hidden = unexplained if unexplained > max(tolerance, SCAVENGER_UNEXPLAINED) else 0
        self._claimed = self._grown = FAR

    def on_loss(self) -> None:
        """
        A buffer that overflows is on the way there: a claim that the queue is elsewhere wants proof once more.
        """
        self._reverse_queues.clear()


def less(delay: int | None, waited: int) -> int | None:
    """
    A delay without what our own burst made of it, µs.
    """
    return None if delay is None else max(delay - waited, 0)
