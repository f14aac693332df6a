"""
Packets in flight in the order in which they left (RFC 8985 (6.2) step 5: "time-ordered list").

Retransmissions break the order of the sequence numbers, so the flights that are on their way are chained by the time
they left as well.  Who looks for what was overtaken begins at the oldest and ends at the first that was not: the work
follows what is lost, not what is in flight, and a peer that leaves a thousand holes costs no more than one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted_utp.proto.scoreboard import Flight


class SendOrder:
    """
    The flights on their way, by C{(sent_at, end)}; each is in the chain at most once.

    @ivar first: the one that left first; C{last} the one that left last.
    """

    __slots__ = ("first", "last")

    def __init__(self) -> None:
        self.first: Flight | None = None
        self.last: Flight | None = None

    def append(self, flight: Flight) -> None:
        """
        It leaves now.
        """
        last = self.last
        if last is None:
            self.first = self.last = flight
            return
        # Of two that leave at one instant the higher one counts as the later (RFC 8985 (6.2), RACK_sent_after).
        while last is not None and last.sent_at == flight.sent_at and last.seq > flight.seq:
            last = last.earlier
        self.insert(flight, last)

    def insert(self, flight: Flight, earlier: Flight | None) -> None:
        """
        Put it right after another one, or first of all.
        """
        later = self.first if earlier is None else earlier.later
        self._join(earlier, flight)
        self._join(flight, later)

    def remove(self, flight: Flight) -> None:
        """
        It is not on its way any more.
        """
        if self.first is self.last:
            self.first = self.last = None
            return
        self._join(flight.earlier, flight.later)
        flight.earlier = flight.later = None

    def _join(self, earlier: Flight | None, later: Flight | None) -> None:
        """
        One comes right after the other now; L{None} is the chain's end.
        """
        if earlier is None:
            self.first = later
        else:
            earlier.later = later
        if later is None:
            self.last = earlier
        else:
            later.earlier = earlier

    def clear(self) -> None:
        """
        Nothing is on its way; the flights must not keep each other alive.
        """
        flight = self.first
        while flight is not None:
            following = flight.later
            flight.earlier = flight.later = None
            flight = following
        self.first = self.last = None
