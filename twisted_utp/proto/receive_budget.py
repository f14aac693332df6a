"""
Bounds what all peers together may have in flight to a socket whose reader does not keep up.

Each connection offers its peer a window of its own, a thousand of them a thousand times the socket's buffer; and what
a socket has no room for is lost.  As long as its owner reads as fast as packets come, that is no trouble: they are on
the path, not in the socket.  When a read finds more than an owner that keeps up ever leaves there, the connections that
are receiving share the socket's room, until a while has passed without such a read.

A window that shrinks is no harm: packets that it had room for are taken all the same.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from twisted_utp.proto.constants import (
    BUDGET_PERCENT,
    BUDGET_PERSISTS,
    BUDGET_ROUND,
    MAX_TURN_TRAINS,
    MIN_SHARE,
    RECEIVE_ROUND,
    RECEIVE_TURN,
    UNREAD_WHEN_BEHIND,
)
from twisted_utp.proto.receive_turns import ReceiveTurns
from twisted_utp.proto.timers import NEVER

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection

NO_SHARE: Final = 1 << 62
"""More than any buffer: nobody needs to share."""


class ReceiveBudget:
    """
    One port's.

    @ivar room: bytes of payload that the socket holds, 0 when nobody says.
    @ivar share: what one connection may offer, bytes.
    @ivar is_on: they have to share now.
    @ivar takes_turns: there is not the room for a turn of each; C{turns} says whose it is then.
    """

    __slots__ = (
        "_equal",
        "_receiving",
        "_round_ends",
        "_until",
        "_were_receiving",
        "is_on",
        "room",
        "share",
        "takes_turns",
        "turns",
    )

    def __init__(self) -> None:
        self.room = 0
        self.share = self._equal = NO_SHARE
        self.is_on = self.takes_turns = False
        self._until = self._round_ends = 0
        self.turns: ReceiveTurns | None = None
        self._receiving: set[int] = set()  # ids of objects; one that is taken for another makes no difference
        self._were_receiving = 0  # in the round before

    def on_batch(self, nbytes: int, connections: Collection[Connection], now: int) -> None:
        """
        A read brought so many bytes, for these connections.
        """
        if not self.room:
            return
        if nbytes >= UNREAD_WHEN_BEHIND:
            self._until = now + BUDGET_PERSISTS
            if not self.is_on:
                self.is_on = True
                self._round_ends = now + BUDGET_ROUND
        elif now >= self._until:
            self.is_on = self.takes_turns = False
            self.share, self._were_receiving = NO_SHARE, 0
            self._receiving.clear()
            return
        if now >= self._round_ends:
            self._were_receiving = len(self._receiving)
            self._receiving.clear()
            self._round_ends = now + BUDGET_ROUND
        self._receiving.update(map(id, connections))
        count = max(len(self._receiving), self._were_receiving, 1)
        self.share = self._usable // count if count > 1 else NO_SHARE
        self._equal = max(self.share, MIN_SHARE)
        turn = min(max(RECEIVE_ROUND // (count * RECEIVE_TURN), 1), MAX_TURN_TRAINS) * RECEIVE_TURN
        self.takes_turns = self.share < turn
        if self.takes_turns:
            self.share = turn
            self.turns = self.turns or ReceiveTurns()

    @property
    def _usable(self) -> int:
        return self.room * BUDGET_PERCENT // 100

    def finish_batch(
        self, nbytes: int, connections: Collection[Connection], ready: dict[Connection, None], now: int
    ) -> None:
        """
        What the read brought has been taken.

        @param ready: connections that are going to send; those that have to wait for their turn are taken out.
        """
        turns = self.turns
        if turns is None:
            return
        if self.takes_turns:
            turns.on_batch(nbytes, connections, ready, self._usable, self.share, now, self._equal)
        else:
            turns.end(ready)
            self.turns = None

    def next_at(self) -> int:
        """
        When somebody's turn comes, if nothing arrives, µs.
        """
        return NEVER if self.turns is None else self.turns.next_at

    def on_timer(self, ready: dict[Connection, None], now: int) -> None:
        """
        Nothing has arrived for a while.
        """
        if self.turns is not None and self.turns.next_at <= now:
            self.turns.on_timer(ready, self._usable, self.share, now)

    def forget(self, connection: Connection) -> None:
        """
        It is closed.
        """
        if self.turns is not None:
            self.turns.forget(connection)


UNLIMITED: Final = ReceiveBudget()
"""For a connection without a port."""
