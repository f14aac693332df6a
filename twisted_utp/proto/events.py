"""
What can happen to a connection that its user must hear of.

The core never calls its user: events wait in order until L{Multiplexer.poll_events
<twisted_utp.proto.multiplexer.Multiplexer.poll_events>} is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class LossReason(Enum):
    """
    Why a connection is no more.
    """

    DONE = "closed cleanly"
    RESET = "reset by the peer"
    TIMED_OUT = "the peer stopped answering"
    VANISHED = "the peer stopped answering keepalives"
    ABORTED = "aborted locally"
    REFUSED = "connection refused"
    CONNECT_TIMED_OUT = "no answer to SYN"
    UNREACHABLE = "no way leads to the peer"
    FAULT = "a congestion controller or a tracer raised"
    FORGED = "the peer acknowledged data that it was never sent"

    __hash__ = object.__hash__  # Enum's is written in Python, and looks the name up


@dataclass(frozen=True, slots=True)
class Connected:
    """
    The handshake is complete: the peer has answered our SYN, or has shown that it got our answer to its own (only with
    the C{early_byte} setting, the SYN is enough).
    """

    incoming: bool


@dataclass(frozen=True, slots=True)
class EndOfStream:
    """
    The peer's FIN, and everything before it, has arrived (BEP-29, ST_FIN).
    """


@dataclass(frozen=True, slots=True)
class Writable:
    """
    The send buffer, which was over its limit, has drained to half of it.
    """


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """
    The last event of a connection, exactly once.

    @ivar reason: why.
    @ivar close_code: libtorrent's close reason (extension 3), 0 when the peer gave none.
    @ivar fault: what was raised, when that is the reason.
    """

    reason: LossReason
    close_code: int = 0
    fault: BaseException | None = None


Event = Connected | bytes | EndOfStream | Writable | ConnectionLost
"""
What is told.  Bytes are the next ones of the stream, in order, everything that one batch of datagrams made available:
an object around them would be taken apart at once.
"""
