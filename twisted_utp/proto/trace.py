"""
Who is told what the core does, and why?
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from twisted_utp.proto.values import Address


class Tracer(Protocol):
    """
    Anything callable like this.  It must not raise, and must not call the core back.
    """

    def __call__(self, now: int, address: Address, connection_id: int, event: str, **data: Any) -> None:
        """
        Something happened.

        @param now: µs.
        @param address: the peer.
        @param connection_id: the id we receive on; for a packet of no connection, the packet's own.
        @param event: C{packet_dropped}, C{state_updated}, ...
        @param data: what belongs to that event.
        """
