"""
Finds out that a packet that was retransmitted had not been lost, only late.

Two answers tell, after the repetition has arrived as well.  Both come as a STATE that acknowledges nothing new, because
the peer had both already:

  - To a tail-loss probe, the first answer is that to the probe or to the original, nobody knows which; the second one
    shows that neither was lost (RFC 8985 (7.4.2)).  So the window is cut only when an answer to something later comes
    first.
  - A STATE echoes the timestamp of the packet that it answers (L{twisted_utp.proto.echo}).  One that left before
    anything was repeated, while all is acknowledged, is an original that came late (Eifel detection, RFC 3522 (3.2)).
    If it is the newest of those that counted as lost, so were all others: the path keeps packets back, it loses none.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted_utp.proto.budget import Budget
from twisted_utp.proto.constants import MAX_UNDONE_CUTS, UNDONE_CUT_INTERVAL
from twisted_utp.proto.scoreboard import Flight


class SpuriousLossDetection:
    """
    What one sender waits to hear.  Sequence numbers are unwrapped, times are µs.
    """

    __slots__ = ("_original_at", "_probe_end", "_repeated_at", "_taken_back")

    def __init__(self) -> None:
        self._probe_end: int | None = None  # TLP.end_seq
        self._original_at = 0  # when the newest packet that was declared lost had left for the first time
        self._repeated_at = 0  # when the first of them left again; 0 while none has
        self._taken_back: Budget | None = None  # few connections need one

    @property
    def are_due(self) -> bool:
        """
        Would a STATE that brings nothing new tell something?
        """
        return self._probe_end is not None or self._repeated_at > 0

    def clear(self) -> None:
        """
        The window was cut, whatever the answers are: a new event begins.
        """
        self._probe_end = None
        self._original_at = self._repeated_at = 0

    def on_probe_answered(self, end: int) -> None:
        """
        The last packet was acknowledged, after it had been sent again as a tail-loss probe.

        @param end: the seq_nr after it.
        """
        self._probe_end = end

    def is_probe_loss(self, una: int) -> bool:
        """
        Has something later than the probe been acknowledged, so that there is no second answer?  Said once.
        """
        if self._probe_end is None or una <= self._probe_end:
            return False
        self._probe_end = None
        return True

    def on_declared(self, flights: Iterable[Flight]) -> None:
        """
        They count as lost.
        """
        for flight in flights:
            if flight.transmissions == 1 and flight.sent_at > self._original_at:
                self._original_at = flight.sent_at

    def on_repeated(self, now: int) -> None:
        """
        One of them is sent again.
        """
        if self._original_at and not self._repeated_at:
            self._repeated_at = now

    def on_duplicate(self, una: int) -> None:
        """
        A STATE says for a second time that all before C{una} has arrived.
        """
        if self._probe_end == una:
            self._probe_end = None

    def is_late_original(self, sent_at: int) -> bool:
        """
        Does a STATE that answers what left at C{sent_at}, when nothing is missing any more, show that the losses were
        none?  Said once.
        """
        if not self._original_at <= sent_at < self._repeated_at:
            return False
        self._original_at = self._repeated_at = 0
        return True

    def may_undo(self, now: int) -> bool:
        """
        May the cut be taken back?  Each time that is one less for a while.
        """
        if self._taken_back is None:
            self._taken_back = Budget(MAX_UNDONE_CUTS, UNDONE_CUT_INTERVAL)
        return self._taken_back.take(now)
