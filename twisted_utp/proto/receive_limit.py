"""
How much a peer may send where the connection or its port has a limit.

The window says it.  Its right edge moves on at the set rate, and so far ahead of what has arrived as the rate needs for
the round trip: less would not fill it, more would be a burst once the peer has more to send.  Data acknowledges with
the newest edge; when none comes, because the window is closed or nearly so, an acknowledgement is sent as soon as a
packet, or what comes in in some milliseconds, has been added.

What the deployed stacks make of a window is in the rules:

  - None that is smaller than a packet is ever shown (RFC 1122 (4.2.3.3)): libutp sends whole packets or none, and
    waits for ever before one that is too small; closed, it tries again after 15 s.
  - libtorrent does not ask whether a closed window has opened.  So an acknowledgement that opens one is repeated a few
    times, unless something comes.
  - libtorrent takes the third acknowledgement of the same packet for a loss, although it only opens the window.  While
    the window is open, and so may have packets under way, there are two.
  - Who sends more than the window allows is not cut off.  It counts, and the window stays closed for longer.

The round trip is what the timestamps of the peer's last packet say, which even a side that sends nothing can tell: its
packet's one-way delay, and our last one's, which it echoes.  The clocks cancel out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.constants import (
    DEFAULT_RATE_RTT,
    MAX_ECHO_AGE,
    MAX_RATE_DEBT,
    MAX_RATE_QUANTUM,
    MAX_WINDOW_REMINDERS,
    MAX_WINDOW_UPDATES,
    RATE_BURST,
    RATE_QUANTUM,
    TIMESTAMP_MASK,
    WHOLE_PACKET,
    WINDOW_REMINDER,
)
from twisted_utp.proto.delay import is_delay_sample
from twisted_utp.proto.rate_limit import Taker, Turns
from twisted_utp.proto.timers import NEVER, Timer

if TYPE_CHECKING:
    from twisted_utp.proto.config import UTPConfig
    from twisted_utp.proto.connection import Connection


class ReceiveLimit(Taker):
    """
    How far the window of a connection is open.  Edges are counts of bytes since some beginning.

    @ivar rate: its own limit, bytes per µs; 0 for none.
    @ivar turns: the port's, L{None} for none.
    """

    __slots__ = (
        "_arrived",
        "_edge",
        "_own_edge",
        "_reminders",
        "_rtt",
        "_stamp",
        "_told",
        "_updates",
        "_was_closed",
        "rate",
        "turns",
    )

    def __init__(self, connection: Connection, arrived: int) -> None:
        """
        @param arrived: the count of bytes that have arrived.
        """
        super().__init__(connection)
        self.rate = 0.0
        self.turns: Turns[ReceiveLimit] | None = None
        self._edge = self._own_edge = float(arrived + WHOLE_PACKET)
        self._told = self._arrived = arrived
        self._stamp = -1
        self._rtt = 0.0
        self._was_closed = False
        self._reminders = self._updates = 0

    def set_rate(self, rate: int) -> None:
        """
        Another limit of its own, bytes per second; 0 for none.
        """
        if not self.rate:
            self._own_edge = self._edge
        self.rate = rate / 1e6

    def window(self, in_order: int) -> int:
        """
        What the peer may be shown.

        @param in_order: the count of bytes that have arrived in order.
        """
        open = int(self._edge) - in_order
        return open if open >= WHOLE_PACKET else 0

    def is_closed(self, in_order: int) -> bool:
        """
        Does the peer know of no room for another packet?
        """
        return self._told - in_order < WHOLE_PACKET

    def on_told(self, edge: int, in_order: int) -> None:
        """
        The peer is being told.
        """
        self._told = edge
        self._was_closed = self._was_closed or self.is_closed(in_order)

    def grant(self, amount: float) -> None:
        """
        It is its turn in the port's.
        """
        self._edge += amount

    def leave(self) -> None:
        """
        The connection is gone, or the port has no limit any more.
        """
        if self.turns is not None:
            self.turns.leave(self)
            self.turns.bucket.spend(self._arrived - self._edge)  # what it has not used is for the others
        self.turns = None

    def _note_round_trip(self, sample: int) -> None:
        self._rtt += (sample - self._rtt) / 8 if self._rtt else sample

    def _advance(self, arrived: int, now: int) -> None:
        """
        Move the edge.
        """
        passed = now - self._stamp if self._stamp >= 0 else 0
        if self._stamp < 0 and self.turns is not None:
            self.turns.bucket.spend(WHOLE_PACKET)  # everybody begins with that
        self._stamp = now
        if arrived != self._arrived:
            self._arrived = arrived
            self._was_closed = False
            self._reminders = self._updates = 0
        if self.rate:
            most = arrived + self._ahead(self.rate)
            own = max(min(self._own_edge + self.rate * passed, most), self._own_edge)
            self._own_edge = max(own, arrived - self.rate * MAX_RATE_DEBT)
        if self.turns is None:
            self._edge = max(self._own_edge, self._edge)
        else:
            self._edge = max(self._edge, arrived - self.turns.bucket.rate * MAX_RATE_DEBT)
            self._ask(self.turns, arrived, now)

    def _ahead(self, rate: float) -> float:
        """
        How far the edge may be ahead of what has arrived.
        """
        return rate * (self._rtt + RATE_BURST) + WHOLE_PACKET

    def _ask(self, turns: Turns[ReceiveLimit], arrived: int, now: int) -> None:
        most = arrived + self._ahead(turns.bucket.rate / max(len(turns), 1))
        if self.rate:
            most = min(most, self._own_edge)
        # A whole packet, or what is missing of one.
        least = min(arrived + WHOLE_PACKET - self._edge, WHOLE_PACKET)
        self.least = least = least if least > 0 else WHOLE_PACKET
        if most - self._edge >= least:
            self._edge += turns.take(self, least, most - self._edge, now)
        else:
            turns.leave(self)

    def _quantum(self) -> float:
        """
        Bytes that are worth an acknowledgement of their own.
        """
        return max(self.rate * max(RATE_QUANTUM, min(self._rtt / 12, MAX_RATE_QUANTUM)), float(WHOLE_PACKET))

    def _is_update_due(self, in_order: int, window: int) -> bool:
        opened = in_order + window - self._told
        if self.is_closed(in_order):
            return opened > 0
        return opened >= self._quantum() and self._updates < MAX_WINDOW_UPDATES

    def _next_at(self, in_order: int, told: int, now: int) -> int:
        """
        When the peer is to be told of a wider window, if it does not send until then.

        @param told: the edge that it knows, or will in a moment.
        """
        if self.rate:
            is_closed = told - in_order < WHOLE_PACKET
            if is_closed:
                wanted = float(in_order + WHOLE_PACKET)
            else:
                wanted = told + self._quantum() if self._updates < MAX_WINDOW_UPDATES else float("inf")
            if self.turns is not None:
                wanted = self._edge + self.least if self.least else wanted
            if self._own_edge < wanted <= self._arrived + self._ahead(self.rate):
                return now + int((wanted - self._own_edge) / self.rate) + 1
        if self._was_closed and told - in_order >= WHOLE_PACKET and self._reminders < MAX_WINDOW_REMINDERS:
            return now + (WINDOW_REMINDER << self._reminders)
        return NEVER


def first_window(config: UTPConfig) -> int:
    """
    What an acceptor shows in its first answer, when there is no connection yet.
    """
    is_limited = config.max_rate or config.max_receive_rate or config.max_port_rate or config.max_port_receive_rate
    return min(config.receive_buffer, WHOLE_PACKET) if is_limited else config.receive_buffer


def advance(connection: Connection, now: int) -> None:
    """
    Something has arrived, or time has passed: move the edge, and have the peer told if that is worth it.
    """
    receiver = connection.receiver
    limit = receiver.limit
    if limit is None:
        return
    sample = _round_trip(connection)
    if sample:
        limit._note_round_trip(sample)
    limit._advance(receiver.arrived_bytes, now)
    _tell(connection, limit, now)


def on_timer(connection: Connection, now: int) -> None:
    """
    The window may have opened; or it has, and nothing has come since.
    """
    limit = connection.receiver.limit
    if limit is None:
        return
    advance(connection, now)
    in_order = connection.receiver.in_order_bytes
    if limit._was_closed and not connection.ack_pending and not limit.is_closed(in_order):
        limit._reminders += 1
        connection.ack_pending = True
        _tell(connection, limit, now)


def on_grant(connection: Connection, limit: ReceiveLimit, amount: float, now: int) -> None:
    """
    It is its turn in the port's.
    """
    limit.grant(amount)
    limit._advance(connection.receiver.arrived_bytes, now)
    _tell(connection, limit, now)


def _tell(connection: Connection, limit: ReceiveLimit, now: int) -> None:
    receiver = connection.receiver
    if receiver.is_complete:
        connection.timers[Timer.WINDOW] = NEVER
        limit.leave()
        return
    in_order, window = receiver.in_order_bytes, receiver.window()
    if connection.sender.is_confirmed and limit._is_update_due(in_order, window):
        limit._updates += not connection.ack_pending
        connection.ack_pending = True
    connection.timers[Timer.WINDOW] = limit._next_at(
        in_order, in_order + window if connection.ack_pending else limit._told, now
    )


def _round_trip(connection: Connection) -> int:
    sender = connection.sender
    if is_delay_sample(sender.latest_echo):
        round_trip = sender.latest_echo + connection.writer.reply_micro & TIMESTAMP_MASK
        if round_trip <= MAX_ECHO_AGE:
            return round_trip
    return sender.rtt.smoothed or DEFAULT_RATE_RTT
