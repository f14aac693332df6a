"""
Are standard input and output read and written in order, within bounds, and are their ends noticed?

The threads are real, and so are the pipes; a small loop stands for the reactor.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from twisted_utp.ucat.reading import AHEAD, CHUNK, NoInput, StandardInput
from twisted_utp.ucat.writing import HIGH_WATER, StandardOutput


class Loop:
    """
    Runs what the threads ask for, in the test's own thread.
    """

    def __init__(self) -> None:
        self._calls: queue.Queue[tuple[Any, tuple[Any, ...]]] = queue.Queue()

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        """See L{IReactorFromThreads}."""
        self._calls.put((function, arguments))

    def run_until(self, condition: Callable[[], object]) -> None:
        """Wait, with a deadline."""
        while not condition():
            function, arguments = self._calls.get(timeout=20)
            function(*arguments)


class Taking:
    """
    Remembers what it is given.
    """

    def __init__(self) -> None:
        self.data = b""
        self.ended = False
        self.error: OSError | None = None

    def input_received(self, data: bytes) -> None:
        """Some."""
        self.data += data

    def input_ended(self) -> None:
        """The end."""
        self.ended = True

    def input_failed(self, error: OSError) -> None:
        """A failure."""
        self.error = error


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The reading and the writing end."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):  # the test may have closed it
            os.close(end)


def test_file(tmp_path: Any) -> None:
    """A file is read to its end, and its size is known."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3 * CHUNK + 1))
    with open(path, "rb") as file:
        loop, taking = Loop(), Taking()
        source = StandardInput(loop, file.fileno())
        assert source.size() == 3 * CHUNK + 1
        source.attach(taking)
        loop.run_until(lambda: taking.ended)
    assert taking.data == path.read_bytes()


def test_paused(tmp_path: Any) -> None:
    """While it is paused nothing is delivered, and no more is read ahead than a few pieces."""
    path = tmp_path / "file"
    path.write_bytes(bytes(20 * CHUNK))
    with open(path, "rb") as file:
        loop, taking = Loop(), Taking()
        source = StandardInput(loop, file.fileno())
        source.attach(taking)
        source.pause()
        loop.run_until(lambda: len(source._held) == AHEAD)
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == AHEAD * CHUNK
        assert taking.data == b""
        source.resume()
        loop.run_until(lambda: taking.ended)
    assert len(taking.data) == 20 * CHUNK


def test_next_reader(pipe: tuple[int, int]) -> None:
    """What one reader left is the next one's, and so is the end."""
    loop, first, second = Loop(), Taking(), Taking()
    source = StandardInput(loop, pipe[0])
    source.attach(first)
    os.write(pipe[1], b"first")
    loop.run_until(lambda: first.data)
    source.detach()
    os.write(pipe[1], b"second")
    os.close(pipe[1])
    loop.run_until(lambda: source._held and source._held[-1] == b"")
    source.attach(second)
    assert (first.data, second.data, second.ended) == (b"first", b"second", True)


def test_unreadable(pipe: tuple[int, int]) -> None:
    """A failure is told, and is not the end."""
    loop, taking = Loop(), Taking()
    StandardInput(loop, pipe[1]).attach(taking)
    loop.run_until(lambda: taking.error)
    assert not taking.ended


def test_non_blocking_input(pipe: tuple[int, int]) -> None:
    """A descriptor that another program has made non-blocking is waited for."""
    os.set_blocking(pipe[0], False)
    loop, taking = Loop(), Taking()
    StandardInput(loop, pipe[0]).attach(taking)
    os.write(pipe[1], b"late")
    loop.run_until(lambda: taking.data)
    os.close(pipe[1])
    loop.run_until(lambda: taking.ended)
    assert taking.data == b"late"


def test_no_input() -> None:
    """It has ended before it began."""
    taking = Taking()
    NoInput().attach(taking)
    assert taking.ended


def test_slow_output(pipe: tuple[int, int]) -> None:
    """Writers are told when there is enough, and when there is room again; bytes come out in order."""
    loop, said = Loop(), []
    sink = StandardOutput(loop, pipe[1])
    sink.attach(lambda: said.append("full"), lambda: said.append("drained"), lambda: said.append("error"))
    pieces = [os.urandom(100_000) for _ in range(HIGH_WATER // 100_000 + 2)]
    for piece in pieces:
        sink.write(piece)
    assert said == ["full"]
    got: list[bytes] = []
    wanted = sum(map(len, pieces))

    def read() -> None:
        while sum(map(len, got)) < wanted:
            got.append(os.read(pipe[0], 1 << 20))

    reading = threading.Thread(target=read)
    reading.start()
    flushed: list[None] = []
    sink.flush().addCallback(flushed.append)
    loop.run_until(lambda: flushed)
    reading.join(20)
    assert b"".join(got) == b"".join(pieces)
    assert said == ["full", "drained"]


def test_finish(pipe: tuple[int, int]) -> None:
    """The reader sees the end, once it has everything, though the descriptor is still there."""
    loop = Loop()
    sink = StandardOutput(loop, pipe[1])
    sink.write(b"all")
    sink.finish()
    loop.run_until(lambda: sink._closes)
    assert os.read(pipe[0], 100) + os.read(pipe[0], 100) == b"all"
    os.fstat(pipe[1])


def test_broken_output(pipe: tuple[int, int]) -> None:
    """A failure is told once; what is written afterwards is for nobody, and nobody waits for it."""
    loop, said = Loop(), []
    sink = StandardOutput(loop, pipe[1])
    sink.attach(lambda: None, lambda: None, lambda: said.append("error"))
    os.close(pipe[0])
    sink.write(b"for nobody")
    flushed: list[None] = []
    sink.flush().addCallback(flushed.append)
    loop.run_until(lambda: flushed)
    sink.write(b"more")
    assert isinstance(sink.error, BrokenPipeError)
    assert said == ["error"]
    sink.flush().addCallback(flushed.append)
    assert len(flushed) == 2


def test_non_blocking_output(pipe: tuple[int, int]) -> None:
    """A descriptor that another program has made non-blocking is waited for."""
    os.set_blocking(pipe[1], False)
    loop = Loop()
    sink = StandardOutput(loop, pipe[1])
    data = os.urandom(300_000)
    sink.write(data)
    got = b""
    while len(got) < len(data):
        got += os.read(pipe[0], 65536)
    assert got == data
