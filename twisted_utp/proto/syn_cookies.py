"""
Lets peers in while forged SYNs fill the backlog.

As in TCP (RFC 4987 (3.6)): nothing is kept of the SYN.  What must be known later goes into the SYN-ACK's seq_nr, which
a peer that received it proves with the ack_nr of its next packet.  uTP leaves sixteen bits for it.  The offset of our
clock (L{twisted_utp.proto.echo}) is derived from the same key, so that the peer's echo proves another nine.
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from twisted_utp.proto.connection_counts import host_prefix
from twisted_utp.proto.constants import (
    COOKIE_SLOT,
    EXTENSION_BITS_SIGNATURE,
    MAX_USED_COOKIES,
    MAX_USED_COOKIES_PER_HOST,
    SEQ_MASK,
)
from twisted_utp.proto.echo import is_fresh
from twisted_utp.proto.packet import Packet, PacketType, is_from_ours
from twisted_utp.proto.reset_limiter import ResetLimiter

if TYPE_CHECKING:
    from random import Random

    from twisted_utp.proto.values import Address

_KEY_SIZE = 16


class Cookie(NamedTuple):
    """
    The numbers of one SYN-ACK.

    @ivar first_seq: its seq_nr.
    @ivar clock_offset: what its timestamp has more than our clock.
    """

    first_seq: int
    clock_offset: int


class SynCookies:
    """
    Answers to SYNs, and the SYNs that answers to those prove.
    """

    __slots__ = ("_guess_limiter", "_issued_at", "_key", "_rng", "_used", "_used_by")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._key = b""  # drawn when it is first needed
        self._issued_at: int | None = None
        self._used: dict[bytes, tuple[int, str]] = {}  # since when, µs, and by whom; oldest first
        self._used_by: Counter[str] = Counter()
        self._guess_limiter = ResetLimiter()

    def were_issued(self, now: int) -> bool:
        """
        Could a packet of no connection be an answer to one?
        """
        return self._issued_at is not None and now - self._issued_at < COOKIE_SLOT

    def issue(self, syn: Packet, address: Address, now: int) -> Cookie:
        """
        What to answer to the SYN.
        """
        if not self._key:
            self._key = self._rng.getrandbits(8 * _KEY_SIZE).to_bytes(_KEY_SIZE, "big")
        self._issued_at = now
        return self._cookie(address, syn.connection_id, syn.seq_nr, is_from_ours(syn), now // COOKIE_SLOT)

    def proven_syn(self, packet: Packet, address: Address, now: int) -> tuple[Packet, Cookie] | None:
        """
        The SYN that a packet of no connection proves was its sender's, and what we answered to it.

        It has to be the first packet after the SYN-ACK: whoever lost that one sends it again.  A cookie is good once,
        so that a repeated packet, or a replayed one, does not open a second connection and say everything again.

        Peers without an echo may prove themselves by the cookie alone, but a host has few such tries: one that knows
        nothing is right once in 32,768.  Peers of our kind always have an echo.
        """
        if not self.were_issued(now):
            return None
        found = self._find(packet, address, now, echoes=True)
        if found is None and self._guess_limiter.allow(host_prefix(address[0]), now):
            found = self._find(packet, address, now, echoes=False)
        if found is None or not self._use(found[0], address, now):
            return None
        return found

    def _find(self, packet: Packet, address: Address, now: int, *, echoes: bool) -> tuple[Packet, Cookie] | None:
        connection_id, seq = packet.connection_id - 1 & SEQ_MASK, packet.seq_nr - 1 & SEQ_MASK
        claimed = packet.ack_nr + 1 & SEQ_MASK
        slot = now // COOKIE_SLOT
        for ours in (True, False) if echoes else (False,):
            for at in (slot, slot - 1):
                cookie = self._cookie(address, connection_id, seq, ours, at)
                if cookie.first_seq != claimed:
                    continue
                if echoes and not is_fresh(packet.timestamp, packet.timestamp_difference, cookie.clock_offset, now):
                    continue
                bits = EXTENSION_BITS_SIGNATURE if ours else None
                return Packet(PacketType.SYN, connection_id, seq_nr=seq, extension_bits=bits), cookie
        return None

    def _use(self, syn: Packet, address: Address, now: int) -> bool:
        """
        @return: it was not used before, and there is room to remember that it is now.
        """
        used, used_by = self._used, self._used_by
        while used:
            oldest = next(iter(used))
            since, host = used[oldest]
            if now - since < 2 * COOKIE_SLOT:
                break
            del used[oldest]
            used_by[host] -= 1
            if not used_by[host]:
                del used_by[host]
        text = f"{address[0]} {address[1]} {syn.connection_id} {syn.seq_nr}"
        mark = blake2b(text.encode(), digest_size=8, key=self._key).digest()
        host = host_prefix(address[0])
        is_full = len(used) >= MAX_USED_COOKIES or used_by[host] >= MAX_USED_COOKIES_PER_HOST
        if mark in used or is_full:
            return False
        used[mark] = now, host
        used_by[host] += 1
        return True

    def _cookie(self, address: Address, connection_id: int, seq: int, ours: bool, slot: int) -> Cookie:
        text = f"{address[0]} {address[1]} {connection_id} {seq} {ours} {slot}"
        digest = blake2b(text.encode(), digest_size=6, key=self._key).digest()
        return Cookie(int.from_bytes(digest[:2], "big"), int.from_bytes(digest[2:], "big"))
