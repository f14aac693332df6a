"""
Puts packets in order, and knows what is missing.

The receiving half of a connection: the reordering buffer, the selective ack, the window that the peer is shown.
The mask of what arrived ahead of a gap is one integer; written little endian, it is the wire's selective ack.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

from twisted_utp.proto.constants import JOINED_PIECES, MAX_REORDER, MIN_SHARE, WINDOW_UPDATE_PACKETS
from twisted_utp.proto.packet import sack_length
from twisted_utp.proto.receive_budget import UNLIMITED, ReceiveBudget

if TYPE_CHECKING:
    from twisted_utp.proto.receive_limit import ReceiveLimit


class Arrival(Enum):
    """
    What a received packet was.
    """

    IN_ORDER = "in order"
    AHEAD = "ahead of a gap"
    OLD = "received before"
    BEYOND_REORDER_LIMIT = "too far ahead"
    BEYOND_WINDOW = "beyond the advertised window"
    BEYOND_FIN = "past the FIN"


class ReceiveBuffer:
    """
    One direction's receiving side.  Sequence numbers are unwrapped.

    @ivar next_seq: the seq_nr expected next; C{ack_nr} is one less.
    @ivar fin_seq: seq_nr of the peer's FIN, as soon as that is seen, in order or not.
    @ivar unread_bytes: received in order, not yet taken.
    @ivar arrived_bytes: received so far, in order or not, but for what the fast path took (L{is_idle}).
    @ivar limit: what bounds the window beside the buffer's capacity, L{None} for nothing.
    @ivar is_near: a round trip to the peer and back has been so short that it can take turns with others.
    @ivar turn: bytes that it was offered with its last turn (L{twisted_utp.proto.receive_turns}).
    @ivar duplicates: packets that had arrived before.
    """

    __slots__ = (
        "_advertised",
        "_ahead",
        "_ahead_bytes",
        "_budget",
        "_joined",
        "_mask",
        "_unread",
        "arrived_bytes",
        "capacity",
        "duplicates",
        "fin_seq",
        "is_near",
        "limit",
        "next_seq",
        "turn",
        "unread_bytes",
    )

    def __init__(self, next_seq: int, capacity: int, budget: ReceiveBudget = UNLIMITED) -> None:
        """
        @param budget: the port's.
        """
        self.next_seq = next_seq
        self.capacity = capacity
        self._budget = budget
        self.fin_seq: int | None = None
        self.unread_bytes = self.arrived_bytes = 0
        self.turn = MIN_SHARE
        self.is_near = False
        self.limit: ReceiveLimit | None = None
        self.duplicates = 0
        # Both are empty most of the time, and an empty list or dict takes 56 or 64 bytes.
        self._unread: list[bytes] | None = None
        self._joined = 0  # so many of them are large enough
        self._ahead: dict[int, bytes] | None = None
        self._ahead_bytes = 0
        self._mask = 0  # bit i: packet next_seq + 1 + i has arrived (next_seq is missing by definition)
        self._advertised = capacity

    @property
    def is_complete(self) -> bool:
        """
        Has everything up to and including the peer's FIN arrived?
        """
        return self.fin_seq is not None and self.next_seq > self.fin_seq

    @property
    def has_gap(self) -> bool:
        """
        Is something here while something before it is missing?
        """
        return self._mask != 0

    def window(self) -> int:
        """
        Bytes that the peer may have under way beyond ack_nr.  What waits ahead of a gap lies within them, as in
        TCP, and is not taken off again.
        """
        budget = self._budget
        share = min(self.turn, budget.share) if budget.takes_turns else budget.share
        room = max(min(self.capacity - self.unread_bytes, share), 0)
        return room if self.limit is None else min(room, self.limit.window(self.in_order_bytes))

    @property
    def in_order_bytes(self) -> int:
        """
        Of C{arrived_bytes}, those before the first gap.
        """
        return self.arrived_bytes - self._ahead_bytes

    def advertise(self) -> int:
        """
        The window, as the peer is being told.
        """
        budget, limit, window = self._budget, self.limit, self.capacity - self.unread_bytes
        if budget.is_on or limit is not None or window < 0:
            window = self.window()
            if limit is not None:
                limit.on_told(self.in_order_bytes + window, self.in_order_bytes)
        self._advertised = window
        return window

    def is_window_update_due(self, mss: int) -> bool:
        """
        Has the window opened so much that the peer should hear of it (RFC 9293 (3.8.6.2.2))?
        """
        opened = self.window() - self._advertised
        return opened >= min(WINDOW_UPDATE_PACKETS * mss, self.capacity // 2) or (opened > 0 and self._advertised < mss)

    def is_idle(self, nbytes: int) -> bool:
        """
        Is nothing waiting behind the packet that is expected, or before the application, and is there room for it?
        """
        is_free = not self._mask and not self._unread and self.fin_seq is None and nbytes <= self.capacity
        return is_free and self.limit is None

    def on_run(self, first: int, payloads: Sequence[bytes], nbytes: int) -> bool:
        """
        The fast path: consecutive packets of which none has arrived before, in order or ahead of a gap.

        @return: False when it is anything else; nothing has changed then.
        """
        ahead, count = first - self.next_seq, len(payloads)
        if ahead < 0 or ahead + count > MAX_REORDER or self.fin_seq is not None:
            return False
        if not ahead:
            return self._take_in_order(payloads, nbytes)
        bits = (1 << count) - 1 << ahead - 1
        if self._mask & bits or self.unread_bytes + self._ahead_bytes + nbytes > self.capacity:
            return False
        self._mask |= bits
        if self._ahead is None:
            self._ahead = {}
        self._ahead.update(zip(range(first, first + count), payloads, strict=True))
        self._ahead_bytes += nbytes
        self.arrived_bytes += nbytes
        return True

    def _take_in_order(self, payloads: Sequence[bytes], nbytes: int) -> bool:
        count = len(payloads)
        if self._mask & (1 << count - 1) - 1 or self.unread_bytes + nbytes > self.capacity:
            return False
        self.arrived_bytes += nbytes
        self._append(payloads, nbytes)
        self._advance(count)
        return True

    def on_data(self, seq: int, payload: bytes) -> Arrival:
        """
        Take one packet's payload.
        """
        arrival = self._place(seq, len(payload))
        if arrival is Arrival.IN_ORDER:
            self.arrived_bytes += len(payload)
            self._append((payload,), len(payload))
            self._advance(1)
        elif arrival is Arrival.AHEAD:
            if self._ahead is None:
                self._ahead = {}
            self._ahead[seq] = payload
            self._ahead_bytes += len(payload)
            self.arrived_bytes += len(payload)
            self._mask |= 1 << (seq - self.next_seq - 1)
        elif arrival is Arrival.OLD:
            self.duplicates += 1
        return arrival

    def on_fin(self, seq: int) -> Arrival:
        """
        The peer's FIN, in order or not.  Only the first one counts; nothing past it does.
        """
        if self.fin_seq is None and seq >= self.next_seq:
            arrival = self._place(seq, 0)
            if arrival not in (Arrival.IN_ORDER, Arrival.AHEAD) or self._mask >> max(seq - self.next_seq, 0):
                return Arrival.BEYOND_FIN if arrival in (Arrival.IN_ORDER, Arrival.AHEAD) else arrival
            self.fin_seq = seq
        elif seq != self.fin_seq:
            return Arrival.OLD if seq < self.next_seq else Arrival.BEYOND_FIN
        return self.on_data(seq, b"")

    def _place(self, seq: int, nbytes: int) -> Arrival:
        ahead = seq - self.next_seq
        if ahead < 0 or (self._ahead is not None and seq in self._ahead):
            return Arrival.OLD
        if self.fin_seq is not None and seq > self.fin_seq:
            return Arrival.BEYOND_FIN
        if ahead >= MAX_REORDER:
            return Arrival.BEYOND_REORDER_LIMIT
        # The packet that closes the gap needs no room for what waits behind it.
        held = self.unread_bytes + (self._ahead_bytes if ahead else 0)
        if nbytes and held + nbytes > self.capacity:
            return Arrival.BEYOND_WINDOW
        return Arrival.AHEAD if ahead else Arrival.IN_ORDER

    def _append(self, payloads: Sequence[bytes], nbytes: int) -> None:
        """
        They are next; a FIN has no payload.
        """
        if nbytes:
            self._unread = self._unread or []
            self._unread.extend(filter(None, payloads))
            self.unread_bytes += nbytes

    def _advance(self, count: int) -> None:
        """
        So many packets were appended: so are those that waited right behind them.
        """
        first = self.next_seq = self.next_seq + count
        if not self._mask:
            return
        arrived = self._mask >> count - 1  # bit 0 is for next_seq now
        ones = (~arrived & arrived + 1).bit_length() - 1
        self._mask = arrived >> ones + 1
        ahead = self._ahead
        if not ones or ahead is None:
            return
        self.next_seq += ones
        payloads = [ahead.pop(seq) for seq in range(first, first + ones)]
        nbytes = sum(map(len, payloads))
        self._ahead_bytes -= nbytes
        self._append(payloads, nbytes)
        if not ahead:
            self._ahead = None

    def take(self) -> bytes:
        """
        Everything received in order and not yet taken.
        """
        unread = self._unread
        if not unread:
            return b""
        data = unread[0] if len(unread) == 1 else b"".join(unread)
        self._unread = None
        self._joined = 0
        self.unread_bytes = 0
        return data

    def compact(self) -> None:
        """
        Nobody takes what has arrived: join pieces, which cost more than their bytes when a peer sends two at a time.
        """
        unread = self._unread
        if unread is not None and len(unread) - self._joined >= JOINED_PIECES:
            unread[self._joined :] = [b"".join(unread[self._joined :])]
            self._joined += 1

    def selective_ack(self, limit: int) -> tuple[int, int] | None:
        """
        The mask for the peer and its length in bytes, L{None} without a gap.

        @param limit: bytes, a multiple of four; packets further ahead go unmentioned.
        """
        mask = self._mask
        if not mask:
            return None
        length = sack_length(mask.bit_length(), limit)
        return mask & (1 << 8 * length) - 1, length

    def clear(self) -> None:
        """
        Forget what was received and not taken.
        """
        self._unread = self._ahead = None
        self._joined = 0
        self._mask = self._ahead_bytes = self.unread_bytes = 0
