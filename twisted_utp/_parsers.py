"""
What C{utp:} and C{utp6:} mean to C{serverFromString} and C{clientFromString}.

Twisted imports this module in every program that parses an endpoint string, before the program has chosen its
reactor; so what does the work is imported when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted_utp.endpoints import UTPClientEndpoint, UTPServerEndpoint

SERVER_KEYS = ("port", "interface", "sharePort", "ipv6Only", "dscp", "device", "freeBind", "reusePort")
"""What a server string has beside the settings."""

PROXY_KEYS = ("socks", "socksPort", "socksUser", "socksPasswordFile")
"""What a client string has to say about a SOCKS5 proxy."""

CLIENT_KEYS = ("host", "port", "bindAddress", "bindPort", "dscp", "device", "ipVersion", *PROXY_KEYS)
"""What a client string has beside the settings."""

# What a string with fd= or systemd= does not take, and why.
_NOT_FOR_ADOPTED = dict.fromkeys(
    ("dscp", "device", "freeBind", "reusePort"), "must be set by whoever binds the socket; this one is bound already"
)

NOT_FOR_CLIENTS = {
    "freeBind": "is for servers; nothing can be sent from an address that the machine does not have",
    "reusePort": "is for servers; a client would get the other processes' peers",
}
"""What a client string does not take, and why."""


@implementer(IPlugin, IStreamServerEndpointStringParser)
class UTPServerParser:
    """
    C{utp:PORT[:interface=ADDRESS][:ipv6Only=1][:sharePort=1][:dscp=NAME][:device=NAME][:freeBind=1][:reusePort=1]
    [:backlog=N][:SETTING=VALUE...]}, or with C{fd=NUMBER} or C{systemd=NAME_OR_INDEX} in place of the port and the
    interface: a UDP socket that is bound already.

    @ivar prefix: what the string begins with.
    """

    def __init__(self, prefix: str, interface: str = "") -> None:
        """
        @param interface: where to listen when the string does not say.
        """
        self.prefix = prefix
        self._interface = interface

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> UTPServerEndpoint:
        """
        See L{IStreamServerEndpointStringParser.parseStreamServer}.

        @raise ValueError: naming the key, the value and what is allowed.
        """
        from twisted_utp._arguments import check_interface
        from twisted_utp._settings import parse_descriptor, parse_flag, parse_port, parse_settings
        from twisted_utp.endpoints import UTPServerEndpoint

        for source in ("fd", "systemd"):
            if source in kwargs:
                given = _named(self.prefix, (), args, kwargs)
                refuse(given, _NOT_FOR_ADOPTED)
                descriptor = parse_descriptor(source, given.pop(source))
                config = parse_settings(given, "backlog", others=(source,))
                return UTPServerEndpoint.adopting(reactor, descriptor, config)
        given = _named(self.prefix, ("port",), args, kwargs)
        port = parse_port(given.pop("port"))
        interface = given.pop("interface", self._interface)
        check_interface("interface", interface)
        share = parse_flag(given.pop("sharePort", "0"), key="sharePort")
        ipv6_only = parse_flag(given.pop("ipv6Only", "0"), key="ipv6Only")
        dscp, device = given.pop("dscp", None), given.pop("device", "")
        free = parse_flag(given.pop("freeBind", "0"), key="freeBind")
        reuse = parse_flag(given.pop("reusePort", "0"), key="reusePort")
        config = parse_settings(given, "backlog", others=SERVER_KEYS)
        return UTPServerEndpoint(
            reactor,
            port,
            interface=interface,
            config=config,
            sharePort=share,
            ipv6Only=ipv6_only,
            dscp=dscp,
            device=device,
            freeBind=free,
            reusePort=reuse,
        )


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class UTPClientParser:
    """
    C{utp:HOST:PORT[:timeout=SECONDS][:bindAddress=ADDRESS][:bindPort=PORT][:ipVersion=4_OR_6][:dscp=NAME]
    [:device=NAME][:SETTING=VALUE...]}, and for a SOCKS5 proxy
    C{:socks=HOST[:socksPort=PORT][:socksUser=NAME:socksPasswordFile=FILE]}.

    @ivar prefix: what the string begins with.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> UTPClientEndpoint:
        """
        See L{IStreamClientEndpointStringParserWithReactor.parseStreamClient}.

        @raise ValueError: naming the key, the value and what is allowed.
        """
        from twisted_utp._arguments import check_interface
        from twisted_utp._settings import parse_ip_version, parse_port, parse_proxy, parse_settings
        from twisted_utp.endpoints import UTPClientEndpoint

        given = _named(self.prefix, ("host", "port"), args, kwargs)
        refuse(given, NOT_FOR_CLIENTS)
        host = given.pop("host")
        if not host:
            raise ValueError(f"host={host!r}: expected a name or an address")
        port = parse_port(given.pop("port"), lowest=1)
        address = given.pop("bindAddress", "")
        check_interface("bindAddress", address)
        bind_port = parse_port(given.pop("bindPort", "0"), key="bindPort")
        dscp, device = given.pop("dscp", None), given.pop("device", "")
        version = parse_ip_version(given.pop("ipVersion", None))
        proxy = parse_proxy({key: given.pop(key) for key in PROXY_KEYS if key in given})
        config = parse_settings(given, "timeout", others=CLIENT_KEYS)
        bind = (address, bind_port) if address or bind_port else None
        return UTPClientEndpoint(
            reactor,
            host,
            port,
            bindAddress=bind,
            config=config,
            dscp=dscp,
            device=device,
            proxy=proxy,
            ipVersion=version,
        )


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class UTP6ClientParser:
    """
    There is no C{utp6:HOST:PORT}, since C{utp:HOST:PORT} takes both families.  Without this, who writes one is told by
    Twisted that C{utp6:} does not exist.

    @ivar prefix: what the string begins with.
    """

    prefix = "utp6"

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> UTPClientEndpoint:
        """
        See L{IStreamClientEndpointStringParserWithReactor.parseStreamClient}.

        @raise ValueError: always.
        """
        raise ValueError("utp6: is for servers; utp:HOST:PORT takes both families, and with ipVersion=6 only IPv6")


def refuse(given: dict[str, str], why: dict[str, str]) -> None:
    """
    @raise ValueError: when there is a key that cannot be served.
    """
    for key, reason in why.items():
        if key in given:
            raise ValueError(f"{key}={given[key]!r}: {reason}")


def _named(prefix: str, names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, str]:
    """
    All arguments by name: the positional ones are C{names}, less those given by keyword, in order.

    @raise ValueError: when one is missing, or there are too many.
    """
    unnamed = [name for name in names if name not in kwargs]
    is_url = bool(args) and args[0].startswith("//")
    if len(args) != len(unnamed) or is_url:
        from twisted_utp._hints import for_arguments

        hint = for_arguments(prefix, names, args, kwargs)
        if is_url or (hint and len(args) > len(unnamed)):
            raise ValueError(f"{prefix}: {hint}")
        if len(args) > len(unnamed):
            reason = "others need their names, and each colon in an address needs a backslash"
            raise ValueError(f"{prefix}: {args[len(unnamed)]!r} is one argument too many; {reason}")
        is_port = unnamed == ["host", "port"] and args[:1] and args[0].isdecimal()
        missing = "host" if is_port else unnamed[len(args)]
        raise ValueError(f"{prefix}: {missing} is missing" + (f"; {hint}" if hint else ""))
    return {**kwargs, **dict(zip(unnamed, args, strict=True))}
