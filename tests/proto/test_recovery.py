"""
Does loss detection follow RFC 8985, and take back what was a mistake?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.constants import (
    MAX_REORDER_MULTIPLIER,
    MIN_TAIL_LOSS_PROBE,
    REORDER_WINDOW_PERSISTS_ROUNDS,
)
from twisted_utp.proto.recovery import LossDetector
from twisted_utp.proto.rtt import RttEstimator
from twisted_utp.proto.scoreboard import Flight, NewlyAcked, Scoreboard

FIRST = 65_530
SIZE = 100
NOW = 5_000_000_000
RTT = 40_000


class Bench:
    """
    A detector with a board whose packets leave one by one, and a clock.
    """

    def __init__(self, packets: int = 0, *, rtt: int = RTT) -> None:
        self.board = Scoreboard(FIRST)
        self.detector = LossDetector(FIRST)
        self.rtt = RttEstimator(200_000)
        self.rtt.on_sample(rtt)
        self.now = NOW
        self.next_seq = FIRST
        self.send(packets)

    def send(self, packets: int, *, apart: int = 100) -> None:
        """New packets, some µs apart."""
        for _ in range(packets):
            self.board.add(Flight(self.next_seq, 1, bytes(SIZE), 0, SIZE, SIZE, self.now))
            self.next_seq += 1
            self.now += apart

    def ack(self, una: int = 0, *sacked: int) -> bool:
        """An acknowledgement: how many in order, and the offsets of others; whether a cut is to be undone."""
        mask = sum(1 << offset - una - 1 for offset in sacked)
        acked = self.board.acknowledge(FIRST + una, mask, self.now - self.rtt.minimum)
        return self.detector.on_acked(acked, self.board, self.next_seq, self.now, self.rtt.minimum)

    def lost(self) -> tuple[list[int], int | None]:
        """The offsets that count as lost now, and in how many µs to look again."""
        flights, again = self.detector.detect(self.board, self.rtt, self.now)
        offsets = [seq - FIRST for flight in flights for seq in range(flight.seq, flight.end)]
        return offsets, None if again is None else again - self.now

    def declare(self) -> None:
        """Do to the lost what the sender does."""
        flights, _ = self.detector.detect(self.board, self.rtt, self.now)
        if not self.detector.in_recovery(self.board):
            self.detector.start_recovery(self.board, self.next_seq)
        for flight in flights:
            self.board.mark_lost(flight)
            self.detector.on_declared(flight.count)

    def resend(self) -> None:
        """All that is lost leaves again."""
        while (flight := self.board.first_lost()) is not None:
            self.board.resend(flight, flight.count, self.now)


def test_nothing_acknowledged_nothing_lost() -> None:
    """However old, without a later packet acknowledged a packet is not lost (the RTO is for that)."""
    bench = Bench(5)
    bench.now += 10_000_000
    assert bench.lost() == ([], None)


def test_in_order_acks_lose_nothing() -> None:
    """Without a hole there is nothing to look for, and no timer."""
    bench = Bench(5)
    bench.now += RTT
    bench.ack(3)
    assert bench.lost() == ([], None)


def test_three_packets_past_it() -> None:
    """A packet with three acknowledged past it is lost at once (protocol.md 3; RFC 8985 (6.2) DupThresh)."""
    bench = Bench(6)
    bench.now = NOW + RTT + 300
    bench.ack(1, 2, 3, 4)
    assert bench.lost() == ([1], None)


def test_fewer_than_three_wait() -> None:
    """With one or two past it, it is lost a quarter of the smallest RTT after its own time (RFC 8985 (6.2))."""
    bench = Bench(4)
    sent_at = bench.board.flights[1].sent_at
    bench.now = NOW + 200 + RTT  # just when the third one's acknowledgement comes
    bench.ack(1, 2)
    lost, again = bench.lost()
    assert lost == []
    assert again is not None
    assert bench.now + again == sent_at + RTT + RTT // 4
    bench.now += again - 1
    assert bench.lost()[0] == []
    bench.now += 1
    assert bench.lost() == ([1], None)


def test_the_next_look_is_for_the_earliest() -> None:
    """Of several packets that may soon be lost, the one that left first says when to look."""
    bench = Bench(3)
    bench.now = NOW + 300 + RTT
    bench.send(1)
    bench.now += RTT
    first, second = bench.board.flights[0], bench.board.flights[1]
    bench.ack(0, 3)
    rtt = bench.now - bench.board.flights[-1].sent_at
    assert second.sent_at > first.sent_at
    bench.now = first.sent_at
    assert bench.lost() == ([], rtt + RTT // 4)


def test_only_what_left_before_is_lost() -> None:
    """Packets sent after the newest acknowledged one may still be on their way."""
    bench = Bench(8)
    bench.now = NOW + RTT + 500
    bench.ack(0, 3, 4, 5)
    assert bench.lost()[0] == [0, 1, 2]


def test_a_resent_packet_can_be_lost_again() -> None:
    """RACK goes by the last transmission: a retransmission overtaken by later packets is lost once more."""
    bench = Bench(5)
    bench.now = NOW + RTT + 400
    bench.ack(0, 1, 2, 3)
    bench.declare()
    bench.resend()
    bench.now += 1000
    bench.send(4)
    bench.now += RTT
    assert bench.lost()[0] == []
    bench.ack(0, 1, 2, 3, 4, 5, 6, 7)
    assert bench.lost()[0] == [0]


def test_ambiguous_retransmission_does_not_date_the_path() -> None:
    """
    RFC 8985 (6.2) step 2: a resent packet acknowledged sooner than the smallest RTT was not the one answered, and
    must not make everything sent before it look overtaken.
    """
    bench = Bench(4)
    bench.now = NOW + RTT
    bench.board.mark_lost(bench.board.flights[0])
    bench.detector.on_declared(1)
    bench.detector.start_recovery(bench.board, bench.next_seq)
    bench.resend()
    bench.now += 500
    bench.ack(1)
    bench.now += 10 * RTT
    assert bench.lost()[0] == []


def test_reordering_widens_the_patience() -> None:
    """Once reordering was seen, three past it prove nothing any more: the window of a quarter RTT holds."""
    bench = Bench(9)
    bench.now = NOW + RTT
    bench.ack(0, 2)
    bench.ack(0, 1, 2)  # number 1 comes late
    bench.now = NOW + RTT + 600
    bench.ack(0, 1, 2, 3, 4, 5, 6)
    assert bench.detector.reorder_window(bench.board, bench.rtt) == RTT // 4
    assert bench.lost()[0] == []


def test_reorder_window_is_bounded_by_the_round_trip() -> None:
    """RFC 8985 (6.2): RACK.reo_wnd never exceeds SRTT, however many spurious losses there were."""
    bench = Bench()
    for _ in range(2 * MAX_REORDER_MULTIPLIER):
        acked = NewlyAcked()
        acked.spurious = 1
        bench.detector.on_acked(acked, bench.board, bench.next_seq + 1, bench.now, RTT)
        bench.board.una = bench.next_seq = bench.next_seq + 1
    assert bench.detector.reorder_window(bench.board, bench.rtt) == RTT
    bench.rtt.smoothed = 1 << 60
    assert bench.detector.reorder_window(bench.board, bench.rtt) == MAX_REORDER_MULTIPLIER * RTT // 4


def spurious_round(bench: Bench) -> bool:
    """A round trip in which the first of six packets counts as lost, but only came late."""
    start = bench.board.una - FIRST
    bench.send(6)
    bench.now += RTT
    bench.ack(start, *range(start + 1, start + 6))
    bench.now += bench.detector.reorder_window(bench.board, bench.rtt)
    bench.declare()
    assert bench.board.lost_packets == 1
    bench.now += 10
    return bench.ack(start + 6)


def test_spurious_loss_widens_the_window_once_a_round_trip() -> None:
    """RFC 8985 (6.2) step 4: another quarter for each round trip with a spurious retransmission."""
    bench = Bench()
    seen = []
    for _ in range(3):
        spurious_round(bench)
        seen.append(bench.detector.reorder_window(bench.board, bench.rtt))
    assert seen == [2 * RTT // 4, 3 * RTT // 4, RTT]


def test_the_wide_window_ends() -> None:
    """RFC 8985 (6.2.4): after 16 recoveries without spurious losses the window is a quarter again."""
    bench = Bench()
    spurious_round(bench)
    for at in range(REORDER_WINDOW_PERSISTS_ROUNDS):
        assert bench.detector.reorder_window(bench.board, bench.rtt) == 2 * RTT // 4, at
        bench.detector.start_recovery(bench.board, bench.next_seq)
    assert bench.detector.reorder_window(bench.board, bench.rtt) == RTT // 4


def test_undo_when_all_was_spurious() -> None:
    """A recovery all of whose losses came late is to be undone (RFC 4015); once."""
    bench = Bench()
    assert spurious_round(bench)
    assert not bench.ack(6)


def test_no_undo_while_something_was_lost() -> None:
    """One real loss among the late ones justifies the cut."""
    bench = Bench(7)
    bench.now = NOW + RTT + 600
    bench.ack(0, 2, 3, 4, 5)
    bench.declare()
    assert bench.board.lost_packets == 2
    assert not bench.ack(1, 2, 3, 4, 5)  # number 0 was only late
    bench.resend()  # number 1 was not
    bench.now += RTT + 1000
    assert not bench.ack(6)


def test_one_event_until_all_of_it_is_acknowledged() -> None:
    """Losses among packets sent before the cut belong to it (protocol.md 3: at most one cut a round trip)."""
    bench = Bench(5)
    assert not bench.detector.in_recovery(bench.board)
    bench.detector.start_recovery(bench.board, bench.next_seq)
    bench.ack(4)
    assert bench.detector.in_recovery(bench.board)
    bench.ack(5)
    assert not bench.detector.in_recovery(bench.board)


def test_the_third_duplicate_ack() -> None:
    """RFC 5681 (3.2): the third says so, only the third, and progress starts the count anew."""
    bench = Bench(5)
    assert [bench.detector.on_duplicate_ack() for _ in range(5)] == [False, False, True, False, False]
    bench.ack(1)
    assert [bench.detector.on_duplicate_ack() for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("rtt", "expected"),
    [(RTT, 2 * RTT), (1000, MIN_TAIL_LOSS_PROBE), (100_000, 200_000)],
)
def test_probe_timeout(rtt: int, expected: int) -> None:
    """RFC 8985 (7.2): PTO = 2 * SRTT, with a floor for the reactor's own latency."""
    assert Bench(rtt=rtt).rtt.probe_timeout == expected


def test_probe_timeout_heeds_variation() -> None:
    """RFC 9002 (6.2.1): what comes now after 1 ms and now after 50 is not suspected after two mean round trips."""
    bench = Bench(rtt=1_000)
    for sample in [1_000, 50_000] * 20:
        bench.rtt.on_sample(sample)
    assert bench.rtt.variation > bench.rtt.smoothed // 2
    assert bench.rtt.probe_timeout == 4 * bench.rtt.variation


def test_probe_timeout_is_never_later_than_the_timeout() -> None:
    """RFC 8985 (7.2): no probe after the RTO."""
    bench = Bench(rtt=2_000_000)
    for _ in range(100):
        bench.rtt.on_sample(2_000_000)
    assert bench.rtt.rto < 4_000_000
    assert bench.rtt.probe_timeout == bench.rtt.rto
