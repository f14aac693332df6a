"""
Recognises a known peer behind a new port, after its NAT has forgotten the old one.

A home router that restarts, or forgets a silent flow, gives its next packet another source port.  What tells that peer
from somebody who would like to be it stands in docs/security.rst; in short: only the port may differ, and the packet
must be exactly the next one, which nobody knows who does not see the connection's packets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.echo import is_fresh
from twisted_utp.proto.packet import Packet, PacketType
from twisted_utp.proto.seqnum import expand_seq
from twisted_utp.proto.states import State

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection

_ALIVE = frozenset(
    (
        State.ESTABLISHED,
        State.FIN_WAIT_1,
        State.FIN_WAIT_2,
        State.CLOSE_WAIT,
        State.CLOSING,
        State.LAST_ACK,
    )
)


def is_meant(connection: Connection, packet: Packet, now: int) -> bool:
    """
    Could the packet be the connection's, as far as its echo tells?  If not it is nobody's guess worth counting.

    A peer that has given echoes gives one with each packet; one that has not may have none.
    """
    offset = connection.writer.clock_offset
    is_echo = is_fresh(packet.timestamp, packet.timestamp_difference, offset, now)
    return is_echo or not connection.proof.is_given


def is_continued_by(connection: Connection, packet: Packet, now: int) -> bool:
    """
    Is it the next packet of the connection?

    DATA or STATE with the very seq_nr that is expected, or a keepalive's, which is two less; an ack_nr that is valid,
    and an echo from a peer that gives one: 2^15 times some 10,000 guesses times 500, beside the id's 2^16.  FIN and
    RESET end connections and are not worth the risk: the peer repeats its FIN, and DATA or a keepalive before that.
    """
    if not is_meant(connection, packet, now):
        return False
    if packet.type not in (PacketType.DATA, PacketType.STATE) or connection.state not in _ALIVE:
        return False
    receiver = connection.receiver
    una = expand_seq(packet.ack_nr, connection.sender.board.una) + 1
    behind = receiver.next_seq - expand_seq(packet.seq_nr, receiver.next_seq)
    is_next = not behind or (behind == 2 and packet.type is PacketType.DATA and len(packet.payload) == 1)
    return is_next and connection.sender.is_confirmed and connection.proof.is_valid_ack(una)
