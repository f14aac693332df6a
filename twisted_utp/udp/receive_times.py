"""
When the kernel received a datagram that was read later.

Linux writes it on each datagram if it is asked to (SO_TIMESTAMPNS, socket(7)): the time of day, which somebody may set.
So what it is on the clock that nobody sets is found anew with each read, and is never later than now, nor earlier than
for the datagram before: a socket is a queue.  Reading it costs a fifth of a read more, so it is asked for only while
reads are delayed on purpose.
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

# µs that two clocks may take to be read.  Whoever lost the processor in between tries again, so many times: their
# difference would be wrong by as much.  A sample that is too short stays for minutes, as the least delay of the path.
_TOGETHER = 20
_TRIES = 3


class ReceiveTimes:
    """
    Of one socket.
    """

    __slots__ = ("_clock", "_latest", "_now", "_offset")

    def __init__(self, clock: Callable[[], int]) -> None:
        """
        @param clock: the time in µs, monotonic; what L{take} answers is on it.
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
            self._offset = before - time_of_day // 1000
            if self._now - before <= _TOGETHER:
                return

    def take(self, messages: list[ControlMessage]) -> tuple[int, list[ControlMessage]]:
        """
        @param messages: a datagram's control messages; the kernel writes this one before all others.
        @return: when it was received, µs, 0 when they do not say; and the others.
        """
        level, kind, data = messages[0]
        if kind != SO_TIMESTAMPNS or level != _SOL_SOCKET or len(data) != _TIMESPEC_SIZE:
            return 0, messages
        seconds, nanoseconds = _unpack_timespec(data)
        at = seconds * 1_000_000 + nanoseconds // 1000 + self._offset
        if at > self._now:  # it came while we were reading those before
            self._now = self._clock()
            at = min(at, self._now)
        if at < self._latest:
            at = self._latest
        self._latest = at
        return at, messages[1:]


def switch_receive_times(udp_socket: socket.socket, on: bool) -> bool:
    """
    Have the kernel tell when it received each datagram, or not any more.

    @return: it does so.
    """
    try:
        udp_socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, int(on))
    except OSError:
        return False
    return on
