"""
How does a connection end that does not end as it should, and is anything missing then?

Parts of the connection's own life; this file uses what is private to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.constants import FIN_TRANSMISSIONS_BEFORE_DONE
from twisted_utp.proto.events import LossReason
from twisted_utp.proto.states import Input, State

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection


def only_fin_is_missing(connection: Connection) -> bool:
    """
    The peer has finished, and has acknowledged everything of ours but the FIN.
    """
    sender = connection.sender
    return connection.state is State.CLOSING and sender.board.una == sender.fin_seq


def has_all_arrived(connection: Connection) -> bool:
    """
    Our FIN has left, and all that was written before it is acknowledged.
    """
    fin_seq = connection.sender.fin_seq
    return fin_seq is not None and connection.sender.board.una >= fin_seq


def is_all_but_done(connection: Connection) -> bool:
    """
    Can nothing be lost any more, although our FIN has been repeated without an acknowledgement?

    All that was written has arrived, and there is nothing more to hear: the peer's FIN was delivered, or its user does
    not care.  A peer that is merely slow had its chance to acknowledge the FIN; KTorrent never does.
    """
    sender = connection.sender
    if sender.board.una != sender.fin_seq:
        return False
    fin = sender.board.flights[0]
    has_heard_all = connection._discards or (connection.receiver.is_complete and connection._eof_announced)
    return has_heard_all and fin.transmissions >= FIN_TRANSMISSIONS_BEFORE_DONE


def is_delivering(connection: Connection) -> bool:
    """
    The user has closed, or half closed, and not everything has arrived.
    """
    if not connection.sender.eof_queued or connection.is_done:
        return False
    return connection.state not in (State.FIN_WAIT_2, State.LINGERING, State.CLOSED)


def has_parted(connection: Connection) -> bool:
    """
    The user has closed, and our FIN has left: the peer knows.

    Not if it goes on sending what nobody hears: without a RESET it would repeat that until it gives up.
    """
    if connection.state is State.FIN_WAIT_2 and connection._threw_away:
        return False
    return connection.is_done or (connection._discards and connection.sender.fin_seq is not None)


def is_reset_clean(connection: Connection) -> bool:
    """
    Is the peer's RESET as good as what it has left out?

    Yes once both have finished; and when our FIN is acknowledged, and nobody wants to hear what the peer still has to
    say.  To a user who only half closed, it would pass a truncated stream off as a whole one.
    """
    state = connection.state
    if state is State.FIN_WAIT_2:
        return connection._discards or connection.receiver.is_complete
    return state is State.LINGERING or only_fin_is_missing(connection)


def finish_early(connection: Connection) -> None:
    """
    Tell the user when nothing can be lost any more.  The FIN goes on being repeated until L{give_up}.
    """
    if is_all_but_done(connection):
        connection._finish(LossReason.DONE)


def give_up(connection: Connection, now: int) -> None:
    """
    Nobody answers.  When only our FIN lacks its acknowledgement and the peer had finished, it has just left.
    """
    reason = LossReason.DONE if only_fin_is_missing(connection) else LossReason.TIMED_OUT
    connection._end(Input.GIVE_UP, reason, now)


def on_linger_timer(connection: Connection, now: int) -> None:
    """
    The time is over that what was written has to arrive, or that a connection answers after its end.
    """
    state, is_done = connection.state, connection.is_done
    if state is State.LINGERING:
        if is_done:  # otherwise the last bytes wait for a paused reader
            connection._end(Input.EXPIRED, LossReason.DONE, now)
        return
    if is_done and state is not State.FIN_WAIT_2:
        return  # all that was written has arrived, and the FIN is repeated for no longer than anything else
    connection._send_reset(now)
    if is_done:  # the peer still has something to say that nobody wants to hear
        connection._end(Input.EXPIRED, LossReason.DONE, now)
    else:  # what was written did not arrive within the setting's time
        connection._end(Input.GIVE_UP, LossReason.TIMED_OUT, now)
