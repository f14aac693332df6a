"""
Does bookkeeping by trains come to the same as bookkeeping by packets?
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_utp.proto.packet import PacketType
from twisted_utp.proto.scoreboard import Flight, FlightState, Scoreboard

FIRST = 65_500  # unwrapped, and soon past the wire's wrap
SIZE = 100
FLIGHT, LOST, SACKED = FlightState.IN_FLIGHT, FlightState.LOST, FlightState.SACKED


# --- A naive model --------------------------------------------------------------------------------------------


@dataclass
class Sent:
    """One packet, as the model sees it."""

    seq: int
    payload: bytes
    sent_at: int
    is_small: bool
    transmissions: int = 1
    fate: FlightState = FlightState.IN_FLIGHT


class Model:
    """
    One record for each packet, and every figure counted afresh.
    """

    def __init__(self, first: int) -> None:
        self.una = self.next_seq = self.highest_acked = first
        self.packets: dict[int, Sent] = {}

    def acknowledge(self, una: int, selected: set[int], too_soon: int) -> tuple[int, int, int, int]:
        """@return: newly acknowledged packets and bytes, spurious losses, when the newest sent once left."""
        spurious = packets = nbytes = rtt_sent_at = 0
        for seq, packet in list(self.packets.items()):
            if seq >= una and seq not in selected:
                continue
            if packet.fate is not SACKED:
                packets += 1
                nbytes += len(packet.payload)
                if packet.transmissions == 1:
                    rtt_sent_at = max(rtt_sent_at, packet.sent_at)
                if packet.fate is LOST or (packet.transmissions > 1 and packet.sent_at > too_soon):
                    spurious += 1
            packet.fate = SACKED
            self.highest_acked = max(self.highest_acked, seq + 1)
            if seq < una:
                del self.packets[seq]
        self.una = max(self.una, una)
        self.highest_acked = max(self.highest_acked, una)
        return packets, nbytes, spurious, rtt_sent_at

    def of(self, *fates: FlightState) -> list[Sent]:
        """The packets with one of these fates."""
        return [packet for packet in self.packets.values() if packet.fate in fates]


def check(board: Scoreboard, model: Model) -> None:
    """Every figure of the board is the model's."""
    assert board.una == model.una
    assert board.highest_acked == model.highest_acked
    assert bool(board) is bool(model.packets)
    assert board.flight_bytes == sum(len(packet.payload) for packet in model.of(FLIGHT))
    assert board.outstanding_bytes == sum(len(packet.payload) for packet in model.packets.values())
    assert board.lost_packets == len(model.of(LOST))
    assert board.sacked_packets == len(model.of(SACKED))
    assert board.small_in_flight == sum(packet.is_small for packet in model.of(FLIGHT, LOST))
    # The flights lie end to end from una to the next new packet.
    at = model.una
    for flight in board.flights:
        assert flight.seq == at
        assert flight.count > 0
        at = flight.end
        for seq in range(flight.seq, flight.end):
            packet = model.packets[seq]
            assert packet.fate is flight.fate, seq
            if flight.fate is not SACKED:
                offset = flight.offset + (seq - flight.seq) * flight.size
                size = min(flight.size, flight.nbytes - (seq - flight.seq) * flight.size)
                assert flight.data[offset : offset + size] == packet.payload
                assert (flight.sent_at, flight.transmissions) == (packet.sent_at, packet.transmissions)
    assert at == model.next_seq
    # No two neighbours are acknowledged: the records follow the holes.
    fates = [flight.fate for flight in board.flights]
    assert (SACKED, SACKED) not in list(zip(fates, fates[1:], strict=False))
    first_lost = board.first_lost()
    assert (first_lost.seq if first_lost else None) == min((packet.seq for packet in model.of(LOST)), default=None)
    last = board.last_in_flight()
    assert (last.end - 1 if last else None) == max((packet.seq for packet in model.of(FLIGHT)), default=None)
    assert [flight.seq for flight in board.in_flight()] == [f.seq for f in board.flights if f.fate is FLIGHT]
    assert board.oldest_sent_at == (board.flights[0].sent_at if model.packets else 0)


class Run:
    """
    A board and its model, driven at random; the receiver is honest, but its acknowledgements may come late.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.board, self.model = Scoreboard(FIRST), Model(FIRST)
        self.now = 1000
        self.arrived: set[int] = set()
        self.ack_una = FIRST
        self.late: list[tuple[int, int]] = []

    def send(self) -> None:
        """A train of new packets; sometimes the last is small, sometimes all are."""
        count = self.random.randrange(1, 9)
        size = self.random.choice((SIZE, SIZE, 7))
        nbytes = count * size - self.random.choice((0, 0, 1, 5))
        prefix = self.random.randrange(4)
        data = self.random.randbytes(prefix + nbytes)
        flight = Flight(self.model.next_seq, count, data, prefix, size, nbytes, self.now)
        flight.has_small_tail = nbytes < count * SIZE
        self.board.add(flight)
        for at in range(count):
            payload = data[prefix + at * size : prefix + min(at * size + size, nbytes)]
            seq = self.model.next_seq + at
            small = flight.has_small_tail and at == count - 1
            self.model.packets[seq] = Sent(seq, payload, self.now, small)
        self.model.next_seq += count

    def arrive(self) -> None:
        """Some packets reach the receiver, and an acknowledgement is made, to be taken now or late."""
        for packet in self.model.of(FLIGHT, LOST):
            if self.random.random() < self.random.choice((0.1, 0.6)):
                self.arrived.add(packet.seq)
        while self.ack_una in self.arrived:
            self.ack_una += 1
        mask = sum(1 << seq - self.ack_una - 1 for seq in self.arrived if seq > self.ack_una)
        self.late.append((self.ack_una, mask))

    def acknowledge(self) -> None:
        """Any acknowledgement on its way, not always the oldest; sometimes the same one twice."""
        if not self.late:
            return
        una, mask = self.random.choice(self.late)
        if self.random.random() < 0.7:
            self.late.remove((una, mask))
        if self.random.random() < 0.1:
            mask |= 1 << self.random.randrange(300, 500)  # of what was never sent
        selected = {una + 1 + bit for bit in range(mask.bit_length()) if mask >> bit & 1} & set(self.model.packets)
        too_soon = self.now - self.random.randrange(100)
        highest_before = self.model.highest_acked
        fresh = [p for p in self.model.of(FLIGHT, LOST) if p.seq < una or p.seq in selected]
        packets, nbytes, spurious, rtt_sent_at = self.model.acknowledge(una, selected, too_soon)
        acked = self.board.acknowledge(una, mask, too_soon)
        assert (acked.packets, acked.nbytes) == (packets, nbytes)
        assert acked.spurious == spurious
        assert acked.rtt_sent_at == rtt_sent_at
        assert acked.reordered is any(p.transmissions == 1 and p.seq + 1 < highest_before for p in fresh)
        if fresh:
            newest = max(packet.sent_at for packet in fresh)
            assert acked.newest is not None
            assert acked.newest[0] == newest
        else:
            assert acked.newest is None

    def lose(self) -> None:
        """Some flight, or all, is declared lost."""
        flights = list(self.board.in_flight())
        if not flights:
            return
        if self.random.random() < 0.2:
            self.board.mark_all_lost()
            lost = {packet.seq for packet in self.model.of(FLIGHT)}
        else:
            flight = self.random.choice(flights)
            if self.random.random() < 0.3:
                self.board.isolate_first(flight)
            elif self.random.random() < 0.3:
                flight = self.board.isolate_last(flight)
            lost = set(range(flight.seq, flight.end))
            self.board.mark_lost(flight)
        for seq in lost:
            self.model.packets[seq].fate = LOST

    def resend(self) -> None:
        """The first lost packets, or the last in flight as a probe, go out again."""
        flight = self.board.first_lost()
        if flight is not None:
            count = self.random.randrange(1, flight.count + 1)
        else:
            flight = self.board.last_in_flight()
            if flight is None:
                return
            flight = self.board.isolate_last(flight)
            count = 1
        self.board.resend(flight, count, self.now)
        for seq in range(flight.seq, flight.seq + count):
            packet = self.model.packets[seq]
            packet.fate, packet.sent_at = FLIGHT, self.now
            packet.transmissions += 1
        assert flight.count == count

    def step(self) -> None:
        """One thing happens."""
        self.now += self.random.randrange(1, 30)
        steps = (self.send, self.arrive, self.acknowledge, self.acknowledge, self.lose, self.resend)
        self.random.choice(steps)()
        check(self.board, self.model)


@pytest.mark.parametrize("seed", range(40))
def test_random_histories_equal_the_model(seed: int) -> None:
    """Sends, late and repeated acknowledgements, losses, resends and probes in any order: the same as by packet."""
    run = Run(Random(seed))
    for _ in range(120):
        run.step()


@settings(max_examples=60, deadline=None)
@given(random=st.randoms(use_true_random=False), steps=st.integers(1, 40))
def test_short_histories_equal_the_model(random: Random, steps: int) -> None:
    """The same with histories that can be shrunk."""
    run = Run(random)
    for _ in range(steps):
        run.step()


@settings(max_examples=80)
@given(mask=st.integers(0, (1 << 40) - 1), una_offset=st.integers(-5, 10))
def test_sack_mask_equals_a_naive_bit_loop(mask: int, una_offset: int) -> None:
    """Bit i stands for una + 1 + i (BEP-29: ack_nr + 2 + i), relative to the acknowledgement's own una.

    The board's una itself can be named by an old acknowledgement only, which the last one contradicts.
    """
    board = filled(40)
    una = FIRST + una_offset
    board.acknowledge(una, mask, 0)
    expected = set()
    for bit in range(40):
        seq = una + 1 + bit
        if mask >> bit & 1 and max(una, FIRST) < seq < FIRST + 40:
            expected.add(seq)
    assert fates(board, SACKED) == expected


# --- Single behaviours ----------------------------------------------------------------------------------------


def filled(count: int = 10, *, sent_at: int = 1000) -> Scoreboard:
    """A board with one train of full packets."""
    board = Scoreboard(FIRST)
    board.add(Flight(FIRST, count, bytes(count * SIZE), 0, SIZE, count * SIZE, sent_at))
    return board


def fates(board: Scoreboard, fate: FlightState) -> set[int]:
    """The seq_nrs with that fate."""
    return {seq for flight in board.flights if flight.fate is fate for seq in range(flight.seq, flight.end)}


def sack(*seqs: int, una: int = FIRST) -> int:
    """The mask that reports these."""
    return sum(1 << seq - una - 1 for seq in seqs)


def test_a_train_without_holes_is_one_record() -> None:
    """Records follow the holes, not the window."""
    board = filled(64)
    board.acknowledge(FIRST + 30, 0, 0)
    assert len(board.flights) == 1
    board.acknowledge(FIRST + 30, sack(*range(FIRST + 32, FIRST + 40), una=FIRST + 30), 0)
    assert [flight.count for flight in board.flights] == [2, 8, 24]
    board.acknowledge(FIRST + 30, sack(*range(FIRST + 31, FIRST + 64), una=FIRST + 30), 0)
    assert [flight.count for flight in board.flights] == [1, 33]


def test_acknowledged_payload_is_let_go() -> None:
    """What was selectively acknowledged is never sent again, so its bytes are not held."""
    board = filled(10)
    board.acknowledge(FIRST, sack(FIRST + 5), 0)
    assert all(flight.data == b"" for flight in board.flights if flight.fate is SACKED)


def test_nothing_beyond_what_was_sent() -> None:
    """Bits of packets never sent are padding or lies and acknowledge nothing."""
    board = filled(3)
    acked = board.acknowledge(FIRST, sack(FIRST + 3, FIRST + 50), 0)
    assert acked.packets == 0
    assert acked.newest is None
    assert Scoreboard(FIRST).acknowledge(FIRST, 0xFF, 0).packets == 0


def test_a_repeated_sack_tells_nothing_new() -> None:
    """The same mask again, or the same relative to an older una, acknowledges nothing."""
    board = filled(10)
    assert board.acknowledge(FIRST, sack(FIRST + 4, FIRST + 7), 0).packets == 2
    assert board.acknowledge(FIRST, sack(FIRST + 4, FIRST + 7), 0).packets == 0
    assert board.acknowledge(FIRST - 2, sack(FIRST + 4, FIRST + 7, una=FIRST - 2), 0).packets == 0
    assert board.acknowledge(FIRST + 2, sack(FIRST + 4, FIRST + 7, una=FIRST + 2), 0).packets == 2


def test_fin_counts_as_a_packet_without_bytes() -> None:
    """A FIN takes a seq_nr and is acknowledged like data."""
    board = Scoreboard(FIRST)
    board.add(Flight(FIRST, 1, b"", 0, 0, 0, 1000, PacketType.FIN))
    assert (board.flight_bytes, bool(board)) == (0, True)
    acked = board.acknowledge(FIRST + 1, 0, 0)
    assert (acked.packets, acked.nbytes, bool(board)) == (1, 0, False)


def test_small_packets_are_counted_until_acknowledged() -> None:
    """A train's small tail counts (Nagle) until it is acknowledged, selectively or not, lost and resent or not."""
    board = Scoreboard(FIRST)
    flight = Flight(FIRST, 3, bytes(250), 0, SIZE, 250, 1000)
    flight.has_small_tail = True
    board.add(flight)
    board.acknowledge(FIRST + 1, 0, 0)
    assert board.small_in_flight == 1
    board.mark_all_lost()
    board.resend(board.flights[0], 1, 2000)
    assert board.small_in_flight == 1
    board.acknowledge(FIRST + 1, sack(FIRST + 2, una=FIRST + 1), 0)
    assert board.small_in_flight == 0
    board.acknowledge(FIRST + 3, 0, 0)
    assert board.small_in_flight == 0


def test_karn_only_packets_sent_once_measure() -> None:
    """RFC 6298 (3): what was sent twice gives no instant to measure from."""
    board = filled(2)
    board.mark_all_lost()
    board.resend(board.flights[0], 1, 5000)
    acked = board.acknowledge(FIRST + 1, 0, 0)
    assert acked.rtt_sent_at == 0
    assert acked.newest == (5000, FIRST + 1)
    assert acked.newest_was_resent


def test_latest_original_measures() -> None:
    """Of several packets sent once, the latest measures: the others may have waited for the batch."""
    board = filled(2, sent_at=1000)
    board.add(Flight(FIRST + 2, 1, bytes(SIZE), 0, SIZE, SIZE, 1700))
    acked = board.acknowledge(FIRST + 3, 0, 0)
    assert (acked.rtt_sent_at, acked.newest) == (1700, (1700, FIRST + 3))
    assert not acked.newest_was_resent


def test_what_left_before_it_in_its_burst() -> None:
    """However the burst was split meanwhile; of a packet that was sent twice nobody knows which arrived."""
    board = filled(10)
    board.flights[0].ahead = 2 * SIZE
    assert board.acknowledge(FIRST + 3, 0, 0).ahead == 4 * SIZE
    assert board.acknowledge(FIRST + 3, sack(FIRST + 5, una=FIRST + 3), 0).ahead == 7 * SIZE
    board.add(Flight(FIRST + 10, 5, bytes(5 * SIZE), 0, SIZE, 5 * SIZE, 2000))
    assert board.acknowledge(FIRST + 12, 0, 0).ahead == SIZE, "the newest counts"
    board.mark_lost(board.flights[0])
    board.resend(board.flights[0], 1, 3000)
    assert board.acknowledge(FIRST + 13, 0, 0).ahead == 0


def test_lost_but_acknowledged_before_resending_is_spurious() -> None:
    """What was declared lost, never sent again and arrives all the same was late, not lost."""
    board = filled(4)
    board.mark_all_lost()
    acked = board.acknowledge(FIRST + 3, 0, 0)
    assert (acked.spurious, acked.packets, board.lost_packets) == (3, 3, 1)


@pytest.mark.parametrize(("resent_at", "expected"), [(5001, 1), (5000, 0)])
def test_answered_too_soon_is_spurious(resent_at: int, expected: int) -> None:
    """An answer sooner after the retransmission than any round trip takes is for the original (RFC 3522)."""
    board = filled(1)
    board.mark_all_lost()
    board.resend(board.flights[0], 1, resent_at)
    assert board.acknowledge(FIRST + 1, 0, 5000).spurious == expected


def test_spurious_counts_only_what_was_acknowledged() -> None:
    """Of five packets resent too soon, an acknowledgement of one shows one to be late, not five."""
    board = filled(5)
    board.mark_all_lost()
    board.resend(board.flights[0], 5, 6000)
    assert board.acknowledge(FIRST + 1, 0, 5000).spurious == 1


def test_probe_that_repaired_a_loss() -> None:
    """RFC 8985 (7.4): the acknowledgement of a tail-loss probe tells of a loss, unless it came too soon."""
    for too_soon, expected in ((5000, FIRST + 3), (2000, 0)):
        board = filled(3)
        flight = board.isolate_last(board.flights[0])
        assert (flight.seq, flight.count) == (FIRST + 2, 1)
        board.resend(flight, 1, 3000)
        flight.is_probe = True
        assert board.lost_packets == 0
        assert board.acknowledge(FIRST + 3, 0, too_soon).probed == expected


def test_resending_ends_the_probe_mark() -> None:
    """A probe that is lost and resent is an ordinary retransmission."""
    board = filled(1)
    board.resend(board.flights[0], 1, 2000)
    board.flights[0].is_probe = True
    board.mark_all_lost()
    board.resend(board.flights[0], 1, 3000)
    assert not board.acknowledge(FIRST + 1, 0, 5000).probed


def test_reordering_is_seen() -> None:
    """RFC 8985 (6.2) step 3: an original acknowledged below what was acknowledged before."""
    board = filled(5)
    assert not board.acknowledge(FIRST, sack(FIRST + 3), 0).reordered
    assert board.acknowledge(FIRST, sack(FIRST + 1, FIRST + 3), 0).reordered
    board = filled(5)
    board.acknowledge(FIRST, sack(FIRST + 3), 0)
    assert board.acknowledge(FIRST + 1, sack(FIRST + 3, una=FIRST + 1), 0).reordered


def test_a_repaired_hole_is_no_reordering() -> None:
    """A retransmission that fills a hole arrives late by nature."""
    board = filled(5)
    board.acknowledge(FIRST, sack(FIRST + 1, FIRST + 2), 0)
    board.mark_lost(board.flights[0])
    board.resend(board.flights[0], 1, 2000)
    assert not board.acknowledge(FIRST + 3, 0, 5000).reordered


def test_one_ack_of_everything_is_no_reordering() -> None:
    """Packets told of together have no order among them."""
    board = filled(8)
    assert not board.acknowledge(FIRST + 2, sack(FIRST + 4, FIRST + 6, una=FIRST + 2), 0).reordered


def test_isolating() -> None:
    """The first packet, or the last, becomes a record of its own; a single one stays as it is."""
    board = filled(4)
    board.isolate_first(board.flights[0])
    assert [flight.count for flight in board.flights] == [1, 3]
    board.isolate_first(board.flights[0])
    assert board.isolate_last(board.flights[0]) is board.flights[0]
    assert [flight.count for flight in board.flights] == [1, 3]
    assert board.isolate_last(board.flights[1]).seq == FIRST + 3
    assert [flight.count for flight in board.flights] == [1, 2, 1]


def test_empty_board() -> None:
    """Nothing in flight: nothing to find."""
    board = Scoreboard(FIRST)
    assert not board
    assert board.first_lost() is None
    assert board.last_in_flight() is None
    assert board.oldest_sent_at == 0
    assert list(board.in_flight()) == []


def test_last_in_flight_skips_the_others() -> None:
    """Acknowledged and lost packets at the end are not on their way."""
    board = filled(4)
    board.acknowledge(FIRST, sack(FIRST + 3), 0)
    board.isolate_last(board.flights[0])
    board.mark_lost(board.flights[1])
    last = board.last_in_flight()
    assert last is not None
    assert last.end == FIRST + 2
    board.mark_all_lost()
    assert board.last_in_flight() is None


def test_mask_of_a_reneging_peer_keeps_the_sums() -> None:
    """A cumulative ack inside a run that was selectively acknowledged leaves the sums whole."""
    board = filled(10)
    board.acknowledge(FIRST, sack(*range(FIRST + 1, FIRST + 10)), 0)
    board.acknowledge(FIRST + 4, 0, 0)
    assert board.outstanding_bytes == sum(flight.nbytes for flight in board.flights) == 6 * SIZE
    assert board.sacked_packets == 6
    board.acknowledge(FIRST + 10, 0, 0)
    assert (board.outstanding_bytes, board.sacked_packets, board.flight_bytes) == (0, 0, 0)
