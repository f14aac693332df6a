"""
The UDP ports that this process has open for uTP, and those that are being closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from twisted_utp.protocol import UTPProtocol

_open: WeakSet[UTPProtocol] = WeakSet()
_closing: WeakSet[UTPProtocol] = WeakSet()


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


def note_closing(port: UTPProtocol) -> None:
    """
    It has begun to close, which takes a turn of the reactor, or the end of a proxy's association.
    """
    _closing.add(port)


def note_gone(port: UTPProtocol) -> None:
    """
    Nothing of it is left in the reactor.
    """
    _closing.discard(port)


def ports_of(reactor: Any) -> list[UTPProtocol]:
    """
    Those of a reactor that are open, in any order.
    """
    return [port for port in _open if port.reactor is reactor]


def closing_ports_of(reactor: Any) -> list[UTPProtocol]:
    """
    Those of a reactor that are being closed, in any order.
    """
    return [port for port in _closing if port.reactor is reactor]


def open_ports() -> list[UTPProtocol]:
    """
    Those that are open, by address.
    """
    return sorted(_open, key=lambda port: (port.getHost().host, port.getHost().port))
