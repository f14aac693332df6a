"""
Does every packet that leaves acknowledge, and is nothing ever larger than a full packet?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.constants import MAX_SACK_BYTES, MAX_SACK_BYTES_FOREIGN
from twisted_utp.proto.packet import Packet, PacketType, decode_packet
from twisted_utp.proto.packet_writer import PacketWriter
from twisted_utp.proto.receive_buffer import ReceiveBuffer
from twisted_utp.proto.scoreboard import Flight
from twisted_utp.proto.values import Address, Transmit

PEER: Address = ("192.0.2.1", 6881)
OFFSET = 0xFFFF_0000
NOW = (3 << 32) + 77 + 0x10000  # our clock and its offset make 77 on the wire
MSS = 100
FIRST = 65_536 + 3  # what we expect next from the peer: ack_nr 2 on the wire


def writer(*ahead: int, capacity: int = 5000) -> PacketWriter:
    """A writer whose receiver holds these packets ahead of a gap."""
    receiver = ReceiveBuffer(FIRST, capacity)
    for seq in ahead:
        receiver.on_data(seq, b"x")
    made = PacketWriter(PEER, receiver, OFFSET)
    made.send_id, made.reply_micro = 0x1234, 999
    return made


def flight(count: int, size: int, nbytes: int | None = None, seq: int = 65_534) -> Flight:
    """Packets to write."""
    nbytes = count * size if nbytes is None else nbytes
    return Flight(seq, count, bytes(range(200)) * 10, 3, size, nbytes, NOW)


def packets(transmit: Transmit) -> list[Packet]:
    """What is on the wire."""
    assert transmit.address == PEER
    assert transmit.count == len(transmit.segments())
    return [decode_packet(data) for data in transmit.segments()]


def test_train_shares_its_header() -> None:
    """Each packet has id, time, echo, window and ack_nr; seq_nrs follow each other across the wrap."""
    transmit, acknowledges = writer().train(flight(4, 30, 100), MSS, NOW)
    assert acknowledges
    assert transmit.segment_size == 50
    sent = packets(transmit)
    assert [packet.seq_nr for packet in sent] == [65_534, 65_535, 0, 1]
    assert b"".join(packet.payload for packet in sent) == bytes(range(3, 103))
    assert [len(packet.payload) for packet in sent] == [30, 30, 30, 10]
    for packet in sent:
        assert (packet.type, packet.connection_id, packet.timestamp) == (PacketType.DATA, 0x1234, 77)
        assert (packet.timestamp_difference, packet.wnd_size, packet.ack_nr) == (999, 5000, 2)
        assert packet.sack is None


def test_single_packet() -> None:
    """A train of one is as long as it is."""
    transmit, _ = writer().train(flight(1, 30, 7), MSS, NOW)
    assert (transmit.count, transmit.segment_size, len(transmit.payload)) == (1, 27, 27)
    assert transmit.segments() == [transmit.payload]


def test_sack_rides_on_data_that_leaves_room() -> None:
    """In packets below full size the gap is told along with the data, within the full size."""
    transmit, acknowledges = writer(FIRST + 1, FIRST + 40).train(flight(2, MSS - 10), MSS, NOW)
    assert acknowledges
    for packet in packets(transmit):
        assert (packet.sack, packet.sack_length) == (1 | 1 << 39, 8)
    assert transmit.segment_size == MSS + 20


def test_no_room_for_the_sack() -> None:
    """Full packets have none; then the train does not say everything, and a STATE must."""
    for size, room in ((MSS, False), (MSS - 5, False), (MSS - 6, True)):
        transmit, acknowledges = writer(FIRST + 1).train(flight(2, size), MSS, NOW)
        assert acknowledges is room
        assert all((packet.sack is not None) is room for packet in packets(transmit))
        assert transmit.segment_size <= MSS + 20


def test_state() -> None:
    """A packet without payload has the same acknowledgement."""
    (packet,) = packets(writer(FIRST + 2).packet(PacketType.STATE, 65_536 + 9, NOW))
    assert (packet.type, packet.connection_id, packet.seq_nr, packet.ack_nr) == (PacketType.STATE, 0x1234, 9, 2)
    assert (packet.sack, packet.sack_length, packet.wnd_size) == (0b10, 4, 5000)
    assert (packet.timestamp, packet.timestamp_difference, packet.payload) == (77, 999, b"")


def test_a_keepalive_is_a_byte_of_old_data() -> None:
    """Every stack answers that, and not all an old FIN, DATA without a byte or a STATE.  No extensions."""
    made = writer(FIRST + 2)
    packet = decode_packet(made.question(65_536 + 9, NOW))
    assert packet is not None and (packet.type, packet.seq_nr, packet.sack) == (PacketType.DATA, 9, None)
    assert len(packet.payload) == 1 and packet.ack_nr == made._receiver.next_seq - 1 & 0xFFFF


def test_a_bare_answer() -> None:
    """The header of any other packet, and nothing else."""
    made = writer()
    packet, other = decode_packet(made.answer(9, NOW)), packets(made.packet(PacketType.STATE, 9, NOW))[0]
    assert packet == other


def test_what_is_written_is_advertised() -> None:
    """The window told is the one from which updates are counted."""
    made = writer(capacity=1000)
    made._receiver.on_data(FIRST, b"x" * 900)
    assert packets(made.packet(PacketType.STATE, 1, NOW))[0].wnd_size == 100
    made._receiver.take()
    assert made._receiver.is_window_update_due(MSS)
    assert packets(made.train(flight(1, 5), MSS, NOW)[0])[0].wnd_size == 1000
    assert not made._receiver.is_window_update_due(MSS)


@pytest.mark.parametrize("limit", [MAX_SACK_BYTES_FOREIGN, MAX_SACK_BYTES])
def test_sack_limit(limit: int) -> None:
    """Masks are no longer than the peer can use, and a multiple of four."""
    made = writer(FIRST + 1, FIRST + 4000)
    assert made.sack_limit == MAX_SACK_BYTES_FOREIGN
    made.sack_limit = limit
    (packet,) = packets(made.packet(PacketType.STATE, 1, NOW))
    assert (packet.sack, packet.sack_length) == (1, limit)
    assert limit % 4 == 0
