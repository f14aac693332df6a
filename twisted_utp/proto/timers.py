"""
Which deadlines does a connection have, and which is next?
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


_NONE = [NEVER] * len(Timer)


class TimerTable(list[int]):
    """
    One optional instant (µs) for each L{Timer}: a list that they index, L{NEVER} for those that are not armed.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_NONE)

    def clear_all(self) -> None:
        """
        Disarm all.
        """
        self[:] = _NONE

    def is_armed(self, timer: Timer) -> bool:
        """
        Is it running?
        """
        return self[timer] != NEVER

    def expire(self, timer: Timer, now: int) -> bool:
        """
        Is it due?  If so it is disarmed.
        """
        if self[timer] > now:
            return False
        self[timer] = NEVER
        return True

    def next(self) -> int:
        """
        The earliest instant, L{NEVER} when there is none.
        """
        return min(self)
