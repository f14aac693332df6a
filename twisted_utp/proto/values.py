"""
The values that pass between the core and whoever owns the socket.

Two value types are shaped for batches: a received buffer may hold many equal datagrams that the kernel merged (UDP
GRO), and a sent buffer may hold many equal datagrams that the kernel is to cut apart (UDP GSO).  A third is for
datagrams that the network sends back.  They are slotted, unfrozen dataclasses because a frozen one costs four times
as much to make, and the first two are made for every read and every write.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

Address = tuple[str, int] | tuple[str, int, str]
"""
Where a peer is: numeric host and UDP port; and, on a port with several addresses, the one of ours that it knows us by.
Whoever owns the socket makes it, one value for one address; the core compares and hashes it, and looks at the host.  So
what answers a packet leaves from where that one arrived, and a connection keeps its local address: it is part of its
name, as in TCP.
"""


def host_and_port(address: Address) -> tuple[str, int]:
    """
    The peer's half.
    """
    return address[0], address[1]


@dataclass(slots=True)
class Datagram:
    """
    One received buffer: a single datagram, or several that the kernel merged.

    @ivar data: the bytes received.
    @ivar address: who sent them.
    @ivar segment_size: length in bytes of each datagram in C{data}; the last may be shorter.  0 means that
        C{data} is one datagram.
    @ivar received_at: when the kernel handed them over, in µs on the core's monotonic clock.  0 means "use the
        batch's C{now}".
    """

    data: bytes
    address: Address
    segment_size: int = 0
    received_at: int = 0


@dataclass(slots=True)
class Transmit:
    """
    A train: C{count} datagrams for one destination, back to back in one buffer.

    @ivar address: where they go.
    @ivar payload: the datagrams' bytes.
    @ivar segment_size: length of each; the last may be shorter.  Equal to C{len(payload)} when C{count} is 1.
    @ivar count: how many datagrams.
    @ivar dont_fragment: an MTU probe, to be sent with the don't-fragment bit, always alone in its train.
    """

    address: Address
    payload: bytes
    segment_size: int
    count: int = 1
    dont_fragment: bool = False

    def segments(self) -> list[bytes]:
        """
        The datagrams one by one, for a socket that cannot take a train.
        """
        if self.count == 1:
            return [self.payload]
        size, payload = self.segment_size, self.payload
        return [payload[i : i + size] for i in range(0, len(payload), size)]


class Obstacle(Enum):
    """
    Why a datagram came back.
    """

    TOO_BIG = "the next link's MTU is smaller"
    PORT_CLOSED = "nothing listens on that port"
    UNREACHABLE = "no route leads there"


@dataclass(slots=True)
class ReturnedDatagram:
    """
    A datagram that somebody says was ours and could not be delivered: an ICMP error message.  Anyone can send one, so
    it proves nothing until C{quoted} turns out to be what we sent.

    @ivar address: where it was sent.
    @ivar quoted: its first bytes, as many as came back; maybe none.
    @ivar obstacle: why.
    @ivar size: for C{TOO_BIG}, the largest UDP payload in bytes that would have got through; 0 when that is not known.
    """

    address: Address
    quoted: bytes
    obstacle: Obstacle
    size: int = 0
