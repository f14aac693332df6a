"""
Lets one packet of a stream wait for the next, so that both are acknowledged together.

Each acknowledgement wakes the sender up.  All stacks count acknowledged bytes, so it is enough for them if every
second packet is acknowledged (RFC 1122 (4.2.3.2), RFC 9000 (13.2.2)).  This is for packets that are read one by one;
a batch is acknowledged as a whole anyway.

Only a stream waits: full packets that follow each other closely for a while.  These are answered at once:

  - the first rounds of slow start, which are bursts with pauses between them;
  - questions and answers;
  - a sender whose window is only a packet or two;
  - all that is unusual: a gap and what arrives for a while after it, duplicates, a FIN, a window that opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.constants import (
    ACK_DELAY,
    ACK_FULL_PACKET,
    ACK_GAP_PACKETS,
    ACK_PACKETS,
    ACK_STREAM_PACKETS,
)
from twisted_utp.proto.timers import NEVER, Timer

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection


class DelayedAck:
    """
    Counts what one connection has received and not acknowledged.

    @ivar may_wait: the acknowledgement may wait, until C{due}.
    @ivar due: when it must leave, µs.
    """

    __slots__ = ("_at", "_had_gap", "_packets", "_unacknowledged", "due", "may_wait")

    def __init__(self) -> None:
        self._packets = 0  # received in a stream without a pause
        self._at = 0  # when the last one arrived
        self._unacknowledged = 0
        self._had_gap = False
        self.due = 0
        self.may_wait = False

    def on_packets(self, count: int, nbytes: int, now: int, *, has_gap: bool) -> None:
        """
        Packets have arrived, in order.

        @param count: how many; 0 for anything else that must be acknowledged.
        @param nbytes: payload of the last one, which is the shortest.
        @param has_gap: packets before others are missing.
        """
        is_near_gap = has_gap or self._had_gap
        if is_near_gap:
            self._packets = ACK_STREAM_PACKETS - ACK_GAP_PACKETS
        elif now - self._at > ACK_DELAY or nbytes < ACK_FULL_PACKET:
            self._packets = min(self._packets, 0)
        self._at, self._had_gap, self.due = now, has_gap, now + ACK_DELAY
        self._packets += count
        self._unacknowledged += count if count and not is_near_gap else ACK_PACKETS
        self.may_wait = self._packets > ACK_STREAM_PACKETS and self._unacknowledged < ACK_PACKETS

    def at_once(self) -> None:
        """
        Something is to be said that is about no packet: the acknowledgement leaves with it.
        """
        self._unacknowledged = ACK_PACKETS
        self.may_wait = False

    def on_acknowledged(self) -> None:
        """
        All that arrived is acknowledged.
        """
        self._unacknowledged = 0
        self.may_wait = False


def note(connection: Connection, count: int, nbytes: int, now: int) -> None:
    """
    Ask for an acknowledgement of what has arrived: with this batch, or with the next packet.

    @param count: packets that arrived in order; 0 for others, which are acknowledged at once.
    @param nbytes: payload of the last of them, which is the shortest; a FIN has none.
    """
    connection.ack_pending = True
    delayed, receiver = connection.delayed, connection.receiver
    if delayed is None:
        if nbytes < ACK_FULL_PACKET:
            return
        delayed = connection.delayed = DelayedAck()
    if receiver.limit is not None:
        count = 0  # each acknowledgement opens the rate limit's window
    delayed.on_packets(count, nbytes, now, has_gap=receiver.has_gap)


def at_once(connection: Connection) -> None:
    """
    Ask for an acknowledgement although nothing has arrived: a window has opened, or there is still a gap.
    """
    connection.ack_pending = True
    if connection.delayed is not None:
        connection.delayed.at_once()


def waits(connection: Connection, now: int) -> bool:
    """
    Does the acknowledgement wait?  If so, this starts its timer.
    """
    delayed = connection.delayed
    if delayed is None or not delayed.may_wait or now >= delayed.due:
        return False
    connection.timers[Timer.ACK] = delayed.due
    return True


def on_acknowledged(connection: Connection) -> None:
    """
    An acknowledgement leaves.
    """
    connection.ack_pending = connection.ack_pending and connection.peer_repeats
    if connection.delayed is not None:
        connection.delayed.on_acknowledged()
        connection.timers[Timer.ACK] = NEVER
