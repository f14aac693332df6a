"""
Is nothing missing although a connection did not end as it should?

Questions that a connection asks about itself; this file reads what is private to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.states import State

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection


def only_fin_is_missing(connection: Connection) -> bool:
    """
    The peer has finished, and has acknowledged everything of ours but the FIN.
    """
    sender = connection.sender
    return connection.state is State.CLOSING and sender.board.una == sender.fin_seq


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
