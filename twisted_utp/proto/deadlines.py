"""
Finds the connection of a port that has the next deadline.

A heap in which outdated entries may stay: an entry that has become too early wakes us once in vain, which is cheaper
than to move it at each packet.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from twisted_utp.proto.timers import NEVER

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection

# The heap may hold this many outdated entries for each current one, and some, before it is rebuilt.
_STALE_FACTOR = 2
_STALE_FREE = 64


class Deadlines:
    """
    The earliest of each connection.  Its C{scheduled_at} is where it stands here.
    """

    __slots__ = ("_count", "_current", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[int, int, Connection]] = []
        self._count = 0
        self._current = 0

    def next(self) -> int:
        """
        The earliest, µs; L{NEVER} when there is none.  May be too early, never too late.
        """
        return self.heap[0][0] if self.heap else NEVER

    def note(self, connection: Connection) -> None:
        """
        A connection's deadlines may have changed.
        """
        at = min(connection.timers)
        if at < connection.scheduled_at:
            self._current += connection.scheduled_at == NEVER
            connection.scheduled_at = at
            self._count += 1
            heappush(self.heap, (at, self._count, connection))
            if len(self.heap) > _STALE_FREE + _STALE_FACTOR * self._current:
                self.heap = [entry for entry in self.heap if entry[2].scheduled_at == entry[0]]
                heapify(self.heap)

    def forget(self, connection: Connection) -> None:
        """
        It is closed.
        """
        if connection.scheduled_at != NEVER:
            self._current -= 1
            connection.scheduled_at = NEVER
            self._drop_outdated_heads()

    def pop_due(self, now: int) -> Connection | None:
        """
        One whose entry is due; it has none any more.  L{None} when there is no other.
        """
        heap = self.heap
        while heap and heap[0][0] <= now:
            at, _, connection = heappop(heap)
            if connection.scheduled_at == at:
                connection.scheduled_at = NEVER
                self._current -= 1
                return connection
        self._drop_outdated_heads()
        return None

    def _drop_outdated_heads(self) -> None:
        """
        What is next must be somebody's deadline; further back, outdated entries do no harm.
        """
        heap = self.heap
        while heap and heap[0][2].scheduled_at != heap[0][0]:
            heappop(heap)
