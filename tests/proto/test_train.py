"""
Does a train say exactly what its packets, one by one, would say?
"""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from twisted_utp.proto.packet import Packet, PacketType, decode_packet, encode_extensions, encode_packet
from twisted_utp.proto.train import TrainHeader, decode_trains, encode_train


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


@given(first_seq=st.integers(0, 0xFFFF - 70), size=st.integers(1, 40), nbytes=st.integers(1, 2000))
def test_decoding_equals_packet_by_packet(first_seq: int, size: int, nbytes: int) -> None:
    """The columns are what each packet would have said; acknowledgement and time are the last one's."""
    payloads = cut(bytes(at & 0xFF for at in range(nbytes)), size)[:64]
    assume(len(payloads) > 1)  # a merged buffer has two datagrams at the least
    packets = packets_of(first_seq, payloads)
    last = packets[-1]
    last.timestamp, last.timestamp_difference, last.wnd_size, last.ack_nr = 1, 2, 3, 4
    data = joined(packets)
    (train,) = decode_trains(data, 20 + size)
    singly = [decode_packet(datagram) for datagram in cut(data, 20 + size)]
    assert train.payloads == tuple(packet.payload for packet in singly)
    assert (train.count, train.first_seq) == (len(singly), singly[0].seq_nr)
    final = singly[-1]
    assert (train.timestamp, train.timestamp_difference) == (final.timestamp, final.timestamp_difference)
    assert (train.wnd_size, train.ack_nr) == (final.wnd_size, final.ack_nr)


@pytest.mark.parametrize("first_seq", range(0xFFFC, 0x10000))
def test_train_across_the_wrap_is_never_misread(first_seq: int) -> None:
    """A run over 65535 is two trains, not something else."""
    payloads = [b"a", b"b", b"c", b"d", b"e", b"f"]
    before, after = decode_trains(joined(packets_of(first_seq, payloads)), 21)
    assert (before.first_seq, after.first_seq) == (first_seq, 0)
    assert before.payloads + after.payloads == tuple(payloads)


def changed(at: int, **changes: int) -> bytes:
    """A train of four in which one packet differs."""
    packets = packets_of(10, [b"aa", b"bb", b"cc", b"dd"])
    for name, value in changes.items():
        setattr(packets[at], name, value)
    return joined(packets)


@pytest.mark.parametrize(
    "data",
    [
        changed(1, connection_id=6),
        changed(1, type=PacketType.STATE),
        changed(0, type=PacketType.STATE),
        changed(3, type=PacketType.FIN),
    ],
    ids=["id", "STATE within", "STATE first", "FIN last"],
)
def test_anything_but_a_plain_run_is_refused(data: bytes) -> None:
    """Packets that differ in more than seq_nr, payload and acknowledgement must be looked at singly."""
    assert decode_trains(data, 22) == []


@pytest.mark.parametrize(
    ("third", "trains"),
    [(11, [(10, 2), (11, 1), (13, 1)]), (14, [(10, 2), (14, 1), (13, 1)]), (12, [(10, 4)])],
    ids=["repeated", "gap", "neither"],
)
def test_a_hole_makes_several_trains(third: int, trains: list[tuple[int, int]]) -> None:
    """Where packets are missing or come twice, the buffer is several trains, and no byte is in the wrong one."""
    read = decode_trains(changed(2, seq_nr=third), 22)
    assert [(train.first_seq, train.count) for train in read] == trains
    assert [payload for train in read for payload in train.payloads] == [b"aa", b"bb", b"cc", b"dd"]


def test_extensions_are_refused() -> None:
    """A packet with extensions is no part of a train: its payload would be read from the wrong place."""
    first = packets_of(1, [b"aa", b"bb"], sack=1, sack_length=4)
    assert decode_trains(joined(first), 28) == []
    plain, odd = packets_of(1, [b"aaaaaaaa"])[0], packets_of(2, [b"bb"], sack=1, sack_length=4)[0]
    assert decode_trains(joined([plain, odd]), 28) == []


@pytest.mark.parametrize("tail", [1, 19, 20])
def test_a_tail_without_payload_is_refused(tail: int) -> None:
    """A last datagram that is no more than a header carries no data, so it is not a train's."""
    data = joined(packets_of(1, [b"aaaaaaaa", b"bbbbbbbb"])) + joined(packets_of(3, [b"c"]))[:tail]
    assert decode_trains(data, 28) == []


@pytest.mark.parametrize("size", [1, 19, 20])
def test_segments_without_payload_are_refused(size: int) -> None:
    """Segments no longer than a header cannot be DATA with payload."""
    assert decode_trains(joined(packets_of(1, [b"aa", b"bb"])), size) == []


def test_shorter_last_packet() -> None:
    """The last datagram of a merged buffer may be shorter; its seq_nr and prefix count like the others'."""
    packets = packets_of(0xFFFD, [b"aaa", b"bbb", b"c"])
    (train,) = decode_trains(joined(packets), 23)
    assert train.payloads == (b"aaa", b"bbb", b"c")
    packets[2].seq_nr = 0
    assert [train.payloads for train in decode_trains(joined(packets), 23)] == [(b"aaa", b"bbb"), (b"c",)]
    packets[2].seq_nr, packets[2].connection_id = 0xFFFF, 9
    assert decode_trains(joined(packets), 23) == []
