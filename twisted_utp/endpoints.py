"""
Endpoints, by which a program listens and connects without knowing that it is uTP.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any, cast
from weakref import ReferenceType, ref

from twisted.internet.address import HostnameAddress
from twisted.internet.defer import Deferred, execute, fail, maybeDeferred
from twisted.internet.error import AlreadyListened, CannotListenError, ConnectingCancelledError, getConnectError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from twisted_utp import _socks_sharing
from twisted_utp._arguments import (
    check_config,
    check_device,
    check_factory,
    check_flag,
    check_interface,
    check_ip_version,
    check_number,
    check_port,
    check_reactor,
    checked_bind_address,
    checked_dscp,
    checked_host,
)
from twisted_utp._happy_eyeballs import HappyEyeballs
from twisted_utp._resolution import resolve
from twisted_utp._shared import (
    adopted_protocol,
    can_dial_from,
    closing_protocol,
    protocol_to_connect,
    protocol_to_listen,
)
from twisted_utp.errors import UTPConnectBindError
from twisted_utp.proto.config import RANGES, UTPConfig
from twisted_utp.proto.constants import DEFAULT_BACKLOG, DEFAULT_CONNECT_TIMEOUT
from twisted_utp.protocol import UTPProtocol
from twisted_utp.socks import SOCKS5Proxy
from twisted_utp.udp.addresses import ANY_IPV4, ANY_IPV6, is_for_all, is_ipv4, is_numeric, without_brackets
from twisted_utp.udp.settings import SocketSettings
from twisted_utp.udp.socks_header import MAX_NAME, packed_address

# RFC 8305 (5): the recommended Connection Attempt Delay, seconds; and more than anybody waits.
ATTEMPT_DELAY = 0.25
MAX_ATTEMPT_DELAY = 3600


@implementer(IStreamServerEndpoint)
class UTPServerEndpoint:
    """
    Listens on a UDP port.
    """

    _descriptor: int | None = None
    _is_adopted = False

    def __init__(
        self,
        reactor: Any,
        port: int,
        backlog: int = DEFAULT_BACKLOG,
        interface: str = "",
        config: UTPConfig | None = None,
        sharePort: bool = False,
        ipv6Only: bool = False,
        dscp: int | str | None = None,
        device: str = "",
        freeBind: bool = False,
        reusePort: bool = False,
    ) -> None:
        """
        @param port: UDP port; 0 for any.
        @param backlog: accepted connections whose peers have not yet proved to be where they say; the C{backlog} of
            C{config} unless it is given.
        @param interface: address of this machine to bind to; C{""} for all IPv4 ones, C{"::"} for all.
        @param config: settings of the connections.
        @param sharePort: listen also where others in this process listen, with the same settings.
        @param ipv6Only: with C{"::"}, leave IPv4 alone.  It is left alone anyway where this process has the port open
            for IPv4.
        @param dscp: the code point (RFC 2474) of all that is sent, 0 to 63 or a name: C{"le"}, C{"af11"}.
        @param device: name of the only interface through which packets come and go.  Linux.
        @param freeBind: C{interface} need not be an address of this machine yet.  Linux.
        @param reusePort: other processes of the same user listen there, too, with this set; the system gives each peer
            to one of them.  Linux.
        @raise ValueError: on a backlog or a port out of range, an interface that is no address, C{ipv6Only} with one
            of IPv4, C{freeBind} without one, C{reusePort} with port 0, a code point or a device that cannot be.
        @raise TypeError: naming the argument that is of the wrong type.
        """
        check_port("port", port, lowest=0)
        check_interface("interface", interface)
        check_config("config", config)
        check_flag("sharePort", sharePort)
        check_flag("ipv6Only", ipv6Only)
        if ipv6Only and is_ipv4(interface or ANY_IPV4):
            raise ValueError(f"ipv6Only={ipv6Only!r}: expected an IPv6 interface as well, which utp6: has")
        check_device("device", device)
        check_flag("freeBind", freeBind)
        if freeBind and not interface:
            raise ValueError(f"freeBind={freeBind!r}: expected an interface as well: the address to listen on")
        check_flag("reusePort", reusePort)
        if reusePort and not port:
            raise ValueError(f"reusePort={reusePort!r}: expected the other processes' port, not 0")
        settings = config if config is not None else UTPConfig()
        if backlog != DEFAULT_BACKLOG:
            settings = settings.replace(backlog=backlog)
        self._reactor = reactor
        self._port = port
        self._interface = without_brackets(interface)
        self._config = settings
        self._share = sharePort
        self._ipv6_only = ipv6Only
        self._socket = SocketSettings(
            dscp=checked_dscp("dscp", dscp), device=device, free_bind=freeBind, reuse_port=reusePort
        )

    @classmethod
    def adopting(cls, reactor: Any, descriptor: int, config: UTPConfig | None = None) -> UTPServerEndpoint:
        """
        An endpoint that listens on a UDP socket which is bound already: by a supervisor (systemd's socket activation),
        or by a parent that may bind to low ports.  The first C{listen} takes the descriptor over; there is no second.

        @param descriptor: the socket's.
        @param config: settings of the connections.
        @raise TypeError: naming the argument that is of the wrong type.
        """
        if isinstance(descriptor, bool) or not isinstance(descriptor, int):
            raise TypeError(f"descriptor={descriptor!r}: expected the number of an open UDP socket")
        endpoint = cls(reactor, 0, config=config)
        endpoint._descriptor = descriptor
        return endpoint

    def __repr__(self) -> str:
        if self._descriptor is not None:
            return f"<{type(self).__name__} descriptor {self._descriptor}>"
        interface = f"[{self._interface}]" if ":" in self._interface else self._interface or "*"
        return f"<{type(self).__name__} {interface}:{self._port}>"

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Bind the UDP port, before this returns, and serve connections.

        @return: fires with a L{UTPPort <twisted_utp.port.UTPPort>}, or fails with C{CannotListenError}; with
            C{AlreadyListened} or C{ValueError} when it is to adopt what it has adopted already, or what is no bound UDP
            socket.
        """
        try:
            check_reactor("reactor", self._reactor)
        except TypeError:
            return fail()
        if self._descriptor is not None:
            return execute(self._adopt, protocolFactory, self._descriptor)
        closing = closing_protocol(self._reactor, self._interface, self._port)
        if closing is not None:
            # The last connection from an earlier listen() ended in this turn of the reactor.
            return closing.when_closed().addCallback(lambda _: self._listen(protocolFactory))
        return execute(self._listen, protocolFactory)

    def _adopt(self, factory: IProtocolFactory, descriptor: int) -> IListeningPort:
        check_factory("protocolFactory", factory)
        if self._is_adopted:
            raise AlreadyListened()
        protocol = adopted_protocol(self._reactor, descriptor, self._config)
        self._is_adopted = True
        os.close(descriptor)
        port: IListeningPort = protocol.listen(factory, self._config)
        return port

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        check_factory("protocolFactory", factory)

        def opened() -> UTPProtocol:
            return protocol_to_listen(
                self._reactor,
                self._interface,
                self._port,
                self._config,
                factory,
                share=self._share,
                ipv6_only=self._ipv6_only,
                settings=self._socket,
            )

        port = opened().listen(factory, self._config)
        port._reopen = opened
        return cast(IListeningPort, port)


@implementer(IStreamClientEndpoint)
class UTPClientEndpoint:
    """
    Connects to a UDP port, from a given one or from an ephemeral one that all who dial share.
    """

    _protocol: UTPProtocol | None = None
    # An ephemeral port, the last time.  The endpoint does not keep it alive when it is closed.
    _dialled_from: ReferenceType[UTPProtocol] | None = None

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        timeout: float | None = DEFAULT_CONNECT_TIMEOUT,
        bindAddress: tuple[str, int] | str | None = None,
        attemptDelay: float | None = None,
        config: UTPConfig | None = None,
        dscp: int | str | None = None,
        device: str = "",
        proxy: SOCKS5Proxy | None = None,
        ipVersion: int | None = None,
    ) -> None:
        """
        @param host: a name, or a numeric IPv4 or IPv6 address, perhaps with a scope id.
        @param timeout: seconds that each attempt may take; L{None}, or the default, for what C{config} says.
        @param bindAddress: our address, or address and UDP port, or C{("", port)}.  A port that is in use for uTP in
            this process, by an endpoint that listens for example, is shared.
        @param attemptDelay: seconds between attempts when the name has several addresses; L{None} for 0.25.
        @param config: settings of the connection.
        @param dscp: the code point (RFC 2474) of all that is sent, 0 to 63 or a name: C{"le"}, C{"af11"}.  On a port
            that is open without it, C{connect} fails with C{ConnectBindError}.
        @param device: name of the only interface through which packets come and go; likewise.  Linux.
        @param proxy: the way to the peer, and to its name, which is not looked up here; C{bindAddress} is then our
            address toward it, and has no port, C{timeout} is for it and the peer together, and there is no C{device}.
        @param ipVersion: 4 or 6, to use only those addresses of a name that are of IPv4, or of IPv6.
        @raise ValueError: on a value out of range, naming the argument; and when C{bindAddress} is of the other family
            than the host.
        @raise TypeError: naming the argument that is of the wrong type.
        """
        self._host = checked_host("host", host)
        self._is_numeric = is_numeric(self._host)
        check_port("port", port)
        self._bind = checked_bind_address("bindAddress", bindAddress)
        check_config("config", config)
        check_device("device", device)
        check_ip_version("ipVersion", ipVersion, self._host)
        self._ip_version = ipVersion
        self._socket = SocketSettings(dscp=checked_dscp("dscp", dscp), device=device)
        settings = config if config is not None else UTPConfig()
        if timeout is not None and timeout != DEFAULT_CONNECT_TIMEOUT:
            allowed = RANGES["connect_timeout"]
            check_number("timeout", timeout, "seconds", low=allowed["low"], high=allowed["high"])
            settings = settings.replace(connect_timeout=timeout)
        if attemptDelay is not None:
            check_number("attemptDelay", attemptDelay, "seconds", low=0, high=MAX_ATTEMPT_DELAY)
        self._reactor = reactor
        self._port = port
        self._proxy = proxy
        if proxy is not None:
            self._host = _host_for(proxy, self._host, self._bind)
            if ipVersion is not None:
                raise ValueError(f"ipVersion={ipVersion!r}: not allowed with a proxy, which resolves names itself")
            if device:
                raise ValueError(f"device={device!r}: not allowed with a proxy; TCP to it may use any interface")
        elif self._bind is not None:
            _check_source(self._bind[0], self._host)
        self._attempt_delay = ATTEMPT_DELAY if attemptDelay is None else attemptDelay
        self._config = settings

    @classmethod
    def overProtocol(
        cls,
        protocol: UTPProtocol,
        host: str,
        port: int,
        timeout: float | None = DEFAULT_CONNECT_TIMEOUT,
        attemptDelay: float | None = None,
        config: UTPConfig | None = None,
    ) -> UTPClientEndpoint:
        """
        An endpoint that connects from the UDP port of a L{UTPProtocol <twisted_utp.protocol.UTPProtocol>}: for NAT
        traversal, or for BitTorrent, where all connections share one port.

        @param config: settings of the connection; the protocol's when L{None}.
        @raise ValueError: see the class.
        @raise TypeError: see the class.
        """
        if not isinstance(protocol, UTPProtocol):
            raise TypeError(f"protocol={protocol!r}: expected a UTPProtocol, which reactor.listenUDP has given a port")
        settings = config if config is not None else protocol.multiplexer.config
        endpoint = cls(protocol.reactor, host, port, timeout, None, attemptDelay, settings)
        endpoint._protocol = protocol
        return endpoint

    def __repr__(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"<{type(self).__name__} {host}:{self._port}>"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Resolve the name, and connect to whichever of its addresses answers first.

        @return: fires with the protocol; fails with C{ConnectionRefusedError}, C{TimeoutError},
            C{ConnectingCancelledError}, C{ConnectBindError}, C{DNSLookupError} or what the factory raised;
            through a proxy also with L{UTPProxyError <twisted_utp.errors.UTPProxyError>}.
        """
        try:
            check_factory("protocolFactory", protocolFactory)
            check_reactor("reactor", self._reactor)
        except TypeError:
            return fail()
        if self._proxy is not None:
            source = self._bind[0] if self._bind is not None else ""
            through = (self._proxy, source, self._config, self._socket)
            return _socks_sharing.dial(self._reactor, through, protocolFactory, self._host, self._port)
        if self._is_numeric:
            return maybeDeferred(self._dial, protocolFactory, self._host)
        if self._protocol is not None and hasattr(self._protocol._udp_port, "reported"):
            reason = f"{self._host!r}: expected an address; resolving a name here would reveal what the proxy hides"
            return fail(ValueError(reason))
        resolving = resolve(self._reactor, self._host, self._port, self._ip_version)
        result: Deferred[IProtocol] = Deferred(partial(self._cancel, resolving))
        resolving.addCallback(self._try_all, protocolFactory)
        resolving.addCallbacks(result.callback, lambda reason: None if result.called else result.errback(reason))
        return result

    def _cancel(self, resolving: Deferred[Any], result: Deferred[IProtocol]) -> None:
        # First the result: what the resolver and the attempts say to their end no longer matters.
        address = HostnameAddress(self._host.encode("ascii", "backslashreplace"), self._port)
        result.errback(ConnectingCancelledError(address))
        resolving.cancel()

    def _try_all(self, hosts: list[str], factory: IProtocolFactory) -> Deferred[IProtocol]:
        attempts = [partial(maybeDeferred, self._dial, factory, host) for host in hosts]
        return HappyEyeballs(self._reactor, attempts, self._attempt_delay).start()

    def _dial(self, factory: IProtocolFactory, host: str) -> Deferred[IProtocol]:
        protocol = self._protocol
        if protocol is None:
            protocol = self._protocol_for(host)
        source = self._bind[0] if self._bind is not None else ""
        return protocol._connect_to(factory, host, self._port, self._config, source)

    def _protocol_for(self, host: str) -> UTPProtocol:
        if self._bind is None and self._dialled_from is not None:
            before = self._dialled_from()
            if before is not None and can_dial_from(before, self._config):
                return before
            self._dialled_from = None
        any_address = ANY_IPV6 if ":" in host else ""
        if self._bind is not None:
            interface, port = self._bind
            try:
                return protocol_to_connect(
                    self._reactor, interface or any_address, port, self._config, settings=self._socket
                )
            except CannotListenError as error:
                raise UTPConnectBindError(error) from None
        try:
            found = protocol_to_connect(self._reactor, any_address, 0, self._config, settings=self._socket)
            if self._is_numeric:  # always of one family
                self._dialled_from = ref(found)
            return found
        except CannotListenError as error:
            if self._socket.first():
                raise UTPConnectBindError(error) from None
            # Nobody has asked for an address: the machine has no IPv6, say.
            reason = error.socketError
            raise (getConnectError(reason) if isinstance(reason, OSError) else error) from None


def _host_for(proxy: object, host: str, bind: tuple[str, int] | None) -> str:
    """
    The host as a proxy can be told it: a name in ASCII (RFC 3490).
    """
    if not isinstance(proxy, SOCKS5Proxy):
        raise TypeError(f"proxy={proxy!r}: expected a SOCKS5Proxy or None")
    if bind is not None and bind[1]:
        raise ValueError(f"bindAddress={bind!r}: expected no port with a proxy; peers see one of the proxy's")
    if is_numeric(host):
        if "%" in host:
            raise ValueError(f"host={host!r}: expected no scope with a proxy, which has its own interfaces")
        return host
    try:
        name = host.encode("idna").decode("ascii")
        packed_address(name, 0)
    except ValueError:
        raise ValueError(f"host={host!r}: expected an address, or a name of at most {MAX_NAME} characters") from None
    return name


def _check_source(source: str, host: str) -> None:
    """
    @raise ValueError: when a connection from one address cannot get to the other.
    """
    if not source or not is_numeric(host):
        return
    if is_ipv4(source) != is_ipv4(host) and not (is_ipv4(host) and is_for_all(source)):
        raise ValueError(f"bindAddress={source!r}: expected an address of the same family as {host!r}")
