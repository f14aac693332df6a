"""
Are packets that belong together taken together, whatever arrives between them, and does each connection still hear its
own in order?
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from twisted_utp.proto.packet import Packet, PacketType, decode_packet, encode_packet
from twisted_utp.proto.runs import Run, runs_of
from twisted_utp.proto.values import Address, Datagram
from twisted_utp.testing import merge

ONE: Address = ("192.0.2.1", 1)
OTHER: Address = ("192.0.2.2", 1)


def data(
    seq: int, size: int = 10, address: Address = ONE, type: PacketType = PacketType.DATA, *, id: int = 9
) -> Datagram:
    """A packet with so much payload, and a time of its own."""
    payload = bytes([seq & 0xFF]) * size
    return Datagram(encode_packet(Packet(type, id, seq, 22, 33, seq & 0xFFFF, 44, payload)), address, 0, 1000 + seq)


def state(ack: int, *, id: int = 9, address: Address = ONE, sack: int | None = None) -> Datagram:
    """An acknowledgement."""
    packet = Packet(PacketType.STATE, id, ack_nr=ack & 0xFFFF, sack=sack, sack_length=4 if sack else 0)
    return Datagram(encode_packet(packet), address)


def told(datagrams: Sequence[Datagram]) -> list[str]:
    """What is found: C{A3x2@1004} is a run of two of connection A from 3 on, C{a3} a packet alone."""
    found = []
    for part in runs_of(datagrams)[0]:
        if type(part) is Run:
            name = chr(ord("A") + part.id_on_wire[1] - 9)
            found.append(f"{name}{part.first_seq}x{part.count}@{part.received_at}")
        else:
            packet = decode_packet(part.data)
            found.append(f"{chr(ord('a') + packet.connection_id - 9)}{packet.seq_nr}")
    return found


def one_buffer(datagrams: Sequence[Datagram], size: int) -> Datagram:
    """What the kernel hands over as one."""
    return Datagram(b"".join(datagram.data for datagram in datagrams), ONE, size, 5)


@given(first_seq=st.integers(0, 0xFFFF - 70), size=st.integers(1, 40), nbytes=st.integers(1, 2000))
def test_columns_equal_packet_by_packet(first_seq: int, size: int, nbytes: int) -> None:
    """A run says what each packet would have said; acknowledgement and time are the last one's."""
    whole = bytes(at & 0xFF for at in range(nbytes))
    payloads = [whole[at : at + size] for at in range(0, nbytes, size)][:64]
    assume(len(payloads) > 1)  # a merged buffer has two datagrams at the least
    packets = [Packet(PacketType.DATA, 5, 11, 22, 33, first_seq + at, 44, part) for at, part in enumerate(payloads)]
    last = packets[-1]
    last.timestamp, last.timestamp_difference, last.wnd_size, last.ack_nr = 1, 2, 3, 4
    singles = [Datagram(encode_packet(packet), ONE, 0, 7) for packet in packets]
    for batch in (singles, [one_buffer(singles, 20 + size)]):
        ((run,), _) = runs_of(batch)
        assert type(run) is Run
        assert list(run.payloads) == payloads and run.nbytes == sum(map(len, payloads))
        assert (run.count, run.first_seq, run.id_on_wire) == (len(payloads), first_seq, b"\0\5")
        assert (run.timestamp, run.timestamp_difference, run.wnd_size, run.ack_nr) == (1, 2, 3, 4)
        assert [datagram.data for datagram in run.datagrams()] == [datagram.data for datagram in singles]


def test_last_time_counts() -> None:
    """The delay is measured by the last packet's timestamp, so the time is when that one came."""
    assert told([data(1), data(2), data(3)]) == ["A1x3@1003"]
    assert told([data(1), data(2), data(5), data(6), data(4)]) == ["A1x2@1002", "A5x2@1006", "A4x1@1004"]


@pytest.mark.parametrize("first_seq", range(0xFFFC, 0x10000))
def test_a_run_across_the_wrap_is_never_misread(first_seq: int) -> None:
    """A run over 65535 is two, not something else."""
    before, after = runs_of([data(first_seq + at) for at in range(6)])[0]
    assert type(before) is Run and type(after) is Run
    assert (before.first_seq, after.first_seq, before.count + after.count) == (first_seq, 0, 6)


def test_a_shorter_packet_ends_its_buffer() -> None:
    """As in UDP GRO, only the last may be shorter; what follows starts anew."""
    assert told([data(1), data(2), data(3, 4), data(4, 4), data(5, 4)]) == ["A1x3@1003", "A4x2@1005"]
    assert told([data(1, 4), data(2), data(3)]) == ["a1", "A2x2@1003"]


def test_connections_are_told_apart() -> None:
    """Those of several connections, mixed, are a run each; also from several addresses."""
    batch = [data(100 + number // 3, id=9 + number % 3) for number in range(9)]
    assert told(batch) == ["A100x3@1102", "B100x3@1102", "C100x3@1102"]
    assert told([one_buffer(batch, 30)]) == ["A100x3@5", "B100x3@5", "C100x3@5"]
    assert told([data(1), data(7, address=OTHER), data(2), data(8, address=OTHER)]) == ["A1x2@1002", "A7x2@1008"]


def test_one_stranger_costs_one_packet() -> None:
    """One packet of another connection, or an acknowledgement, leaves the others together."""
    others = [data(at) for at in range(1, 20)]
    for stranger, alone in ((data(5, id=12), ["D5x1@5"]), (state(6, id=12), ["d0"])):
        for place in (1, 10, 19):
            singles = [*others[:place], stranger, *others[place:]]
            assert told(singles) == ["A1x19@1019", alone[0].lower().partition("x")[0]]
    mixed = [*others[:10], data(5, id=12), *others[10:]]
    assert told([one_buffer(mixed, 30)]) == ["A1x19@5", "D5x1@5"]
    assert told([one_buffer([*others, state(6, id=12)], 30)]) == ["A1x19@5", "d0"]


def test_what_a_connection_hears_stays_in_order() -> None:
    """What is no plain DATA ends a run of its own connection, and only that."""
    fin, sacked = data(3, 0, type=PacketType.FIN), encode_packet(Packet(PacketType.DATA, 9, 1, 2, 3, 3, 4, b"xy", 1, 4))
    for special in (fin, state(5), Datagram(sacked, ONE)):
        assert told([data(1), data(2), data(7, id=10), special, data(4), data(8, id=10), data(5)]) == [
            "A1x2@1002", "B7x2@1008", f"a{decode_packet(special.data).seq_nr}", "A4x2@1005",
        ]  # fmt: skip
    odd = [data(1), data(2), data(7, id=10), data(3, type=PacketType.SYN, id=9), data(4), data(8, id=10), data(5)]
    assert told([one_buffer(odd, 30)]) == ["A1x2@5", "B7x2@5", "a3", "A4x2@5"]


@pytest.mark.parametrize("odd", [5, 20, 0])
def test_single_packets_of_one_stream(odd: int) -> None:
    """They are recognised at once if all but the last are as long, and read like any others if not."""
    stream = [data(seq) for seq in range(3, 9)]
    assert told(stream) == ["A3x6@1008"]
    assert told([*stream[:5], data(8, 4)]) == ["A3x6@1008"], "the last one may be shorter"
    for at in range(5):
        packets = [*stream[:at], data(3 + at, odd), *stream[at + 1 :]]
        payloads = [part.payloads if type(part) is Run else [part.data[20:]] for part in runs_of(packets)[0]]
        assert b"".join(b"".join(each) for each in payloads) == b"".join(packet.data[20:] for packet in packets)


def test_other_packets_pass_untouched() -> None:
    """STATEs, packets with extensions and foreign bytes stay the objects they are; nothing comes of nothing."""
    sacked = Datagram(encode_packet(Packet(PacketType.DATA, 9, sack=1, sack_length=4, payload=b"x" * 10)), ONE)
    odd = [state(1), data(1, 0), sacked, Datagram(b"d1:ad2:id20:abcdefghij0123456789e", ONE), Datagram(b"", ONE)]
    found, superseded = runs_of(odd)
    assert [id(part) for part in found] == [id(part) for part in odd] and not superseded
    only = data(1)
    assert runs_of([only])[0][0] is only
    assert runs_of([]) == ([], 0)


def test_nothing_is_lost_or_changed() -> None:
    """Whatever comes, and however the kernel merges it: cut apart again, each connection has its packets in order."""
    random = Random(5)
    for _ in range(400):
        datagrams = [
            data(
                random.choice((seq, seq, seq, seq + 3)),
                random.choice((0, 1, 10, 10, 10)),
                random.choice((ONE, ONE, OTHER)),
                random.choice((PacketType.DATA,) * 6 + tuple(PacketType)),
                id=random.choice((9, 9, 10)),
            )
            for seq in range(random.randrange(14))
        ]
        batch = merge(datagrams) if random.random() < 0.5 else datagrams
        found, superseded = runs_of(batch)
        apart: list[Datagram] = []
        for part in found:
            apart += part.datagrams() if type(part) is Run else [part]  # type: ignore[list-item]
        assert len(apart) + superseded == len(datagrams)
        for key in {(datagram.address, datagram.data[2:4]) for datagram in datagrams}:
            mine = [one.data for one in datagrams if (one.address, one.data[2:4]) == key]
            left = [one.data for one in apart if (one.address, one.data[2:4]) == key]
            assert left == mine or superseded


def test_only_the_last_acknowledgement_has_news() -> None:
    """Of STATEs in a row, also among those of others and over the wrap, the one with the highest ack_nr stays."""
    batch = [state(0xFFFE), state(5, id=3), state(0xFFFF), state(0xFFFE, address=OTHER), state(1), state(6, id=3)]
    assert runs_of(batch) == ([batch[3], batch[4], batch[5]], 3)


def test_acknowledgements_that_the_kernel_merged() -> None:
    """A buffer of STATEs alone is as good as so many single ones."""
    found, superseded = runs_of([one_buffer([state(1), state(2), state(3)], 20), state(4)])
    assert [part.data for part in found] == [state(4).data] and superseded == 3  # type: ignore[union-attr]


def test_what_tells_of_losses_stays() -> None:
    """Repeated acknowledgements, selective ones, and those that data of the same connection separates."""
    for batch in (
        [state(5), state(5), state(5)],
        [state(5, sack=1), state(6, sack=1)],
        [state(6), state(5)],
        [state(5), data(1, 10), state(6)],
        [],
    ):
        assert runs_of(batch) == (batch, 0)


@pytest.mark.parametrize("size", [1, 19, 20])
def test_segments_without_payload(size: int) -> None:
    """Segments no longer than a header are no DATA with payload: they are looked at one by one."""
    whole = data(1, 2).data + data(2, 2).data
    found, _ = runs_of([Datagram(whole, ONE, size)])
    assert [part.data for part in found] == [whole[at : at + size] for at in range(0, len(whole), size)]  # type: ignore[union-attr]


@pytest.mark.parametrize("tail", [1, 19, 20])
def test_a_tail_without_payload(tail: int) -> None:
    """A last datagram that is no more than a header stands alone."""
    buffer = one_buffer([data(1), data(2)], 30)
    buffer.data += data(3).data[:tail]
    run, last = runs_of([buffer])[0]
    assert type(run) is Run and run.count == 2
    assert type(last) is Datagram and last.data == data(3).data[:tail]
