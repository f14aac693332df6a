"""
How does a peer get in while forged SYNs fill the backlog?

As in TCP (RFC 4987 (3.6)): nothing is kept of the SYN.  What must be known later goes into the SYN-ACK's seq_nr, which
a peer that received it proves with the ack_nr of its next packet.  uTP leaves sixteen bits for it, as many as a
connection's other unguessable number has; so somebody who guesses it, with some 16,000 tries, wins one connection
from an address that is not his.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from twisted_utp.proto.constants import (
    COOKIE_SLOT,
    EXTENSION_BITS_SIGNATURE,
    EXTENSION_BITS_SIGNATURE_MASK,
    SEQ_MASK,
)
from twisted_utp.proto.packet import Packet, PacketType, encode_packet
from twisted_utp.proto.seqnum import timestamp_diff

if TYPE_CHECKING:
    from random import Random

    from twisted_utp.proto.values import Address

_KEY_SIZE = 16


class SynCookies:
    """
    Answers to SYNs, and the SYNs that answers to those prove.
    """

    __slots__ = ("_issued_at", "_key", "_rng")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._key = b""  # drawn when it is first needed
        self._issued_at: int | None = None

    def were_issued(self, now: int) -> bool:
        """
        Could a packet of no connection be an answer to one?
        """
        return self._issued_at is not None and now - self._issued_at < COOKIE_SLOT

    def answer(self, syn: Packet, address: Address, wnd_size: int, received_at: int, now: int) -> bytes:
        """
        The SYN-ACK, no longer than the SYN.
        """
        if not self._key:
            self._key = self._rng.getrandbits(8 * _KEY_SIZE).to_bytes(_KEY_SIZE, "big")
        self._issued_at = now
        bits = EXTENSION_BITS_SIGNATURE if is_ours(syn) else None
        return encode_packet(
            Packet(
                PacketType.STATE,
                syn.connection_id,
                now,
                timestamp_diff(received_at, syn.timestamp),
                wnd_size,
                self._cookie(address, syn.connection_id, syn.seq_nr, is_ours(syn), now // COOKIE_SLOT),
                syn.seq_nr,
                extension_bits=bits,
            )
        )

    def proven_syn(self, packet: Packet, address: Address, now: int) -> tuple[Packet, int] | None:
        """
        The SYN that a packet of no connection proves was its sender's, and the seq_nr that we answered with.

        It has to be the first packet after the SYN-ACK: whoever lost that one sends it again.
        """
        if not self.were_issued(now) or packet.type not in (PacketType.DATA, PacketType.STATE):
            return None
        connection_id, seq = packet.connection_id - 1 & SEQ_MASK, packet.seq_nr - 1 & SEQ_MASK
        claimed = packet.ack_nr + 1 & SEQ_MASK
        slot = now // COOKIE_SLOT
        for ours in (True, False):
            for at in (slot, slot - 1):
                if self._cookie(address, connection_id, seq, ours, at) == claimed:
                    bits = EXTENSION_BITS_SIGNATURE if ours else None
                    return Packet(PacketType.SYN, connection_id, seq_nr=seq, extension_bits=bits), claimed
        return None

    def _cookie(self, address: Address, connection_id: int, seq: int, ours: bool, slot: int) -> int:
        text = f"{address[0]} {address[1]} {connection_id} {seq} {ours} {slot}"
        return int.from_bytes(blake2b(text.encode(), digest_size=2, key=self._key).digest(), "big")


def is_ours(packet: Packet) -> bool:
    """
    Does it show our extension bits?
    """
    bits = packet.extension_bits
    return bits is not None and bits & EXTENSION_BITS_SIGNATURE_MASK == EXTENSION_BITS_SIGNATURE
