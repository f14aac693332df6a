"""
Reads and writes the bytes of a packet, independently of the core.

A second, independent reading of BEP-29's header, so that a mistake in the core's own codec cannot hide itself
from the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

HEADER = Struct(">BBHIIIHH")
DATA, FIN, STATE, RESET, SYN = range(5)
TYPE_NAMES = ("DATA", "FIN", "STATE", "RESET", "SYN")


class Header(NamedTuple):
    """
    A packet as it is on the wire.

    @ivar extensions: C{(type, body)} pairs in order.
    """

    type: int
    connection_id: int
    timestamp: int
    timestamp_difference: int
    wnd_size: int
    seq_nr: int
    ack_nr: int
    extensions: tuple[tuple[int, bytes], ...] = ()
    payload: bytes = b""

    @property
    def name(self) -> str:
        """
        The type's name.
        """
        return TYPE_NAMES[self.type]

    def extension(self, kind: int) -> bytes | None:
        """
        The body of the first extension of that type, L{None} without one.
        """
        return next((body for found, body in self.extensions if found == kind), None)

    def without_times(self) -> Header:
        """
        A copy whose timestamps are 0, to compare packets that were sent at different times.
        """
        return self._replace(timestamp=0, timestamp_difference=0)

    def __str__(self) -> str:
        extensions = "".join(f" ext{kind}={body.hex()}" for kind, body in self.extensions)
        return (
            f"{self.name} id={self.connection_id} seq={self.seq_nr} ack={self.ack_nr} wnd={self.wnd_size}"
            f"{extensions} payload={len(self.payload)}"
        )


def decode(data: bytes) -> Header:
    """
    Read a packet.

    @raise ValueError: when it is not a well-formed uTP packet.
    """
    if len(data) < HEADER.size or data[0] & 15 != 1 or data[0] >> 4 > SYN:
        raise ValueError(f"not uTP: {data[:24].hex()}")
    first, kind, *numbers = HEADER.unpack_from(data)
    extensions = []
    at = HEADER.size
    while kind:
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            raise ValueError(f"extensions past the end: {data[:40].hex()}")
        end = at + 2 + data[at + 1]
        extensions.append((kind, data[at + 2 : end]))
        kind, at = data[at], end
    connection_id, timestamp, difference, wnd_size, seq_nr, ack_nr = numbers
    return Header(
        first >> 4, connection_id, timestamp, difference, wnd_size, seq_nr, ack_nr, tuple(extensions), data[at:]
    )


def decode_or_none(data: bytes) -> Header | None:
    """
    Read a packet; L{None} when it is none.
    """
    try:
        return decode(data)
    except ValueError:
        return None


def encode(header: Header) -> bytes:
    """
    Write a packet, however odd: nothing is checked.
    """
    kinds = [kind for kind, _ in header.extensions] + [0]
    return (
        HEADER.pack(header.type << 4 | 1, kinds[0], *(number & mask for number, mask in _numbers(header)))
        + b"".join(
            bytes((following, len(body))) + body
            for following, (_, body) in zip(kinds[1:], header.extensions, strict=True)
        )
        + header.payload
    )


def _numbers(header: Header) -> Sequence[tuple[int, int]]:
    return (
        (header.connection_id, 0xFFFF),
        (header.timestamp, 0xFFFFFFFF),
        (header.timestamp_difference, 0xFFFFFFFF),
        (header.wnd_size, 0xFFFFFFFF),
        (header.seq_nr, 0xFFFF),
        (header.ack_nr, 0xFFFF),
    )
