"""
The states of a connection, and what moves it from one to the next.

Data, not code: the connection looks its next state up here, and the documentation's diagram is drawn from the same
table.  The names are TCP's (RFC 9293 (3.3.2)) where uTP has the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from twisted_utp.proto.timers import Timer


class State(Enum):
    """
    Where a connection is in its life.
    """

    SYN_SENT = "SYN sent, no answer yet"
    SYN_RECEIVED = "SYN answered, nothing heard since"
    ESTABLISHED = "both directions open"
    FIN_WAIT_1 = "our FIN is under way"
    FIN_WAIT_2 = "our FIN is acknowledged, the peer may still send"
    CLOSE_WAIT = "the peer has sent its FIN, we may still send"
    CLOSING = "both FINs are out, ours first or at once, and it is not acknowledged"
    LAST_ACK = "our FIN answers the peer's, and is not acknowledged"
    LINGERING = "done; repeats of the peer's last packets are still answered"
    CLOSED = "gone"

    __hash__ = object.__hash__  # Enum's is written in Python, and looks the name up


class Input(Enum):
    """
    What moves a connection.
    """

    PEER_CONFIRMED = "the peer answered our SYN, or sent a packet after its own"
    FIN_SENT = "our FIN leaves"
    FIN_ACKED = "our FIN is acknowledged"
    PEER_FIN = "the peer's FIN and all before it arrived"
    RESET = "a valid RESET arrived"
    ABORT = "the user aborted"
    GIVE_UP = "the peer stopped answering"
    EXPIRED = "the wait is over"

    __hash__ = object.__hash__


_ENDS = {Input.RESET: State.CLOSED, Input.ABORT: State.CLOSED, Input.GIVE_UP: State.CLOSED}

TRANSITIONS: Mapping[State, Mapping[Input, State]] = {
    State.SYN_SENT: {Input.PEER_CONFIRMED: State.ESTABLISHED, **_ENDS},
    State.SYN_RECEIVED: {
        Input.PEER_CONFIRMED: State.ESTABLISHED,
        Input.FIN_SENT: State.FIN_WAIT_1,
        Input.PEER_FIN: State.CLOSE_WAIT,
        **_ENDS,
    },
    State.ESTABLISHED: {Input.FIN_SENT: State.FIN_WAIT_1, Input.PEER_FIN: State.CLOSE_WAIT, **_ENDS},
    State.FIN_WAIT_1: {Input.FIN_ACKED: State.FIN_WAIT_2, Input.PEER_FIN: State.CLOSING, **_ENDS},
    State.FIN_WAIT_2: {Input.PEER_FIN: State.LINGERING, Input.EXPIRED: State.CLOSED, **_ENDS},
    State.CLOSE_WAIT: {Input.FIN_SENT: State.LAST_ACK, **_ENDS},
    State.CLOSING: {Input.FIN_ACKED: State.LINGERING, **_ENDS},
    State.LAST_ACK: {Input.FIN_ACKED: State.LINGERING, **_ENDS},
    State.LINGERING: {Input.EXPIRED: State.CLOSED, **_ENDS},
    State.CLOSED: {},
}

GUARDS: Mapping[State, frozenset[Timer]] = {
    State.SYN_SENT: frozenset((Timer.CONNECT,)),
    State.SYN_RECEIVED: frozenset((Timer.CONNECT,)),
    State.ESTABLISHED: frozenset((Timer.KEEPALIVE,)),
    State.FIN_WAIT_1: frozenset((Timer.RETRANSMISSION,)),
    State.FIN_WAIT_2: frozenset((Timer.KEEPALIVE, Timer.LINGER)),
    State.CLOSE_WAIT: frozenset((Timer.KEEPALIVE,)),
    State.CLOSING: frozenset((Timer.RETRANSMISSION,)),
    State.LAST_ACK: frozenset((Timer.RETRANSMISSION,)),
    State.LINGERING: frozenset((Timer.LINGER,)),
    State.CLOSED: frozenset(),
}
"""
What ends each state when nothing comes any more: one of these timers is armed at any time.

There are two exceptions, both of the user's making: a keepalive that is switched off, and a reader that is paused while
the last bytes wait for him.  Whatever the state, what is in flight has its retransmission timer as well.  A test
compares this table with what connections do (L{twisted_utp.testing.guards}).
"""
