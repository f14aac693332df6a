"""
Connections through a SOCKS5 proxy (RFC 1928), which hides us from the peer and from name servers.

A proxy that relays UDP does so for as long as a TCP connection to it lasts, the control connection (C{UDP ASSOCIATE}).
L{SOCKS5Proxy} says which proxy; give it to L{UTPClientEndpoint <twisted_utp.endpoints.UTPClientEndpoint>}, or let it
open a UDP port for a L{UTPProtocol <twisted_utp.protocol.UTPProtocol>}.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from twisted_utp._arguments import check_interface, check_number, check_port, checked_host
from twisted_utp.proto.config import RANGES
from twisted_utp.proto.constants import DEFAULT_CONNECT_TIMEOUT
from twisted_utp.udp.addresses import is_numeric, without_brackets

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.protocol import DatagramProtocol

DEFAULT_PORT = 1080
"""Where SOCKS proxies are by convention (RFC 1928 (3))."""

_MAX_CREDENTIAL = 255  # RFC 1929 (2): a length in one byte


@dataclass(frozen=True)
class SOCKS5Proxy:
    """
    A proxy.

    @ivar host: its name or address.  The name is looked up here: it is the only one that is.
    @ivar port: its TCP port.
    @ivar user: who we are, 1 to 255 bytes of UTF-8; L{None} for nobody.
    @ivar password: the same; sent as it is, see RFC 1929.
    @ivar endpoint: how to connect to it, in place of TCP to C{host} and C{port}: through TLS, say.
    """

    host: str
    port: int = DEFAULT_PORT
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    endpoint: IStreamClientEndpoint | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """
        @raise ValueError: on a value that is out of range, naming it; the password itself is never told.
        @raise TypeError: on one of the wrong type.
        """
        object.__setattr__(self, "host", checked_host("host", self.host))
        check_port("port", self.port)
        for name in ("user", "password"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name}: expected str or None")
            if value is not None and not 1 <= len(value.encode("utf-8", "surrogateescape")) <= _MAX_CREDENTIAL:
                raise ValueError(f"{name}: expected 1 to {_MAX_CREDENTIAL} bytes of UTF-8")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password: expected both, or neither")
        if self.endpoint is not None and not IStreamClientEndpoint.providedBy(self.endpoint):
            raise TypeError(f"endpoint={self.endpoint!r}: expected an IStreamClientEndpoint")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def _login(self) -> tuple[bytes, bytes]:
        """
        User and password as bytes; empty ones for nobody.
        """
        user, password = self.user or "", self.password or ""
        return user.encode("utf-8", "surrogateescape"), password.encode("utf-8", "surrogateescape")

    def _control_endpoint(self, reactor: Any, interface: str, timeout: float) -> IStreamClientEndpoint:
        """
        How to connect to it.

        @param interface: our address; C{""} for any.
        @param timeout: seconds.
        """
        if self.endpoint is not None:
            return self.endpoint
        bind = (interface, 0) if interface else None
        kind: Any = HostnameEndpoint
        if is_numeric(self.host):  # nothing to be looked up, by whatever resolver
            kind = TCP6ClientEndpoint if ":" in self.host else TCP4ClientEndpoint
        endpoint: IStreamClientEndpoint = kind(reactor, self.host, self.port, timeout, bind)
        return endpoint

    def listenUDP(
        self,
        reactor: Any,
        protocol: DatagramProtocol,
        interface: str = "",
        timeout: float = DEFAULT_CONNECT_TIMEOUT,
    ) -> Deferred[None]:
        """
        Open a UDP port for a protocol, all of whose datagrams go through the proxy, and come from it.

        A L{UTPProtocol <twisted_utp.protocol.UTPProtocol>} can connect from it.  It can listen as well, but whether
        peers get through, and at which address, is the proxy's business: SOCKS5 has no way to ask for a port.

        @param interface: our address, toward the proxy; C{""} for any.
        @param timeout: seconds that the proxy may take.
        @return: fires once the protocol's C{startProtocol} has been called; fails with L{UTPProxyError
            <twisted_utp.errors.UTPProxyError>}, or with C{CannotListenError}.
        @raise ValueError: when an argument is out of range.
        @raise TypeError: when one is of the wrong type.
        """
        from twisted_utp._socks_association import Association

        check_interface("interface", interface)
        allowed = RANGES["connect_timeout"]
        check_number("timeout", timeout, "seconds", low=allowed["low"], high=allowed["high"])
        return Association(reactor, self, protocol, without_brackets(interface)).start(timeout)
