"""
Checks that the peer of a silent connection is still there.

After some silence it is asked something that every stack answers (L{PacketWriter.question
<twisted_utp.proto.packet_writer.PacketWriter.question>}); question and answer hold the mappings of the NATs between
open.  Where nothing is heard the question is repeated, and after the user timeout the peer counts as gone (RFC 1122
(4.2.3.6)).

For most connections of a busy port this is all that ever happens, so both packets have a fast path.  What is not
exactly as expected is left untouched for the slow path.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from twisted_utp.proto.config import microseconds
from twisted_utp.proto.constants import (
    ACCEPTOR_KEEPALIVE_SHARES,
    HEADER_SIZE,
    KEEPALIVE_RETURNED_COUNTS,
    KEEPALIVE_RETURNED_WAIT,
    KEEPALIVE_SHARE,
    KEEPALIVES_UNANSWERED,
    MIN_TRANSMISSIONS_BEFORE_GIVING_UP,
    SEQ_MASK,
    TIMESTAMP_MASK,
)
from twisted_utp.proto.echo import is_fresh
from twisted_utp.proto.packet import HEADER
from twisted_utp.proto.states import State
from twisted_utp.proto.timers import NEVER, Timer, is_armed
from twisted_utp.proto.train import DATA_TYPE, STATE_TYPE

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection

KEEPALIVE_SIZE = HEADER_SIZE + 1
"""Bytes of a keepalive; its answer has one less."""


def arm(connection: Connection, last_sent: int) -> None:
    """
    Set the timer for the next keepalive.

    @param last_sent: when something last left, µs.
    """
    connection.timers[Timer.KEEPALIVE] = _due(connection, last_sent) if connection.keepalive_interval else NEVER


def change(connection: Connection, seconds: float, now: int) -> None:
    """
    Ask after another silence from now on; see L{Connection.set_keepalive
    <twisted_utp.proto.connection.Connection.set_keepalive>}.
    """
    connection.keepalive_interval = microseconds(connection.config.replace(keepalive=seconds).keepalive)
    connection.questions_asked = 0
    if connection.sender.is_confirmed and connection.state not in (State.SYN_SENT, State.LINGERING, State.CLOSED):
        arm(connection, now)
        connection.port_queues.deadlines.note(connection)


def _due(connection: Connection, last_sent: int) -> int:
    interval = connection.keepalive_interval
    share = interval // KEEPALIVE_SHARE or 1
    at = last_sent + interval + (ACCEPTOR_KEEPALIVE_SHARES * share if connection.handshake.is_acceptor else 0)
    return at - at % share


class UnansweredKeepalives:
    """
    Who was asked, and by when the answers are due.

    Nearly all questions are answered.  Those that leave together are looked at together, which costs less than a
    deadline each.

    @ivar times: when to look at whom, a heap.
    """

    __slots__ = ("_asked", "times")

    def __init__(self) -> None:
        self._asked: dict[int, list[Connection]] = {}
        self.times: list[int] = []

    def __contains__(self, connection: Connection) -> bool:
        return any(connection in asked for asked in self._asked.values())

    def add(self, connection: Connection, due: int) -> None:
        """
        It was asked, and should have answered at C{due}, µs.
        """
        asked = self._asked.get(due)
        if asked is None:
            asked = self._asked[due] = []
            heappush(self.times, due)
        asked.append(connection)

    def next(self) -> int:
        """
        When to look, µs; L{NEVER} when nobody was asked.
        """
        return self.times[0] if self.times else NEVER

    def unanswered(self, now: int) -> list[Connection]:
        """
        Who should have answered by now, and has not.  The others are forgotten.
        """
        silent: list[Connection] = []
        while self.times and self.times[0] <= now:
            for connection in self._asked.pop(heappop(self.times)):
                if connection.packets_received - connection.packets_invalid != connection.heard_before:
                    connection.questions_asked = 0
                elif connection.questions_asked and is_armed(connection.timers, Timer.KEEPALIVE):
                    silent.append(connection)
        return silent


def on_timer(connection: Connection, now: int) -> bool:
    """
    It is time to ask the peer, or to ask once more.

    What was sent meanwhile has not moved the timer: it would have to be moved at each packet.  While something is in
    flight, its repetition does all that a keepalive is for.

    @return: False when the peer is gone.
    """
    heard = connection.packets_received - connection.packets_invalid
    has_flights = bool(connection.sender.board.flights)
    if heard != connection.heard_before or has_flights:
        connection.questions_asked = 0
    if not connection.questions_asked:
        due = _due(connection, now if has_flights else connection.last_sent_at)
        if due > now:
            connection.timers[Timer.KEEPALIVE] = due
            return True
    wait = microseconds(connection.config.user_timeout)
    interval = max(min(wait // KEEPALIVES_UNANSWERED, connection.keepalive_interval), connection.sender.rtt.rto)
    if (
        connection.questions_asked >= MIN_TRANSMISSIONS_BEFORE_GIVING_UP
        and connection.questions_asked * interval >= wait
    ):
        return False
    connection.questions_asked += 1
    connection.heard_before = heard
    connection.writer.keepalives += 1
    connection.ask(now + interval, now)
    connection.timers[Timer.KEEPALIVE] = max(_due(connection, now), now + interval)
    return True


def came_back(connection: Connection, seq_nr: int, timestamp: int, now: int) -> bool:
    """
    The peer's port is closed, says its host about a packet: if that is our latest question, ask again soon.

    This believes nobody.  An answer undoes it, and without one at least as many questions are asked as otherwise; but
    who has been killed is not waited for as long as somebody who may be out of reach.

    @param seq_nr: of the packet that is quoted, and C{timestamp} when it left.
    @return: it is our question.
    """
    asked_at, sender = connection.last_sent_at, connection.sender
    if not connection.questions_asked or sender.board.flights or seq_nr != sender.acknowledged_seq & SEQ_MASK:
        return False
    if timestamp != asked_at + connection.writer.clock_offset & TIMESTAMP_MASK:
        return False
    connection.last_sent_at += 1  # so that the same question does not come back twice
    connection.questions_asked += KEEPALIVE_RETURNED_COUNTS - 1
    again = max(asked_at + max(KEEPALIVE_RETURNED_WAIT, sender.rtt.rto), now)
    connection.timers[Timer.KEEPALIVE] = min(connection.timers[Timer.KEEPALIVE], again)
    return True


def take(connection: Connection, data: bytes, received_at: int, now: int) -> bytes | None:
    """
    Take a keepalive of the peer's, or its answer to ours.

    @param data: a packet of at most L{KEEPALIVE_SIZE} bytes.
    @return: what to answer, nothing for an answer; L{None} when it must take the slow path, and nothing has changed
        then.
    """
    sender, receiver, writer = connection.sender, connection.receiver, connection.writer
    if sender.board.flights or connection.state is not State.ESTABLISHED or not _is_idle(connection):
        return None
    kind, extension, _, timestamp, difference, wnd_size, seq, ack = HEADER.unpack_from(data)
    is_question = kind == DATA_TYPE and len(data) == KEEPALIVE_SIZE
    if not is_question and (kind != STATE_TYPE or len(data) != HEADER_SIZE):
        return None
    if (
        seq != receiver.next_seq - 2 * is_question & SEQ_MASK
        or ack != sender.board.una - 1 & SEQ_MASK
        or extension
        or not wnd_size
        or sender.peer_window <= 0
        or not is_fresh(timestamp, difference, writer.clock_offset, now)
    ):
        return None
    connection.packets_received += 1
    writer.reply_micro = received_at + writer.clock_offset - timestamp & TIMESTAMP_MASK
    sender.peer_window = wnd_size
    if not is_question:
        return b""
    receiver.duplicates += 1
    connection.acks_sent += 1
    connection.last_sent_at = now
    return writer.answer(sender.next_seq, now)


def _is_idle(connection: Connection) -> bool:
    """
    Is nothing about to happen of its own accord?
    """
    sender, receiver = connection.sender, connection.receiver
    return not (
        sender.buffer.nbytes
        or sender.eof_queued
        or (sender.spurious_loss is not None and sender.spurious_loss.are_due)
        or connection.ack_pending
        or receiver.has_gap
        or receiver.fin_seq is not None
        or connection.needs_slow_path()
        or not connection.proof.is_given
    )
