"""
When the kernel received a datagram that was read later.

Linux writes it on each datagram if it is asked to (SO_TIMESTAMPNS, socket(7)): the time of day, which somebody may set.
So what it is on the clock that nobody sets is found anew with each read, and is never later than the read, nor earlier
than the one before.  Reading it costs a fifth of a read more, so it is asked for only while reads are delayed on
purpose.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from twisted_utp.udp.addresses import ControlMessage

SO_TIMESTAMPNS = 35
"""<asm-generic/socket.h>; the socket module lacks the name."""

_TIMESPEC = struct.Struct("@ll")


class ReceiveTimes:
    """
    Of one socket.
    """

    __slots__ = ("_clock", "_earliest", "_now", "_offset")

    def __init__(self, clock: Callable[[], int]) -> None:
        """
        @param clock: the time in µs, monotonic; what L{take} answers is on it.
        """
        self._clock = clock
        self._earliest = self._now = clock()
        self._offset = 0

    def begin(self) -> None:
        """
        A batch is about to be read.
        """
        self._earliest, self._now = self._now, self._clock()
        self._offset = self._now - time.time_ns() // 1000

    def take(self, messages: list[ControlMessage]) -> tuple[int, list[ControlMessage]]:
        """
        @param messages: a datagram's control messages; the kernel writes this one before all others.
        @return: when it was received, µs, 0 when they do not say; and the others.
        """
        level, kind, data = messages[0]
        if kind != SO_TIMESTAMPNS or level != socket.SOL_SOCKET or len(data) != _TIMESPEC.size:
            return 0, messages
        seconds, nanoseconds = _TIMESPEC.unpack(data)
        at = seconds * 1_000_000 + nanoseconds // 1000 + self._offset
        return min(max(at, self._earliest), self._now), messages[1:]


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
