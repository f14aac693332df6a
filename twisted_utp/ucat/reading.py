"""
Reads standard input, whatever it is.

By a thread.  A reactor cannot wait for a regular file (epoll refuses it), and a terminal or a pipe, made non-blocking,
would be so for every other program that shares it.  A thread that blocks in C{read} works for all of them.
"""

from __future__ import annotations

import os
import select
from collections import deque
from threading import Semaphore, Thread
from typing import Any, Protocol

# A pipe holds 64 KiB; files are read in larger pieces than that.
CHUNK = 256 * 1024

# Pieces that may be read ahead of a connection that is full.
AHEAD = 4


class Reader(Protocol):
    """
    Whoever reads standard input for the time being.
    """

    def input_received(self, data: bytes) -> None:
        """Some of it."""

    def input_ended(self) -> None:
        """That was all."""

    def input_failed(self, error: OSError) -> None:
        """It cannot be read."""


class StandardInput:
    """
    Standard input, read no faster than it is taken.

    @ivar is_terminal: somebody types it.
    """

    def __init__(self, reactor: Any, descriptor: int = 0) -> None:
        self.is_terminal = _is_terminal(descriptor)
        self._reactor = reactor
        self._descriptor = descriptor
        self._reader: Reader | None = None
        self._paused = False
        self._held: deque[bytes | OSError] = deque()
        self._room = Semaphore(AHEAD)
        self._thread: Thread | None = None

    def attach(self, reader: Reader) -> None:
        """
        Let somebody read.  What was read, and not taken, by the one before is read by this one.
        """
        self._reader = reader
        self._paused = False
        if self._thread is None:
            self._thread = Thread(target=self._read, daemon=True, name="standard input")
            self._thread.start()
        self._deliver()

    def detach(self) -> None:
        """
        Nobody reads.
        """
        self._reader = None

    def pause(self) -> None:
        """
        Deliver nothing for now.
        """
        self._paused = True

    def resume(self) -> None:
        """
        Deliver again.
        """
        self._paused = False
        self._deliver()

    def size(self) -> int | None:
        """
        How many bytes there are, if it is a file.
        """
        try:
            return max(os.path.getsize(self._descriptor) - os.lseek(self._descriptor, 0, os.SEEK_CUR), 0) or None
        except (OSError, ValueError):
            return None

    # --- In the reactor ----------------------------------------------------------------------------------------

    def _arrived(self, what: bytes | OSError) -> None:
        self._held.append(what)
        self._deliver()

    def _deliver(self) -> None:
        while self._held and self._reader is not None and not self._paused:
            what = self._held[0]
            if isinstance(what, OSError):
                self._reader.input_failed(what)
                return
            if not what:
                self._reader.input_ended()  # and so for whoever reads next
                return
            self._held.popleft()
            self._room.release()
            self._reader.input_received(what)

    # --- In the thread -----------------------------------------------------------------------------------------

    def _read(self) -> None:
        what: bytes | OSError = b"-"
        while what and not isinstance(what, OSError):
            self._room.acquire()
            what = self._read_some()
            self._reactor.callFromThread(self._arrived, what)

    def _read_some(self) -> bytes | OSError:
        while True:
            try:
                return os.read(self._descriptor, CHUNK)
            except BlockingIOError:
                select.select([self._descriptor], [], [])  # somebody else made it non-blocking
            except OSError as error:
                return error


class NoInput:
    """
    In place of standard input: it has ended.
    """

    is_terminal = False

    def attach(self, reader: Reader) -> None:
        """
        Tell that it has ended.
        """
        reader.input_ended()

    def detach(self) -> None:
        """Nothing to do."""

    def pause(self) -> None:
        """Nothing to do."""

    def resume(self) -> None:
        """Nothing to do."""

    def size(self) -> int | None:
        """
        Unknown.
        """
        return None


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
