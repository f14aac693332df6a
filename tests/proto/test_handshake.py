"""
Are SYN and SYN-ACK what every deployed stack expects?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.constants import (
    EXTENSION_BITS_SIGNATURE,
    MAX_CONFIRMATIONS,
    MAX_SYN_TIMEOUT,
    SYN_ATTEMPTS_WITH_FIRST_ID,
)
from twisted_utp.proto.handshake import Handshake
from twisted_utp.proto.packet import Packet, PacketType, decode_packet

NOW = 5_000_000_000


def initiator(first_seq: int = 11) -> Handshake:
    """Of a connection that we dial."""
    handshake = Handshake(first_seq, is_acceptor=False)
    handshake.deadline = NOW + 30_000_000
    return handshake


@pytest.mark.parametrize(("first_seq", "syn_seq"), [(11, 10), (0, 0xFFFF), (0x10000, 0xFFFF)])
def test_syn_consumes_a_seq_nr(first_seq: int, syn_seq: int) -> None:
    """First DATA is ISN + 1 (protocol.md 2), across the wrap."""
    syn = decode_packet(initiator(first_seq).syn(700, 12345, NOW))
    assert (syn.type, syn.connection_id, syn.seq_nr) == (PacketType.SYN, 700, syn_seq)
    assert (syn.timestamp, syn.timestamp_difference) == (NOW & 0xFFFFFFFF, 0)
    assert syn.payload == b""


def test_late_syns() -> None:
    """The first ones carry the extension bits, late ones another id and no bits (nim drops them)."""
    handshake = initiator()
    seen = []
    for _ in range(SYN_ATTEMPTS_WITH_FIRST_ID + 2):
        needs = handshake.needs_another_id
        seen.append((needs, decode_packet(handshake.syn(1, 0, NOW)).extension_bits))
    first = [(False, EXTENSION_BITS_SIGNATURE)] * SYN_ATTEMPTS_WITH_FIRST_ID
    assert seen == [*first, (True, None), (True, None)]


def test_syn_timeout_doubles() -> None:
    """RFC 6298 (2.1): one second, doubled up to the cap, but not past the deadline."""
    handshake = initiator()
    waits = []
    for _ in range(5):
        handshake.syn(1, 0, NOW)
        waits.append(handshake.next_syn_at(NOW) - NOW)
    assert waits[0] == 1_000_000
    assert all(later == min(2 * wait, MAX_SYN_TIMEOUT) for wait, later in zip(waits, waits[1:], strict=False))
    assert handshake.next_syn_at(NOW + 29_999_999) == NOW + 30_000_000


def test_syn_ack_consumes_none() -> None:
    """SYN-ACK: ack_nr is the SYN's seq_nr, seq_nr that of our first DATA, each time the same (protocol.md 2)."""
    handshake = Handshake(0x10000, is_acceptor=True)
    handshake.on_syn(Packet(PacketType.SYN, 700, seq_nr=500))
    for bits in (True, False):
        packet = decode_packet(handshake.syn_ack(700, 77, 999, with_bits=bits, timestamp=NOW))
        assert (packet.type, packet.connection_id, packet.seq_nr, packet.ack_nr) == (PacketType.STATE, 700, 0, 500)
        assert (packet.timestamp_difference, packet.wnd_size) == (77, 999)
        assert packet.extension_bits == (EXTENSION_BITS_SIGNATURE if bits else None)


def test_repeated_syn() -> None:
    """Only the acceptor's own SYN is a repetition; the same seq_nr means nothing to an initiator."""
    acceptor = Handshake(11, is_acceptor=True)
    acceptor.on_syn(Packet(PacketType.SYN, 700, seq_nr=500))
    assert acceptor.is_repeated(Packet(PacketType.SYN, 700, seq_nr=500))
    assert not acceptor.is_repeated(Packet(PacketType.SYN, 700, seq_nr=501))
    assert not initiator(501).is_repeated(Packet(PacketType.SYN, 700, seq_nr=500))


def test_answer() -> None:
    """A STATE that acknowledges the SYN; DATA that overtook it is none, nor an ack of something else."""
    handshake = initiator(11)
    assert handshake.is_answer(Packet(PacketType.STATE, 1, ack_nr=10))
    assert not handshake.is_answer(Packet(PacketType.STATE, 1, ack_nr=11))
    assert not handshake.is_answer(Packet(PacketType.DATA, 1, ack_nr=10))
    assert not handshake.is_answer(Packet(PacketType.FIN, 1, ack_nr=10))


def test_becoming_the_acceptor_of_a_dialled_connection() -> None:
    """When both dial, one of them answers the other's SYN instead of waiting for its own."""
    handshake = initiator()
    handshake.on_syn(Packet(PacketType.SYN, 700, seq_nr=500))
    assert handshake.is_acceptor
    assert handshake.is_repeated(Packet(PacketType.SYN, 700, seq_nr=500))


def test_confirmations_end() -> None:
    """An initiator shows a silent acceptor a few times that it is there, ever more rarely, and then stops."""
    handshake = initiator()
    waits = [handshake.confirm(200_000, NOW) for _ in range(MAX_CONFIRMATIONS)]
    assert waits[:-1] == [NOW + (200_000 << at + 1) for at in range(MAX_CONFIRMATIONS - 1)]
    assert waits[-1] is None
