"""
An attempt to connect: all that happens between C{connect()} and C{connectionMade}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectingCancelledError, ConnectionAborted, NoProtocol
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.python.failure import Failure

from twisted_utp._addresses import peer_of
from twisted_utp._isolation import guarded, name_of
from twisted_utp._routes import found_peer
from twisted_utp.errors import loss_exception
from twisted_utp.proto.events import Connected, ConnectionLost, Event

if TYPE_CHECKING:
    from twisted.internet.address import IPv4Address, IPv6Address

    from twisted_utp.proto.connection import Connection
    from twisted_utp.proto.values import Address
    from twisted_utp.protocol import UTPProtocol


class OutgoingConnection:
    """
    An attempt to connect to one address.

    @ivar result: fires with the application's protocol, once it is connected, or fails; can be cancelled.
    """

    def __init__(self, owner: UTPProtocol, factory: IProtocolFactory, peer: IPv4Address | IPv6Address) -> None:
        self.result: Deferred[IProtocol] = Deferred(self._cancel)
        self._owner = owner
        self._connection: Connection | None = None
        self._factory = factory
        self._peer = peer

    def start(self, dial: Callable[[], Connection]) -> bool:
        """
        Start the factory, and send a SYN.

        @param dial: opens the connection.
        @return: whether it has begun; C{result} has failed otherwise.
        """
        try:
            self._factory.doStart()
        except BaseException:
            self.result.errback(Failure())
            return False
        try:
            self._connection = dial()
        except BaseException:
            self._ended(Failure())
            return False
        self._connection.user_data = self
        return True

    @property
    def address(self) -> Address:
        """
        Whom it tries.
        """
        assert self._connection is not None
        return self._connection.address

    def adopt(self, connection: Connection) -> None:
        """
        The peer has dialled us and got through, from another port than we dial: take its connection for ours.
        """
        self._drop()
        self._connection = connection
        self._peer = peer_of(connection.address)
        self._connected()

    def _data_received(self, data: bytes) -> None:
        """
        Nothing comes before the attempt has ended.
        """

    def _event_received(self, event: Event) -> None:
        """
        Something happened to the attempt.
        """
        if isinstance(event, Connected):
            self._connected()
        elif isinstance(event, ConnectionLost):
            self._ended(Failure(loss_exception(event)))

    def fail(self, reason: Failure) -> None:
        """
        There is no point in trying on.
        """
        self._drop()
        self._ended(reason)

    def _failed(self, failure: Failure) -> None:
        """
        Something that is not ours has raised: that ends this attempt, and no other.
        """
        self.fail(failure)

    def _cancel(self, result: Deferred[IProtocol]) -> None:
        self.fail(Failure(ConnectingCancelledError(self._peer)))

    def _connected(self) -> None:
        connection = self._connection
        assert connection is not None
        connection.user_data = None
        self._owner._attempt_ended(self)
        self._peer = found_peer(self._owner._udp_port, connection.address, self._peer)
        try:
            protocol = self._factory.buildProtocol(self._peer)
            if protocol is None:
                raise NoProtocol()
            failure = self._owner._attach(connection, protocol, self._peer, self._factory.doStop)
        except BaseException:
            self.fail(Failure())
            return
        # A protocol that aborted in connectionMade was connected all the same.
        if failure is not None and not failure.check(ConnectionAborted):
            self.result.errback(failure)
        else:
            self.result.callback(protocol)

    def _drop(self) -> None:
        """
        Of a connection that failed to begin with, nothing is left in any case.
        """
        connection = self._connection
        if connection is not None:
            connection.user_data = None
            guarded("aborting", connection.abort, now=self._owner.clock())
            self._owner._request_flush()

    def _ended(self, reason: Failure) -> None:
        if self._connection is not None:
            self._connection.user_data = None
        self._owner._attempt_ended(self)
        guarded(f"stopFactory of {name_of(self._factory)}", self._factory.doStop)
        if not self.result.called:
            self.result.errback(reason)
