"""
How does the benchmark talk to the programs that it measures?

Each is a process of its own that prints JSON lines.  A line on its standard input asks for one: C{now} for an account
of itself, others as its role says; it ends when its standard input does.  Every wait has a deadline.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

# Nothing that is measured takes longer; what does has failed, and the run goes on without it.
LONGEST_WAIT = 120.0

_POLL = 0.01


class MeasurementFailed(Exception):
    """
    A program ended early, said nothing for too long, or lost bytes.
    """


class Child:
    """
    One measured process.  Use as a context manager: it is gone afterwards.

    @ivar pid: its process id.
    """

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str] | None = None, cpus: frozenset[int] | None = None
    ) -> None:
        """
        @param cpus: run on these processors only.
        """
        self._argv = list(argv)
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([*([inherited] if inherited else []), str(ROOT)])
        self._process = subprocess.Popen(
            self._argv,
            env={**os.environ, "PYTHONPATH": path, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # There are no threads here, so that this is safe; and the child is where it belongs from its first moment.
            preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None,
        )
        self.pid = self._process.pid
        self._unread = b""

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def expect(self, event: str, within: float = LONGEST_WAIT) -> dict[str, Any]:
        """
        The next line must be this event.

        @raise MeasurementFailed: it is not, or does not come.
        """
        line = self._line(time.monotonic() + within)
        try:
            details: dict[str, Any] = json.loads(line)
        except ValueError:
            raise MeasurementFailed(f"{self._name()} printed {line!r}") from None
        if details.get("event") != event:
            raise MeasurementFailed(f"{self._name()} said {details}, not {event!r}")
        return details

    def tell(self, line: str) -> None:
        """
        Write a line to its standard input.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise MeasurementFailed(f"{self._name()} ended early") from None

    def now(self) -> dict[str, Any]:
        """
        Its account of itself: C{cpu} seconds from the operating system, C{connections} that are open, bytes
        C{received}, and when the last of them came (C{last}, on the system's monotonic clock).
        """
        self.tell("now")
        return self.expect("now")

    def memory(self) -> int:
        """
        Its resident set, bytes, once it has collected its garbage.
        """
        self.tell("memory")
        resident: int = self.expect("memory")["rss"]
        return resident

    def wait_until(self, key: str, value: int, within: float = LONGEST_WAIT) -> dict[str, Any]:
        """
        Ask for its account until it says that.

        @raise MeasurementFailed: it does not, in time.
        """
        deadline = time.monotonic() + within
        while True:
            account = self.now()
            if account[key] == value:
                return account
            if time.monotonic() > deadline:
                raise MeasurementFailed(f"{self._name()}: {key} is {account[key]}, not {value}")
            time.sleep(_POLL)

    def _line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        stdout = self._process.stdout.fileno()
        while b"\n" not in self._unread:
            readable, _, _ = select.select([stdout], [], [], max(deadline - time.monotonic(), 0))
            if not readable:
                raise MeasurementFailed(f"{self._name()} said nothing in time")
            piece = os.read(stdout, 65_536)
            if not piece:
                raise MeasurementFailed(f"{self._name()} ended early")
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _name(self) -> str:
        words = [Path(word).name for word in self._argv]
        return " ".join(word for word in words if word != Path(sys.executable).name)
