"""
Hole punching: attempts that wait for their peer, and the connections that come of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IProtocol

if TYPE_CHECKING:
    from twisted_utp._connecting import OutgoingConnection
    from twisted_utp.proto.values import Address
    from twisted_utp.transport import UTPTransport


# µs by which the peer may be ahead of us in hearing of the other: one relay's message.
_ARRIVAL = 15_000_000
# Connections that are remembered for that long.  More cost memory where nobody punches.
_ARRIVALS = 256


class Punches:
    """
    Attempts of one UDP port that take what comes from the right host.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[OutgoingConnection]] = {}
        self._arrivals: dict[UTPTransport, int] = {}

    def add(self, attempt: OutgoingConnection) -> None:
        """
        It waits for its host.
        """
        self._waiting.setdefault(attempt.address[0], []).append(attempt)

    def discard(self, attempt: OutgoingConnection) -> None:
        """
        It waits no more, if it did.
        """
        for host, waiting in list(self._waiting.items()):
            if attempt in waiting:
                waiting.remove(attempt)
                if not waiting:
                    del self._waiting[host]

    def take(self, host: str) -> OutgoingConnection | None:
        """
        Who has waited longest for that host.
        """
        waiting = self._waiting.get(host)
        if not waiting:
            return None
        attempt = waiting[0]
        self.discard(attempt)
        return attempt

    def came_in(self, transport: UTPTransport, now: int) -> None:
        """
        A peer has connected to somebody who listens.

        @param now: µs.
        """
        arrivals = self._arrivals
        arrivals[transport] = now
        while len(arrivals) > _ARRIVALS or now - arrivals[next(iter(arrivals))] > _ARRIVAL:
            del arrivals[next(iter(arrivals))]

    def left(self, transport: UTPTransport) -> None:
        """
        A connection has ended.
        """
        self._arrivals.pop(transport, None)

    def find(self, transports: Iterable[UTPTransport], address: Address, any_port: bool, now: int) -> IProtocol | None:
        """
        The protocol of a connection that the peer has opened, from that address or, just now, from another port.
        """
        for transport in transports:
            if transport._is_from(address[0], address[1]):
                return transport.protocol
        for transport, at in self._arrivals.items() if any_port else ():
            if now - at <= _ARRIVAL and transport._is_from(address[0]):
                return transport.protocol
        return None
