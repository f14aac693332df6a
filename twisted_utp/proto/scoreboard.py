"""
Packets in flight, and what became of them.

Packets that left together and are of one size are one L{Flight}: bookkeeping goes by trains.  A flight is split
only where acknowledgements or losses tell its packets apart, so the number of records follows the number of
holes, not the window.  What an acknowledgement costs follows what it changes, not the number of holes: that is up to
the peer.  Sequence numbers here never wrap.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from enum import IntEnum
from heapq import heappop, heappush

from twisted_utp.proto.constants import MAX_SACK_RUNS
from twisted_utp.proto.packet import PacketType
from twisted_utp.proto.send_order import SendOrder


class FlightState(IntEnum):
    """
    What is known of a flight.
    """

    IN_FLIGHT = 0
    LOST = 1
    SACKED = 2


class Flight:
    """
    Consecutive packets with one history.

    @ivar seq: seq_nr of the first, unwrapped.
    @ivar count: how many packets.
    @ivar data: holds their payload from C{offset} on.
    @ivar size: payload of each but the last.
    @ivar nbytes: payload of all.
    @ivar sent_at: when they were last sent, µs.
    @ivar transmissions: how often.
    @ivar type: DATA, or FIN (then C{count} is 1 and there is no payload).
    @ivar fate: see L{FlightState}.
    @ivar has_small_tail: the last packet is below full size and counts as small (Nagle).
    @ivar padding: bytes of padding that make it an MTU probe; not sent again with the payload.
    @ivar is_probe: sent again as a tail-loss probe, not because of loss.
    @ivar ahead: bytes of the same burst that left before it, and so wait in front of it; see L{Pacer.ahead
        <twisted_utp.proto.pacing.Pacer.ahead>}.
    @ivar earlier: the one that left before it, while both are on their way, and C{later} the one after it: see
        L{SendOrder}.
    """

    __slots__ = (
        "ahead",
        "count",
        "data",
        "earlier",
        "fate",
        "has_small_tail",
        "is_probe",
        "later",
        "nbytes",
        "offset",
        "padding",
        "sent_at",
        "seq",
        "size",
        "transmissions",
        "type",
    )

    def __init__(
        self,
        seq: int,
        count: int,
        data: bytes,
        offset: int,
        size: int,
        nbytes: int,
        sent_at: int,
        type: PacketType = PacketType.DATA,
        transmissions: int = 1,
        fate: FlightState = FlightState.IN_FLIGHT,
    ) -> None:
        self.seq = seq
        self.count = count
        self.data = data
        self.offset = offset
        self.size = size
        self.nbytes = nbytes
        self.sent_at = sent_at
        self.transmissions = transmissions
        self.type = type
        self.fate = fate
        self.has_small_tail = False
        self.padding = 0
        self.is_probe = False
        self.ahead = 0
        self.earlier: Flight | None = None
        self.later: Flight | None = None

    @property
    def end(self) -> int:
        """
        The seq_nr after the last.
        """
        return self.seq + self.count

    def drop_first(self, count: int) -> int:
        """
        Forget the first packets, fewer than all.

        @return: their payload bytes.
        """
        # Of a merged, acknowledged flight only the total is known; there, any share will do.
        nbytes = count * self.size if self.fate is not FlightState.SACKED else self.nbytes * count // self.count
        self.seq += count
        self.count -= count
        self.offset += nbytes
        self.nbytes -= nbytes
        self.ahead += nbytes
        return nbytes

    def split(self, count: int) -> Flight:
        """
        Keep the first C{count} packets and return the others as a flight of their own.
        """
        nbytes = count * self.size if self.fate is not FlightState.SACKED else self.nbytes * count // self.count
        rest = Flight(
            self.seq + count,
            self.count - count,
            self.data,
            self.offset + nbytes,
            self.size,
            self.nbytes - nbytes,
            self.sent_at,
            self.type,
            self.transmissions,
            self.fate,
        )
        rest.has_small_tail, self.has_small_tail = self.has_small_tail, False
        rest.ahead = self.ahead + nbytes
        self.count = count
        self.nbytes = nbytes
        return rest


class NewlyAcked:
    """
    What one acknowledgement newly told.

    @ivar nbytes: payload acknowledged for the first time.
    @ivar packets: likewise, packets; a FIN counts.
    @ivar newest: C{(sent_at, end)} of the most recently sent of them (RFC 8985, RACK.xmit_ts and RACK.end_seq);
        L{None} when nothing was new.
    @ivar newest_was_resent: that one had been sent more than once.
    @ivar rtt_sent_at: when the most recently sent among those sent only once left; 0 for none (Karn's rule).
    @ivar ahead: bytes of the same burst that left before that one.
    @ivar spurious: packets that turned out late rather than lost: declared lost but never sent again, or answered
        sooner after their retransmission than any round trip takes.
    @ivar probed: the seq_nr after a packet that was acknowledged and had been sent again as a tail-loss probe; 0 for
        none.
    @ivar probed_padding: padding of an MTU probe among them, and C{probed_bytes} its payload.
    @ivar reordered: something sent only once was acknowledged below what had been acknowledged before.
    """

    __slots__ = (
        "ahead",
        "nbytes",
        "newest",
        "newest_was_resent",
        "packets",
        "probed",
        "probed_bytes",
        "probed_padding",
        "reordered",
        "rtt_sent_at",
        "spurious",
    )

    def __init__(self) -> None:
        self.nbytes = 0
        self.packets = 0
        self.newest: tuple[int, int] | None = None
        self.newest_was_resent = False
        self.rtt_sent_at = 0
        self.ahead = 0
        self.spurious = 0
        self.probed = 0
        self.probed_bytes = 0
        self.probed_padding = 0
        self.reordered = False


_NOTHING = NewlyAcked()  # nobody changes it


class Scoreboard:
    """
    The flights between the oldest unacknowledged packet and the next new one.

    @ivar una: the oldest unacknowledged seq_nr (SND.UNA).
    @ivar highest_acked: the seq_nr after the highest acknowledged one, selectively or not (SND.FACK).
    @ivar flight_bytes: payload on its way: sent, neither acknowledged nor declared lost.
    @ivar lost_packets: packets declared lost that wait to be sent again.
    @ivar sacked_packets: packets acknowledged selectively only.
    @ivar outstanding_bytes: payload from C{una} on, acknowledged selectively or not: what the peer's window holds.
    @ivar small_in_flight: DATA packets below full size that are not yet acknowledged.
    @ivar send_order: the flights on their way in the order in which they left.
    """

    __slots__ = (
        "_lost",
        "_sacked",
        "flight_bytes",
        "flights",
        "highest_acked",
        "lost_packets",
        "outstanding_bytes",
        "sacked_packets",
        "send_order",
        "small_in_flight",
        "una",
    )

    def __init__(self, first_seq: int) -> None:
        self.una = first_seq
        self.highest_acked = first_seq
        self.flights: list[Flight] = []
        self.send_order = SendOrder()
        self._lost: list[int] | None = None  # a heap: where lost flights begin; some are no longer lost
        self.flight_bytes = 0
        self.lost_packets = 0
        self.outstanding_bytes = 0
        self.sacked_packets = 0
        self.small_in_flight = 0
        self._sacked = 0  # bit i: packet una + i is selectively acknowledged

    def __bool__(self) -> bool:
        return bool(self.flights)

    @property
    def oldest_sent_at(self) -> int:
        """
        When the oldest unacknowledged packet was last sent, µs; 0 when there is none.
        """
        return self.flights[0].sent_at if self.flights else 0

    def add(self, flight: Flight) -> None:
        """
        New packets were sent, right after the newest.
        """
        self.flights.append(flight)
        self.send_order.append(flight)
        self.flight_bytes += flight.nbytes
        self.outstanding_bytes += flight.nbytes
        if flight.has_small_tail:
            self.small_in_flight += 1

    def add_only(self, flight: Flight) -> None:
        """
        One packet was sent, and it is the only one on its way.
        """
        self.flights.append(flight)
        send_order = self.send_order
        send_order.first = send_order.last = flight
        self.flight_bytes = self.outstanding_bytes = flight.nbytes
        self.small_in_flight = int(flight.has_small_tail)

    def acknowledge_only(self) -> None:
        """
        The only packet there is, sent once, was acknowledged.
        """
        self.highest_acked = self.una = self.una + 1
        self.flight_bytes = self.outstanding_bytes = self.small_in_flight = 0
        self.flights.clear()
        send_order = self.send_order
        send_order.first = send_order.last = None

    def clear(self) -> None:
        """
        Forget what was sent: the connection is over.
        """
        self.flights.clear()
        self.send_order.clear()
        self._lost = None

    def acknowledge(self, una: int, sack: int, too_soon: int) -> NewlyAcked:
        """
        Take a cumulative and a selective acknowledgement.

        @param una: ack_nr + 1, unwrapped; below our C{una} its cumulative part is old.
        @param sack: bit i means C{una + 1 + i} (BEP-29: ack_nr + 2 + i); 0 for none.
        @param too_soon: a retransmission that left after this instant (µs) cannot have been answered yet, so its
            acknowledgement is for the original.
        """
        if una <= self.una and not sack:
            return _NOTHING
        acked = NewlyAcked()
        if una > self.una:
            self._acknowledge_below(una, acked, too_soon)
        if sack:
            shift = una + 1 - self.una
            # Bit 0 is our una, which only an older acknowledgement than the last could name: had it arrived, the last
            # would have acknowledged it.  Whoever says so is believed when his ack_nr says it too.
            mask = sack << shift if shift > 0 else sack >> -shift & ~1
            fresh = mask & ~self._sacked
            # Nothing beyond what was sent: a lie, or bits of padding.
            fresh &= (1 << (self.flights[-1].end - self.una)) - 1 if self.flights else 0
            if fresh:
                self._acknowledge_selected(fresh, acked, too_soon)
        return acked

    def _acknowledge_below(self, una: int, acked: NewlyAcked, too_soon: int) -> None:
        flights, done = self.flights, 0
        for flight in flights:
            if flight.end > una:
                if flight.seq < una:
                    self._count(flight, una - flight.seq, acked, too_soon)
                    self.outstanding_bytes -= flight.drop_first(una - flight.seq)
                    if flight.fate is FlightState.LOST:
                        self._note_lost(una)
                break
            self._count(flight, flight.count, acked, too_soon)
            self.outstanding_bytes -= flight.nbytes
            if flight.fate is FlightState.IN_FLIGHT:
                self.send_order.remove(flight)
            done += 1
        del flights[:done]
        self._sacked >>= una - self.una
        self.una = una
        self.highest_acked = max(self.highest_acked, una)

    def _count(self, flight: Flight, count: int, acked: NewlyAcked, too_soon: int) -> None:
        """
        The first C{count} packets of a flight are acknowledged.
        """
        if flight.fate is FlightState.SACKED:
            self.sacked_packets -= count
            return
        nbytes = flight.nbytes if count == flight.count else count * flight.size
        acked.nbytes += nbytes
        acked.packets += count
        if flight.padding:
            acked.probed_padding, acked.probed_bytes = flight.padding, flight.nbytes
        if flight.has_small_tail and count == flight.count:
            self.small_in_flight -= 1
        if flight.fate is FlightState.LOST:
            self.lost_packets -= count
            acked.spurious += count
        else:
            self.flight_bytes -= nbytes
        self._note_times(flight, count, acked, too_soon)

    def _note_times(self, flight: Flight, count: int, acked: NewlyAcked, too_soon: int) -> None:
        end = flight.seq + count
        resent = flight.transmissions > 1
        key = (flight.sent_at, end)
        if acked.newest is None or key > acked.newest:
            acked.newest, acked.newest_was_resent = key, resent
        if not resent:
            if flight.sent_at >= acked.rtt_sent_at:
                acked.rtt_sent_at = flight.sent_at
                acked.ahead = flight.ahead + (count - 1) * flight.size
            acked.reordered = acked.reordered or end < self.highest_acked
        elif flight.fate is FlightState.IN_FLIGHT and flight.sent_at > too_soon:
            acked.spurious += count
        elif flight.is_probe:
            acked.probed = end

    def _acknowledge_selected(self, fresh: int, acked: NewlyAcked, too_soon: int) -> None:
        """
        Mark the runs of ones in C{fresh} (relative to una), L{MAX_SACK_RUNS} of them: the next acknowledgement says the
        rest once more.
        """
        base = 0
        for _ in range(MAX_SACK_RUNS):
            zeros = (fresh & -fresh).bit_length() - 1
            fresh >>= zeros
            ones = (~fresh & fresh + 1).bit_length() - 1
            fresh >>= ones
            first = base + zeros
            base = first + ones
            self._sacked |= (1 << ones) - 1 << first
            self._mark_sacked(self.una + first, self.una + base, acked, too_soon)
            if not fresh:
                break
        self.highest_acked = max(self.highest_acked, self.una + base)

    def _mark_sacked(self, first: int, end: int, acked: NewlyAcked, too_soon: int) -> None:
        flights = self.flights
        index = bisect_right(flights, first, key=_seq_of) - 1
        index = self._split_at(index, first)
        while index < len(flights) and flights[index].seq < end:
            if flights[index].end > end:
                self._split_at(index, end)
            flight = flights[index]
            if flight.fate is not FlightState.SACKED:
                self._count(flight, flight.count, acked, too_soon)
                if flight.fate is FlightState.IN_FLIGHT:
                    self.send_order.remove(flight)
                flight.fate = FlightState.SACKED
                flight.data = b""  # never sent again
                self.sacked_packets += flight.count
            index = self._merge_sacked(index)

    def flight_of(self, seq: int) -> Flight | None:
        """
        The flight that a packet belongs to, acknowledged selectively or not; L{None} when it is not between C{una} and
        the next new one.
        """
        index = bisect_right(self.flights, seq, key=_seq_of) - 1
        if index < 0 or seq >= self.flights[index].end:
            return None
        return self.flights[index]

    def _index(self, flight: Flight) -> int:
        return bisect_right(self.flights, flight.seq, key=_seq_of) - 1

    def _split_at(self, index: int, seq: int) -> int:
        """
        Make a flight start at C{seq}, which lies in flight C{index}.

        @return: that flight's index.
        """
        flight = self.flights[index]
        if flight.seq == seq:
            return index
        rest = flight.split(seq - flight.seq)
        self.flights.insert(index + 1, rest)
        if rest.fate is FlightState.IN_FLIGHT:
            self.send_order.insert(rest, flight)
        elif rest.fate is FlightState.LOST:
            self._note_lost(rest.seq)
        return index + 1

    def _merge_sacked(self, index: int) -> int:
        """
        Neighbours that are both acknowledged need one record only.

        @return: the index after them.
        """
        flights = self.flights
        if index and flights[index - 1].fate is FlightState.SACKED:
            self._join(flights[index - 1], flights[index])
            del flights[index]
            index -= 1
        following = index + 1
        if following < len(flights) and flights[following].fate is FlightState.SACKED:
            self._join(flights[index], flights[following])
            del flights[following]
        return index + 1

    @staticmethod
    def _join(flight: Flight, following: Flight) -> None:
        flight.count += following.count
        flight.nbytes += following.nbytes

    def mark_lost(self, flight: Flight) -> None:
        """
        Declare a flight that is on its way lost.
        """
        flight.fate = FlightState.LOST
        self.send_order.remove(flight)
        self._note_lost(flight.seq)
        self.flight_bytes -= flight.nbytes
        self.lost_packets += flight.count

    def _note_lost(self, seq: int) -> None:
        if self._lost is None:
            self._lost = []
        heappush(self._lost, seq)

    def mark_all_lost(self) -> None:
        """
        A retransmission timeout: nothing in flight counts any more (RFC 5681).
        """
        for flight in self.flights:
            if flight.fate is FlightState.IN_FLIGHT:
                self.mark_lost(flight)

    def in_flight(self) -> Iterator[Flight]:
        """
        The flights that are neither acknowledged nor lost, oldest seq_nr first.
        """
        for flight in self.flights:
            if flight.fate is FlightState.IN_FLIGHT:
                yield flight

    def first_lost(self) -> Flight | None:
        """
        What to send again first.
        """
        lost = self._lost
        while lost:
            flight = self.flight_of(lost[0])
            if flight is not None and flight.fate is FlightState.LOST:
                return flight
            heappop(lost)
        return None

    def resend(self, flight: Flight, count: int, now: int) -> None:
        """
        The first C{count} packets of a flight are being sent again.
        """
        if count < flight.count:
            self._split_at(self._index(flight), flight.seq + count)
        if flight.fate is FlightState.LOST:
            self.lost_packets -= count
            self.flight_bytes += flight.nbytes
            flight.fate = FlightState.IN_FLIGHT
        else:
            self.send_order.remove(flight)
        flight.sent_at = now
        self.send_order.append(flight)
        flight.transmissions += 1
        flight.is_probe = False
        flight.padding = 0

    def last_in_flight(self) -> Flight | None:
        """
        The flight with the highest seq_nr that is still on its way.
        """
        for flight in reversed(self.flights):
            if flight.fate is FlightState.IN_FLIGHT:
                return flight
        return None

    def isolate_first(self, flight: Flight) -> None:
        """
        Leave only the first packet in a flight; the others become a flight of their own.
        """
        if flight.count > 1:
            self._split_at(self._index(flight), flight.seq + 1)

    def isolate_last(self, flight: Flight) -> Flight:
        """
        Make the last packet of a flight a flight of its own.
        """
        if flight.count == 1:
            return flight
        return self.flights[self._split_at(self._index(flight), flight.end - 1)]


def _seq_of(flight: Flight) -> int:
    return flight.seq
