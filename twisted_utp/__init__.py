"""
uTP (BEP-29), the transport protocol of BitTorrent, as a transport for Twisted: write C{utp:} where you wrote C{tcp:}.

What is public?  The names in C{__all__}.  They are imported when first used, because Twisted imports this package
whenever it looks for plugins, and no program that does not use C{utp:} should pay for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twisted_utp._compiled import __compiled__
    from twisted_utp.endpoints import UTPClientEndpoint, UTPServerEndpoint
    from twisted_utp.errors import (
        UTPConnectionDone,
        UTPConnectionReset,
        UTPConnectionTimedOut,
        UTPHandshakeTimedOut,
        UTPPeerVanished,
        UTPProxyError,
        UTPProxyLost,
        UTPProxyTimedOut,
    )
    from twisted_utp.interfaces import IUTPListeningPort, IUTPTransport
    from twisted_utp.port import UTPPort
    from twisted_utp.proto.acceptance import PortLoad, Verdict
    from twisted_utp.proto.config import UTPConfig
    from twisted_utp.proto.congestion.base import register_congestion_controller
    from twisted_utp.proto.stats import ConnectionStats, PortStats
    from twisted_utp.protocol import UTPProtocol
    from twisted_utp.socks import SOCKS5Proxy
    from twisted_utp.transport import UTPTransport

__version__ = "1.0.0rc1"

__all__ = [
    "ConnectionStats",
    "IUTPListeningPort",
    "IUTPTransport",
    "PortLoad",
    "PortStats",
    "SOCKS5Proxy",
    "UTPClientEndpoint",
    "UTPConfig",
    "UTPConnectionDone",
    "UTPConnectionReset",
    "UTPConnectionTimedOut",
    "UTPHandshakeTimedOut",
    "UTPPeerVanished",
    "UTPPort",
    "UTPProtocol",
    "UTPProxyError",
    "UTPProxyLost",
    "UTPProxyTimedOut",
    "UTPServerEndpoint",
    "UTPTransport",
    "Verdict",
    "__compiled__",
    "__version__",
    "register_congestion_controller",
]

_HOMES = {
    "ConnectionStats": "proto.stats",
    "IUTPListeningPort": "interfaces",
    "IUTPTransport": "interfaces",
    "PortLoad": "proto.acceptance",
    "PortStats": "proto.stats",
    "SOCKS5Proxy": "socks",
    "UTPClientEndpoint": "endpoints",
    "UTPConfig": "proto.config",
    "UTPConnectionDone": "errors",
    "UTPConnectionReset": "errors",
    "UTPConnectionTimedOut": "errors",
    "UTPHandshakeTimedOut": "errors",
    "UTPPeerVanished": "errors",
    "UTPPort": "port",
    "UTPProtocol": "protocol",
    "UTPProxyError": "errors",
    "UTPProxyLost": "errors",
    "UTPProxyTimedOut": "errors",
    "UTPServerEndpoint": "endpoints",
    "UTPTransport": "transport",
    "Verdict": "proto.acceptance",
    "__compiled__": "_compiled",
    "register_congestion_controller": "proto.congestion.base",
}


def __getattr__(name: str) -> Any:
    """
    Import a public name on its first use (PEP 562).
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
