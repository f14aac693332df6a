"""
Endpoints that speak TLS over another endpoint.

With Twisted's C{TLSMemoryBIOFactory}, as its C{wrapServerTLS} and C{wrapClientTLS} do.  They are not used themselves
because the first is missing in Twisted 24.7, and because neither lets the reactor of the endpoint below, which may be
one in virtual time, send what TLS gathers.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from zope.interface import alsoProvides, implementer, providedBy

from twisted_utp._tls import BelowTLS
from twisted_utp._tls_handshake import (
    DEFAULT_HANDSHAKE_TIMEOUT,
    TimedTLS,
    TimedTLSFactory,
    check_handshake_timeout,
)


class _TLS(TimedTLS):
    """
    TLS over one connection.
    """

    def makeConnection(self, transport: Any) -> None:
        """
        Write to the transport by way of L{BelowTLS}, as after C{startTLS}.
        """
        below = BelowTLS(transport)
        alsoProvides(below, providedBy(transport))
        super().makeConnection(below)


class _Factory(TimedTLSFactory):
    """
    Twisted's own would wrap L{None} when a factory refuses a connection, and log a traceback.
    """

    protocol = _TLS

    def buildProtocol(self, addr: Any) -> Any:
        """
        TLS around what the application builds.
        """
        application = self.wrappedFactory.buildProtocol(addr)
        return None if application is None else self.protocol(self, application)


@implementer(IStreamServerEndpoint)
class TLSServerEndpoint:
    """
    Listens as another endpoint does, and speaks TLS.
    """

    def __init__(
        self,
        reactor: Any,
        below: IStreamServerEndpoint,
        credentials: Any,
        handshakeTimeout: float = DEFAULT_HANDSHAKE_TIMEOUT,
    ) -> None:
        """
        @param below: where to listen.
        @param credentials: an C{IOpenSSLServerConnectionCreator}.
        @param handshakeTimeout: seconds after which a connection whose handshake has not ended is reset, and
            C{connectionLost} told L{UTPHandshakeTimedOut <twisted_utp.errors.UTPHandshakeTimedOut>}; 0 for no limit.
        @raise ValueError: when that is out of range.
        @raise TypeError: when that is no number.
        """
        check_handshake_timeout("handshakeTimeout", handshakeTimeout)
        self._reactor = reactor
        self._below = below
        self._credentials = credentials
        self._handshake_timeout = handshakeTimeout

    def __repr__(self) -> str:
        return f"<TLS over {self._below!r}>"

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        See the endpoint below.
        """
        factory = _Factory(self._credentials, False, protocolFactory, self._reactor, self._handshake_timeout)
        return self._below.listen(factory)


@implementer(IStreamClientEndpoint)
class TLSClientEndpoint:
    """
    Connects as another endpoint does, and speaks TLS.
    """

    def __init__(
        self,
        reactor: Any,
        below: IStreamClientEndpoint,
        credentials: Any,
        handshakeTimeout: float = DEFAULT_HANDSHAKE_TIMEOUT,
    ) -> None:
        """
        @param below: where to connect.
        @param credentials: an C{IOpenSSLClientConnectionCreator}: whom to trust, and who we are.
        @param handshakeTimeout: see L{TLSServerEndpoint}.
        @raise ValueError: see L{TLSServerEndpoint}.
        @raise TypeError: see L{TLSServerEndpoint}.
        """
        check_handshake_timeout("handshakeTimeout", handshakeTimeout)
        self._reactor = reactor
        self._below = below
        self._credentials = credentials
        self._handshake_timeout = handshakeTimeout

    def __repr__(self) -> str:
        return f"<TLS over {self._below!r}>"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect, and start the handshake.

        @return: fires before the handshake is over, like that of Twisted's C{tls:}.  A certificate that is not
            trusted ends the connection: C{connectionLost} is told C{OpenSSL.SSL.Error}, or C{VerificationError} of
            C{service_identity}.
        """
        factory = _Factory(self._credentials, True, protocolFactory, self._reactor, self._handshake_timeout)
        connecting: Deferred[Any] = self._below.connect(factory)
        return connecting.addCallback(lambda tls: tls.wrappedProtocol)
