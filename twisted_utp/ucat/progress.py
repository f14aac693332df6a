"""
The progress line.

tqdm draws the line: it knows terminals, their width, rates and times left, and is not needed where nobody watches.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from twisted_utp.ucat.account import Account

# Seconds between two looks.
INTERVAL = 0.2


def can_show_progress() -> bool:
    """
    Is tqdm installed?
    """
    return find_spec("tqdm") is not None


class Progress:
    """
    The line for one connection, from when it is made until C{stop}.
    """

    def __init__(self, reactor: Any, account: Account) -> None:
        from tqdm import tqdm

        tqdm.monitor_interval = 0  # no thread that wakes slow bars: ours is asked five times a second
        self._reactor = reactor
        self._account = account
        self._bar: Any = tqdm(total=account.total, unit="B", unit_scale=True, file=sys.stderr, leave=False, **_width())
        self._timer: IDelayedCall | None = None
        self._tick()

    def hide(self) -> None:
        """
        Make room for a line of text; the next look shows it again.
        """
        if self._bar is not None:
            self._bar.clear()

    def stop(self) -> None:
        """
        Take it away.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._bar is not None:
            self._bar.close()
        self._bar = self._timer = None

    def _tick(self) -> None:
        account, bar = self._account, self._bar
        bar.n = account.sent if account.total else account.sent + account.received
        bar.set_postfix_str(account.path(), refresh=False)
        bar.refresh()
        self._timer = self._reactor.callLater(INTERVAL, self._tick)


def _width() -> dict[str, Any]:
    """
    As wide as the terminal.  Where that says that it has no columns, as serial consoles do, tqdm would show nothing.
    """
    try:
        known = min(os.get_terminal_size(2)) > 0
    except OSError:
        known = False
    return {"dynamic_ncols": True} if known else {"ncols": 80, "nrows": 24}
