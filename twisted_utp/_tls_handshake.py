"""
A limit for the duration of a TLS handshake.

Without it, whoever connects and then says nothing holds a connection, and what the application has built for it.
Twisted's own TLS waits as long as the connection lasts.
"""

from __future__ import annotations

from typing import Any

from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from twisted_utp._arguments import check_number
from twisted_utp._steady import SteadyTimer, steady_clock, unwatch, watch
from twisted_utp.errors import UTPHandshakeTimedOut

DEFAULT_HANDSHAKE_TIMEOUT = 30.0
"""Seconds.  A handshake takes three round trips and some repetitions, and a slow device a second of computing."""

MAX_HANDSHAKE_TIMEOUT = 3600.0

# Newer versions of Twisted gather small writes in a class that older ones do not have.
_TheirTLS: Any = TLSMemoryBIOFactory.protocol


class TimedTLS(_TheirTLS):  # type: ignore[misc]
    """
    TLS over one connection.  When its handshake does not end in time the connection is reset, and C{connectionLost} is
    told L{UTPHandshakeTimedOut}.
    """

    _waiting: SteadyTimer | None = None

    def makeConnection(self, transport: Any) -> None:
        """
        Start the handshake, and the time that it has.
        """
        seconds, reactor = self.factory.handshake_timeout, self.factory.reactor
        if seconds:
            clock = steady_clock(reactor)
            self._waiting = SteadyTimer(reactor, clock, self._took_too_long)
            watch(reactor, self._waiting)
            now = clock()
            self._waiting.arm(now + round(seconds * 1_000_000), now)
        super().makeConnection(transport)

    def connectionLost(self, reason: Any) -> None:
        """
        See L{IProtocol.connectionLost <twisted.internet.interfaces.IProtocol.connectionLost>}.
        """
        self._stop_waiting()
        super().connectionLost(reason)

    def _checkHandshakeStatus(self) -> None:
        super()._checkHandshakeStatus()
        if self._handshakeDone:
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.clear()
            unwatch(self.factory.reactor, waiting)

    def _took_too_long(self) -> None:
        self._stop_waiting()
        self.failVerification(Failure(UTPHandshakeTimedOut(self.factory.handshake_timeout)))


class TimedTLSFactory(TLSMemoryBIOFactory):
    """
    Makes L{TimedTLS}.

    @ivar handshake_timeout: seconds; 0 for no limit.
    @ivar reactor: whose time it is.
    """

    protocol = TimedTLS

    def __init__(self, credentials: Any, is_client: bool, wrapped: Any, reactor: Any, handshake_timeout: float) -> None:
        super().__init__(credentials, is_client, wrapped, reactor)
        self.reactor = reactor
        self.handshake_timeout = handshake_timeout


def check_handshake_timeout(name: str, value: object) -> None:
    """
    @raise ValueError: when it is out of range, with the name of the argument.
    @raise TypeError: when it is no number.
    """
    check_number(name, value, "seconds (0 for no limit)", low=0, high=MAX_HANDSHAKE_TIMEOUT)
