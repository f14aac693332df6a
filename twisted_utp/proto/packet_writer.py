"""
Turns what a connection has to send into packets.

Every packet that leaves also acknowledges: its header has the ack_nr, the window and the peer's last delay, and
when packets are missing, a selective ack as far as there is room.
"""

from __future__ import annotations

from twisted_utp.proto.constants import (
    EXTENSION_SELECTIVE_ACK,
    HEADER_SIZE,
    MAX_SACK_BYTES_FOREIGN,
    SEQ_MASK,
    TIMESTAMP_MASK,
    VERSION,
)
from twisted_utp.proto.packet import HEADER, Packet, PacketType, encode_extensions, encode_packet, padding
from twisted_utp.proto.receive_buffer import ReceiveBuffer
from twisted_utp.proto.scoreboard import Flight
from twisted_utp.proto.train import DATA_TYPE, STATE_TYPE, TrainHeader, encode_train
from twisted_utp.proto.values import Address, Transmit


class PacketWriter:
    """
    Writes the packets of one connection.

    @ivar address: where they go.
    @ivar send_id: the connection id on them.
    @ivar clock_offset: what the timestamps have more than our clock, 32 bits, see L{twisted_utp.proto.echo}.
    @ivar reply_micro: C{timestamp_difference}, the one-way delay of the peer's last packet by that clock, 32 bits, µs.
    @ivar sack_limit: bytes of selective ack that the peer can make use of.
    @ivar ack_extension_bytes: bytes of extensions on STATEs so far, and C{data_extension_bytes} on DATA.
    @ivar reset_bytes: bytes of RESETs so far.
    @ivar keepalives: so far.
    """

    __slots__ = (
        "_receiver",
        "ack_extension_bytes",
        "address",
        "clock_offset",
        "data_extension_bytes",
        "keepalives",
        "reply_micro",
        "reset_bytes",
        "sack_limit",
        "send_id",
    )

    def __init__(self, address: Address, receiver: ReceiveBuffer, clock_offset: int) -> None:
        self.address = address
        self.clock_offset = clock_offset
        self._receiver = receiver
        self.send_id = 0
        self.reply_micro = 0
        self.sack_limit = MAX_SACK_BYTES_FOREIGN
        self.ack_extension_bytes = self.data_extension_bytes = 0
        self.reset_bytes = self.keepalives = 0

    def mtu_probe(self, flight: Flight, now: int) -> Transmit:
        """
        A DATA packet with padding, which must not be fragmented on its way.
        """
        receiver = self._receiver
        self.data_extension_bytes += flight.padding
        chain = padding(flight.padding)
        header = TrainHeader(
            self.send_id,
            now + self.clock_offset & TIMESTAMP_MASK,
            self.reply_micro,
            receiver.advertise(),
            receiver.next_seq - 1 & SEQ_MASK,
            chain[0][0],
            encode_extensions(chain),
        )
        payload = encode_train(header, flight.seq, flight.data, flight.offset, flight.size, 1, flight.nbytes)
        return Transmit(self.address, payload, len(payload), 1, True)

    def train(self, flight: Flight, mss: int, now: int) -> tuple[Transmit, bool]:
        """
        DATA packets, which all have the same header but for seq_nr.

        @param mss: payload and extensions of a full packet; 0 for no extensions.
        @return: the train, and whether it says everything that an acknowledgement would.
        """
        receiver = self._receiver
        extension, extensions = 0, b""
        if receiver.has_gap:
            extensions = self._selective_ack(mss - flight.size)
            extension = EXTENSION_SELECTIVE_ACK if extensions else 0
            self.data_extension_bytes += len(extensions) * flight.count
        header = TrainHeader(
            self.send_id,
            now + self.clock_offset & TIMESTAMP_MASK,
            self.reply_micro,
            receiver.advertise(),
            receiver.next_seq - 1 & SEQ_MASK,
            extension,
            extensions,
        )
        payload = encode_train(header, flight.seq, flight.data, flight.offset, flight.size, flight.count, flight.nbytes)
        size = min(HEADER_SIZE + len(extensions) + flight.size, len(payload))
        return Transmit(self.address, payload, size, flight.count), bool(extensions) or not receiver.has_gap

    def _selective_ack(self, room: int) -> bytes:
        """
        The extension for a packet with C{room} bytes left below its full size.

        @return: nothing when there is no room to tell of the gap: then a STATE of its own must.
        """
        selective = self._receiver.selective_ack(self.sack_limit)
        if selective is None or selective[1] + 2 > room:
            return b""
        mask, length = selective
        return encode_extensions([(EXTENSION_SELECTIVE_ACK, mask.to_bytes(length, "little"))])

    def reset(self, seq: int, close_reason: int, now: int) -> bytes:
        """
        RESET.  It carries our send id, which is the peer's receive id: libtorrent looks nowhere else.

        @param seq: our next seq_nr, unwrapped.
        """
        packet = Packet(
            PacketType.RESET,
            self.send_id,
            now + self.clock_offset,
            self.reply_micro,
            seq_nr=seq & SEQ_MASK,
            ack_nr=self._receiver.next_seq - 1 & SEQ_MASK,
            close_reason=close_reason,
        )
        payload = encode_packet(packet)
        self.reset_bytes += len(payload)
        return payload

    def question(self, seq: int, now: int) -> bytes:
        """
        A byte that the peer has acknowledged, once more: what every deployed stack answers at once.

        They answer no STATE, whatever its numbers; DATA without a byte stops librqbit's stream, an old FIN ends
        libtorrent's, and a repeated SYN its connection.  What the byte is does not matter, as nobody looks at it (RFC
        1122 (4.2.3.6) has the same for TCP).

        @param seq: a seq_nr before the last one that the peer has acknowledged, unwrapped; before any, what precedes
            the SYN or the SYN-ACK counts as such.
        """
        return self._bare(DATA_TYPE, seq, now) + b"\0"

    def answer(self, seq: int, now: int) -> bytes:
        """
        A STATE that says what the header says, without a selective ack.

        @param seq: our next seq_nr, unwrapped.
        """
        return self._bare(STATE_TYPE, seq, now)

    def _bare(self, kind: int, seq: int, now: int) -> bytes:
        receiver = self._receiver
        return HEADER.pack(
            kind,
            0,
            self.send_id,
            now + self.clock_offset & TIMESTAMP_MASK,
            self.reply_micro,
            receiver.advertise(),
            seq & SEQ_MASK,
            receiver.next_seq - 1 & SEQ_MASK,
        )

    def packet(self, type: PacketType, seq: int, now: int, close_reason: int = 0) -> Transmit:
        """
        One packet without payload.

        @param seq: its seq_nr, unwrapped.
        """
        receiver = self._receiver
        if not close_reason and not receiver.has_gap:
            payload = self._bare(type << 4 | VERSION, seq, now)
            return Transmit(self.address, payload, HEADER_SIZE)
        packet = Packet(
            type,
            self.send_id,
            now + self.clock_offset,
            self.reply_micro,
            receiver.advertise(),
            seq & SEQ_MASK,
            receiver.next_seq - 1 & SEQ_MASK,
            close_reason=close_reason,
        )
        selective = receiver.selective_ack(self.sack_limit)
        if selective is not None:
            packet.sack, packet.sack_length = selective
            self.ack_extension_bytes += 2 + selective[1]
        payload = encode_packet(packet)
        return Transmit(self.address, payload, len(payload))
