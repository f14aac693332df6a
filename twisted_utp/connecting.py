"""
What lies between C{connect()} and C{connectionMade}?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectingCancelledError, ConnectionAborted, NoProtocol
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.python.failure import Failure

from twisted_utp._addresses import udp_address
from twisted_utp.errors import loss_exception
from twisted_utp.proto.events import Connected, ConnectionLost, Event

if TYPE_CHECKING:
    from twisted.internet.address import IPv4Address, IPv6Address

    from twisted_utp.proto.connection import Connection
    from twisted_utp.protocol import UTPProtocol


class OutgoingConnection:
    """
    An attempt to connect to one address.

    @ivar result: fires with the application's protocol, once it is connected, or fails; can be cancelled.
    """

    def __init__(
        self,
        owner: UTPProtocol,
        connection: Connection,
        factory: IProtocolFactory,
        peer: IPv4Address | IPv6Address,
    ) -> None:
        self.result: Deferred[IProtocol] = Deferred(self._cancel)
        self._owner = owner
        self._connection = connection
        self._factory = factory
        self._peer = peer
        connection.user_data = self
        factory.doStart()

    @property
    def address(self) -> tuple[str, int]:
        """
        Whom it tries.
        """
        return self._connection.address

    def adopt(self, connection: Connection) -> None:
        """
        The peer has dialled us and got through, from another port than we dial: take its connection for ours.
        """
        ours, self._connection = self._connection, connection
        ours.user_data = None
        ours.abort(now=self._owner.clock())
        self._peer = udp_address(*connection.address)
        self._connected()

    def event_received(self, event: Event) -> None:
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
        self._connection.abort(now=self._owner.clock())
        self._owner.request_flush()
        self._ended(reason)

    def port_closing(self, now: int) -> None:
        """
        The UDP port is about to close.
        """
        self._connection.abort(now=now)

    def _cancel(self, result: Deferred[IProtocol]) -> None:
        self.fail(Failure(ConnectingCancelledError(self._peer)))

    def _connected(self) -> None:
        self._connection.user_data = None
        self._owner.attempt_ended(self)
        try:
            protocol = self._factory.buildProtocol(self._peer)
            if protocol is None:
                raise NoProtocol()
        except Exception:
            self.fail(Failure())
            return
        failure = self._owner.attach(self._connection, protocol, self._peer, self._factory.doStop)
        # A protocol that aborted in connectionMade was connected all the same.
        if failure is not None and not failure.check(ConnectionAborted):
            self.result.errback(failure)
        else:
            self.result.callback(protocol)

    def _ended(self, reason: Failure) -> None:
        self._connection.user_data = None
        self._owner.attempt_ended(self)
        self._factory.doStop()
        if not self.result.called:
            self.result.errback(reason)
