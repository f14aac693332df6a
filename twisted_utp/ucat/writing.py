"""
Writes standard output, whatever it is.

By a thread, for the reasons why standard input is read by one: a disk that is slow, or a pipe whose reader is, must
not stop the reactor, and cannot be waited for otherwise.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from threading import Condition, Thread
from typing import Any

from twisted.internet.defer import Deferred

# Bytes that may wait.  With more the connection is not read, and with half of that it is again.
HIGH_WATER = 2 * 1024 * 1024

# Pieces in one system call (IOV_MAX is 1024 on Linux, and no less than 16 elsewhere).
_PIECES = 512 if hasattr(os, "writev") else 1


class StandardOutput:
    """
    Standard output, in the order of the writes.

    @ivar is_terminal: somebody watches it.
    @ivar error: why it can no longer be written.
    @ivar on_full: called when it has enough.
    @ivar on_drained: called when it takes more again.
    @ivar on_error: called when it can no longer be written.
    """

    def __init__(self, reactor: Any, descriptor: int = 1) -> None:
        try:
            self.is_terminal = os.isatty(descriptor)
        except OSError:
            self.is_terminal = False
        self.error: OSError | None = None
        self.on_full: Callable[[], None] = _nothing
        self.on_drained: Callable[[], None] = _nothing
        self.on_error: Callable[[], None] = _nothing
        self._reactor = reactor
        self._descriptor = descriptor
        self._waiting: list[bytes] = []
        self._bytes = 0  # that wait or are being written
        self._is_full = False
        self._changed = Condition()
        self._thread: Thread | None = None
        self._flushed: list[Deferred[None]] = []
        self._closes = False

    def attach(self, on_full: Callable[[], None], on_drained: Callable[[], None], on_error: Callable[[], None]) -> None:
        """
        Who writes from now on.
        """
        self.on_full, self.on_drained, self.on_error = on_full, on_drained, on_error
        if self.error is not None:
            on_error()
        elif self._is_full:
            on_full()

    def write(self, data: bytes) -> None:
        """
        Write, some time.
        """
        if self.error is not None:
            return
        if self._thread is None:
            self._thread = Thread(target=self._run, daemon=True, name="standard output")
            self._thread.start()
        with self._changed:
            self._waiting.append(data)
            self._bytes += len(data)
            is_full = self._bytes > HIGH_WATER
            self._changed.notify()
        if is_full and not self._is_full:
            self._is_full = True
            self.on_full()

    def flush(self) -> Deferred[None]:
        """
        Fires, sooner or later, when everything is written or C{error} is set.
        """
        flushed: Deferred[None] = Deferred()
        with self._changed:
            idle = not self._bytes
        if idle or self.error is not None:
            flushed.callback(None)
        else:
            self._flushed.append(flushed)
        return flushed

    def finish(self) -> None:
        """
        Nothing more will be written: once everything is, let the reader see the end of it, though we live on.
        """
        self.flush().addCallback(lambda _: self._close())

    # --- In the reactor ----------------------------------------------------------------------------------------

    def _close(self) -> None:
        """
        Put something harmless in its place: a descriptor of that number is expected to be there.
        """
        if self._closes or self.error is not None:
            return
        self._closes = True
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._descriptor)
            os.close(null)
        except OSError as error:
            self._failed(error)

    def _written(self) -> None:
        """
        The thread has written all that it had taken.
        """
        with self._changed:
            left = self._bytes
        if self._is_full and left <= HIGH_WATER // 2:
            self._is_full = False
            self.on_drained()
        if not left:
            self._fire()

    def _failed(self, error: OSError) -> None:
        self.error = error
        self.on_error()
        self._fire()

    def _fire(self) -> None:
        fired, self._flushed = self._flushed, []
        for flushed in fired:
            flushed.callback(None)

    # --- In the thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                taken, self._waiting = self._waiting, []
            try:
                for start in range(0, len(taken), _PIECES):
                    self._write_all(taken[start : start + _PIECES])
            except OSError as error:
                self._reactor.callFromThread(self._failed, error)
                return
            with self._changed:
                self._bytes -= sum(map(len, taken))
                tell = not self._waiting or self._bytes <= HIGH_WATER // 2
            if tell:
                self._reactor.callFromThread(self._written)

    def _write_all(self, pieces: list[bytes]) -> None:
        left = sum(map(len, pieces))
        while left:
            try:
                done = os.writev(self._descriptor, pieces) if _PIECES > 1 else os.write(self._descriptor, pieces[0])
            except BlockingIOError:
                select.select([], [self._descriptor], [])  # somebody else made it non-blocking
                continue
            left -= done
            if left:
                pieces = [b"".join(pieces)[done:]]


def _nothing() -> None:
    """Nobody is interested."""
