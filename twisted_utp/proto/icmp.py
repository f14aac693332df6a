"""
What an ICMP error message means for a connection.

It quotes the beginning of the packet that it is about.  Whoever is not on the path has not seen that packet, so a
message counts only if its quote is of one that is on its way now: with our connection id, a seq_nr that has not been
acknowledged, and the time at which we sent it (RFC 5927 (4.1): "the ICMP payload should be checked"; the timestamp is
what TCP does not have, and makes 64 bits to be guessed, as it has a random offset).  Then

  - "too big" ends an MTU probe at once instead of after three losses, and names the next size to try;
  - "unreachable" ends an attempt to connect, as it does a TCP one on Linux;
  - "port unreachable" ends a connection that was opened to us by somebody who never showed that he reads our packets
    (L{twisted_utp.proto.echo}): its host has nothing to do with it;
  - otherwise "unreachable" is no news to a connection that is established.  Routes flap, peers restart their network,
    and on-path boxes err: if the peer is really gone the retransmission timeout says so (RFC 1122 (4.2.3.9), RFC 5927
    (5.2): hard errors are treated as soft ones).  libutp ends the connection.  Only who is asked whether he is there is
    asked again sooner (L{twisted_utp.proto.keepalive.came_back}).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted_utp.proto import keepalive
from twisted_utp.proto.constants import HEADER_SIZE, SEQ_MASK, TIMESTAMP_MASK
from twisted_utp.proto.events import LossReason
from twisted_utp.proto.packet import HEADER, TYPES, PacketType, is_utp
from twisted_utp.proto.scoreboard import Flight, FlightState
from twisted_utp.proto.seqnum import expand_seq
from twisted_utp.proto.states import State
from twisted_utp.proto.values import Obstacle, ReturnedDatagram

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection

_REASONS = {Obstacle.PORT_CLOSED: LossReason.REFUSED, Obstacle.UNREACHABLE: LossReason.UNREACHABLE}


@dataclass(slots=True)
class QuotedPacket:
    """
    The header of a packet that we are said to have sent.  There may be no more of it: routers quote as much as they
    like, some 8 bytes beyond IP's header, which is of no use.
    """

    type: PacketType
    connection_id: int
    timestamp: int
    seq_nr: int
    obstacle: Obstacle
    size: int

    @classmethod
    def of(cls, returned: ReturnedDatagram) -> QuotedPacket | None:
        """
        Read it.

        @return: L{None} when it is too short, or not of uTP.
        """
        quoted = returned.quoted
        if len(quoted) < HEADER_SIZE or not is_utp(quoted):
            return None
        first, _extension, connection_id, timestamp, _difference, _window, seq_nr, _ack = HEADER.unpack_from(quoted)
        return cls(TYPES[first >> 4], connection_id, timestamp, seq_nr, returned.obstacle, returned.size)

    def apply_to(self, connection: Connection, now: int) -> bool:
        """
        Tell the connection that has this id.

        @return: it was believed.
        """
        if self.type is PacketType.SYN:
            return self._is_syn_of(connection) and self._apply_to_dialling(connection, now)
        if connection.state is State.SYN_SENT:
            return False
        if self.obstacle is Obstacle.TOO_BIG:
            flight = self._find(connection)
            return flight is not None and connection.sender.on_too_big(flight, self.size, now)
        if self._find(connection) is None and not self._is_latest_state(connection):
            return self._is_question(connection, now)
        if self.obstacle is Obstacle.PORT_CLOSED and connection.incoming and not connection.proof.is_given:
            # Somebody confirmed the connection who may have read nothing; its host knows nothing of it.
            connection.cut_off(now)
        return True

    def _apply_to_dialling(self, connection: Connection, now: int) -> bool:
        reason = _REASONS.get(self.obstacle)
        if reason is None:
            return False  # a SYN fits everywhere
        connection.refuse(reason, now)
        return True

    def _is_syn_of(self, connection: Connection) -> bool:
        if connection.state is not State.SYN_SENT or self.seq_nr != connection.handshake.syn_seq:
            return False
        return self.timestamp in connection.handshake.syn_timestamps

    def _find(self, connection: Connection) -> Flight | None:
        """
        The flight that the packet belongs to, if it may still be on its way.
        """
        board = connection.sender.board
        seq = expand_seq(self.seq_nr, board.una)
        flight = board.flight_of(seq)
        if flight is None or flight.type is not self.type or flight.fate is FlightState.SACKED:
            return None
        sent_at = flight.sent_at + connection.writer.clock_offset & TIMESTAMP_MASK
        return flight if sent_at == self.timestamp else None

    def _is_question(self, connection: Connection, now: int) -> bool:
        if self.obstacle is not Obstacle.PORT_CLOSED or self.type is not PacketType.DATA:
            return False
        return keepalive.came_back(connection, self.seq_nr, self.timestamp, now)

    def _is_latest_state(self, connection: Connection) -> bool:
        return self.type is PacketType.STATE and self.seq_nr == connection.sender.next_seq & SEQ_MASK
