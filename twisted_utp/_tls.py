"""
Switches a connection to TLS in mid-stream, on the transport that the application holds.

The TLS protocol of Twisted takes the place of the application's protocol on the transport, and from then on the
transport's own C{write}, C{loseConnection} and so on go through it.  It in turn writes to L{BelowTLS}, which is the
same transport without the detour.  This is how Twisted's TCP does it, in a module that is private.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProducer, ISSLTransport
from zope.interface import alsoProvides

if TYPE_CHECKING:
    from twisted_utp.transport import UTPTransport


class BelowTLS:
    """
    The transport as the TLS protocol sees it: writes go to the uTP stream.
    """

    def __init__(self, transport: UTPTransport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        """
        Whatever TLS does not change, C{getPeer} for example.
        """
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """
        Write what is already encrypted.
        """
        self._transport._stream_write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """
        Write what is already encrypted.
        """
        self._transport._stream_write(b"".join(iovec))

    def loseConnection(self) -> None:
        """
        Close the stream: TLS has said its goodbye, or has failed.

        A producer that is paused is not waited for: what it wrote now would go nowhere.  It is told to stop when the
        connection is lost, as by TCP, and not before: one that is a transport with TLS itself may hold data until the
        reactor's next turn.
        """
        self._transport.producerPaused = False
        self._transport._stream_lose_connection()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        Register a producer of encrypted data.
        """
        self._transport._stream_register_producer(producer, streaming)

    def unregisterProducer(self) -> None:
        """
        Unregister it.
        """
        self._transport._stream_unregister_producer()


def start_tls(transport: UTPTransport, context_factory: Any, is_client: bool) -> None:
    """
    Put TLS between a transport and its protocol.  The handshake must end within C{DEFAULT_HANDSHAKE_TIMEOUT}.

    @param context_factory: see L{ITLSTransport.startTLS <twisted.internet.interfaces.ITLSTransport.startTLS>}.
    @param is_client: which part of the TLS handshake is ours.
    """
    # Not at the top: pyOpenSSL is heavy, and optional.
    from twisted_utp._tls_handshake import DEFAULT_HANDSHAKE_TIMEOUT, TimedTLSFactory

    producer, streaming = transport.producer, transport.streamingProducer
    if producer is not None:
        transport.unregisterProducer()
    factory: Any = TimedTLSFactory(context_factory, is_client, None, transport.reactor, DEFAULT_HANDSHAKE_TIMEOUT)
    # False: the application's protocol has long been connected, and must not hear of it again.
    tls = factory.protocol(factory, transport.protocol, False)
    transport.protocol = tls
    vars(transport).update(getHandle=tls.getHandle, getPeerCertificate=tls.getPeerCertificate)
    alsoProvides(transport, ISSLTransport)
    transport.TLS = True
    tls.makeConnection(BelowTLS(transport))
    if producer is not None:
        transport.registerProducer(producer, streaming)
