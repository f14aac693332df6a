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


class TimerTable:
    """
    One optional instant (µs) for each L{Timer}.
    """

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at = [NEVER] * len(Timer)

    def set(self, timer: Timer, at: int) -> None:
        """
        (Re)arm.
        """
        self._at[timer] = at

    def clear(self, timer: Timer) -> None:
        """
        Disarm.
        """
        self._at[timer] = NEVER

    def clear_all(self) -> None:
        """
        Disarm all.
        """
        self._at = [NEVER] * len(Timer)

    def at(self, timer: Timer) -> int:
        """
        Its instant, L{NEVER} when it is not armed.
        """
        return self._at[timer]

    def is_armed(self, timer: Timer) -> bool:
        """
        Is it running?
        """
        return self._at[timer] != NEVER

    def expire(self, timer: Timer, now: int) -> bool:
        """
        Is it due?  If so it is disarmed.
        """
        if self._at[timer] > now:
            return False
        self._at[timer] = NEVER
        return True

    def next(self) -> int:
        """
        The earliest instant, L{NEVER} when there is none.
        """
        return min(self._at)
