"""
What ucat says on standard error, and when.
"""

from __future__ import annotations

import contextlib
import os
import sys
from argparse import Namespace
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from twisted_utp.ucat.account import Account
from twisted_utp.ucat.progress import Progress, can_show_progress

# Seconds between the figures of -vv.
FIGURES_INTERVAL = 1.0


class Messages:
    """
    All that goes to standard error.
    """

    def __init__(self, reactor: Any, options: Namespace, *, data_on_terminal: bool) -> None:
        """
        @param data_on_terminal: what the peer sends, and what the user types, is on the terminal.
        """
        self._reactor = reactor
        self._options = options
        self._progress: Progress | None = None
        self._figures: IDelayedCall | None = None
        wanted = options.progress
        if wanted is None:
            wanted = _is_terminal(2) and not data_on_terminal and not options.exec and not options.quiet
        self._shows_progress = bool(wanted) and can_show_progress()
        if options.progress and not self._shows_progress:
            self.say("no progress line without tqdm; pip install 'twisted-utp[tools]'")

    def say(self, text: str, level: int = 0) -> None:
        """
        One line, if -v was given so often.
        """
        if self._options.verbose >= level:
            self._print(f"ucat: {text}")

    def began(self, account: Account) -> None:
        """
        There is a connection.
        """
        self.say(f"{'connected to' if account.role == 'client' else 'connection from'} {account.peer}", 1)
        if self._shows_progress and self._progress is None:
            self._progress = Progress(self._reactor, account)
        if self._options.verbose >= 2 and self._figures is None:
            self._figures = self._reactor.callLater(FIGURES_INTERVAL, self._tell_figures, account)

    def terminal_used(self) -> None:
        """
        The peer's data is on the terminal: it is no place for a line that moves.
        """
        if self._progress is not None and not self._options.progress:
            self._stop_progress()

    def ended(self, account: Account) -> None:
        """
        It is over.
        """
        self._stop_progress()
        if self._figures is not None and self._figures.active():
            self._figures.cancel()
        self._figures = None
        if account.cause:
            self.say(account.cause)
        if self._options.stats == "json":
            self._print(account.as_json())
        elif self._options.stats == "text" and not self._options.quiet and account.peer is not None:
            self.say(account.summary())
            for direction, checksum in account.checksums().items():
                self.say(f"SHA-256 {direction}: {checksum}")

    def _tell_figures(self, account: Account) -> None:
        self.say(account.summary(), 2)
        self._figures = self._reactor.callLater(FIGURES_INTERVAL, self._tell_figures, account)

    def _stop_progress(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _print(self, line: str) -> None:
        if self._progress is not None:
            self._progress.hide()
        # Nobody may be there to read it; that is no reason to fail.
        with contextlib.suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
