"""
One forward, of the several that a process may have.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IStreamClientEndpoint, IStreamServerEndpoint

if TYPE_CHECKING:
    from twisted_utp.forward.relay import Relay


@dataclass(eq=False)
class Route:
    """
    Where to accept connections, where to carry them, and what has been counted.

    @ivar names: the two endpoint strings, for the log.
    @ivar port: where it listens.
    @ivar relays: its connections.
    @ivar accepted: connections so far; C{refused} those that were too many.
    @ivar failures: how many have failed, by their cause.
    @ivar sent: bytes from clients to the service, of connections that have ended.
    @ivar received: bytes from the service to clients, likewise.
    """

    listen: IStreamServerEndpoint
    connect: IStreamClientEndpoint
    names: tuple[str, str]
    port: IListeningPort | None = None
    listening: Deferred[Any] | None = None
    relays: dict[Relay, None] = field(default_factory=dict)
    accepted: int = 0
    refused: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    received: int = 0

    @property
    def is_plain(self) -> bool:
        """
        Does it dial by uTP, without TLS?
        """
        return self.names[1].partition(":")[0].lower() in ("utp", "utp6")

    def ended(self, relay: Relay) -> None:
        """
        One of its connections is over: count it.
        """
        del self.relays[relay]
        if relay.failed:
            self.failures[relay.kind.value] += 1
        self.sent += relay.near.received
        self.received += relay.far.received

    def carried(self) -> tuple[int, int]:
        """
        Bytes sent and received, of all connections.
        """
        sent, received = self.sent, self.received
        for relay in self.relays:
            sent += relay.near.received
            received += relay.far.received
        return sent, received
