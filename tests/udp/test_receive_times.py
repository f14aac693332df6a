"""
Is it known when a datagram arrived that was read later, whatever the time of day does?
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from twisted_utp.udp import receive_times
from twisted_utp.udp.options import SOL_UDP, UDP_GRO
from twisted_utp.udp.receive_times import SO_TIMESTAMPNS, ReceiveTimes, switch_receive_times

NOW = 50_000_000
WALL = 1_700_000_000_000_000


def stamp(at: int) -> tuple[int, int, bytes]:
    """The control message for a time of day, µs."""
    return socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@ll", at // 1_000_000, at % 1_000_000 * 1000)


class Clocks:
    """
    The steady one, µs, and the time of day, ns.

    @ivar pauses: µs that go by before the time of day is told.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.wall = NOW, WALL
        self.pauses: list[int] = []
        monkeypatch.setattr(receive_times.time, "time_ns", self._time_ns)

    def _time_ns(self) -> int:
        if self.pauses:
            self.pass_by(self.pauses.pop())
        return self.wall * 1000

    def pass_by(self, us: int) -> None:
        """Both go on."""
        self.now += us
        self.wall += us


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clocks]:
    """Virtual ones."""
    with monkeypatch.context() as patch:
        yield Clocks(patch)


def test_the_time_of_arrival(clocks: Clocks) -> None:
    """What the kernel wrote by the time of day is told on the steady clock; other messages are left."""
    times = ReceiveTimes(lambda: clocks.now)
    clocks.pass_by(4000)
    times.begin()
    merged = (SOL_UDP, UDP_GRO, bytes(4))
    assert times.take([stamp(clocks.wall - 3000), merged]) == (clocks.now - 3000, [merged])


def test_never_too_early(clocks: Clocks) -> None:
    """The processor was lost between both clocks, each time: the time is too late by that, or that of the read."""
    times = ReceiveTimes(lambda: clocks.now)
    arrived, written = clocks.now + 40_000, clocks.wall + 40_000
    clocks.pass_by(50_000)
    clocks.pauses = [30_000] * 9
    times.begin()
    at, _ = times.take([stamp(written)])
    assert arrived <= at <= clocks.now


@pytest.mark.parametrize("messages", [[(SOL_UDP, UDP_GRO, bytes(4))], [(socket.SOL_SOCKET, SO_TIMESTAMPNS, b"12")]])
def test_no_time_is_written(clocks: Clocks, messages: list[tuple[int, int, bytes]]) -> None:
    """Then it is not known, and the messages stay as they are."""
    times = ReceiveTimes(lambda: clocks.now)
    times.begin()
    assert times.take(messages) == (0, messages)


@pytest.mark.parametrize("step", [-3_600_000_000, 3_600_000_000, -1500, 5000])
def test_a_clock_that_is_set(clocks: Clocks, step: int) -> None:
    """
    Set between arrival and reading, it can make one time wrong, but none later than now or earlier than the one before;
    the next ones are right again.
    """
    times = ReceiveTimes(lambda: clocks.now)
    times.begin()
    before = clocks.now
    clocks.pass_by(8000)
    arrived = clocks.wall - 2000
    clocks.wall += step
    times.begin()
    at, _ = times.take([stamp(arrived)])
    assert before <= at <= clocks.now
    clocks.pass_by(8000)
    times.begin()
    assert times.take([stamp(clocks.wall - 1000)])[0] == clocks.now - 1000


def test_what_comes_during_a_read(clocks: Clocks) -> None:
    """
    It has come when it did, not when the read began: a process that has lost its processor in the middle would tell the
    peer of a path that is shorter than any packet ever found it.
    """
    times = ReceiveTimes(lambda: clocks.now)
    clocks.pass_by(1000)
    times.begin()
    assert times.take([stamp(clocks.wall - 10)])[0] == clocks.now - 10
    clocks.pass_by(30_000)
    assert times.take([stamp(clocks.wall - 2000)])[0] == clocks.now - 2000
    assert times.take([stamp(clocks.wall + 500)])[0] == clocks.now  # the time of day has been set since


def test_what_was_left_for_the_next_read(clocks: Clocks) -> None:
    """A read that ends early leaves what came before it began."""
    times = ReceiveTimes(lambda: clocks.now)
    clocks.pass_by(30_000)
    came = clocks.wall
    for at in (30_000, 20_000):
        times.begin()
        assert times.take([stamp(came - at)])[0] == NOW + 30_000 - at
        clocks.pass_by(1000)


def test_a_process_that_loses_its_processor_between_the_clocks(clocks: Clocks) -> None:
    """They are read again."""
    times = ReceiveTimes(lambda: clocks.now)
    clocks.pass_by(8000)
    arrived, at = clocks.wall - 3000, clocks.now - 3000
    clocks.pauses = [25_000]
    times.begin()
    assert times.take([stamp(arrived)])[0] == at


def arrival(ours: socket.socket, times: ReceiveTimes) -> tuple[int, int, int]:
    """When a datagram was sent that waited for 2 ms, when it is said to have arrived, and when it was read."""
    with socket.socket(ours.family, socket.SOCK_DGRAM) as theirs:
        theirs.sendto(b"x", ours.getsockname())
    sent = time.monotonic_ns() // 1000
    while time.monotonic_ns() // 1000 < sent + 2000:
        continue
    times.begin()
    at, rest = times.take(ours.recvmsg(10, 512)[1])
    assert rest == []
    return sent, at, time.monotonic_ns() // 1000


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_kernel_writes_it(family: int, host: str) -> None:
    """
    A datagram that waits is told to have arrived when it did.  Linux begins with that a moment after it was asked to;
    until then it is told to have arrived when it was read.
    """
    with socket.socket(family, socket.SOCK_DGRAM) as ours:
        ours.bind((host, 0))
        assert switch_receive_times(ours, on=True)
        times = ReceiveTimes(lambda: time.monotonic_ns() // 1000)
        for _ in range(2000):
            sent, at, read = arrival(ours, times)
            assert at <= read
            if at < sent + 1000:
                break
        else:
            raise AssertionError("no datagram was told to have waited")
        assert not switch_receive_times(ours, on=False)
        with socket.socket(family, socket.SOCK_DGRAM) as theirs:
            theirs.sendto(b"x", ours.getsockname())
        assert ours.recvmsg(10, 512)[1] == []
