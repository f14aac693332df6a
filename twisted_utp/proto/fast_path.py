"""
The fast path of an interactive connection: one small packet in, one out.

A question comes and its answer goes, or the other way round: the packet is the one that was expected, it acknowledges
all that there is to acknowledge, and what it makes the application write fits one packet.  Then most of what the
slow path asks (L{Connection.on_packet}, L{Sender.on_ack}, L{Sender.next_flight}) has a known answer, and asking
takes three times as long as the turn itself.  Whatever is not exactly like that is left untouched for the slow path.

The estimators (round trip, delay, congestion window) are not fed here: the slow path sees to it that each
C{SAMPLE_INTERVAL} has its sample, so only paths with shorter round trips ever come here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.constants import HEADER_SIZE, SEQ_MASK, TIMESTAMP_MASK
from twisted_utp.proto.packet import HEADER
from twisted_utp.proto.states import State
from twisted_utp.proto.train import DATA_TYPE
from twisted_utp.proto.values import Transmit

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection


def fast_path_receive(connection: Connection, data: bytes, received_at: int, now: int) -> bytes:
    """
    Take a DATA packet without extensions, the only packet of its batch.

    @return: its payload, for the application; nothing when it must take the slow path, and then nothing has changed.
    """
    _, _, _, timestamp, _, wnd_size, seq, ack = HEADER.unpack_from(data)
    receiver = connection.receiver
    if seq != receiver.next_seq & SEQ_MASK or connection.state is not State.ESTABLISHED or connection.needs_slow_path():
        return b""
    if connection.ack_pending:
        return b""  # a packet of a stream waits for the next one: is this it?
    payload = data[HEADER_SIZE:]
    if not receiver.is_idle(len(payload)) or not connection.sender.on_single_ack(ack, wnd_size, now):
        return b""
    receiver.next_seq += 1
    writer = connection.writer
    writer.reply_micro = received_at + writer.clock_offset - timestamp & TIMESTAMP_MASK
    connection.packets_received += 1
    connection.bytes_received += len(payload)
    connection.ack_pending = True
    return payload


def fast_path_send(connection: Connection, now: int) -> Transmit | None:
    """
    What was written fits one packet, and nothing else is on its way or waits: send it.

    @return: L{None} when the slow path must be taken; nothing has changed then.
    """
    receiver = connection.receiver  # has no gap: it has just taken the packet that this answers
    if connection.state is not State.ESTABLISHED or connection.needs_slow_path():
        return None
    seq, data = connection.sender.next_fast_path_packet(now)
    if not data:
        return None
    connection.ack_pending = False
    connection.last_sent_at = now
    writer = connection.writer
    header = HEADER.pack(
        DATA_TYPE,
        0,
        writer.send_id,
        now + writer.clock_offset & TIMESTAMP_MASK,
        writer.reply_micro,
        receiver.advertise(),
        seq & SEQ_MASK,
        receiver.next_seq - 1 & SEQ_MASK,
    )
    payload = header + data
    return Transmit(connection.address, payload, len(payload))
