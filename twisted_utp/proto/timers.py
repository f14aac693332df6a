"""
The deadlines of a connection, and which is next.
"""

from __future__ import annotations

from enum import IntEnum

NEVER = 1 << 62


class Timer(IntEnum):
    """
    What a deadline is for.
    """

    CONNECT = 0  # SYN repeated; or, for an acceptor, the peer never confirmed
    RETRANSMISSION = 1  # RTO, tail-loss probe or zero-window probe: at most one of them is armed (RFC 8985 (7.2))
    REORDER = 2  # RACK: a packet will count as lost unless it is acknowledged by then
    PACING = 3
    KEEPALIVE = 4
    LINGER = 5
    GAP = 6  # nothing has come for a while although packets are missing: say so again
    WINDOW = 7  # a limit lets the window open (L{twisted_utp.proto.receive_limit})
    ACK = 8  # one packet has waited long enough for the next (L{twisted_utp.proto.delayed_ack})


Timers = list[int]
"""
One instant (µs) for each L{Timer}, which indexes it; L{NEVER} for those that are not armed.  The least is the next.
"""

UNARMED: Timers = [NEVER] * len(Timer)


def is_armed(timers: Timers, timer: Timer) -> bool:
    """
    Is it running?
    """
    return timers[timer] != NEVER


def expire(timers: Timers, timer: Timer, now: int) -> bool:
    """
    Is it due?  If so it is disarmed.
    """
    if timers[timer] > now:
        return False
    timers[timer] = NEVER
    return True
