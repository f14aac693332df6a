"""
Lets one packet of a stream wait for the next, so that both are acknowledged together.

Each acknowledgement is a wake-up for the sender.  All stacks count acknowledged bytes, so every second packet is enough
for them (RFC 1122 (4.2.3.2), RFC 9000 (13.2.2)).  This is for packets that are read one by one; what is read as a batch
is acknowledged as one anyhow.

Only a stream waits: full packets, one soon after the other, for a while.  So slow start's first rounds, which are
bursts with pauses between them, questions and answers, and a sender whose window is a packet or two are answered at
once.  So is whatever is not usual: a gap and what comes for a while after it, what was received before, a FIN, a window
that opens.
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
    What one connection has received.

    @ivar may_wait: what it has not acknowledged yet may wait until C{due}, µs.
    """

    __slots__ = ("_at", "_had_gap", "_packets", "_unacknowledged", "due", "may_wait")

    def __init__(self) -> None:
        self._packets = 0  # of a stream without a pause
        self._at = 0  # when the last one came
        self._unacknowledged = 0
        self._had_gap = False
        self.due = 0
        self.may_wait = False

    def on_packets(self, count: int, nbytes: int, now: int, *, has_gap: bool) -> None:
        """
        Packets have come, in order; C{count} is 0 for anything else that is to be acknowledged.

        @param nbytes: payload of the last, which is the shortest.
        @param has_gap: others are missing.
        """
        if has_gap or self._had_gap:
            self._packets = ACK_STREAM_PACKETS - ACK_GAP_PACKETS
        elif now - self._at > ACK_DELAY or nbytes < ACK_FULL_PACKET:
            self._packets = min(self._packets, 0)
        is_usual = count and not has_gap and not self._had_gap
        self._at, self._had_gap, self.due = now, has_gap, now + ACK_DELAY
        self._packets += count
        self._unacknowledged += count if is_usual else ACK_PACKETS
        self.may_wait = self._packets > ACK_STREAM_PACKETS and self._unacknowledged < ACK_PACKETS

    def on_acknowledged(self) -> None:
        """
        It has been told.
        """
        self._unacknowledged = 0
        self.may_wait = False


def note(connection: Connection, count: int = 0, nbytes: int = 0, now: int = 0) -> None:
    """
    Have what has arrived acknowledged, with the batch or with the next packet.

    @param count: packets in order, to which that applies; 0 when it is to be told at once, because of anything else.
    @param nbytes: payload of the last of them, the shortest; a FIN has none.
    """
    connection.ack_pending = True
    delayed, receiver = connection.delayed, connection.receiver
    if delayed is None:
        if nbytes < ACK_FULL_PACKET:
            return
        delayed = connection.delayed = DelayedAck()
    if receiver.limit is not None:
        count = 0  # its windows are opened by the acknowledgement
    delayed.on_packets(count, nbytes, now, has_gap=receiver.has_gap)


def waits(connection: Connection, now: int) -> bool:
    """
    Is the acknowledgement to wait?  Then a timer runs.
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
