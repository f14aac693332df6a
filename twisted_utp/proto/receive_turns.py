"""
Lets the peers of a crowd send in turns, in whole trains.

When many connections share a socket's room (L{twisted_utp.proto.receive_budget}), the share of each is soon less than a
train.  A train and its acknowledgement cost the same whatever they carry, so a thousand connections with a quarter of a
train each take four times the work.  So only some of them have a turn at a time, of a train or more.  When a peer has
sent its turn, its acknowledgement is held back until its next turn.  Over a second that is as fair, and takes no
additional packet.

Only near peers take turns.  A peer with a round trip of 100 ms would hold its turn for as long, and most of what it
sends is on the path, not in the socket.  Each distant peer has an equal share.

An acknowledgement waits only if all it says is that everything has arrived.  A gap, a FIN, a retransmitted packet, a
single packet beyond the turn (its sender has waited for too long), and data of our own are answered at once.
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
    The turns of one port.  A connection has its turn, waits for it, or is not known here yet.

    @ivar next_at: when L{on_timer} wants to be called, µs.
    """

    __slots__ = ("_in_turn", "_under_way", "_unfinished", "_unknown", "_waiting", "next_at")

    def __init__(self) -> None:
        # By connection: bytes offered, and how many had arrived by then.
        self._in_turn: dict[Connection, tuple[int, int]] = {}
        self._under_way = 0  # the sum of what is offered, bytes
        # Bytes that may be under way from connections without a turn: when turns begin, everybody has sent something.
        self._unknown: int | None = None
        # By connection: bytes that its last turn brought, and how many had arrived by then.  The first one is next.
        self._waiting: OrderedDict[Connection, tuple[int, int]] = OrderedDict()
        self._unfinished: Connection | None = None  # the next read may bring more of its turn
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
        A read has been processed.

        @param nbytes: bytes that it brought, for C{connections}.
        @param ready: connections that are going to send; those that have to wait are removed.
        @param room: bytes that may be under way in all.
        @param turn: bytes that one connection may have under way in its turn.
        @param equal: bytes that a connection may have under way that takes no turns.
        """
        due, goes_on = self.next_at, False
        self._unknown = max((room if self._unknown is None else self._unknown) - nbytes, 0)
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None and unfinished not in connections and unfinished in self._in_turn:
            self._wait(unfinished)
        # A large read ended because it had brought enough, perhaps in the middle of what the last connection had sent.
        last = next(reversed(tuple(connections)), None) if nbytes >= UNREAD_WHEN_BEHIND else None
        for connection in connections:
            if not connection.receiver.is_near:
                connection.receiver.turn = equal
                continue
            if not connection.ack_pending:
                continue  # it has acknowledged what we sent, and needs no room
            if connection.receiver.is_complete:
                self.forget(connection)  # nothing more will come
                continue
            may_wait = connection in ready and _has_only_to_acknowledge(connection)
            if connection in self._waiting:
                self._on_waiting(connection, ready, room, turn, may_wait=may_wait)
                continue
            brought = self._brought(connection)
            if not may_wait:
                self._go_on(connection, brought, room, turn)
            elif brought:  # else it was a retransmission, which is answered
                # Who has data or a gap of its own keeps its room: it does not end a turn.
                goes_on = goes_on or self._in_turn.get(connection, (0, 0))[0] > 0
                del ready[connection]
                if connection is last and brought < self._in_turn.get(connection, (0, 0))[0]:
                    self._unfinished = connection
                else:
                    self._wait(connection)
        if not self._serve(ready, room, turn, now) and not goes_on and self.next_at != NEVER:
            self.next_at = min(due, self.next_at)  # only others send: those whose turn it is do not

    def _on_waiting(self, connection: Connection, ready: _Ready, room: int, turn: int, *, may_wait: bool) -> None:
        """
        A connection that waits for its turn has received something nevertheless.
        """
        before, arrived = self._waiting[connection]
        brought = connection.receiver.arrived_bytes - arrived
        if may_wait and brought > WHOLE_PACKET:
            self._waiting[connection] = before + brought, connection.receiver.arrived_bytes
            del ready[connection]
        elif may_wait and connection.peer_is_ours and not 0 < brought < ACK_FULL_PACKET:
            # All that it has sent has arrived, and it learns later when to go on.  Only our own peers get a
            # window of 0: a foreign one might wait for ever if the packet that opens it is lost.
            connection.receiver.turn = 0
        else:
            del self._waiting[connection]
            self._go_on(connection, brought, room, turn)

    def on_timer(self, ready: _Ready, room: int, turn: int, now: int) -> None:
        """
        Nothing has arrived for a while: those whose turn it is have nothing to send, or need long.  Go on to the next.
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
        End all turns: every acknowledgement that waits leaves.
        """
        if self._unfinished is not None:
            ready[self._unfinished] = None
        for connection in self._waiting:
            connection.receiver.turn = MIN_SHARE  # it may have been told 0
            connection.ack_pending = True
            ready[connection] = None

    def forget(self, connection: Connection) -> None:
        """
        A connection is closed.
        """
        self._waiting.pop(connection, None)
        self._under_way -= self._in_turn.pop(connection, (0, 0))[0]
        if connection is self._unfinished:
            self._unfinished = None

    def _brought(self, connection: Connection) -> int:
        """
        Bytes that have arrived in this turn.
        """
        arrived = connection.receiver.arrived_bytes
        return arrived - self._in_turn.get(connection, (0, arrived - MIN_SHARE))[1]

    def _wait(self, connection: Connection) -> None:
        brought = self._brought(connection)
        self._under_way -= self._in_turn.pop(connection, (0, 0))[0]
        self._waiting[connection] = brought, connection.receiver.arrived_bytes

    def _go_on(self, connection: Connection, brought: int, room: int, turn: int) -> None:
        """
        Its acknowledgement leaves now.  If there is no room for a turn, its peer may send as much as it just has.
        """
        if self._under_way + (self._unknown or 0) >= room:
            turn = min(turn, max(brought, WHOLE_PACKET))
        self._grant(connection, brought, turn)

    def _grant(self, connection: Connection, brought: int, turn: int) -> None:
        """
        @param brought: bytes that its last turn brought; a peer in slow start sends twice as much.
        """
        offered = min(turn, max(2 * brought, MIN_SHARE))
        self._under_way += offered - self._in_turn.get(connection, (0, 0))[0]
        self._in_turn[connection] = offered, connection.receiver.arrived_bytes
        connection.receiver.turn = offered

    def _serve(self, ready: _Ready, room: int, turn: int, now: int) -> bool:
        """
        Give turns to those that wait, while there is room.

        @return: whether anybody has been given a turn.
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
    Is all that it has to say that everything has arrived, and has it nothing to send?
    """
    receiver, sender = connection.receiver, connection.sender
    return (
        connection.ack_pending
        and connection.state is State.ESTABLISHED
        and receiver.fin_seq is None
        and not receiver.has_gap
        and receiver.limit is None
        and sender.is_confirmed
        and not connection.handshake.confirmations  # else the acceptor waits to hear that we are there
        and not (sender.buffer.nbytes or sender.board.flights or sender.eof_queued)
    )
