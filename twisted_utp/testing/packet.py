"""
What travels through the simulated network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from twisted_utp.proto.values import Address

if TYPE_CHECKING:
    from twisted_utp.testing.network import Path

IPV4_OVERHEAD = 28
"""Bytes of IPv4 and UDP header."""

IPV6_OVERHEAD = 48
"""Bytes of IPv6 and UDP header."""


def overhead_of(host: str) -> int:
    """
    Bytes of IP and UDP header that a datagram to C{host} carries.
    """
    return IPV6_OVERHEAD if ":" in host else IPV4_OVERHEAD


@dataclass(slots=True)
class Packet:
    """
    One UDP datagram under way.

    @ivar data: the UDP payload.
    @ivar source: who sent it.
    @ivar destination: where it goes.
    @ivar size: bytes on the wire, IP and UDP headers included.
    @ivar dont_fragment: the DF bit.
    @ivar enqueued_at: when it joined the queue that it is in, µs.
    @ivar arrived_at: when it reached the end of the last link, µs.
    @ivar path: the way it takes, set by the network.
    """

    data: bytes
    source: Address
    destination: Address
    size: int = 0
    dont_fragment: bool = False
    enqueued_at: int = 0
    arrived_at: int = 0
    path: Path | None = None

    def __post_init__(self) -> None:
        if not self.size:
            self.size = len(self.data) + overhead_of(self.destination[0])

    def copy(self) -> Packet:
        """
        A duplicate.
        """
        return replace(self)


Sink = Callable[[list[Packet]], None]
"""Takes packets that arrive together."""


class Hop(Protocol):
    """
    Something on the way between two hosts: a link, or a box that rewrites addresses.

    @ivar sink: where what comes out goes.
    """

    sink: Sink

    def send(self, packets: list[Packet]) -> None:
        """
        Take packets in.
        """
