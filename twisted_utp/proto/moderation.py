"""
Decides how long datagrams may wait in the socket, so that one wake-up serves many packets.

Behind a bottleneck packets arrive one by one.  Each would cause a wake-up and an acknowledgement, and each
acknowledgement a wake-up at the other end, which sends one packet.  Network cards moderate their interrupts for the
same reason.  While streams of full packets, or of acknowledgements, flow at a steady rate, the next read waits a
little, and takes all that has arrived.  Nothing else waits: no question, no answer, no packet of a slow start, none
for a while after a queue has overflowed.

Where packets are lost by chance, reads wait as well: one selective ack tells of all holes in a batch, a fraction of a
round trip later than it would otherwise.

This looks only at headers, of all connections of a port together.  It needs the kernel's receive times: without them
the waiting would look like a queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from twisted_utp.proto.chance import is_by_chance, missing_in_a_row
from twisted_utp.proto.constants import (
    EXTENSION_SELECTIVE_ACK,
    HEADER_SIZE,
    HOLD_BESIDE,
    HOLD_FULL_PACKET,
    HOLD_GAP_ROUNDS,
    HOLD_GROWTH,
    HOLD_LONG,
    HOLD_LONG_PACKETS,
    HOLD_LOSSY_SHARE,
    HOLD_LOSSY_WORTH,
    HOLD_MAX,
    HOLD_MEMORY,
    HOLD_MIN,
    HOLD_MIN_INTERVAL,
    HOLD_PACKETS,
    HOLD_PAUSE,
    HOLD_QUEUE_MAX,
    HOLD_QUEUE_SHARE,
    HOLD_QUIET,
    HOLD_RTT_SHARE,
    HOLD_STEADY,
    HOLD_STREAM_PACKETS,
    HOLD_STREAM_PAUSE,
    HOLD_STREAMS,
    HOLD_WORTH,
    HOLD_WORTH_STATES,
    HOLD_YOUNG_QUIET,
    MAX_REORDER,
    NO_DELAY_SAMPLE,
    SEQ_MASK,
    TIMESTAMP_MASK,
)
from twisted_utp.proto.runs import Run
from twisted_utp.proto.train import DATA_TYPE, STATE_TYPE
from twisted_utp.proto.values import Datagram

_TIMES = Struct(">II")


class _Stream:
    """
    The DATA packets of one connection.

    @ivar packets: how many full ones arrived without a pause.
    @ivar at: when the last one arrived, µs.
    @ivar seq: the sequence number that the next one must have.
    @ivar full: the size of a full one, bytes: the longest since the last shorter one, or that one.  It is right again
        with the packet after a message's end, and the path's MTU may become smaller.
    """

    __slots__ = ("at", "full", "packets", "seq")

    def __init__(self, seq: int) -> None:
        self.packets = self.at = self.full = 0
        self.seq = seq


class Moderator:
    """
    Moderates the reads of one port.
    """

    __slots__ = (
        "_empty",
        "_grows",
        "_has_data",
        "_in_a_row",
        "_in_a_row_until",
        "_interval",
        "_last",
        "_lossy_until",
        "_quiet_until",
        "_round_began",
        "_round_packets",
        "_round_rate",
        "_rtt",
        "_streaming",
        "_streams",
        "_were_streaming",
    )

    def __init__(self) -> None:
        self._streams: dict[bytes, _Stream] = {}  # by connection id
        self._last = self._quiet_until = self._lossy_until = self._rtt = self._in_a_row = self._in_a_row_until = 0
        self._empty = 0  # the shortest round trip of a long time, µs: the path without a queue
        self._interval = self._round_rate = 0.0  # µs between packets, smoothed; packets per µs in the round before
        self._round_began = self._round_packets = 0
        # Connections that had packets in this round trip, and the number of those in the one before.
        self._streaming: set[bytes] = set()
        self._were_streaming = 0
        self._grows = True
        self._has_data = False  # the last batch had

    def on_talk(self, now: int) -> None:
        """
        Something arrived that is no stream: nothing waits for a while.

        @param now: µs.
        """
        self._quiet_until = now + HOLD_QUIET

    def on_batch(
        self,
        parts: Sequence[Run | Datagram],
        clock_offset: int,
        now: int,
        *,
        superseded: int = 0,
        connections: int = 1,
    ) -> int:
        """
        A read has brought these packets.

        @param parts: see L{runs_of <twisted_utp.proto.runs.runs_of>}; each datagram is one packet.
        @param clock_offset: by how much our timestamps toward the last packet's sender are ahead of our clock, µs.
        @param superseded: how many STATEs were left out.
        @param connections: how many the port has.
        @param now: µs.
        @return: for how long the next read may wait, µs; 0 for not at all.
        """
        rtt = self._round_trip(parts[-1], clock_offset, now)
        if rtt < HOLD_MIN * HOLD_RTT_SHARE:
            return 0  # unknown, or too short to wait; so loopback skips the rest
        packets = self._count(parts, now) + superseded
        gap, self._last = now - self._last, now
        if gap > HOLD_PAUSE or not packets:
            self._begin_anew(now)
            return 0
        interval = self._interval
        # Weighted by packets, so that it is the same whether they arrive one by one or together.
        weight = min(packets / 32, 0.5) if interval else 1.0
        self._interval = interval = interval + (gap / packets - interval) * weight
        self._follow_round(packets, rtt, now)
        if self._grows or now < self._quiet_until or interval < HOLD_MIN_INTERVAL:
            return 0
        queue, share = rtt - self._empty, HOLD_RTT_SHARE
        worth = HOLD_WORTH if self._has_data else HOLD_WORTH_STATES
        if now < self._lossy_until:
            if not is_by_chance(queue, self._in_a_row):
                return 0
            share, worth = HOLD_LOSSY_SHARE, HOLD_LOSSY_WORTH
        bearable = max(min(rtt // share, HOLD_MAX), min(queue // HOLD_QUEUE_SHARE, HOLD_QUEUE_MAX))
        if connections > max(len(self._streaming), self._were_streaming):
            bearable = min(bearable, HOLD_BESIDE)
        steady = max(HOLD_STEADY, min(interval * HOLD_LONG_PACKETS, HOLD_LONG))
        hold = min(int(max(steady, interval * HOLD_PACKETS)), bearable)
        return hold if hold >= max(HOLD_MIN, interval * worth) else 0

    def _begin_anew(self, now: int) -> None:
        """
        A flow begins: its first round trips are slow start.
        """
        self._interval = 0.0
        self._round_began, self._round_packets, self._round_rate = now, 0, 0.0
        self._grows = True

    def _round_trip(self, part: Run | Datagram, clock_offset: int, now: int) -> int:
        """
        Add the one-way delays that both sides measured; their clocks cancel out.  So a pure receiver knows the round
        trip, too.  A peer that lies about it can make us wait for L{HOLD_QUEUE_MAX}.

        @return: the shortest recent round trip, µs; 0 when it is unknown.
        """
        timestamp: int
        difference: int
        if type(part) is Run:
            timestamp, difference = part.timestamp, part.timestamp_difference
        elif len(part.data) >= HEADER_SIZE:  # type: ignore[union-attr]
            timestamp, difference = _TIMES.unpack_from(part.data, 4)  # type: ignore[union-attr]
        else:
            return 0
        if not difference or difference == NO_DELAY_SAMPLE:
            return 0
        rtt, before = now - timestamp + difference + clock_offset & TIMESTAMP_MASK, self._rtt
        # The shortest counts: of several peers, the nearest.  It is forgotten slowly.
        self._rtt = rtt = rtt if not before or rtt < before else before + (rtt - before) // 64
        if not self._empty or rtt < self._empty:
            self._empty = rtt
        return rtt

    def _count(self, parts: Sequence[Run | Datagram], now: int) -> int:
        """
        Note the streams, and whatever is none.

        @return: how many of the packets belong to streams.
        """
        packets = 0
        streaming = self._streaming
        self._has_data = False
        for part in parts:
            if type(part) is Run:
                longest, last = HEADER_SIZE + len(part.payloads[0]), HEADER_SIZE + len(part.payloads[-1])
                packets += self._note_data(part.id_on_wire, part.first_seq, part.count, longest, last, now)
                continue
            data: bytes = part.data  # type: ignore[union-attr]
            size = len(data)
            if size >= HEADER_SIZE and data[0] == STATE_TYPE:
                packets += 1
                if len(streaming) < HOLD_STREAMS:
                    streaming.add(data[2:4])
                if data[1]:
                    self._miss(_missing_at_peer(data), now)
            elif size > HEADER_SIZE and data[0] == DATA_TYPE:
                packets += self._note_data(data[2:4], data[16] << 8 | data[17], 1, size, size, now)
                if data[1]:
                    self._miss(_missing_at_peer(data), now)
            else:
                self.on_talk(now)
        return packets

    def _note_data(self, key: bytes, seq: int, count: int, longest: int, last: int, now: int) -> int:
        """
        @param count: packets with consecutive numbers, from C{seq} on.
        @param longest: the length of all but the last one, bytes.
        @param last: the length of the last one, which may be the end of a message.
        @return: how many of them belong to a stream.
        """
        stream = self._streams.get(key)
        if stream is None or now - stream.at > self._rtt * HOLD_STREAM_PAUSE:
            if longest < HOLD_FULL_PACKET:
                self.on_talk(now)
                return 0
            if len(self._streams) >= HOLD_STREAMS:
                self._streams.clear()
            stream = self._streams[key] = _Stream(seq)
        missing = seq - stream.seq & SEQ_MASK
        # No packet farther behind is repeated: somebody else's number was taken for the stream's.
        is_repeated = missing > SEQ_MASK - MAX_REORDER
        if missing:
            self._miss(1 if is_repeated else missing, now)
        if len(self._streaming) < HOLD_STREAMS:
            self._streaming.add(key)
        if not is_repeated:
            stream.seq = seq + count & SEQ_MASK
        stream.at = now
        self._has_data = True
        stream.full = full = max(stream.full, longest)
        if last == full >= HOLD_FULL_PACKET:
            stream.packets += count
        else:
            if stream.packets < HOLD_STREAM_PACKETS:
                self.on_talk(now)
            stream.packets, stream.full = 0, last  # its writer had nothing more for a moment
        if stream.packets < HOLD_STREAM_PACKETS:
            self._quiet_until = max(self._quiet_until, now + HOLD_YOUNG_QUIET)
        return count

    def _miss(self, in_a_row: int, now: int) -> None:
        """
        Packets are missing.

        @param in_a_row: how many with consecutive numbers.  Of several gaps within some round trips the longest counts,
            and no longer than these: where single packets are always missing, it would count for ever.
        """
        until = now + HOLD_GAP_ROUNDS * self._rtt
        if in_a_row >= self._in_a_row or now >= self._in_a_row_until:
            self._in_a_row, self._in_a_row_until = in_a_row, until
        self._lossy_until = until

    def _follow_round(self, packets: int, rtt: int, now: int) -> None:
        """
        At the end of a round trip: did more packets arrive than in the one before?
        """
        self._round_packets += packets
        took = now - self._round_began
        if took < rtt:
            return
        self._empty += (rtt - self._empty) * min(took, HOLD_MEMORY) // HOLD_MEMORY
        rate = self._round_packets / took
        self._grows = rate > self._round_rate * HOLD_GROWTH
        self._round_began, self._round_packets, self._round_rate = now, 0, rate
        self._were_streaming = len(self._streaming)
        self._streaming.clear()


def _missing_at_peer(data: bytes) -> int:
    """
    How many packets in a row has the sender of this one not received?

    @param data: a packet with extensions; 1 if the first is no selective ack.
    """
    if data[1] != EXTENSION_SELECTIVE_ACK or len(data) < HEADER_SIZE + 2:
        return 1
    return missing_in_a_row(int.from_bytes(data[HEADER_SIZE + 2 : HEADER_SIZE + 2 + data[HEADER_SIZE + 1]], "little"))
