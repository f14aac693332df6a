"""
A uTP packet on the wire (BEP-29, "header format").

Decoding is lenient as far as that is safe: unknown extensions are skipped, selective acks may have any length.
Encoding is strict: only what every deployed stack takes.  L{decode_packet} is for one odd packet; trains of ordinary
ones go through the precompiled structs of L{twisted_utp.proto.train}.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from twisted_utp.proto.constants import (
    EXTENSION_BITS,
    EXTENSION_BITS_SIGNATURE,
    EXTENSION_BITS_SIGNATURE_MASK,
    EXTENSION_CLOSE_REASON,
    EXTENSION_PADDING,
    EXTENSION_SELECTIVE_ACK,
    HEADER_SIZE,
    MAX_EXTENSIONS,
    MAX_FIRST_EXTENSION,
    SEQ_MASK,
    TIMESTAMP_MASK,
    VERSION,
)

HEADER = Struct(">BBHIIIHH")

STUN_MAGIC_COOKIE = bytes.fromhex("2112a442")


class PacketType(IntEnum):
    """
    The type field.
    """

    DATA = 0
    FIN = 1
    STATE = 2
    RESET = 3
    SYN = 4


TYPES = tuple(PacketType)


class PacketDecodeError(ValueError):
    """
    The bytes are no well-formed uTP packet.
    """


@dataclass(slots=True)
class Packet:
    """
    One packet; fields are named as in BEP-29 and hold what the wire holds.

    @ivar sack: selective ack as an integer whose bit i means "packet ack_nr + 2 + i has arrived"; L{None} when
        the packet has no such extension.
    @ivar sack_length: bytes of that mask on the wire.
    @ivar extension_bits: capability bits of the peer as a 64-bit number, or L{None}.
    @ivar close_reason: libtorrent's extension 3, 0 when there is none.
    """

    type: PacketType
    connection_id: int
    timestamp: int = 0
    timestamp_difference: int = 0
    wnd_size: int = 0
    seq_nr: int = 0
    ack_nr: int = 0
    payload: bytes = b""
    sack: int | None = None
    sack_length: int = 0
    extension_bits: int | None = None
    close_reason: int = 0


def is_utp(data: bytes) -> bool:
    """
    Does a datagram look like uTP?  Whatever does not belongs to somebody else on the port (a DHT, say).
    """
    return (
        len(data) >= HEADER_SIZE
        and data[0] & 0x0F == VERSION
        and data[0] >> 4 < len(TYPES)
        and data[1] <= MAX_FIRST_EXTENSION
    )


def is_from_ours(packet: Packet) -> bool:
    """
    Does it show our extension bits?
    """
    bits = packet.extension_bits
    return bits is not None and bits & EXTENSION_BITS_SIGNATURE_MASK == EXTENSION_BITS_SIGNATURE


def is_stun(data: bytes) -> bool:
    """
    Is it STUN?  Its responses look like uTP, but for their magic cookie (RFC 8489 (5)); asked of datagrams only that
    no connection knows.
    """
    return data[4:8] == STUN_MAGIC_COOKIE


def decode_packet(data: bytes) -> Packet:
    """
    Read one datagram.

    @raise PacketDecodeError: when it is not uTP, or its extensions run past its end or are too many.
    """
    if not is_utp(data):
        raise PacketDecodeError("not a uTP packet")
    return decode_utp(data)


def decode_utp(data: bytes) -> Packet:
    """
    L{decode_packet}, of what L{is_utp}.
    """
    first, extension, connection_id, timestamp, difference, wnd_size, seq_nr, ack_nr = HEADER.unpack_from(data)
    payload = b"" if extension else data[HEADER_SIZE:]
    packet = Packet(TYPES[first >> 4], connection_id, timestamp, difference, wnd_size, seq_nr, ack_nr, payload)
    if extension:
        packet.payload = data[_decode_extensions(packet, extension, data) :]
    return packet


def _decode_extensions(packet: Packet, kind: int, data: bytes) -> int:
    """
    Walk the chain of C{next, length, body}; every step moves forward, and there are not many.

    @return: where the payload starts.
    """
    at, total = HEADER_SIZE, len(data)
    for _ in range(MAX_EXTENSIONS):
        if at + 2 > total:
            raise PacketDecodeError("extension header past the end")
        following, end = data[at], at + 2 + data[at + 1]
        if end > total:
            raise PacketDecodeError("extension body past the end")
        if kind <= EXTENSION_CLOSE_REASON:
            _decode_extension(packet, kind, data[at + 2 : end])
        if not following:
            return end
        kind, at = following, end
    raise PacketDecodeError("too many extensions")


def _decode_extension(packet: Packet, kind: int, body: bytes) -> None:
    if kind == EXTENSION_SELECTIVE_ACK:
        # Least significant bit first in each byte: as one number, that is little endian.
        packet.sack = int.from_bytes(body, "little")
        packet.sack_length = len(body)
    elif kind == EXTENSION_BITS:
        # libutp drops the whole packet when this is not eight bytes; libtorrent and we ignore the extension.
        if len(body) == 8:
            packet.extension_bits = int.from_bytes(body, "big")
    elif kind == EXTENSION_CLOSE_REASON and len(body) == 4:
        packet.close_reason = int.from_bytes(body[2:], "big")


def encode_packet(packet: Packet) -> bytes:
    """
    The bytes of one packet.  The selective ack comes first, the close reason last: libutp drops a packet whose
    first extension is 3 or more, so a close reason that would stand alone gets an (empty of meaning) all-zero
    selective ack before it.
    """
    chain: list[tuple[int, bytes]] = []
    if packet.sack is not None:
        chain.append((EXTENSION_SELECTIVE_ACK, packet.sack.to_bytes(packet.sack_length, "little")))
    if packet.extension_bits is not None:
        chain.append((EXTENSION_BITS, packet.extension_bits.to_bytes(8, "big")))
    if packet.close_reason:
        if not chain:
            chain.append((EXTENSION_SELECTIVE_ACK, bytes(4)))
        chain.append((EXTENSION_CLOSE_REASON, packet.close_reason.to_bytes(4, "big")))
    return (
        HEADER.pack(
            packet.type << 4 | VERSION,
            chain[0][0] if chain else 0,
            packet.connection_id,
            packet.timestamp & TIMESTAMP_MASK,
            packet.timestamp_difference,
            packet.wnd_size,
            packet.seq_nr & SEQ_MASK,
            packet.ack_nr & SEQ_MASK,
        )
        + (encode_extensions(chain) if chain else b"")
        + packet.payload
    )


def encode_extensions(chain: list[tuple[int, bytes]]) -> bytes:
    """
    C{next, length, body} for each; the type of the first stands in the header.
    """
    if len(chain) == 1:
        body = chain[0][1]
        return bytes((0, len(body))) + body
    following = [*(kind for kind, _ in chain[1:]), 0]
    return b"".join(bytes((following[at], len(body))) + body for at, (_, body) in enumerate(chain))


MIN_PADDING = 12
"""Bytes of the shortest L{padding}."""


def padding(nbytes: int) -> list[tuple[int, bytes]]:
    """
    Extensions that take C{nbytes} bytes of a packet and mean nothing.

    Extension bits come first: libutp drops packets whose first extension it does not know.

    @param nbytes: at least L{MIN_PADDING}.
    """
    chain = [(EXTENSION_BITS, EXTENSION_BITS_SIGNATURE.to_bytes(8, "big"))]
    left = nbytes - 10
    while left:
        # Each has two bytes of its own, so one byte must never be left over.
        length = min(left, 257)
        length -= left - length == 1
        chain.append((EXTENSION_PADDING, bytes(length - 2)))
        left -= length
    return chain


def sack_length(bits: int, limit: int) -> int:
    """
    Bytes for a mask of C{bits} bits: a multiple of four, since some peers reject any other, and at most C{limit}.
    """
    return min((bits + 31) // 32 * 4, limit)
