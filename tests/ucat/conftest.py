"""
How does a test run ucat as its users do, with standard input, output and error of its own?
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

UCAT = Path(sys.executable).parent / "ucat"
DEADLINE = 30.0


class Ucat:
    """
    A running ucat.
    """

    def __init__(self, program: list[str], stdin: Any, stdout: Any, errors: Path) -> None:
        self._errors = errors
        self._given = stdin if isinstance(stdin, bytes) else None
        with open(errors, "wb") as stderr:
            self.process = subprocess.Popen(
                program,
                stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
                stdout=stdout,
                stderr=stderr,
            )

    def port(self) -> int:
        """
        Where it listens.
        """
        return int(self.wait_for(r"listening on \S+:(\d+)")[1])

    def wait_for(self, pattern: str) -> re.Match[str]:
        """
        Wait until standard error has it.
        """
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            found = re.search(pattern, self.errors())
            if found:
                return found
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.errors()}"
            time.sleep(0.01)
        raise AssertionError(f"no {pattern!r} in {self.errors()}")

    def errors(self) -> str:
        """
        Standard error so far.
        """
        return self._errors.read_text(errors="replace")

    def end(self, code: int = 0) -> bytes:
        """
        Give it its input and wait for its end; its standard output, if that is a pipe.
        """
        try:
            output, _ = self.process.communicate(self._given, timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.process.args} still ran: {self.errors()}") from None
        assert self.process.returncode == code, f"{self.process.args}: {self.process.returncode}: {self.errors()}"
        return output or b""

    def clean_up(self) -> None:
        """
        Nothing is left of it.
        """
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what it had no time to read
                    pipe.close()


Start = Callable[..., Ucat]


@pytest.fixture
def ucat(tmp_path: Path) -> Iterator[Start]:
    """
    C{ucat(*arguments, stdin=b"", stdout=PIPE)} runs a ucat that does not outlive the test.
    """
    running: list[Ucat] = []

    def start(
        *arguments: object,
        stdin: Any = subprocess.DEVNULL,
        stdout: Any = subprocess.PIPE,
        program: tuple[object, ...] = (UCAT,),
    ) -> Ucat:
        command = [str(word) for word in (*program, *arguments)]
        running.append(Ucat(command, stdin, stdout, tmp_path / f"stderr{len(running)}"))
        return running[-1]

    yield start
    for one in running:
        one.clean_up()


@pytest.fixture
def listening(ucat: Start) -> Start:
    """
    The same for one that listens on a free port of this machine; see C{Ucat.port}.
    """

    def start(*arguments: object, **keywords: Any) -> Ucat:
        return ucat("-v", "-l", "0", "-s", "127.0.0.1", *arguments, **keywords)

    return start
