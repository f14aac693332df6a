"""
Chooses the association with a proxy that a new connection goes through.

Those that dial addresses share one, as they share a UDP port without a proxy: a control connection for each would cost
more than the connection.  One that dials a name has an association to itself: answers come from an address, and only
with one name on a port is it certain whose they are.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.address import HostnameAddress
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.python.failure import Failure

from twisted_utp._routes import route_to
from twisted_utp._socks_association import Association
from twisted_utp._steady import steady_clock
from twisted_utp.proto.config import RANGES, UTPConfig
from twisted_utp.proto.constants import MIN_MTU
from twisted_utp.protocol import UTPProtocol
from twisted_utp.socks import SOCKS5Proxy
from twisted_utp.udp.addresses import is_numeric
from twisted_utp.udp.settings import SocketSettings
from twisted_utp.udp.socks_header import header_for
from twisted_utp.udp.socks_port import ProxiedName

Through = tuple[SOCKS5Proxy, str, UTPConfig, SocketSettings]
"""Which proxy, from which address of ours (C{""} for any), with which settings of connections and of the socket."""

# BEP 29: where a packet has its connection id.
_CONNECTION_ID = slice(2, 4)


def dial(reactor: Any, through: Through, factory: IProtocolFactory, host: str, port: int) -> Deferred[IProtocol]:
    """
    Connect through a proxy.

    @param host: an address, or a name, in ASCII, which the proxy looks up.
    @return: see L{UTPProtocol.connect}; fails with L{UTPProxyError <twisted_utp.errors.UTPProxyError>} as well.
    """
    clock = steady_clock(reactor)
    began = clock()
    if is_numeric(host):
        opening = _shared(reactor, through)
    else:
        opening = _Opening(reactor, through, ProxiedName(host, port, is_answer))
    config = through[2]
    address = HostnameAddress(host.encode("ascii"), port)

    def connect(protocol: UTPProtocol) -> Deferred[IProtocol]:
        route = route_to(protocol._udp_port, host, port)
        if isinstance(route, ConnectError):
            return fail(route)
        left = _less_by(config, (clock() - began) / 1_000_000, len(header_for(host, port)))
        return protocol._connect_by(route, factory, left)

    return opening.wait(address).addCallback(connect)


def is_answer(question: bytes, answer: bytes) -> bool:
    """
    Does the second packet have a connection id of the one that the first, a SYN, opens (BEP 29)?
    """
    asked, answered = (int.from_bytes(packet[_CONNECTION_ID], "big") for packet in (question, answer))
    return (answered - asked) & 0xFFFF in (0, 1)


def _less_by(config: UTPConfig, seconds: float, header: int) -> UTPConfig:
    """
    What is left for the connection of the time to connect, and of a size that was configured.
    """
    timeout = max(config.connect_timeout - seconds, RANGES["connect_timeout"]["low"])
    mtu = None if config.mtu is None else max(config.mtu - header, MIN_MTU)
    return config.replace(connect_timeout=timeout, mtu=mtu)


_openings: WeakKeyDictionary[Any, dict[Through, _Opening]] = WeakKeyDictionary()


def _shared(reactor: Any, through: Through) -> _Opening:
    known = _openings.setdefault(reactor, {})
    found = known.get(through)
    if found is None or not found.has_room:
        found = known[through] = _Opening(reactor, through)
        found.over.addCallback(partial(_forget, known, through, found))
    return found


def _forget(known: dict[Through, _Opening], through: Through, opening: _Opening, _: object) -> None:
    if known.get(through) is opening:
        del known[through]


class _Opening:
    """
    A UTPProtocol on a proxied port that opens, or is open.

    @ivar over: fires when it is neither any more.
    """

    def __init__(self, reactor: Any, through: Through, name: ProxiedName | None = None) -> None:
        proxy, interface, config, settings = through
        self.over: Deferred[None] = Deferred()
        self._protocol = UTPProtocol(reactor, config, closes_when_idle=True)
        self._limit = config.max_connections
        self._timeout = config.connect_timeout
        self._association = Association(reactor, proxy, self._protocol, interface, name, settings)
        self._opening: Deferred[None] | None = None
        self._waiters: list[Deferred[UTPProtocol]] = []
        self._is_over = False

    @property
    def has_room(self) -> bool:
        """
        Can another connection be dialled from it?
        """
        if self._is_over or self._protocol._is_closing or getattr(self._protocol._udp_port, "ended", None) is not None:
            return False
        return len(self._protocol.multiplexer) + len(self._waiters) < self._limit

    def wait(self, address: HostnameAddress) -> Deferred[UTPProtocol]:
        """
        Open it, if nobody has yet.

        @param address: whom it is for.
        @return: fires once it is open, with the protocol, or fails.
        """
        waiter: Deferred[UTPProtocol] = Deferred(partial(self._cancelled, address))
        if self._protocol.is_open:
            waiter.callback(self._protocol)
            return waiter
        self._waiters.append(waiter)
        if self._opening is None:
            self._opening = maybeDeferred(self._association.start, self._timeout)
            self._opening.addCallbacks(self._opened, self._failed)
        return waiter

    def _opened(self, _: object) -> None:
        self._protocol.when_closed().addCallback(lambda _: self._end())
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(self._protocol)

    def _failed(self, reason: Failure) -> None:
        self._end()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.errback(reason)

    def _end(self) -> None:
        self._is_over = True
        if not self.over.called:
            self.over.callback(None)

    def _cancelled(self, address: HostnameAddress, waiter: Deferred[UTPProtocol]) -> None:
        waiter.errback(ConnectingCancelledError(address))
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        if not self._waiters and self._opening is not None:
            self._end()
            self._opening.cancel()
