"""
Which L{UTPProtocol <twisted_utp.protocol.UTPProtocol>} of this process holds a given UDP port?

An endpoint that listens where another one dialled from, or where old connections still live after
C{stopListening}, shares their socket; and so does one that dials from where another listens.
"""

from __future__ import annotations

import os
from errno import EADDRINUSE
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.error import CannotListenError

from twisted_utp.proto.config import UTPConfig
from twisted_utp.protocol import UTPProtocol
from twisted_utp.udp import listen_udp

Key = tuple[str, int]

_WILDCARDS = ("0.0.0.0", "::")

_protocols: WeakKeyDictionary[Any, dict[Key, UTPProtocol]] = WeakKeyDictionary()


def protocol_to_listen(reactor: Any, interface: str, port: int, config: UTPConfig) -> UTPProtocol:
    """
    The protocol on that address, which is bound now unless it is there already and nobody listens on it.

    @raise CannotListenError: when another factory listens there, or the kernel says no.
    """
    found = _registered(reactor).get((_host(interface), port)) if port else None
    if found is None:
        return _open(reactor, interface, port, config)
    if found.is_listening:
        raise CannotListenError(interface, port, OSError(EADDRINUSE, os.strerror(EADDRINUSE)))
    return found


def protocol_to_connect(reactor: Any, interface: str, port: int, config: UTPConfig) -> UTPProtocol:
    """
    A protocol to dial out from: one of its own on an ephemeral port, or a shared one on a given port.

    @raise CannotListenError: when the kernel says no.
    """
    if port:
        found = _find(reactor, interface, port)
        return found if found is not None else _open(reactor, interface, port, config)
    protocol = UTPProtocol(reactor, config, closes_when_idle=True)
    listen_udp(reactor, 0, protocol, interface)
    return protocol


def closing_protocol(reactor: Any, interface: str, port: int) -> UTPProtocol | None:
    """
    The protocol that will have left that address in a moment.
    """
    found = _registered(reactor).get((_host(interface), port))
    return found if found is not None and found.is_closing else None


def _open(reactor: Any, interface: str, port: int, config: UTPConfig) -> UTPProtocol:
    protocol = UTPProtocol(reactor, config, closes_when_idle=True)
    listen_udp(reactor, port, protocol, interface)
    registered = _registered(reactor)
    key = (_host(interface), protocol.getHost().port)
    registered[key] = protocol

    def forget(_: object) -> None:
        if registered.get(key) is protocol:
            del registered[key]

    protocol.when_closed().addCallback(forget)
    return protocol


def _find(reactor: Any, interface: str, port: int) -> UTPProtocol | None:
    """
    Who could send from that address?  Whoever is bound to it, or to all addresses of its family; anyone of the
    family when the caller does not care.
    """
    host = _host(interface)
    registered = _registered(reactor)
    candidates = [
        protocol
        for (its_host, its_port), protocol in registered.items()
        if its_port == port and (":" in its_host) == (":" in host) and not protocol.is_closing
        if its_host == host or its_host in _WILDCARDS or host in _WILDCARDS
    ]
    exact = registered.get((host, port))
    return exact if exact in candidates else next(iter(candidates), None)


def _registered(reactor: Any) -> dict[Key, UTPProtocol]:
    return _protocols.setdefault(reactor, {})


def _host(interface: str) -> str:
    return interface or "0.0.0.0"
