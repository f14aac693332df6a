"""
Finds connections that could wait for ever.

A connection that waits for its peer without a timer never ends when the peer says nothing more, and its user never
hears of it.  L{unguarded} may be asked of any connection, between any two turns of its port's wheel.
"""

from __future__ import annotations

from twisted_utp.proto.connection import Connection
from twisted_utp.proto.constants import WHOLE_PACKET
from twisted_utp.proto.states import GUARDS, State
from twisted_utp.proto.timers import NEVER, Timer, is_armed

_RECEIVING = (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)


def unguarded(connection: Connection) -> str | None:
    """
    Why might it wait for ever?

    @return: the reason; L{None} when there is none, or when it is still to have its turn to send.
    """
    state, timers = connection.state, connection.timers
    if state is State.CLOSED:
        return None if min(timers) == NEVER else "CLOSED, and a timer runs"
    if connection in connection.port_queues.ready:
        return None
    if not _is_scheduled(connection):
        return f"{state.name}: its port does not know its next deadline"
    if connection.ack_pending and not is_armed(timers, Timer.ACK):
        return f"{state.name}: an acknowledgement waits for nothing"
    if not any(is_armed(timers, timer) for timer in GUARDS[state]) and not _is_excused(connection):
        return f"{state.name}: none of {', '.join(sorted(timer.name for timer in GUARDS[state]))} is armed"
    if connection.questions_asked and connection not in connection.port_queues.unanswered_keepalives:
        return f"{state.name}: nobody looks whether it answers"
    return _unguarded_window(connection) or _unguarded_bytes(connection)


def _unguarded_window(connection: Connection) -> str | None:
    limit, receiver = connection.receiver.limit, connection.receiver
    if limit is None or connection.state not in _RECEIVING or not connection.sender.is_confirmed:
        return None
    is_full = receiver.capacity - receiver.unread_bytes < WHOLE_PACKET
    if is_full or receiver.is_complete or not limit.is_closed(receiver.in_order_bytes):
        return None  # opened by the reader, not needed any more, or open
    is_waiting = is_armed(connection.timers, Timer.WINDOW) or (limit.turns is not None and limit in limit.turns)
    return None if is_waiting else f"{connection.state.name}: nobody opens the window"


def _is_excused(connection: Connection) -> bool:
    """
    Does its user want it so?
    """
    if connection.state is State.LINGERING:
        return not connection.is_done  # a reader that is paused
    if Timer.RETRANSMISSION in GUARDS[connection.state] and _waits_for_a_limit(connection):
        return True
    return Timer.KEEPALIVE in GUARDS[connection.state] and not connection.keepalive_interval


def _unguarded_bytes(connection: Connection) -> str | None:
    sender, timers = connection.sender, connection.timers
    if connection.state in (State.SYN_SENT, State.LINGERING) or not sender.is_confirmed:
        return None  # nothing leaves yet, or any more
    if sender.board.flights:
        is_lost = sender.board.send_order.first is None
        is_waiting = is_armed(timers, Timer.RETRANSMISSION) or (is_lost and _waits_for_a_limit(connection))
        return None if is_waiting else f"{connection.state.name}: what is in flight has no timer"
    if not sender.buffer.nbytes and (not sender.eof_queued or sender.fin_seq is not None):
        return None
    is_waiting = is_armed(timers, Timer.RETRANSMISSION) or is_armed(timers, Timer.PACING)
    is_waiting = is_waiting or _waits_for_a_limit(connection)
    return None if is_waiting else f"{connection.state.name}: what waits to be sent has no timer"


def _waits_for_a_limit(connection: Connection) -> bool:
    limit = connection.sender.limit
    if limit is None:
        return False
    return is_armed(connection.timers, Timer.PACING) or (limit.turns is not None and limit in limit.turns)


def _is_scheduled(connection: Connection) -> bool:
    due = min(connection.timers)
    if due == NEVER:
        return True
    at = connection.scheduled_at
    return at <= due and any(
        entry[0] == at and entry[2] is connection for entry in connection.port_queues.deadlines.heap
    )
