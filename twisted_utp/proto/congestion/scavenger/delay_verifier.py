"""
Computes the queueing delay, and checks the peer's echoes against our own round trips.

The peer's echoes give the one-way delay, but a peer may lie.  Nobody can make our round trips shorter, but they
contain the way back.  So while we are out of the way, the queue on the way back is what round trips exceed the echoes
by.  If they exceed them by more once we are back, the rest is a queue that the echoes hide.

A route that has become longer looks like a queue for as long as the least delay is remembered, which is minutes.
L{Comeback <twisted_utp.proto.congestion.scavenger.comeback.Comeback>} finds that out, and sets C{longer}.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.constants import (
    MAX_REVERSE_QUEUE,
    SCAVENGER_LARGE_LIE,
    SCAVENGER_LIE_TRIPS,
    SCAVENGER_REVERSE_QUEUE_MEMORY,
    SCAVENGER_UNEXPLAINED,
)

FAR = 1 << 60


class DelayVerifier:
    """
    @ivar hidden: queue that our round trips show and the echoes do not, µs; it is added to the echoes' delay.
    @ivar longer: by how much the path is longer than the least delay of the last minutes, µs.
    """

    __slots__ = ("_claimed", "_difference", "_excesses", "_grown", "_reverse_queues", "hidden", "longer")

    def __init__(self) -> None:
        self._claimed = self._grown = FAR  # the least of this round trip
        self._difference = FAR  # the least of (round trip - echo) in this absence; FAR without a sample
        self._reverse_queues: list[int] = []  # the same for each of the last absences
        self._excesses: list[int] = []  # what the echoes hid in each of the last round trips
        self.hidden = 0
        self.longer = 0

    def delay(self, sample: AckSample, waited: int = 0) -> int | None:
        """
        @param waited: the part of both that the packet waited behind its own burst, µs.
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
            self.longer = claim  # the route is shorter again than we thought
        return claim - self.longer + self.hidden

    def note_absence(self, sample: AckSample) -> None:
        """
        Nothing of ours was queued when this acknowledgement's packet passed.
        """
        if sample.raw_delay is not None and sample.growth is not None:
            self._difference = min(self._difference, max(sample.growth - sample.raw_delay, 0))

    def end_absence(self) -> None:
        """
        We are back.  What round trips exceeded the echoes by in our absence was the queue on the way back.
        """
        if self._difference < FAR:
            del self._reverse_queues[: max(len(self._reverse_queues) - SCAVENGER_REVERSE_QUEUE_MEMORY + 1, 0)]
            self._reverse_queues.append(min(self._difference, MAX_REVERSE_QUEUE))
            self._difference = FAR

    def end_trip(self, tolerance: int) -> None:
        """
        A round trip is over.

        @param tolerance: the difference that late timers and jitter explain, µs.
        """
        if self._claimed < FAR and self._grown < FAR:
            unexplained = self._grown - self._claimed - min(self._reverse_queues, default=0)
            # A small difference is chance.  A larger one is a lie, and then all of it counts: at once if it is large,
            # else if it lasts, as a peer that reads in batches acknowledges late now and then.
            excess = unexplained if unexplained > max(tolerance, SCAVENGER_UNEXPLAINED) else 0
            del self._excesses[: max(len(self._excesses) - SCAVENGER_LIE_TRIPS + 1, 0)]
            self._excesses.append(excess)
            has_lasted = len(self._excesses) == SCAVENGER_LIE_TRIPS
            is_large = excess > tolerance + SCAVENGER_LARGE_LIE
            self.hidden = excess if is_large else min(self._excesses) if has_lasted else 0
        self._claimed = self._grown = FAR

    @property
    def is_doubtful(self) -> bool:
        """
        Did the echoes hide a queue in one of the last round trips?
        """
        return any(self._excesses)

    def on_loss(self) -> None:
        """
        The buffer that overflowed is on the way to the peer.  So forget that the queue was on the way back, until the
        next absence shows it again.
        """
        self._reverse_queues.clear()


def less(delay: int | None, waited: int) -> int | None:
    """
    Subtract from a delay what the packet waited behind its own burst, µs.
    """
    return None if delay is None else max(delay - waited, 0)
