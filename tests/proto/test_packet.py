"""
Are single packets read leniently and written strictly, as BEP-29 lays them out?
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_utp.proto.constants import HEADER_SIZE, MAX_EXTENSIONS, MAX_MTU_IPV4
from twisted_utp.proto.packet import (
    Packet,
    PacketDecodeError,
    PacketType,
    decode_packet,
    encode_packet,
    is_utp,
    padding,
    sack_length,
)

# BEP-29 "header format", written out: DATA, no extension, id 0x1234, timestamp 1, difference 2, window 3,
# seq_nr 0xFFFF, ack_nr 7.
HEADER = bytes.fromhex("0100 1234 00000001 00000002 00000003 ffff 0007")


def header(first: int = 0x21, extension: int = 0) -> bytes:
    """The header above with another first or second byte."""
    return bytes((first, extension)) + HEADER[2:]


def test_header_layout() -> None:
    """Each field stands where BEP-29 puts it, big endian."""
    packet = Packet(PacketType.DATA, 0x1234, 1, 2, 3, 0xFFFF, 7, b"payload")
    assert encode_packet(packet) == HEADER + b"payload"
    assert decode_packet(HEADER + b"payload") == packet


@pytest.mark.parametrize(
    ("type", "first"),
    [
        (PacketType.DATA, 0x01),
        (PacketType.FIN, 0x11),
        (PacketType.STATE, 0x21),
        (PacketType.RESET, 0x31),
        (PacketType.SYN, 0x41),
    ],
)
def test_types(type: PacketType, first: int) -> None:
    """The high nibble is the type (ST_DATA 0 to ST_SYN 4), the low one the version."""
    assert encode_packet(Packet(type, 1))[0] == first
    assert decode_packet(header(first)).type is type


def test_numbers_are_wrapped_to_their_fields() -> None:
    """Unwrapped seq_nr, ack_nr and timestamp are cut to the wire's 16 and 32 bits."""
    data = encode_packet(Packet(PacketType.STATE, 1, (1 << 32) + 5, seq_nr=0x1FFFF, ack_nr=0x10000))
    packet = decode_packet(data)
    assert (packet.timestamp, packet.seq_nr, packet.ack_nr) == (5, 0xFFFF, 0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (HEADER, True),
        (HEADER[:-1], False),
        (b"", False),
        (header(0x22), False),  # version 2
        (header(0x20), False),
        (header(0x51), False),  # type 5
        (header(0x41), True),
        (header(0x21, 1), True),
        (header(0x21, 2), True),
        (header(0x21, 3), True),
        (header(0x21, 4), False),  # libutp takes such a first extension for another protocol
        (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", False),  # a DHT query
    ],
)
def test_is_utp(data: bytes, expected: bool) -> None:
    """uTP is 20 bytes or more, version 1, type 4 or less, first extension 3 or less (protocol.md 1)."""
    assert is_utp(data) is expected
    if not expected:
        with pytest.raises(PacketDecodeError):
            decode_packet(data)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 36, 255])
def test_sack_of_any_length_is_read(length: int) -> None:
    """A selective ack may have any length, 0 and 1 included (protocol.md 1)."""
    mask = bytes(range(1, length + 1))[:length]
    packet = decode_packet(header(extension=1) + bytes((0, length)) + mask)
    assert packet.sack_length == length
    assert packet.sack is not None
    naive = [8 * at + bit for at, byte in enumerate(mask) for bit in range(8) if byte >> bit & 1]
    assert [bit for bit in range(8 * length) if packet.sack >> bit & 1] == naive


def test_sack_bit_order_of_the_bep() -> None:
    """The least significant bit of the first byte is ack_nr + 2, that of the second ack_nr + 10 (BEP-29, SACK)."""
    packet = decode_packet(header(extension=1) + bytes((0, 4, 0b1, 0b1, 0, 0x80)))
    assert packet.sack == 1 << 0 | 1 << 8 | 1 << 31


def test_no_sack_and_an_empty_one_differ() -> None:
    """Absent is None; present but saying nothing is 0."""
    assert decode_packet(HEADER).sack is None
    assert decode_packet(header(extension=1) + b"\0\0").sack == 0


def test_unknown_extensions_are_skipped() -> None:
    """Types that we do not know are stepped over, wherever in the chain (BEP-29, extension)."""
    chain = bytes((77, 1, 0b101)) + bytes((3, 3)) + b"xyz" + bytes((0, 4, 0, 0, 0, 9))
    packet = decode_packet(header(extension=1) + chain + b"rest")
    assert (packet.sack, packet.close_reason, packet.payload) == (0b101, 9, b"rest")


@pytest.mark.parametrize(
    "tail",
    [b"", b"\0", b"\0\5abcd", b"\2\1a\0", b"\2\4abcd", b"\1\0" * 5],
    ids=["no header", "half a header", "body cut", "second header cut", "second missing", "endless"],
)
def test_extension_past_the_end(tail: bytes) -> None:
    """A chain that runs past the datagram makes the packet invalid (protocol.md 1)."""
    with pytest.raises(PacketDecodeError, match="extension (header|body) past the end"):
        decode_packet(header(extension=1) + tail)


@pytest.mark.parametrize("size", [0, 2, 255])
def test_too_many_extensions(size: int) -> None:
    """As many as anybody sends are read; a longer chain makes the packet invalid, whatever else is in it."""
    link = bytes((127, size)) + bytes(size)
    chain = link * (MAX_EXTENSIONS - 1) + bytes(2)
    assert decode_packet(header(extension=2) + chain + b"data").payload == b"data"
    with pytest.raises(PacketDecodeError, match="too many extensions"):
        decode_packet(header(extension=2) + link + chain + b"data")


def test_our_longest_probe_is_no_trouble() -> None:
    """The largest MTU probe there is has fewer extensions than are read."""
    assert len(padding(MAX_MTU_IPV4 - HEADER_SIZE - 1)) <= MAX_EXTENSIONS - 4


@pytest.mark.parametrize("length", [0, 4, 7, 9])
def test_extension_bits_of_another_length_are_ignored(length: int) -> None:
    """Only eight bytes are capability bits; libtorrent sends and takes other lengths (peers.md 2.1)."""
    packet = decode_packet(header(extension=2) + bytes((0, length)) + b"\xff" * length + b"!")
    assert packet.extension_bits is None
    assert packet.payload == b"!"


def test_extension_bits_are_big_endian() -> None:
    """Eight bytes, as one number."""
    packet = decode_packet(header(0x41, 2) + b"\0\x08\x01\0\0\0\0\0\0\x02")
    assert packet.extension_bits == 1 << 56 | 2


@pytest.mark.parametrize(("body", "expected"), [(b"\0\0\x01\x02", 0x102), (b"\xff\xff\0\x05", 5), (b"\0\5", 0)])
def test_close_reason(body: bytes, expected: int) -> None:
    """Four bytes: u16 reserved, u16 reason; any other length is ignored (peers.md 2.1)."""
    packet = decode_packet(header(0x31, 3) + bytes((0, len(body))) + body)
    assert packet.close_reason == expected


def test_close_reason_is_never_the_first_extension() -> None:
    """libutp drops a packet whose first extension is 3 or more, so an all-zero SACK goes before it."""
    data = encode_packet(Packet(PacketType.RESET, 1, close_reason=261))
    assert data[1] == 1
    assert data[20:] == bytes.fromhex("03 04 00000000 00 04 00000105")


def test_extensions_are_written_in_order() -> None:
    """Selective ack, extension bits, close reason; each names the next, the last names none."""
    data = encode_packet(
        Packet(PacketType.FIN, 1, sack=0x0201, sack_length=4, extension_bits=5, close_reason=2, payload=b"p")
    )
    assert data[1] == 1
    assert data[20:] == bytes.fromhex("02 04 01020000 03 08 0000000000000005 00 04 00000002") + b"p"


def test_extension_bits_alone_come_first() -> None:
    """A SYN's extension bits need no other extension before them."""
    data = encode_packet(Packet(PacketType.SYN, 1, extension_bits=1))
    assert (data[1], data[20:]) == (2, b"\0\x08\0\0\0\0\0\0\0\x01")


@given(
    st.builds(
        Packet,
        st.sampled_from(PacketType),
        *[st.integers(0, 0xFFFF), *[st.integers(0, 0xFFFFFFFF)] * 3, *[st.integers(0, 0xFFFF)] * 2],
        st.binary(max_size=50),
        st.one_of(st.none(), st.integers(0, 0xFFFFFFFF)),
        st.just(4),
        st.one_of(st.none(), st.integers(0, (1 << 64) - 1)),
        st.integers(0, 0xFFFF),
    )
)
def test_what_is_written_is_read(packet: Packet) -> None:
    """Encoding and decoding undo each other, but for the SACK that a lone close reason brings along."""
    decoded = decode_packet(encode_packet(packet))
    if packet.sack is None:
        packet.sack_length = 0
        if packet.close_reason and packet.extension_bits is None:
            packet.sack, packet.sack_length = 0, 4
    assert decoded == packet


@given(st.binary(max_size=80), st.integers(0, 255))
def test_random_bytes_decode_or_are_refused(tail: bytes, extension: int) -> None:
    """No bytes whatever make the decoder raise anything but its own error."""
    try:
        packet = decode_packet(bytes((0x01, extension)) + tail)
    except PacketDecodeError:
        return
    assert len(packet.payload) <= len(tail) - 18


@pytest.mark.parametrize(
    ("bits", "limit", "expected"),
    [(1, 128, 4), (32, 128, 4), (33, 128, 8), (64, 128, 8), (1024, 128, 128), (1025, 128, 128), (5000, 252, 252)],
)
def test_sack_length_is_a_multiple_of_four(bits: int, limit: int, expected: int) -> None:
    """BEP-29: at least 32 bits and in multiples of 32; no longer than the peer can use."""
    assert sack_length(bits, limit) == expected
