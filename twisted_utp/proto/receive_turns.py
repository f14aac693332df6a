"""
Lets the peers of a crowd send in turns, whole trains each, instead of all at once and little by little.

When a socket's room is shared by many (L{twisted_utp.proto.receive_budget}), the share of each is soon less than a
train.  A train and its acknowledgement cost the same whatever they carry, so a thousand connections with a quarter of a
train each take four times the work.  So only some at a time have a share, of a train and more; those that have used
theirs wait with the acknowledgement for the next.  Over a second that is as fair, and needs no packet more.

Only peers that are near take turns.  One with a round trip of 100 ms would hold its turn for as long, and most of what
it sends is on the path, not in the socket.  Each of those has an equal share.

Only an acknowledgement that has nothing to say but that everything has arrived waits.  A gap, a FIN, a packet that is
repeated or sent on top (its sender has waited for too long) and data of our own are answered at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import TYPE_CHECKING

from twisted_utp.proto.constants import ACK_FULL_PACKET, MIN_SHARE, TURN_PATIENCE, UNREAD_WHEN_BEHIND, WHOLE_PACKET
from twisted_utp.proto.states import State
from twisted_utp.proto.timers import NEVER

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection

_Ready = dict["Connection", None]


class ReceiveTurns:
    """
    Of one port.  A connection has its turn, or waits for it, or is not known yet.

    @ivar next_at: when L{on_timer} wants to be called, µs.
    """

    __slots__ = ("_in_turn", "_under_way", "_unfinished", "_unknown", "_waiting", "next_at")

    def __init__(self) -> None:
        # What each was offered, and the count of its bytes by then.
        self._in_turn: dict[Connection, tuple[int, int]] = {}
        self._under_way = 0  # all that is offered
        # Bytes that may be under way without a turn, as when the first begins everybody has sent something.
        self._unknown: int | None = None
        # What each one's last turn brought, and the count of its bytes; the first is the next.
        self._waiting: OrderedDict[Connection, tuple[int, int]] = OrderedDict()
        self._unfinished: Connection | None = None  # what it has sent may go on in the next read
        self.next_at = NEVER

    def on_batch(
        self,
        nbytes: int,
        connections: Collection[Connection],
        ready: _Ready,
        room: int,
        turn: int,
        now: int,
        equal: int = MIN_SHARE,
    ) -> None:
        """
        What a read brought for these connections, so many bytes, has been taken.

        @param ready: connections that are going to send; those that are to wait are taken out.
        @param room: bytes that may be under way in all, and C{turn} those of one connection.
        @param equal: bytes of one that takes no turns.
        """
        due, goes_on = self.next_at, False
        self._unknown = room - nbytes if self._unknown is None else max(self._unknown - nbytes, 0)
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None and unfinished not in connections and unfinished in self._in_turn:
            self._wait(unfinished)
        # A read that ended because it had brought enough may have ended amid what the last connection had sent.
        last = next(reversed(tuple(connections)), None) if nbytes >= UNREAD_WHEN_BEHIND else None
        for connection in connections:
            if not connection.receiver.is_near:
                connection.receiver.turn = equal
                continue
            if not connection.ack_pending:
                continue  # it has acknowledged what we sent, and needs no room
            goes_on = goes_on or self._in_turn.get(connection, (0, 0))[0] > 0
            waits = self._waiting.get(connection)
            may_wait = connection in ready and _has_only_to_acknowledge(connection)
            if waits is not None:
                brought = connection.receiver.arrived_bytes - waits[1]
                if may_wait and brought > WHOLE_PACKET:
                    self._waiting[connection] = waits[0] + brought, connection.receiver.arrived_bytes
                    del ready[connection]
                elif may_wait and connection.peer_is_ours and not 0 < brought < ACK_FULL_PACKET:
                    # All that it has sent has arrived, and it is told when to go on.  Others might wait for ever,
                    # should that get lost.
                    connection.receiver.turn = 0
                else:
                    del self._waiting[connection]
                    self._go_on(connection, brought, room, turn)
                continue
            brought = self._brought(connection)
            if not may_wait:
                self._go_on(connection, brought, room, turn)
            elif brought:  # else a packet was repeated, and is answered
                del ready[connection]
                if connection is last and brought < self._in_turn.get(connection, (0, 0))[0]:
                    self._unfinished = connection
                else:
                    self._wait(connection)
        if not self._serve(ready, room, turn, now) and not goes_on and self.next_at != NEVER:
            self.next_at = min(due, self.next_at)  # others are heard of, those whose turn it is are not

    def on_timer(self, ready: _Ready, room: int, turn: int, now: int) -> None:
        """
        Nothing has come for a while: those whose turn it is have nothing to send, or it takes them long.
        """
        if self._unfinished is not None:
            self._wait(self._unfinished)
            self._unfinished = None
        for connection, (_, before) in self._in_turn.items():
            self._in_turn[connection] = 0, before
        self._under_way = self._unknown = 0
        self._serve(ready, room, turn, now)

    def end(self, ready: _Ready) -> None:
        """
        Nobody needs to wait any more.
        """
        if self._unfinished is not None:
            ready[self._unfinished] = None
        for connection in self._waiting:
            connection.ack_pending = True
            ready[connection] = None

    def forget(self, connection: Connection) -> None:
        """
        It is closed.
        """
        self._waiting.pop(connection, None)
        self._under_way -= self._in_turn.pop(connection, (0, 0))[0]
        if connection is self._unfinished:
            self._unfinished = None

    def _brought(self, connection: Connection) -> int:
        """
        Bytes of this turn.
        """
        arrived = connection.receiver.arrived_bytes
        return arrived - self._in_turn.get(connection, (0, arrived - MIN_SHARE))[1]

    def _wait(self, connection: Connection) -> None:
        brought = self._brought(connection)
        self._under_way -= self._in_turn.pop(connection, (0, 0))[0]
        self._waiting[connection] = brought, connection.receiver.arrived_bytes

    def _go_on(self, connection: Connection, brought: int, room: int, turn: int) -> None:
        """
        Its acknowledgement leaves now.  Without the room for a turn, its peer may send as much as it just has.
        """
        if self._under_way + (self._unknown or 0) >= room:
            turn = min(turn, max(brought, WHOLE_PACKET))
        self._grant(connection, brought, turn)

    def _grant(self, connection: Connection, brought: int, turn: int) -> None:
        """
        @param brought: by its last turn; a peer in slow start sends twice as much.
        """
        offered = min(turn, max(2 * brought, MIN_SHARE))
        self._under_way += offered - self._in_turn.get(connection, (0, 0))[0]
        self._in_turn[connection] = offered, connection.receiver.arrived_bytes
        connection.receiver.turn = offered

    def _serve(self, ready: _Ready, room: int, turn: int, now: int) -> bool:
        """
        @return: somebody has been given a turn.
        """
        waiting, before = self._waiting, len(self._waiting)
        room -= self._unknown or 0
        while waiting and self._under_way < room:
            connection, (brought, _) = waiting.popitem(last=False)
            self._grant(connection, brought, turn)
            connection.ack_pending = True
            ready[connection] = None
        self.next_at = now + TURN_PATIENCE if waiting or self._unfinished is not None else NEVER
        return len(waiting) < before


def _has_only_to_acknowledge(connection: Connection) -> bool:
    """
    Has it nothing to say but that everything has arrived, and nothing to send?
    """
    receiver, sender = connection.receiver, connection.sender
    return (
        connection.ack_pending
        and connection.state is State.ESTABLISHED
        and receiver.fin_seq is None
        and not receiver.has_gap
        and receiver.limit is None
        and sender.is_confirmed
        and not (sender.buffer.nbytes or sender.board.flights or sender.eof_queued)
    )
