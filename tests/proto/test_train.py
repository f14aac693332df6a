"""
Does a train say exactly what its packets, one by one, would say?
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twisted_utp.proto.packet import Packet, PacketType, encode_extensions, encode_packet
from twisted_utp.proto.train import TrainHeader, encode_train


def packets_of(
    first_seq: int, payloads: list[bytes], *, id: int = 5, sack: int | None = None, sack_length: int = 0
) -> list[Packet]:
    """The packets that make up a train."""
    return [
        Packet(PacketType.DATA, id, 11, 22, 33, first_seq + at & 0xFFFF, 44, payload, sack, sack_length)
        for at, payload in enumerate(payloads)
    ]


def cut(data: bytes, size: int) -> list[bytes]:
    """Pieces of that size; the last may be shorter."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def joined(packets: list[Packet]) -> bytes:
    """As the kernel merges them."""
    return b"".join(encode_packet(packet) for packet in packets)


@given(
    first_seq=st.one_of(st.integers(0, 0xFFFF), st.integers(0xFFF0, 0x1000F)),
    size=st.integers(1, 40),
    nbytes=st.integers(1, 600),
    offset=st.integers(0, 30),
    sack=st.one_of(st.none(), st.integers(0, 0xFFFFFFFF)),
)
def test_encoding_equals_packet_by_packet(
    first_seq: int, size: int, nbytes: int, offset: int, sack: int | None
) -> None:
    """The bytes of a train are those of its packets in a row, across the wrap of seq_nr and with a SACK too."""
    data = bytes(at & 0xFF for at in range(offset + nbytes + 7))
    payloads = cut(data[offset : offset + nbytes], size)
    extensions = b"" if sack is None else encode_extensions([(1, sack.to_bytes(4, "little"))])
    train = TrainHeader(5, 11, 22, 33, 44, 1 if extensions else 0, extensions)
    encoded = encode_train(train, first_seq, data, offset, size, len(payloads), nbytes)
    assert encoded == joined(packets_of(first_seq, payloads, sack=sack, sack_length=4 if extensions else 0))
