"""
Finds the L{UTPProtocol <twisted_utp.protocol.UTPProtocol>} of this process that holds a given UDP port.

Endpoints that name the same port and interface share its socket: those that listen there, those that dial from
there, and connections that are left over after C{stopListening}.  Those that dial from no port in particular share
one as well.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import fields
from errno import EADDRINUSE
from functools import partial
from os import strerror
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory

from twisted_utp._isolation import log_prefix
from twisted_utp._siblings import Siblings
from twisted_utp.proto.config import UTPConfig
from twisted_utp.protocol import UTPProtocol
from twisted_utp.udp import adopt_udp, listen_udp
from twisted_utp.udp.addresses import ANY_IPV4, ANY_IPV6, canonical_host, unmapped
from twisted_utp.udp.routes import WILDCARDS
from twisted_utp.udp.settings import AS_IT_IS, SocketSettings

Key = tuple[str, int]

_protocols: WeakKeyDictionary[Any, dict[Key, UTPProtocol]] = WeakKeyDictionary()
_dialling: WeakKeyDictionary[Any, dict[tuple[str, UTPConfig, SocketSettings], UTPProtocol]] = WeakKeyDictionary()

# What the sockets that are open were opened with; those that we did not open are not here.
_settings: WeakKeyDictionary[UTPProtocol, SocketSettings] = WeakKeyDictionary()


def protocol_to_listen(
    reactor: Any,
    interface: str,
    port: int,
    config: UTPConfig,
    factory: IProtocolFactory,
    *,
    share: bool = False,
    ipv6_only: bool = False,
    settings: SocketSettings = AS_IT_IS,
) -> UTPProtocol:
    """
    The protocol on that address, which is bound now unless it is there already.

    @param factory: whom it is for.
    @param share: others may listen there, too.
    @param ipv6_only: see L{listen_udp}.  An IPv6 address for all has IPv4 as well; but where this process has that
        port open for IPv4 already, it has not.
    @param settings: of the socket.
    @raise CannotListenError: when others listen there, and this is not to be shared, or they have other settings; or
        when the kernel says no.
    """
    found = _registered(reactor).get((_host(interface), port)) if port else None
    if found is None:
        ipv6_only = ipv6_only or (_host(interface) == ANY_IPV6 and _has_ipv4(reactor, port))
        return _open(reactor, interface, port, config, settings, factory, ipv6_only=ipv6_only)
    if found.is_listening:
        if not share:
            raise CannotListenError(interface, port, OSError(EADDRINUSE, strerror(EADDRINUSE)))
        # Who gets a connection is known only after its SYN was answered, so all who listen have the same settings.
        difference = _difference(found.multiplexer.config, config)
        if difference:
            raise CannotListenError(interface, port, ValueError(difference))
    difference = _settings.get(found, AS_IT_IS).difference(settings)
    if difference:
        raise CannotListenError(interface, port, ValueError(difference))
    return found


def protocol_to_connect(
    reactor: Any, interface: str, port: int, config: UTPConfig, *, settings: SocketSettings = AS_IT_IS
) -> UTPProtocol:
    """
    A protocol to dial out from: one on a given port, or on an ephemeral one that all dials with the same settings
    share while any of their connections lasts.  A socket for each would cost more than the connection, and thousands
    of dials as many descriptors and NAT mappings.

    @param settings: of the socket; one that is open already has to have those that are asked for.
    @raise CannotListenError: when it has not, or the kernel says no.
    """
    if port:
        found = _find(reactor, interface, port)
        if found is None:
            return _open(reactor, interface, port, config, settings)
        missing = _settings.get(found, AS_IT_IS).missing(settings)
        if missing:
            raise CannotListenError(interface, port, ValueError(missing))
        return found
    dialling = _dialling.setdefault(reactor, {})
    key = (_host(interface), config, settings)
    found = dialling.get(key)
    if found is not None and can_dial_from(found, config):
        return found
    protocol = UTPProtocol(reactor, config, closes_when_idle=True)
    protocol.is_for_dialling = True
    listen_udp(reactor, 0, protocol, interface, settings=settings)
    _settings[protocol] = settings
    dialling[key] = protocol
    return _forget_when_closed(protocol, dialling, key)


def can_dial_from(protocol: UTPProtocol, config: UTPConfig) -> bool:
    """
    Is an ephemeral port open, and not full?
    """
    return protocol.is_open and not protocol._is_closing and len(protocol.multiplexer) < config.max_connections


def closing_protocol(reactor: Any, interface: str, port: int) -> UTPProtocol | None:
    """
    The protocol that will have left that address in a moment.
    """
    found = _registered(reactor).get((_host(interface), port))
    return found if found is not None and found._is_closing else None


def adopted_protocol(reactor: Any, descriptor: int, config: UTPConfig) -> UTPProtocol:
    """
    The protocol on a UDP socket that somebody else has bound.

    @raise ValueError: when the descriptor is none.
    """
    protocol = UTPProtocol(reactor, config, closes_when_idle=True)
    adopt_udp(reactor, descriptor, protocol)
    return _register(reactor, protocol.getHost().host, protocol)


def _open(
    reactor: Any,
    interface: str,
    port: int,
    config: UTPConfig,
    settings: SocketSettings,
    factory: IProtocolFactory | None = None,
    *,
    ipv6_only: bool = False,
) -> UTPProtocol:
    protocol = UTPProtocol(reactor, config, closes_when_idle=True)
    if factory is not None:
        # The UDP port's message in the log, that it starts, is to name who listens.
        protocol.logPrefix = partial(log_prefix, factory)  # type: ignore[method-assign]
    listen_udp(reactor, port, protocol, interface, ipv6_only=ipv6_only, settings=settings)
    _settings[protocol] = settings
    if settings.reuse_port:
        _join(reactor, interface, port, protocol, settings)
    return _register(reactor, interface, protocol)


def _join(reactor: Any, interface: str, port: int, protocol: UTPProtocol, settings: SocketSettings) -> None:
    """
    Let the processes on that port know of each other.  Nothing that arrived meanwhile has been read yet.

    @raise CannotListenError: when the system does not let them; the port is closed then.
    """
    try:
        siblings = Siblings(reactor, protocol, f"{_host(interface)} {port} {settings.device}")
    except OSError as error:
        udp_port = protocol._udp_port
        assert udp_port is not None
        udp_port.stopListening()
        raise CannotListenError(interface, port, error) from None
    protocol.multiplexer.siblings = siblings
    protocol.when_closed().addCallback(lambda _: siblings.leave())


def _register(reactor: Any, interface: str, protocol: UTPProtocol) -> UTPProtocol:
    registered = _registered(reactor)
    key = (_host(interface), protocol.getHost().port)
    registered[key] = protocol
    return _forget_when_closed(protocol, registered, key)


def _forget_when_closed(protocol: UTPProtocol, known: dict[Any, UTPProtocol], key: Hashable) -> UTPProtocol:
    def forget(_: object) -> None:
        if known.get(key) is protocol:
            del known[key]

    protocol.when_closed().addCallback(forget)
    return protocol


def _difference(listening: UTPConfig, asked: UTPConfig) -> str:
    """
    The first setting that differs; nothing when none does.
    """
    for field in fields(UTPConfig):
        here, there = getattr(listening, field.name), getattr(asked, field.name)
        if here != there:
            return f"{field.name}={there!r}: expected {here!r}, as the other listeners on this port have"
    return ""


def _find(reactor: Any, interface: str, port: int) -> UTPProtocol | None:
    """
    Who could send from that address?  Whoever is bound to it, or to all addresses of its family and can choose among
    them; anyone of the family when the caller does not care.
    """
    host = _host(interface)
    registered = _registered(reactor)
    candidates = [
        protocol
        for (its_host, its_port), protocol in registered.items()
        if its_port == port and not protocol._is_closing and _reaches(protocol, its_host, host)
    ]
    exact = registered.get((host, port))
    return exact if exact in candidates else next(iter(candidates), None)


def _reaches(protocol: UTPProtocol, bound: str, wanted: str) -> bool:
    if bound == wanted:
        return True
    udp_port = protocol._udp_port
    if udp_port is None or not (udp_port.takes_ipv4 if ":" not in unmapped(wanted) else ":" in bound):
        return False
    return wanted in WILDCARDS or (bound in WILDCARDS and bool(udp_port.chooses_source))


def _has_ipv4(reactor: Any, port: int) -> bool:
    return any(its_port == port and ":" not in host for host, its_port in _registered(reactor))


def _registered(reactor: Any) -> dict[Key, UTPProtocol]:
    return _protocols.setdefault(reactor, {})


def _host(interface: str) -> str:
    """
    One spelling for each address.
    """
    try:
        return canonical_host(interface or ANY_IPV4)
    except OSError:
        return interface  # no such interface; to be told by who opens it
