"""
How processes that are bound to one UDP port (SO_REUSEPORT) pass datagrams to each other.

By Unix sockets in Linux' abstract namespace (unix(7)): its names live as long as the process, leave no files, and are
seen where the UDP port is, in one network namespace.  Each process takes the lowest free number, listens under the
port's name and that number, and connects to the others when it has something to say to them.  The kernel gives a UDP
port to processes of one user only, and tells of a Unix socket whose it is: others are not spoken with, nor heard.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator
from errno import EADDRINUSE, EAGAIN
from time import monotonic
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp.udp.offload import DONT_WAIT

MAX_MEMBERS = 64
"""Processes on one port: what fits the mask of those that have seen a message.  More of them cost a call each in every
look for new ones."""

# Seconds until somebody who was not there is looked for again.  Longer, and the packets of one who came meanwhile are
# refused; shorter costs a system call for each free number.
_ABSENCE = 0.1

# A datagram, and a header.
_MESSAGE_SIZE = 68_000

# What is read in one wake-up; then others on the reactor have their turn.
_MAX_READS = 64

# What waits for another process, as in a UDP socket.  The kernel caps it (net.core.wmem_max).
_SEND_BUFFER = 4 * 1024 * 1024

# Who waits to be taken in: everybody may come at once.
_BACKLOG = 2 * MAX_MEMBERS

_CREDENTIALS = struct.Struct("=iII")  # struct ucred: process, user, group
_SO_PEERCRED = 17

Received = Callable[[list[bytes]], None]


class ProcessGroup:
    """
    One process's part in it.

    @ivar number: its own.
    @ivar unsent: messages that another process was too busy to take.
    """

    def __init__(self, reactor: Any, name: str, received: Received) -> None:
        """
        @param reactor: one that watches file descriptors.
        @param name: the same in all processes.
        @param received: called with the messages of one wake-up.
        @raise OSError: when there can be no such sockets, or C{EADDRINUSE} when the group is full.
        """
        self._reactor = reactor
        self._prefix = f"\0twisted-utp/{os.geteuid()}/{name}/"
        self._received = received
        self._others: dict[int, socket.socket] = {}
        self._absent: dict[int, float] = {}  # until when
        self._crowded_until = 0.0
        self._heard: set[_Heard] = set()
        self._turn = 0
        self.unsent = 0
        self.number, listening = self._join()
        self._listening = _Listening(listening, self._take_in)
        reactor.addReader(self._listening)

    def _join(self) -> tuple[int, socket.socket]:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        for number in range(MAX_MEMBERS):
            try:
                made.bind(self._prefix + str(number))
                made.listen(_BACKLOG)
            except OSError as error:
                if error.errno == EADDRINUSE:
                    continue
                made.close()
                raise
            return number, made
        made.close()
        raise OSError(EADDRINUSE, f"{MAX_MEMBERS} processes are on that port already")

    def leave(self) -> None:
        """
        Speak with nobody any more.
        """
        self._reactor.removeReader(self._listening)
        self._listening.socket.close()
        for heard in list(self._heard):
            self._forget(heard)
        for other in self._others.values():
            other.close()
        self._others.clear()

    def others(self, seen: int) -> Iterator[int]:
        """
        Those that may be there: first those that were, beginning with another one each time, so that one that is stuck
        does not stand in the way to those behind it for ever.

        @param seen: a mask of those that are not asked for.
        """
        present = [number for number in self._others if not seen >> number & 1]
        if present:
            self._turn = (self._turn + 1) % len(present)
            yield from present[self._turn :] + present[: self._turn]
        now = monotonic()
        seen |= 1 << self.number | sum(1 << number for number in present)
        for number in range(MAX_MEMBERS):
            if not seen >> number & 1 and self._absent.get(number, 0.0) <= now:
                yield number

    def send(self, number: int, message: bytes) -> bool:
        """
        Tell another process something.  One that is too busy to listen loses the message, as it would a datagram.

        @return: that process is there.
        """
        for _ in range(2):  # another may have its number meanwhile
            other = self._others.get(number) or self._connected(number)
            if other is None:
                break
            try:
                other.send(message, DONT_WAIT | socket.MSG_NOSIGNAL)
            except OSError as error:
                if error.errno == EAGAIN:
                    self.unsent += 1
                    return True
                other.close()
                del self._others[number]
                continue
            return True
        self._absent[number] = monotonic() + _ABSENCE
        return False

    @property
    def is_crowded(self) -> bool:
        """
        Was there somebody a moment ago who could not be connected to, because so many want to be taken in?  Any user
        of the machine can bring that about, so it says neither that the process is one of ours nor that it is not.
        """
        return monotonic() <= self._crowded_until

    def _connected(self, number: int) -> socket.socket | None:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        try:
            made.connect(self._prefix + str(number))
        except OSError as error:
            if error.errno == EAGAIN:
                self._crowded_until = monotonic() + _ABSENCE
            made.close()
            return None
        if not _is_ours(made):
            made.close()
            return None
        self._others[number] = made
        return made

    def _take_in(self, other: socket.socket) -> None:
        if not _is_ours(other) or len(self._heard) >= _BACKLOG:
            other.close()
            return
        heard = _Heard(other, self._received, self._forget)
        self._heard.add(heard)
        self._reactor.addReader(heard)

    def _forget(self, heard: _Heard) -> None:
        self._heard.discard(heard)
        self._reactor.removeReader(heard)
        heard.socket.close()


def _is_ours(other: socket.socket) -> bool:
    """
    Is it a process of our user that has it?
    """
    _process, user, _group = _CREDENTIALS.unpack(other.getsockopt(socket.SOL_SOCKET, _SO_PEERCRED, _CREDENTIALS.size))
    return bool(user == os.geteuid())


class _Reader:
    def __init__(self, own: socket.socket) -> None:
        self.socket = own

    def fileno(self) -> int:
        return self.socket.fileno()

    def logPrefix(self) -> str:
        return "uTP process group"

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor stops, and the process with it.
        """


@implementer(IReadDescriptor)
class _Listening(_Reader):
    def __init__(self, own: socket.socket, taken: Callable[[socket.socket], None]) -> None:
        super().__init__(own)
        self._taken = taken

    def doRead(self) -> None:
        try:
            other, _ = self.socket.accept()
        except OSError:
            return
        other.setblocking(False)
        self._taken(other)


@implementer(IReadDescriptor)
class _Heard(_Reader):
    def __init__(self, own: socket.socket, received: Received, ended: Callable[[_Heard], None]) -> None:
        super().__init__(own)
        self._received = received
        self._ended = ended

    def doRead(self) -> None:
        messages: list[bytes] = []
        is_over = False
        for _ in range(_MAX_READS):
            try:
                message = self.socket.recv(_MESSAGE_SIZE, DONT_WAIT)
            except OSError as error:
                is_over = error.errno != EAGAIN
                break
            if not message:
                is_over = True
                break
            messages.append(message)
        if is_over:
            self._ended(self)
        if messages:
            self._received(messages)
