"""
What do the measured applications do with a connection?  The same over uTP and over TCP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from benchmarks.peers.account import Account

CHUNK = bytes(64 * 1024)


class Counted(Protocol):
    """
    A connection that is counted while it is open.
    """

    transport: Any

    def __init__(self, account: Account) -> None:
        self._account = account

    def connectionMade(self) -> None:
        """
        One more.
        """
        self._account.connections += 1

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        One less.
        """
        self._account.connections -= 1


class Sink(Counted):
    """
    Counts what it gets.
    """

    def dataReceived(self, data: bytes) -> None:
        """
        Count.
        """
        self._account.count(len(data))


class Echo(Counted):
    """
    Sends everything back.
    """

    def dataReceived(self, data: bytes) -> None:
        """
        Back.
        """
        self.transport.write(data)


@implementer(IPushProducer)
class Sender(Protocol):
    """
    Writes 64 KiB whenever it may, once it is told to, until everything is written.
    """

    transport: Any

    def __init__(self, length: int, lost: Callable[[], None]) -> None:
        self._left = length
        self._lost = lost
        self._paused = False

    def start(self) -> None:
        """
        Go.
        """
        self.transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        """
        Write until paused.
        """
        self._paused = False
        while self._left and not self._paused:
            chunk = CHUNK[: self._left] if self._left < len(CHUNK) else CHUNK
            self._left -= len(chunk)
            self.transport.write(chunk)
        if not self._left:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def pauseProducing(self) -> None:
        """
        Enough.
        """
        self._paused = True

    def stopProducing(self) -> None:
        """
        The connection ended.
        """
        self._paused = True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Everything has left; over uTP it has arrived as well.
        """
        self._lost()


class Pinger(Protocol):
    """
    Sends one byte, and the next when it has come back.
    """

    transport: Any

    def __init__(self, came_back: Callable[[], bool]) -> None:
        self._came_back = came_back

    def ping(self) -> None:
        """
        Send a byte.
        """
        self.transport.write(b"x")

    def dataReceived(self, data: bytes) -> None:
        """
        It is back: again?
        """
        if self._came_back():
            self.ping()


class OneByte(Protocol):
    """
    Sends one byte and closes.
    """

    transport: Any

    def __init__(self, lost: Callable[[], None]) -> None:
        self._lost = lost

    def connectionMade(self) -> None:
        """
        All that there is to do.
        """
        self.transport.write(b"x")
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Done.
        """
        self._lost()
