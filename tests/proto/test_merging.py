"""
Are single datagrams put together as the kernel would have, and nothing else?
"""

from __future__ import annotations

from random import Random

from twisted_utp.proto.merging import merge_runs, without_superseded
from twisted_utp.proto.packet import Packet, PacketType, encode_packet
from twisted_utp.proto.values import Address, Datagram

ONE: Address = ("192.0.2.1", 1)
OTHER: Address = ("192.0.2.2", 1)


def data(seq: int, size: int, address: Address = ONE, type: PacketType = PacketType.DATA) -> Datagram:
    """A packet with so much payload."""
    payload = bytes([seq & 0xFF]) * size
    return Datagram(encode_packet(Packet(type, 9, seq_nr=seq, payload=payload)), address, 0, 1000 + seq)


def sizes(datagrams: list[Datagram]) -> list[tuple[int, int]]:
    """Length and segment size of what merging gives."""
    return [(len(datagram.data), datagram.segment_size) for datagram in merge_runs(datagrams)]


def test_equal_packets_become_one_buffer() -> None:
    """A run of equally long DATA of one sender is one buffer with its segment size and the first one's time."""
    (merged,) = merge_runs([data(1, 10), data(2, 10), data(3, 10)])
    assert merged.segment_size == 30
    assert merged.data == b"".join(data(seq, 10).data for seq in (1, 2, 3))
    assert (merged.address, merged.received_at) == (ONE, 1001)


def test_a_shorter_packet_ends_its_run() -> None:
    """As in UDP GRO, only the last may be shorter; what follows starts a new run."""
    assert sizes([data(1, 10), data(2, 10), data(3, 4), data(4, 4), data(5, 4)]) == [(84, 30), (48, 24)]


def test_a_longer_packet_starts_a_new_run() -> None:
    """A buffer's segments are never longer than its first."""
    assert sizes([data(1, 4), data(2, 10), data(3, 10)]) == [(24, 0), (60, 30)]


def test_senders_are_kept_apart() -> None:
    """Another address ends the run."""
    assert sizes([data(1, 10), data(2, 10, OTHER), data(3, 10, OTHER)]) == [(30, 0), (60, 30)]


def test_a_lone_packet_stays_the_object_it_is() -> None:
    """A run of one is not copied."""
    only = data(1, 10)
    assert list(merge_runs([only])) == [only]
    assert next(merge_runs([only])) is only


def test_other_packets_pass_untouched() -> None:
    """STATEs, packets with extensions, foreign bytes and buffers that are merged already stay as they are."""
    state = data(1, 0, type=PacketType.STATE)
    empty = data(1, 0)
    sacked = Datagram(encode_packet(Packet(PacketType.DATA, 9, sack=1, sack_length=4, payload=b"x" * 10)), ONE)
    foreign = Datagram(b"d1:ad2:id20:abcdefghij0123456789e", ONE)
    merged = Datagram(data(1, 10).data * 2, ONE, 30)
    nothing = Datagram(b"", ONE)
    odd = [state, empty, sacked, foreign, merged, nothing]
    for datagram in odd:
        assert list(merge_runs([datagram, datagram])) == [datagram, datagram]
    assert list(merge_runs(odd)) == odd
    assert list(merge_runs([])) == []


def test_order_and_bytes_are_kept() -> None:
    """Cutting the merged buffers apart again gives the very datagrams, in order."""
    random = Random(5)
    for _ in range(200):
        datagrams = [
            data(seq, random.choice((0, 3, 10, 10)), random.choice((ONE, ONE, OTHER)), random.choice(tuple(PacketType)))
            for seq in range(random.randrange(12))
        ]
        apart = []
        for merged in merge_runs(datagrams):
            size = merged.segment_size or len(merged.data)
            apart += [(merged.data[at : at + size], merged.address) for at in range(0, len(merged.data), size)]
        assert apart == [(datagram.data, datagram.address) for datagram in datagrams]


def state(ack: int, *, id: int = 9, address: Address = ONE, sack: int | None = None) -> Datagram:
    """An acknowledgement."""
    packet = Packet(PacketType.STATE, id, ack_nr=ack & 0xFFFF, sack=sack, sack_length=4 if sack else 0)
    return Datagram(encode_packet(packet), address)


def test_only_the_last_acknowledgement_has_news() -> None:
    """Of STATEs in a row, also among those of others and over the wrap, the one with the highest ack_nr stays."""
    batch = [state(0xFFFE), state(5, id=3), state(0xFFFF), state(0xFFFE, address=OTHER), state(1), state(6, id=3)]
    assert list(without_superseded(batch)) == [batch[3], batch[4], batch[5]]


def test_what_tells_of_losses_stays() -> None:
    """Repeated acknowledgements, selective ones, and those that data of the same connection separates."""
    for batch in (
        [state(5), state(5), state(5)],
        [state(5, sack=1), state(6, sack=1)],
        [state(6), state(5)],
        [state(5), data(1, 10), state(6)],
        [data(1, 10), data(2, 10)],
        [],
    ):
        assert list(without_superseded(batch)) == batch
