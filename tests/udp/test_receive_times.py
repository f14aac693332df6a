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
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.wall = NOW, WALL
        monkeypatch.setattr(receive_times.time, "time_ns", lambda: self.wall * 1000)

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


@pytest.mark.parametrize("messages", [[(SOL_UDP, UDP_GRO, bytes(4))], [(socket.SOL_SOCKET, SO_TIMESTAMPNS, b"12")]])
def test_no_time_is_written(clocks: Clocks, messages: list[tuple[int, int, bytes]]) -> None:
    """Then it is not known, and the messages stay as they are."""
    times = ReceiveTimes(lambda: clocks.now)
    times.begin()
    assert times.take(messages) == (0, messages)


@pytest.mark.parametrize("step", [-3_600_000_000, 3_600_000_000, -1500, 5000])
def test_a_clock_that_is_set(clocks: Clocks, step: int) -> None:
    """
    Set between arrival and reading, it can make one time wrong, but none later than the read or earlier than the read
    before; the next ones are right again.
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


def arrival(ours: socket.socket, times: ReceiveTimes) -> tuple[int, int, int]:
    """When a datagram was sent that waited for 2 ms, when it is said to have arrived, and when it was read."""
    with socket.socket(ours.family, socket.SOCK_DGRAM) as theirs:
        theirs.sendto(b"x", ours.getsockname())
    sent = time.monotonic_ns() // 1000
    while time.monotonic_ns() // 1000 < sent + 2000:
        continue
    times.begin()
    read = time.monotonic_ns() // 1000
    at, rest = times.take(ours.recvmsg(10, 512)[1])
    assert rest == []
    return sent, at, read


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
