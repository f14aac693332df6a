"""
The UDP ports that this process has open for uTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from twisted_utp.protocol import UTPProtocol

_open: WeakSet[UTPProtocol] = WeakSet()


def note_open(port: UTPProtocol) -> None:
    """
    It has been opened.
    """
    _open.add(port)


def note_closed(port: UTPProtocol) -> None:
    """
    It has been closed.
    """
    _open.discard(port)


def ports_of(reactor: Any) -> list[UTPProtocol]:
    """
    Those of a reactor that are open, in any order.
    """
    return [port for port in _open if port.reactor is reactor]


def open_ports() -> list[UTPProtocol]:
    """
    Those that are open, by address.
    """
    return sorted(_open, key=lambda port: (port.getHost().host, port.getHost().port))
