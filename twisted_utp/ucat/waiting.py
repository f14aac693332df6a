"""
Limits for how long nothing may happen (C{-w}).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from twisted_utp.ucat.account import Account
from twisted_utp.ucat.exits import Exit

# Looks in each period.  A connection that stops right after one is cut so much later than was asked for.
_LOOKS = 4


class Waiting:
    """
    Breaks a connection off on which, for a while, nothing has been sent or received.
    """

    def __init__(self, reactor: Any, seconds: float, account: Account, break_off: Callable[[], None]) -> None:
        """
        @param seconds: how long it may be idle, from now on.
        """
        self._reactor = reactor
        self._seconds = seconds
        self._account = account
        self._break_off = break_off
        self._moved = -1
        self._since = 0.0
        self._timer: IDelayedCall | None = None
        self._look()

    def stop(self) -> None:
        """
        It is over.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _look(self) -> None:
        self._timer = None
        moved = self._account.sent + self._account.received
        now = self._reactor.seconds()
        if moved != self._moved:
            self._moved, self._since = moved, now
        elif now - self._since >= self._seconds:
            peer = self._account.peer
            self._account.fail(Exit.TIMED_OUT, f"{peer}: nothing sent or received for {self._seconds:g} s, see --wait")
            self._break_off()
            return
        self._timer = self._reactor.callLater(self._seconds / _LOOKS, self._look)
