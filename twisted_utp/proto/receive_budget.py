"""
Bounds what all peers together may have in flight to a socket whose reader does not keep up.

Each connection offers its peer a window of its own.  The windows of a thousand connections are a thousand times the
socket's buffer, and what a socket has no room for is lost.  While the reader is as fast as packets arrive, that does
not matter: they are on the path, not in the socket.  A read that brings more than a fast reader ever finds shows that
it is behind.  From then on the connections that are receiving share the socket's room, until there was no such read
for a while.

A window may shrink without harm: packets that were allowed before are accepted all the same.
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
    The budget of one port.

    @ivar room: bytes of payload that the socket holds, 0 when that is unknown.
    @ivar share: what one connection may offer, bytes.
    @ivar is_on: connections have to share now.
    @ivar takes_turns: there is not enough room for a turn of each at once.
    @ivar turns: says whose turn it is, while they take turns.
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
        self._receiving: set[int] = set()  # ids of objects; if one is reused, it does not matter
        self._were_receiving = 0  # how many, in the round before

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
        What the read brought has been processed.

        @param ready: connections that are going to send; those that have to wait for their turn are removed.
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
        When the next turn begins if nothing arrives, µs.
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
        A connection is closed.
        """
        if self.turns is not None:
            self.turns.forget(connection)


UNLIMITED: Final = ReceiveBudget()
"""The budget of a connection without a port."""
