"""
What is kept of a SYN until its sender has proved its address.

As little as possible, because anybody can send SYNs in anybody's name: no connection, no application object, no trace.
A L{HalfOpen} is some three hundred bytes with all that refers to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.constants import HALF_OPEN_GUESSES, SEQ_MASK, UNCONFIRMED_TIMEOUT
from twisted_utp.proto.packet import Packet, PacketType
from twisted_utp.proto.timers import NEVER
from twisted_utp.proto.values import Address

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection

Key = tuple[Address, int]


class HalfOpen:
    """
    One SYN that was answered.

    @ivar syn_seq: the SYN's seq_nr; C{extension_bits} its capability bits, L{None} without them.
    @ivar first_seq: seq_nr of our SYN-ACK, and of our first DATA (16 bits).
    @ivar clock_offset: what is added to our clock in the packets of this connection, see L{twisted_utp.proto.echo}.
    @ivar expires_at: when it is forgotten, µs.
    @ivar answers: SYN-ACKs sent.
    @ivar crossing: our own dial of the same peer, which takes the connection when the peer is proved; else L{None}.
    """

    __slots__ = (
        "_guesses",
        "answers",
        "clock_offset",
        "crossing",
        "expires_at",
        "extension_bits",
        "first_seq",
        "syn_seq",
    )

    def __init__(self, syn: Packet, first_seq: int, clock_offset: int, now: int) -> None:
        self.syn_seq = syn.seq_nr
        self.extension_bits = syn.extension_bits
        self.first_seq = first_seq
        self.clock_offset = clock_offset
        self.expires_at = now + UNCONFIRMED_TIMEOUT
        self.answers = 0
        self.crossing: Connection | None = None
        self._guesses = 0

    def is_proven_by(self, packet: Packet) -> bool:
        """
        Does the packet show that its sender has read our SYN-ACK?

        Only the exact ack_nr does; a keepalive's is one less.  An echo of our timestamp is not asked for: who has none
        is not trusted with much either, see L{twisted_utp.proto.withholding}.
        """
        before = self.first_seq - 1 & SEQ_MASK
        if packet.ack_nr == before:
            return True
        return packet.type is PacketType.STATE and packet.ack_nr == before - 1 & SEQ_MASK

    def is_refused_by(self, reset: Packet) -> bool:
        """
        Is it the RESET of somebody who got our SYN-ACK and does not want it (any more)?

        It answers the SYN-ACK, or acknowledges what has come.
        """
        return reset.ack_nr in (self.first_seq, self.first_seq - 1 & SEQ_MASK)

    def count_guess(self) -> bool:
        """
        A packet had the right id and a wrong proof.

        @return: there were too many: the record is worth no more.
        """
        self._guesses += 1
        return self._guesses >= HALF_OPEN_GUESSES


class HalfOpenTable:
    """
    All of a port, oldest first: each lives equally long.

    @ivar by_key: by the peer's address and the receive id.
    """

    __slots__ = ("by_key",)

    def __init__(self) -> None:
        self.by_key: dict[Key, HalfOpen] = {}

    def __len__(self) -> int:
        return len(self.by_key)

    def get(self, address: Address, recv_id: int) -> HalfOpen | None:
        """
        The one that has this id.
        """
        return self.by_key.get((address, recv_id))

    def add(self, address: Address, recv_id: int, half: HalfOpen) -> None:
        """
        Keep one.
        """
        self.by_key[address, recv_id] = half

    def drop(self, address: Address, recv_id: int) -> None:
        """
        It is confirmed, or over.
        """
        self.by_key.pop((address, recv_id), None)

    def next_expiry(self) -> int:
        """
        When the oldest is forgotten, µs; L{NEVER} when there is none.
        """
        for half in self.by_key.values():
            return half.expires_at
        return NEVER

    def expire(self, now: int) -> int:
        """
        Forget those whose time is over.

        @return: how many.
        """
        by_key, count = self.by_key, 0
        while by_key:
            key = next(iter(by_key))
            if by_key[key].expires_at > now:
                break
            del by_key[key]
            count += 1
        return count
