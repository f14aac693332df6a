"""
Joins two connections, of whatever kind, into one.

What one end receives the other writes.  An end that cannot write fast enough pauses the other's reading, so that what
is held stays bounded, and the original sender sees a closed window.  The end of one direction travels on by itself:
half close.  TLS in Twisted cannot half close, so there the end of one direction closes the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Typing

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IPushProducer, ISSLTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp._addresses import format_address
from twisted_utp.forward.tcp import prepare

# Bytes: what shows that a stream is TLS (RFC 8446 (5.1): a record's type and version).
BEGINNING = 3


class Owner(Typing):
    """
    Who is told what an end sees.
    """

    def end_connected(self, end: End) -> None:
        """It is connected."""

    def end_moved(self, end: End) -> None:
        """It has received something."""

    def end_finished(self, end: End) -> None:
        """Its peer will send nothing more."""

    def end_lost(self, end: End, reason: Failure) -> None:
        """It is no more."""


@implementer(IHalfCloseableProtocol)
class End(Protocol):
    """
    One of the two connections.

    @ivar received: bytes so far.
    @ivar beginning: the first few of them.
    @ivar finished: its peer will send nothing more.
    @ivar lost: it is no more.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._other: End | None = None
        self._written_to_end = False
        self.received = 0
        self.beginning = b""
        self.finished = False
        self.lost = False

    # --- From the owner ----------------------------------------------------------------------------------------

    def join(self, other: End) -> None:
        """
        Send on what comes, in both directions.
        """
        for one, another in ((self, other), (other, self)):
            one._other = another
            one._wire.registerProducer(_Reading(another), True)
        for one in (self, other):
            one.resume()

    def pause(self) -> None:
        """
        Read nothing for now.
        """
        if self.connected:
            self._wire.pauseProducing()

    def resume(self) -> None:
        """
        Read on.
        """
        if self.connected and not self.finished:
            self._wire.resumeProducing()

    def end_writing(self) -> None:
        """
        Everything is written: half close, or, where that cannot be, close.
        """
        if not self.connected or self._written_to_end:
            return
        self._written_to_end = True
        self._wire.unregisterProducer()
        if ISSLTransport.providedBy(self._wire):
            self._wire.loseConnection()
        else:
            self._wire.loseWriteConnection()

    def close(self) -> None:
        """
        Close, once everything written is delivered.
        """
        if self.connected:
            if not self._written_to_end:
                self._wire.unregisterProducer()
            self._wire.loseConnection()

    def cut(self) -> None:
        """
        Break off: the peer must not take what it has for the whole.
        """
        if self.connected:
            self._wire.abortConnection()

    def say(self, data: bytes) -> None:
        """
        Write something of our own, before the other end's.
        """
        if self.connected and data:
            self._wire.write(data)

    def addresses(self) -> tuple[Any, Any]:
        """
        The peer's and ours.
        """
        return self._wire.getPeer(), self._wire.getHost()

    def peer(self) -> str:
        """
        Who is there, for the log.
        """
        return format_address(self._wire.getPeer())

    @property
    def _wire(self) -> Any:
        return self.transport

    # --- From the transport ------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """
        Hold everything until the other end is there.
        """
        prepare(self._wire)
        self.pause()
        self._owner.end_connected(self)

    def dataReceived(self, data: bytes) -> None:
        """
        Pass it on.
        """
        if len(self.beginning) < BEGINNING:
            self.beginning += data[: BEGINNING - len(self.beginning)]
        self.received += len(data)
        other = self._other
        if other is not None and other.connected:
            other._wire.write(data)
        self._owner.end_moved(self)

    def readConnectionLost(self) -> None:
        """
        The peer has closed its side.
        """
        self.finished = True
        self._owner.end_finished(self)

    def writeConnectionLost(self) -> None:
        """
        Our side is closed, as we wished.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is over.
        """
        self.lost = True
        self.connected = 0
        self._owner.end_lost(self, reason)


class EndFactory(Factory):
    """
    Builds what it is told to.
    """

    noisy = False

    def __init__(self, build: Callable[[IAddress | None], End | None]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> End | None:
        """
        An end, or L{None} to refuse.
        """
        return self._build(addr)


@implementer(IPushProducer)
class _Reading:
    """
    The reading side of an end, as the other end's transport pauses it.

    Not the transport itself: that would be closed when the other transport is lost, even if the other was cut.
    """

    def __init__(self, end: End) -> None:
        self._end = end

    def pauseProducing(self) -> None:
        """
        The other end cannot write as fast.
        """
        self._end.pause()

    def resumeProducing(self) -> None:
        """
        It has caught up.
        """
        self._end.resume()

    def stopProducing(self) -> None:
        """
        It is gone, which C{connectionLost} tells as well.
        """
