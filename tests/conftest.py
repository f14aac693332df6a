"""
How does a test run another program and wait for what it prints, without ever sleeping or hanging?
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import twisted_utp

CHECKOUT = Path(__file__).resolve().parent.parent


class Program:
    """
    A subprocess whose output is read line by line by a thread, so that every wait has a deadline.

    @ivar output: all lines it has printed so far, standard error included.
    """

    def __init__(
        self, argv: Sequence[str], *, cwd: Path | None, env: Mapping[str, str], stdin: int, pass_fds: Sequence[int]
    ) -> None:
        self.argv = list(argv)
        self.output: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            self.argv,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
            stdin=stdin,
            pass_fds=pass_fds,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line.rstrip("\n"))
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def wait_for_line(self, pattern: str, *, timeout: float = 30) -> re.Match[str]:
        """
        Wait for the next line in which the pattern is found.  The lines before it are not seen again.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(self._account(f"printed no {pattern!r} within {timeout} s")) from None
            if line is None:
                raise AssertionError(self._account(f"ended before it printed {pattern!r}"))
            found = re.search(pattern, line)
            if found:
                return found

    def wait_for_event(self, name: str, *, timeout: float = 30) -> dict[str, Any]:
        """
        Wait for a line that is a JSON object with this C{event}: what the programs of the interop tests print.
        """
        line = self.wait_for_line(rf'^\{{.*"event": ?"{name}".*\}}$', timeout=timeout)
        event: dict[str, Any] = json.loads(line.string)
        return event

    def wait_for_exit(self, *, timeout: float = 30, code: int | None = 0) -> int:
        """
        Wait for its end, and expect this exit code (L{None} for any).
        """
        try:
            got = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(self._account(f"still ran after {timeout} s")) from None
        self._reader.join(timeout)
        if code is not None and got != code:
            raise AssertionError(self._account(f"exited with {got}, not {code}"))
        return got

    def say(self, line: str) -> None:
        """
        Type a line.  For programs started with C{stdin=subprocess.PIPE}.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hang_up(self) -> None:
        """
        End its standard input.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()

    @property
    def pid(self) -> int:
        """
        The process's number.
        """
        return self._process.pid

    def interrupt(self) -> None:
        """
        Ask it to end, as Ctrl-C or a service's stop would.
        """
        self._process.terminate()

    def kill(self) -> None:
        """
        End it now.  Does nothing when it has ended.
        """
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # what it did not read
                self._process.stdin.close()

    def _account(self, what: str) -> str:
        output = "\n".join(self.output[-60:])
        return f"{' '.join(self.argv)} {what}; its output:\n{output}"


Start = Callable[..., Program]


@contextlib.contextmanager
def programs() -> Iterator[Start]:
    """
    What starts programs, and ends them all.
    """
    started: list[Program] = []

    def start_program(
        *argv: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
    ) -> Program:
        program = Program([str(word) for word in argv], cwd=cwd, env=env or {}, stdin=stdin, pass_fds=pass_fds)
        started.append(program)
        return program

    try:
        yield start_program
    finally:
        for program in started:
            program.kill()


@pytest.fixture
def start() -> Iterator[Start]:
    """
    C{start(*argv, cwd=None, env={}, stdin=DEVNULL, pass_fds=())} runs a program that does not outlive the test.
    """
    with programs() as start_program:
        yield start_program


@pytest.fixture(scope="module")
def start_for_module() -> Iterator[Start]:
    """
    The same; the program does not outlive the tests of this file.
    """
    with programs() as start_program:
        yield start_program


@pytest.fixture
def start_python(start: Start) -> Start:
    """
    The same for a Python program, run by the Python that runs the tests.
    """

    def start_program(*argv: str | Path, **keywords: Any) -> Program:
        return start(sys.executable, *argv, **keywords)

    return start_program


@pytest.fixture(scope="session")
def checkout() -> Path:
    """
    The root of the source tree.
    """
    return CHECKOUT


Check = Callable[[str, dict[str, Any]], None]


@pytest.fixture(scope="session")
def check_traced() -> Check:
    """
    Compares an event's data with what docs/qlog.rst says of it: called with its name, without C{utp:}, and its data.
    """
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "boolean": (bool,),
        "integer": (int,),
        "number": (int, float),
        "null": (type(None),),
    }
    schema: dict[str, dict[str, tuple[type, ...]]] = {}
    for line in (CHECKOUT / "docs" / "qlog.rst").read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"``(\w+)``", line):
            fields = schema[heading[1]] = {}
        elif field := re.match(r"- ``(\w+)`` \(([a-z ]+)(, [\w/]+)?\): ", line):
            fields[field[1]] = tuple(kind for name in field[2].split(" or ") for kind in kinds[name])

    def check(event: str, data: dict[str, Any]) -> None:
        fields = schema[event]
        assert data.keys() <= fields.keys(), f"{event}: not documented: {data.keys() - fields.keys()}"
        if event != "metrics_updated":
            assert data.keys() == fields.keys(), f"{event}: missing: {fields.keys() - data.keys()}"
        for name, value in data.items():
            assert type(value) in fields[name], f"{event}: {name}={value!r}"

    assert len(schema) > 10, "docs/qlog.rst is not read as it is written"
    check.events = set(schema)  # type: ignore[attr-defined]
    return check


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    With a compiled core, leave out what needs the one in Python.
    """
    if twisted_utp.__compiled__:
        for item in items:
            if item.get_closest_marker("interpreted"):
                item.add_marker(pytest.mark.skip(reason="the core is compiled"))
