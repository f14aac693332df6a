"""
Is nothing missing although a connection did not end as it should?

Questions that a connection asks about itself; this file reads what is private to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.constants import FIN_TRANSMISSIONS_BEFORE_DONE
from twisted_utp.proto.states import State

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
    """
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
