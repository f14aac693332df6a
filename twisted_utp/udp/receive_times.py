"""
Tells when the kernel received a datagram that is read later.

Linux adds the time to each datagram if asked to (SO_TIMESTAMPNS, socket(7)).  It is the time of day, which may be set
at any moment.  So each batch of reads compares that clock with the monotonic one again, to convert the times.  A
result is never later than now, nor earlier than that of the datagram before, since a socket is a queue.  A read with
the time costs a fifth more, so it is asked for only while reads are delayed on purpose.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from twisted_utp.udp.addresses import ControlMessage

SO_TIMESTAMPNS = 35
"""<asm-generic/socket.h>; the socket module lacks the name."""

_SOL_SOCKET = int(socket.SOL_SOCKET)
_TIMESPEC = struct.Struct("@ll")
_TIMESPEC_SIZE, _unpack_timespec = _TIMESPEC.size, _TIMESPEC.unpack

# The most µs that reading both clocks may take.  If it takes longer, the process has lost its processor in between,
# and the difference of the clocks is wrong by as much.  Then it tries again, up to so many times.  An error matters:
# a delay that is too short stays for minutes, as the least delay of the path.
_TOGETHER = 20
_TRIES = 3


class ReceiveTimes:
    """
    The receive times of one socket.
    """

    __slots__ = ("_clock", "_latest", "_now", "_offset")

    def __init__(self, clock: Callable[[], int]) -> None:
        """
        @param clock: gives a monotonic time in µs, also that of what L{take} returns.
        """
        self._clock = clock
        self._latest = self._now = clock()  # _latest: when the datagram before this one came
        self._offset = 0

    def begin(self) -> None:
        """
        A batch is about to be read.
        """
        for _ in range(_TRIES):
            before, time_of_day = self._clock(), time.time_ns()
            self._now = self._clock()
            # Read after the other clock: when the processor was lost in between, times are too late, never too early.
            self._offset = self._now - time_of_day // 1000
            if self._now - before <= _TOGETHER:
                return

    def take(self, messages: list[ControlMessage]) -> tuple[int, list[ControlMessage]]:
        """
        @param messages: a datagram's control messages; the kernel writes the receive time before all others.
        @return: when the datagram was received, µs, or 0 when they do not say; and the other messages.
        """
        level, kind, data = messages[0]
        if kind != SO_TIMESTAMPNS or level != _SOL_SOCKET or len(data) != _TIMESPEC_SIZE:
            return 0, messages
        seconds, nanoseconds = _unpack_timespec(data)
        at = seconds * 1_000_000 + nanoseconds // 1000 + self._offset
        if at > self._now:  # it arrived while we were reading earlier ones
            self._now = self._clock()
            at = min(at, self._now)
        if at < self._latest:
            at = self._latest
        self._latest = at
        return at, messages[1:]


def switch_receive_times(udp_socket: socket.socket, on: bool) -> bool:
    """
    Make the kernel tell when it received each datagram, or stop that.

    @return: whether the kernel tells it now.
    """
    try:
        udp_socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, int(on))
    except OSError:
        return False
    return on
