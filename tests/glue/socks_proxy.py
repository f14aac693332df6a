"""
A SOCKS5 proxy in virtual time: its relay is a host of the simulated network, its control connections are in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp.udp.socks_header import header_for, packed_address, read_header

DELAY = 0.01
"""Seconds that a word on the control connection is under way."""


class Relay(DatagramProtocol):
    """
    Where the client's datagrams arrive.
    """

    noisy = False

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._client: Any = None
        self.outside = proxy.reactor.listenUDP(0, Outside(self), maxPacketSize=65_535)
        self.asked: list[str] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        read = read_header(datagram)
        assert read is not None
        host, port, start = read
        self._client = addr
        self._proxy.on_relayed()
        self.asked.append(host)
        host = self._proxy.names.get(host, host)
        if host[0].isdecimal():
            self.outside.write(datagram[start:], (host, port))

    def came_from_outside(self, datagram: bytes, addr: Any) -> None:
        assert self.transport is not None
        if self._client is not None:
            self.transport.write(header_for(*addr) + datagram, self._client)


class Outside(DatagramProtocol):
    """
    How the far peers know the client.
    """

    noisy = False

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._relay.came_from_outside(datagram, addr)


class ControlTransport:
    """
    The client's end of a control connection.
    """

    def __init__(self, proxy: Proxy, protocol: Any) -> None:
        self._proxy, self._protocol = proxy, protocol
        self._said = 0
        self.relays: list[Any] = []
        self.heard = b""
        self.is_closed = False
        self.on_close: Callable[[], object] = lambda: None

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", self._proxy.reactor.host.address, 1080)

    def write(self, data: bytes) -> None:
        self.heard += data
        self._proxy.later(self._answer)

    def _answer(self) -> None:
        if self.is_closed or self._said >= len(self._proxy.answers):
            return
        answer = self._proxy.answers[self._said]
        self._said += 1
        self._protocol.dataReceived(answer(self) if callable(answer) else answer)

    def loseConnection(self) -> None:
        self.lose(ConnectionDone())

    def abortConnection(self) -> None:
        self.lose(ConnectionLost())

    def lose(self, reason: Exception) -> None:
        """The connection ends, in the next turn."""
        if not self.is_closed:
            self.is_closed = True
            self.on_close()
            for port in self.relays:
                port.stopListening()
            self._proxy.client.callLater(0, self._protocol.connectionLost, Failure(reason))


@implementer(IStreamClientEndpoint)
class Proxy:
    """
    Also how a client's C{SOCKS5Proxy} connects to it.

    @ivar answers: what it says to each thing that it is told, bytes or a function of the transport.
    @ivar names: what it knows of names.
    @ivar bound: the address that it tells for its relay.
    @ivar controls: the control connections.
    """

    def __init__(self, client: Any, reactor: Any) -> None:
        self.client, self.reactor = client, reactor
        self.names: dict[str, str] = {}
        self.bound = "0.0.0.0"
        self.controls: list[ControlTransport] = []
        self.relays: list[Relay] = []
        self.answers: list[bytes | Callable[[ControlTransport], bytes]] = [b"\5\0", self.grant]
        self.refuses: Exception | None = None
        self.is_silent = False
        self.on_relayed: Callable[[], object] = lambda: None

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """A control connection."""
        connecting: Deferred[Any] = Deferred()
        if not self.is_silent:
            self.later(self._connected, protocolFactory, connecting)
        return connecting

    def _connected(self, factory: Any, connecting: Deferred[Any]) -> None:
        if connecting.called:
            return
        if self.refuses is not None:
            connecting.errback(self.refuses)
            return
        protocol = factory.buildProtocol(None)
        transport = ControlTransport(self, protocol)
        self.controls.append(transport)
        protocol.makeConnection(transport)
        connecting.callback(protocol)

    def later(self, what: Callable[..., Any], *arguments: Any) -> None:
        """After the way of a word."""
        self.client.callLater(DELAY, what, *arguments)

    def grant(self, control: ControlTransport) -> bytes:
        """Relay."""
        relay = Relay(self)
        self.relays.append(relay)
        port = self.reactor.listenUDP(0, relay, maxPacketSize=65_535)
        control.relays += [port, relay.outside]
        return b"\5\0\0" + packed_address(self.bound, port.getHost().port)
