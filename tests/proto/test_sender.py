"""
What may leave when, and what becomes of it?
"""

from __future__ import annotations

from random import Random

import pytest

from twisted_utp.proto.congestion.base import AckSample, CongestionController
from twisted_utp.proto.congestion.ledbat import Ledbat
from twisted_utp.proto.constants import (
    INITIAL_PEER_WINDOW,
    MAX_SMALL_IN_FLIGHT,
    MAX_SPAN,
    MAX_SPAN_FOREIGN,
    MAX_WINDOW_QUESTIONS,
    MAX_ZERO_WINDOW_RTO,
    MIN_TRANSMISSIONS_BEFORE_GIVING_UP,
    PACING_MAX,
    PACING_RTT_SHARE,
)
from twisted_utp.proto.mtu import MtuDiscovery
from twisted_utp.proto.packet import PacketType
from twisted_utp.proto.scoreboard import Flight
from twisted_utp.proto.sender import AckInfo, Sender
from twisted_utp.proto.timers import NEVER, UNARMED, Timer, expire, is_armed

FIRST = 65_530
MSS = 100
NOW = 5_000_000_000
RTT = 40_000
USER_TIMEOUT = 30_000_000


class Recorder(CongestionController):
    """
    A window that only the test changes, and a record of what it was told.
    """

    def __init__(self, cwnd: float = 1e9) -> None:
        super().__init__(mss=MSS, target_delay=100_000)
        self.cwnd = cwnd
        self.ssthresh = 0.0
        self.samples: list[AckSample] = []
        self.told: list[str] = []

    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """Note it."""
        self.samples.append(sample)

    def on_loss(self, *, now: int, bytes_in_flight: int, bytes_lost: int = 0) -> None:
        """Note it."""
        self.told.append("loss")

    def on_timeout(self, *, now: int, bytes_in_flight: int) -> None:
        """Note it."""
        self.told.append("timeout")

    def on_spurious_loss(self, *, now: int) -> None:
        """Note it."""
        self.told.append("spurious")

    def on_idle(self, *, now: int, timeouts: int) -> None:
        """Note it."""
        self.told.append(f"idle {timeouts}")


class Bench:
    """
    A sender, a clock, and the acknowledgements that the test makes up.
    """

    def __init__(
        self,
        *,
        congestion: CongestionController | None = None,
        cwnd: float = 1e9,
        pacing: bool = False,
        no_delay: bool = False,
        rtt: int = RTT,
    ) -> None:
        self.timers = UNARMED[:]
        self.recorder = Recorder(cwnd)
        self.sender = Sender(
            first_seq=FIRST,
            mtu=MtuDiscovery(base=MSS + 20, limit=MSS + 20),
            congestion=self.recorder if congestion is None else congestion,
            min_rto=200_000,
            timers=self.timers,
            pacing=pacing,
            no_delay=no_delay,
        )
        self.now = NOW
        self.wnd = 1 << 24
        if rtt:
            self.sender.rtt.on_sample(rtt)
        self.una = FIRST

    def write(self, nbytes: int) -> list[tuple[int, int]]:
        """The application writes; what leaves."""
        self.sender.buffer.write(bytes(nbytes))
        return self.flush()

    def eof(self) -> list[tuple[int, int]]:
        """The application closes; what leaves."""
        self.sender.eof_queued = True
        return self.flush()

    def flush(self, max_packets: int = 64) -> list[tuple[int, int]]:
        """What leaves now: each packet's offset and size."""
        sent: list[tuple[int, int]] = []
        while (flight := self.sender.next_flight(self.now, max_packets)) is not None:
            assert flight.count <= max_packets
            sent += self.packets(flight)
        self.sender.arm_retransmission(self.now)
        return sent

    @staticmethod
    def packets(flight: Flight) -> list[tuple[int, int]]:
        """Offsets and sizes."""
        last = flight.nbytes - (flight.count - 1) * flight.size
        sizes = [flight.size] * (flight.count - 1) + [last]
        return [(flight.seq - FIRST + at, size) for at, size in enumerate(sizes)]

    def ack(self, una: int, *sacked: int, dup: bool = True, difference: int = 1000) -> bool:
        """An acknowledgement: how many packets in order, and the offsets of others."""
        mask = sum(1 << offset - una - 1 for offset in sacked)
        info = AckInfo(FIRST + una, mask, self.wnd, difference, dup and not sacked, self.now)
        return self.sender.on_ack(info, self.now)

    @property
    def timer(self) -> int:
        """µs until the retransmission timer."""
        return self.timers[Timer.RETRANSMISSION] - self.now

    def fire(self, *, user_timeout: int = USER_TIMEOUT) -> list[tuple[int, int]] | None:
        """Wait for that timer; what leaves then, None when the peer counts as gone."""
        self.now = self.timers[Timer.RETRANSMISSION]
        if not self.sender.on_retransmission_timer(self.now, user_timeout):
            return None
        return self.flush()


def offsets(sent: list[tuple[int, int]] | None) -> list[int]:
    """Without the sizes."""
    assert sent is not None
    return [offset for offset, _ in sent]


# --- How much -------------------------------------------------------------------------------------------------


def test_data_is_cut_into_full_packets() -> None:
    """All but the last packet are full, in the order written, across the wrap of the wire's numbers."""
    assert Bench().write(1050) == [*[(at, MSS) for at in range(10)], (10, 50)]


def test_a_train_has_at_most_so_many_packets() -> None:
    """The caller's limit holds, for new packets and for repeated ones."""
    bench = Bench()
    bench.sender.buffer.write(bytes(1000))
    flight = bench.sender.next_flight(bench.now, 4)
    assert flight is not None
    assert flight.count == 4
    assert len(bench.flush(3)) == 6
    bench.sender.board.mark_all_lost()
    flight = bench.sender.next_flight(bench.now, 3)
    assert flight is not None
    assert (flight.seq, flight.count, bench.sender.board.lost_packets) == (FIRST, 3, 7)


def test_the_congestion_window_holds() -> None:
    """No more than cwnd in flight; what is acknowledged makes room."""
    bench = Bench(cwnd=350)
    assert offsets(bench.write(1000)) == [0, 1, 2]
    bench.now += RTT
    bench.ack(2)
    assert offsets(bench.flush()) == [3, 4]


def test_the_limit_in_flight_holds() -> None:
    """No more than it is sent and not acknowledged in order, whatever the windows; losses are repeated beyond it."""
    bench = Bench()
    bench.sender.max_in_flight = 550
    bench.sender.rtt.minimum = RTT
    assert offsets(bench.write(2000)) == [0, 1, 2, 3, 4]
    bench.now += RTT
    bench.ack(0, 1, 2, 3, 4)
    assert bench.sender.board.outstanding_bytes == 500
    assert offsets(bench.flush()) == [0]  # lost, and what was named is not in order
    bench.ack(5)
    assert offsets(bench.flush()) == [5, 6, 7, 8, 9]


def test_a_limit_below_a_packet_sends_one_at_a_time() -> None:
    """It never stops a sender whose packets are larger."""
    bench = Bench()
    bench.sender.max_in_flight = MSS // 2
    assert bench.write(3 * MSS) == [(0, MSS // 2)]
    bench.now += RTT
    bench.ack(1)
    assert bench.flush() == [(1, MSS // 2)]


def test_a_window_below_a_packet_sends_one_at_a_time() -> None:
    """cwnd may be as low as it likes: with nothing in flight one packet goes."""
    bench = Bench(cwnd=10)
    assert offsets(bench.write(1000)) == [0]
    bench.now += RTT
    bench.ack(1)
    assert offsets(bench.flush()) == [1]


def test_ledbat_starts_with_ten_packets() -> None:
    """RFC 6928, then slow start."""
    bench = Bench(congestion=Ledbat(mss=MSS, target_delay=100_000))
    assert len(bench.write(20_000)) == 10
    for expected in (20, 40, 80):
        bench.now += RTT
        bench.ack(bench.sender.next_seq - FIRST)
        assert len(bench.flush()) == expected


def test_before_the_first_window_is_heard() -> None:
    """Until the peer has told its window, no more than a guess goes out."""
    assert sum(size for _, size in Bench().write(10 * INITIAL_PEER_WINDOW)) <= INITIAL_PEER_WINDOW


def test_the_peers_window_is_honoured_strictly() -> None:
    """Never a byte beyond the advertised window (peers.md 2.4), counted from una, acknowledged selectively or not."""
    bench = Bench()
    bench.wnd = 450
    bench.ack(0)
    assert bench.write(2000) == [(at, MSS) for at in range(4)]
    bench.now += RTT
    bench.ack(0, 1, 2, 3)
    assert offsets(bench.flush()) == [0]  # the lost one again, nothing new
    bench.now += RTT
    bench.ack(4)
    assert len(bench.flush()) == 4


def test_no_silly_window() -> None:
    """RFC 1122 (4.2.3.4): with something in flight, room for less than a packet is not used."""
    bench = Bench()
    bench.wnd = 150
    bench.ack(0)
    assert bench.write(1000) == [(0, MSS)]
    bench.now += RTT
    bench.wnd = 30
    bench.ack(1)
    assert bench.flush() == [(1, 30)]  # nothing in flight: what there is
    bench.wnd = 90
    bench.ack(1)
    assert bench.flush() == []


def test_a_small_rest_that_fits_is_no_silly_window() -> None:
    """What waits may be less than a packet itself; then the window need only take that."""
    bench = Bench()
    bench.wnd = 160
    bench.ack(0)
    assert bench.write(150) == [(0, MSS), (1, 50)]


@pytest.mark.parametrize(("ours", "span"), [(False, MAX_SPAN_FOREIGN), (True, MAX_SPAN)])
def test_the_span_in_flight_is_bounded(ours: bool, span: int) -> None:
    """Foreign peers drop what is 1024 ahead (protocol.md 3); our own take more.  FIN included."""
    bench = Bench()
    if ours:
        bench.sender.on_peer_is_ours()
    bench.ack(0)
    assert len(bench.write(MSS * span)) == span
    assert bench.eof() == []
    bench.now += RTT
    bench.ack(0, *range(1, span))
    assert offsets(bench.flush()) == [0]  # however much is acknowledged past the hole
    assert bench.sender.fin_seq is None
    bench.now += RTT
    bench.ack(span)
    assert offsets(bench.flush()) == [span]
    assert bench.sender.fin_seq == FIRST + span


# --- Small writes ---------------------------------------------------------------------------------------------


def test_a_few_small_packets_may_be_in_flight() -> None:
    """Keystrokes leave at once, but a chatty application does not send a packet a write (Nagle, Minshall)."""
    bench = Bench()
    for at in range(MAX_SMALL_IN_FLIGHT):
        assert bench.write(3) == [(at, 3)]
    assert bench.write(3) == []
    assert bench.write(3) == []
    bench.now += RTT
    bench.ack(1)
    assert bench.flush() == [(MAX_SMALL_IN_FLIGHT, 6)]


def test_full_packets_do_not_wait() -> None:
    """Small packets in flight hold back small ones only; of a longer write the tail waits."""
    bench = Bench()
    for _ in range(MAX_SMALL_IN_FLIGHT):
        bench.write(3)
    assert [size for _, size in bench.write(250)] == [MSS, MSS]
    assert bench.sender.buffer.nbytes == 50
    assert [size for _, size in bench.write(50)] == [MSS]


@pytest.mark.parametrize("how", ["no_delay", "eof"])
def test_what_lets_small_packets_go(how: str) -> None:
    """no_delay, and an end of the stream, leave nothing waiting."""
    bench = Bench(no_delay=how == "no_delay")
    for _ in range(MAX_SMALL_IN_FLIGHT):
        bench.write(3)
    if how == "no_delay":
        assert [size for _, size in bench.write(3)] == [3]
    else:
        bench.sender.buffer.write(bytes(3))
        assert [size for _, size in bench.eof()] == [3, 0]


def test_a_tail_held_by_the_window_is_not_sent_short() -> None:
    """When cwnd ends amid a packet, that packet waits; it does not go out cut."""
    bench = Bench(cwnd=250)
    assert [size for _, size in bench.write(1000)] == [MSS, MSS]


# --- FIN ------------------------------------------------------------------------------------------------------


def test_fin_follows_the_data() -> None:
    """The FIN takes the next seq_nr after everything written, once."""
    bench = Bench(cwnd=200)
    bench.sender.buffer.write(bytes(350))
    assert offsets(bench.eof()) == [0, 1]
    assert bench.sender.fin_seq is None
    bench.now += RTT
    bench.ack(2)
    assert bench.flush() == [(2, MSS), (3, 50), (4, 0)]
    assert bench.sender.fin_seq == FIRST + 4
    assert bench.flush() == []


def test_fin_needs_no_window() -> None:
    """A FIN has no bytes: neither a full cwnd nor a closed window holds it."""
    bench = Bench(cwnd=MSS)
    bench.wnd = MSS
    bench.ack(0)
    bench.write(MSS)
    assert bench.eof() == [(1, 0)]


def test_fin_is_repeated_until_acknowledged() -> None:
    """A lost FIN is sent again like data."""
    bench = Bench()
    bench.eof()
    assert bench.fire() == [(0, 0)]
    assert bench.fire() == [(0, 0)]
    assert bench.ack(1)
    assert bench.sender.counters.retransmitted_packets == 2


# --- The unconfirmed acceptor ---------------------------------------------------------------------------------


def test_unconfirmed_foreign_peer_gets_one_byte() -> None:
    """A forged SYN cannot aim more than one tiny packet at somebody, and that only where it is wanted."""
    bench = Bench(rtt=0)
    bench.sender.is_confirmed = False
    assert bench.write(1000) == []
    bench.sender._early_byte = True
    assert bench.flush() == [(0, 1)]
    bench.sender.is_confirmed = True
    assert bench.flush()[0] == (1, MSS)


def test_unconfirmed_peer_of_our_kind_gets_nothing() -> None:
    """Ours confirm themselves at once, so nothing need be risked, not even a FIN."""
    bench = Bench(rtt=0)
    bench.sender.is_confirmed = False
    bench.sender._early_byte = True
    bench.sender.on_peer_is_ours()
    assert bench.write(1000) == []
    bench.sender.buffer.clear()
    assert bench.eof() == []
    bench.sender.is_confirmed = True
    assert bench.flush() == [(0, 0)]


# --- Loss -----------------------------------------------------------------------------------------------------


def test_fast_retransmit() -> None:
    """Three acknowledged past a packet: it goes again at once, before new data, and the window is cut."""
    bench = Bench(cwnd=600)
    bench.write(2000)
    bench.now += RTT
    bench.ack(0, 1, 2, 3)
    assert bench.recorder.told == ["loss"]
    assert offsets(bench.flush()) == [0, 6, 7, 8]
    assert bench.sender.counters.lost_packets == 1


def test_three_duplicate_acks() -> None:
    """RFC 5681 (3.2), for peers without selective acks: the third repeats the first packet, and only that."""
    bench = Bench()
    bench.write(1000)
    bench.now += RTT
    for expected in ([], [], [0], []):
        assert not bench.ack(0)
        assert offsets(bench.flush()) == expected
    assert bench.recorder.told == ["loss"]
    assert bench.sender.counters.duplicate_acks == 4


def test_what_opens_the_window_is_no_duplicate_ack() -> None:
    """RFC 5681 (2): a receiver that limits the rate says again and again how much more it takes."""
    bench = Bench()
    bench.write(1000)
    for bench.wnd in (50_000, 60_000, 70_000, 80_000, 90_000):
        bench.ack(0)
    assert bench.flush() == [] and not bench.recorder.told
    assert bench.sender.counters.duplicate_acks == 1


def test_keepalives_and_data_are_no_duplicate_acks() -> None:
    """A keepalive's ack_nr is one less, and packets with data repeat ack_nr by nature (protocol.md 3)."""
    bench = Bench()
    bench.write(1000)
    for _ in range(5):
        bench.ack(-1)
        bench.ack(0, dup=False)
    assert bench.flush() == []
    assert bench.sender.counters.duplicate_acks == 0


def test_duplicate_acks_with_nothing_in_flight() -> None:
    """Then there is nothing that they could tell of."""
    bench = Bench()
    for _ in range(5):
        bench.ack(0)
    assert bench.sender.counters.duplicate_acks == 0


def test_duplicate_acks_of_what_is_lost_already() -> None:
    """Three duplicates tell nothing new of a packet that waits to be sent again."""
    bench = Bench()
    bench.write(500)
    bench.sender.board.mark_all_lost()
    for _ in range(3):
        bench.ack(0)
    assert bench.recorder.told == []
    assert bench.sender.counters.lost_packets == 0


def test_a_selective_ack_is_better_than_duplicates() -> None:
    """With selective acks the scoreboard decides, not the count of duplicates."""
    bench = Bench()
    bench.write(1000)
    bench.now += RTT
    bench.ack(0, 5)
    bench.timers[Timer.REORDER] = NEVER
    for _ in range(3):
        bench.ack(0)
    assert bench.sender.counters.lost_packets == 0


def test_one_cut_a_round_trip() -> None:
    """More losses among what was in flight at the cut are the same event (protocol.md 3)."""
    bench = Bench()
    bench.write(2000)
    bench.now += RTT
    bench.ack(0, 1, 2, 3)
    bench.flush()
    bench.ack(0, 1, 2, 3, 5, 6, 7, 8)
    assert bench.sender.counters.lost_packets == 2
    assert bench.recorder.told == ["loss"]


def test_a_loss_of_later_packets_cuts_again() -> None:
    """What left after the cut and is lost is another event."""
    bench = Bench()
    bench.write(1000)
    bench.now += RTT
    bench.ack(0, 1, 2, 3)
    bench.flush()
    bench.write(1000)
    bench.now += RTT
    bench.ack(10)
    bench.ack(10, 12, 13, 14, 15)
    assert bench.recorder.told == ["loss", "loss"]


def test_reorder_timer() -> None:
    """With one packet past it, a packet is lost when the reordering window is over (RFC 8985 (6.2))."""
    bench = Bench()
    bench.write(300)
    bench.now += RTT
    bench.ack(0, 1)
    assert bench.flush() == []
    assert bench.timers[Timer.REORDER] == NOW + RTT + RTT // 4
    bench.now = bench.timers[Timer.REORDER]
    bench.sender.find_losses(bench.now)
    assert offsets(bench.flush()) == [0]
    assert not is_armed(bench.timers, Timer.REORDER)


def test_reorder_timer_is_disarmed_by_the_late_packet() -> None:
    """When the missing one turns up, there is nothing to wait for."""
    bench = Bench()
    bench.write(300)
    bench.now += RTT
    bench.ack(0, 1)
    bench.ack(2)
    assert not is_armed(bench.timers, Timer.REORDER)
    assert bench.recorder.told == []


def test_a_mistaken_loss_is_undone() -> None:
    """When all that counted as lost arrives late, the controller hears that the cut was a mistake (RFC 4015)."""
    bench = Bench()
    bench.write(1000)
    bench.now += RTT
    bench.ack(0, 1, 2, 3)
    bench.ack(4)
    assert bench.recorder.told == ["loss", "spurious"]
    assert bench.sender.counters.spurious_losses == 1


def test_repeats_respect_the_window() -> None:
    """What was lost goes again as the window allows, and FINs are not held by it."""
    bench = Bench(cwnd=1000)
    bench.write(1000)
    bench.eof()
    bench.sender.board.mark_all_lost()
    bench.recorder.cwnd = 250
    assert offsets(bench.flush()) == [0, 1]


# --- Tail-loss probe and timeout ------------------------------------------------------------------------------


def test_probe_after_two_round_trips() -> None:
    """RFC 8985 (7.2), (7.3): two RTTs after the last packet the last packet goes again, without a cut."""
    bench = Bench()
    bench.write(300)
    assert bench.timer == 2 * RTT
    assert bench.fire() == [(2, MSS)]
    assert bench.recorder.told == []
    assert bench.sender.counters.tail_loss_probes == 1


def test_the_probe_repairs_a_lost_tail() -> None:
    """The probe's acknowledgement shows what is missing, long before the timeout; that is a loss and cuts."""
    bench = Bench()
    bench.write(500)
    bench.now += RTT
    bench.ack(1)
    bench.flush()
    assert offsets(bench.fire()) == [4]
    bench.now += RTT
    bench.ack(1, 4)
    assert offsets(bench.flush()) == [1, 2, 3]
    assert bench.sender.counters.timeouts == 0
    assert bench.recorder.told == ["loss"]


def test_the_probe_that_was_the_loss_cuts_too() -> None:
    """
    RFC 8985 (7.4): when the probe itself repaired the only loss, congestion control must still hear of it: once
    something later is acknowledged, for until then the original may have come, too.
    """
    bench = Bench()
    bench.write(300)
    bench.now += RTT
    bench.ack(2)
    bench.flush()
    assert offsets(bench.fire()) == [2]
    bench.now += RTT
    bench.ack(3)
    assert bench.recorder.told == []
    bench.write(100)
    bench.now += RTT
    bench.ack(4)
    assert bench.recorder.told == ["loss"]


def test_an_unneeded_probe_costs_nothing() -> None:
    """An answer that came for the original, too soon for the probe, is no loss."""
    bench = Bench()
    bench.write(300)
    bench.fire()
    bench.now += RTT // 2
    bench.ack(3)
    assert bench.recorder.told == []


def test_new_data_is_the_better_probe() -> None:
    """RFC 8985 (7.3): when there is unsent data and room for it, that is sent, whatever cwnd says."""
    bench = Bench(cwnd=300)
    bench.write(1000)
    assert bench.fire() == [(3, MSS)]
    assert bench.sender.counters.retransmitted_packets == 0


def test_new_data_beyond_the_peers_window_is_no_probe() -> None:
    """The peer's window is honoured by probes too; then the last packet goes again."""
    bench = Bench()
    bench.wnd = 350
    bench.ack(0)
    bench.write(1000)
    assert bench.fire() == [(2, MSS)]


def test_a_probe_for_what_is_acknowledged_meanwhile() -> None:
    """When the acknowledgement comes between timer and sending, there is no probe."""
    bench = Bench()
    bench.write(300)
    bench.now = bench.timers[Timer.RETRANSMISSION]
    assert bench.sender.on_retransmission_timer(bench.now, USER_TIMEOUT)
    bench.ack(3)
    assert bench.flush() == []
    assert not is_armed(bench.timers, Timer.RETRANSMISSION)


def test_a_probe_with_everything_in_flight_acknowledged_selectively() -> None:
    """Without any packet of unknown fate, or new data, there is nothing to probe with."""
    bench = Bench()
    bench.write(200)
    bench.sender._is_probe_due = True
    bench.sender.board.acknowledge(FIRST, 0b1, 0)
    bench.sender.board.mark_all_lost()
    assert bench.sender.next_flight(bench.now, 64) is None


def test_no_probe_while_others_with_the_host_wait_for_longer() -> None:
    """
    What another connection has just measured is ten times what this one remembers: it waits as long as that.  Else
    each of a thousand connections that begin together sends probes until its own estimate has grown.
    """
    bench = Bench()
    bench.write(300)
    path = bench.sender.mtu.path
    path.latest_rtt, path.measured_at = 10 * RTT, bench.now + RTT
    assert bench.fire() == []
    assert bench.timer == 18 * RTT
    assert bench.fire() == [(2, MSS)]


@pytest.mark.parametrize(("rtt", "at"), [(2 * RTT, 1), (10 * RTT, 0)])
def test_what_others_measure_is_no_excuse_otherwise(rtt: int, at: int) -> None:
    """A usual round trip is none, nor is one that was measured before the last answer came."""
    bench = Bench()
    bench.write(300)
    path = bench.sender.mtu.path
    path.latest_rtt, path.measured_at = rtt, bench.now + at
    assert bench.fire() == [(2, MSS)]


def test_no_probe_without_a_round_trip() -> None:
    """Before the first measurement only the initial RTO of one second counts (RFC 6298 (2.1))."""
    bench = Bench(rtt=0)
    bench.write(100)
    assert bench.timer == 1_000_000
    bench.fire()
    assert (bench.sender.counters.timeouts, bench.sender.counters.tail_loss_probes) == (1, 0)


def test_timeout_after_the_probe() -> None:
    """One probe, then the timeout: everything in flight is lost, one packet goes, the oldest (protocol.md 3)."""
    bench = Bench(congestion=Ledbat(mss=MSS, target_delay=100_000))
    bench.sender.congestion.cwnd = 1000.0
    bench.write(1000)
    bench.fire()
    rto = bench.sender.rtt.rto
    assert bench.timer == rto
    assert offsets(bench.fire()) == [0]
    assert bench.sender.counters.timeouts == 1
    assert bench.sender.counters.lost_packets == 10
    assert bench.sender.rtt.rto == 2 * rto


def test_lost_packets_are_counted_once() -> None:
    """A timeout adds what it declares lost, not what was lost before."""
    bench = Bench()
    bench.write(1000)
    bench.now += RTT
    bench.ack(0, 1, 2, 3)
    assert bench.sender.counters.lost_packets == 1
    bench.sender.arm_retransmission(bench.now)
    bench.fire()
    assert bench.sender.counters.timeouts == 1
    assert bench.sender.counters.lost_packets == 1 + 6


def test_timeout_backs_off_and_ends_with_an_answer() -> None:
    """RFC 6298 (5.5): each doubles the next; an acknowledgement of something new ends that."""
    bench = Bench()
    bench.write(100)
    bench.fire()
    waits = []
    for _ in range(4):
        waits.append(bench.timer)
        bench.fire()
    assert [later / wait for wait, later in zip(waits, waits[1:], strict=False)] == [2, 2, 2]
    bench.now += RTT
    bench.ack(1)  # of the first transmission, or of the last?
    assert bench.sender.rtt.rto == 2 * waits[0]
    bench.write(100)
    bench.now += RTT
    bench.ack(2)
    assert bench.sender.rtt.rto == waits[0]


def test_a_round_trip_longer_than_the_timeout_is_found_out() -> None:
    """
    When it has become so, each packet is repeated before its answer, and no answer would tell how long it takes (Karn):
    for ever, with windows of two packets.
    """
    bench = Bench()
    longer = bench.sender.rtt.rto + 100_000
    for una in range(1, 6):
        sent_at = bench.now
        bench.write(100)
        while bench.timer + bench.now < sent_at + longer:
            bench.fire()
        bench.now = sent_at + longer
        bench.ack(una)
    assert bench.sender.rtt.latest == longer


def test_writing_does_not_put_off_the_timeout() -> None:
    """
    RFC 6298 (5.1): a packet sent while the timer runs does not restart it.

    The peer is gone, the application goes on with a small write every 50 ms: the timeout must still come about an RTO
    after the probe.
    """
    bench = Bench(no_delay=True)
    bench.write(10)
    end = NOW + 2_000_000
    write_at = NOW + 100_000  # after the probe, which comes at 80 ms
    while bench.now < end and not bench.sender.counters.timeouts:
        if min(bench.timers) <= write_at:
            bench.fire()
        else:
            bench.now = write_at
            write_at += 50_000
            bench.write(10)
    assert bench.sender.counters.timeouts > 0
    assert bench.now - NOW <= 2 * RTT + 2 * 200_000


def test_progress_restarts_the_timeout() -> None:
    """RFC 6298 (5.3): an acknowledgement of new data starts the timer anew."""
    bench = Bench()
    bench.write(1000)
    bench.sender.is_probe_sent = True  # the timeout alone is of interest
    bench.now += 150_000
    bench.ack(1)
    bench.sender.is_probe_sent = True
    bench.sender._last_sent_at = NOW
    bench.sender.arm_retransmission(bench.now)
    assert bench.timer == bench.sender.rtt.rto


def test_karn() -> None:
    """RFC 6298 (3): the answer to what was sent twice measures nothing."""
    bench = Bench()
    bench.write(100)
    bench.fire()
    bench.fire()
    before = bench.sender.rtt.smoothed
    bench.now += 10 * RTT
    bench.ack(1)
    assert bench.sender.rtt.smoothed == before
    bench.write(100)
    bench.now += 2 * RTT
    bench.ack(2)
    assert bench.sender.rtt.latest == 2 * RTT


def test_a_gap_that_closes_measures_nothing() -> None:
    """When the newest of what is acknowledged was resent, the others had waited for it (Karn and more)."""
    bench = Bench()
    bench.write(500)
    bench.now += RTT
    for _ in range(3):
        bench.ack(0)
    bench.flush()
    bench.now += RTT
    before = bench.sender.rtt.latest
    bench.ack(5)
    assert bench.sender.rtt.latest == before


def test_giving_up() -> None:
    """RFC 5482: after the user timeout without progress, but not before several transmissions went unanswered."""
    bench = Bench()
    bench.write(100)
    while bench.fire(user_timeout=5_000_000) is not None:
        assert bench.now - NOW < 5_000_000
    assert bench.now - NOW == 5_000_000  # not when the last timeout happens to be over, which may be twice as late
    assert bench.sender.counters.timeouts >= MIN_TRANSMISSIONS_BEFORE_GIVING_UP


def test_giving_up_takes_several_transmissions() -> None:
    """However short the user timeout, a few timeouts must pass."""
    bench = Bench()
    bench.write(100)
    fired = 0
    while bench.fire(user_timeout=1) is not None:
        fired += 1
    assert bench.sender.counters.timeouts == MIN_TRANSMISSIONS_BEFORE_GIVING_UP


def test_idle_time_is_no_silence() -> None:
    """The user timeout counts from when something was to be answered, not through the idle hours before."""
    bench = Bench()
    bench.write(100)
    bench.now += RTT
    bench.ack(1)
    bench.now += 3_600_000_000
    bench.write(100)
    for _ in range(MIN_TRANSMISSIONS_BEFORE_GIVING_UP):
        assert bench.fire() is not None


# --- Zero window ----------------------------------------------------------------------------------------------


def closed() -> Bench:
    """A sender with data, a closed window and nothing in flight."""
    bench = Bench()
    bench.wnd = 0
    bench.ack(0)
    assert bench.write(1000) == []
    return bench


def test_zero_window_probe() -> None:
    """
    RFC 9293 (3.8.6.1): a question after an RTO, and when it stays unanswered, one packet beyond the window.
    """
    bench = closed()
    assert bench.timer == bench.sender.rtt.rto
    for count in range(MAX_WINDOW_QUESTIONS):
        assert bench.fire() == []
        assert bench.sender.is_question_due
        bench.sender.is_question_due = False
        assert bench.sender.counters.zero_window_probes == count + 1
    assert bench.fire() == [(0, MSS)]
    assert bench.sender.counters.zero_window_probes == MAX_WINDOW_QUESTIONS + 1
    assert bench.sender.counters.packets == 1
    assert bench.sender.counters.retransmitted_packets == 0


def question_waits() -> list[int]:
    """µs between the questions to a peer that answers them with a closed window."""
    bench = closed()
    waits, before = [], NOW
    for _ in range(14):
        assert bench.fire() == []
        assert bench.sender.is_question_due
        bench.sender.is_question_due = False
        waits.append(bench.now - before)
        before = bench.now
        bench.now += RTT
        bench.ack(0)
        bench.flush()
    assert bench.recorder.told == []
    return waits


def test_zero_window_questions_back_off() -> None:
    """They come at RTO backoff (protocol.md 3), never sooner, and nothing goes beyond the window while it answers."""
    waits = question_waits()
    assert min(waits) >= 200_000
    assert waits[4] >= 4 * waits[0]


def test_zero_window_questions_do_not_become_rare() -> None:
    """libtorrent tells nobody that its window has opened again: the cap on the wait is a cap (one RTT to answer)."""
    waits = question_waits()
    assert max(waits) <= MAX_ZERO_WINDOW_RTO + RTT
    assert max(waits) >= MAX_ZERO_WINDOW_RTO / 2


def test_answered_probes_keep_the_connection() -> None:
    """A reader may pause for hours as long as its side answers; a side that does not is gone."""
    bench = closed()
    for _ in range(100):
        assert bench.fire() is not None
        bench.now += RTT
        bench.ack(0)
        bench.flush()
    begin = bench.now
    while bench.fire() is not None:
        assert bench.now - begin < 2 * USER_TIMEOUT
    assert bench.now - begin >= USER_TIMEOUT - MAX_ZERO_WINDOW_RTO


def test_window_that_opens_before_the_probe() -> None:
    """Then data flows and no probe is needed."""
    bench = closed()
    bench.wnd = 1 << 20
    bench.ack(0)
    assert len(bench.flush()) == 10
    assert bench.sender.counters.zero_window_probes == 0


def test_window_that_opens_after_a_refused_probe() -> None:
    """Everything flows at once or by the next timeout, the refused packet too."""
    bench = closed()
    bench.fire()
    bench.wnd = 1 << 20
    bench.now += RTT
    bench.ack(0)
    sent = set(offsets(bench.flush()))
    while bench.sender.board.lost_packets or 0 not in sent:
        assert bench.now < NOW + 5_000_000
        sent |= set(offsets(bench.fire()))
    assert sent == set(range(10))


def test_nothing_to_say_no_probe() -> None:
    """A closed window matters only to somebody with data; a FIN goes without one."""
    bench = Bench()
    bench.wnd = 0
    bench.ack(0)
    bench.flush()
    assert not is_armed(bench.timers, Timer.RETRANSMISSION)
    assert bench.eof() == [(0, 0)]


def test_old_acks_do_not_close_the_window() -> None:
    """The window of an acknowledgement that was overtaken is old."""
    bench = Bench()
    bench.write(500)
    bench.now += RTT
    bench.ack(3)
    bench.wnd = 0
    bench.ack(2)
    assert bench.sender.peer_window == 1 << 24


# --- Pacing ---------------------------------------------------------------------------------------------------


def paced() -> Bench:
    """A sender that has measured its round trip and follows it."""
    bench = Bench(pacing=True, cwnd=10_000.0)
    bench.write(100)
    bench.now += RTT
    bench.ack(1)
    return bench


def test_a_window_is_spread_over_the_round_trip() -> None:
    """Bursts of a stride or two packets, a timer between them, and no stall at the end (protocol.md 5)."""
    bench = paced()
    bench.now += RTT
    begin, sent, bursts = bench.now, 0, []
    bench.sender.buffer.write(bytes(8000))
    while bench.sender.buffer.nbytes:
        packets = bench.flush()
        bursts.append(len(packets))
        sent += len(packets)
        if bench.sender.buffer.nbytes:
            assert is_armed(bench.timers, Timer.PACING)
            bench.now = bench.timers[Timer.PACING]
            expire(bench.timers, Timer.PACING, bench.now)
    assert sent == 80
    rate = 1.25 * 10_000 / RTT  # bytes a µs
    stride = min(PACING_MAX, RTT / PACING_RTT_SHARE)
    assert max(bursts) <= max(rate * stride / MSS, 2) + 1
    # The first stride is there at the start.
    assert bench.now - begin == pytest.approx(8000 / rate - stride, rel=0.1)


def test_before_the_first_round_trip_nothing_is_paced() -> None:
    """The initial window goes at once."""
    assert len(Bench(pacing=True, rtt=0, cwnd=1000).write(1000)) == 10


def test_pacing_follows_a_queue_that_has_gone() -> None:
    """The round trip falls from ten times to what it was: the window goes out in the latest one, not the smoothed."""
    bench = Bench(pacing=True, cwnd=10_000.0, rtt=10 * RTT)
    bench.write(10_000)
    bench.now += RTT
    bench.ack(1)
    assert bench.sender.rtt.smoothed > 8 * RTT
    assert bench.sender.pacing_rate == pytest.approx(1.25 * 10_000 / (RTT / 1e6))


@pytest.mark.parametrize("rtt", [1000, RTT])
def test_a_controller_may_name_a_rate(rtt: int) -> None:
    """Whatever the window and the round trip are, packets leave at that rate; without one the window counts again."""
    bench = Bench(pacing=True, cwnd=100 * MSS, rtt=rtt)
    bench.recorder.pacing_rate = MSS / 200_000
    bench.write(10 * MSS)
    bench.now += rtt
    bench.ack(1)
    assert bench.sender.pacing_rate == pytest.approx(5 * MSS)
    bench.recorder.pacing_rate = 0.0
    bench.now += rtt
    bench.ack(2)
    assert (bench.sender.pacing_rate == 0) == (rtt < 2000)
    assert bench.sender.pacing_rate == 0 or bench.sender.pacing_rate > 1000 * MSS


def test_a_full_window_waits_for_acks_not_for_the_pacer() -> None:
    """When cwnd is what holds, no pacing timer wakes us in vain."""
    bench = paced()
    bench.recorder.cwnd = 200
    bench.now += RTT
    bench.write(1000)
    bench.timers[Timer.PACING] = NEVER
    bench.now += 10 * RTT
    assert bench.flush() == []
    assert not is_armed(bench.timers, Timer.PACING)


# --- What the controller hears --------------------------------------------------------------------------------


def test_samples() -> None:
    """Bytes newly acknowledged, what was in flight before, the round trip and the queueing delay."""
    bench = Bench(cwnd=1000)
    bench.write(1000)
    bench.now += RTT
    bench.ack(4, difference=5000)
    bench.now += 10_000
    bench.ack(5, 6, difference=15_000)
    first, second = bench.recorder.samples
    assert (first.bytes_acked, first.bytes_in_flight, first.latest_rtt) == (400, 1000, RTT)
    assert (second.bytes_acked, second.bytes_in_flight, second.latest_rtt) == (200, 600, RTT + 10_000)
    assert (first.queuing_delay, second.queuing_delay) == (0, 0)  # the minimum of the last few
    assert first.min_rtt == RTT
    assert not first.in_recovery


def test_unfiltered_samples() -> None:
    """
    Each acknowledgement's own delay and round trip, for controllers that filter by themselves, and whether there was
    anything left to send.
    """
    bench = Bench(cwnd=300)
    bench.write(1000)
    bench.now += RTT
    bench.ack(1, difference=5000)
    bench.now += 10_000
    bench.flush()
    bench.ack(2, difference=45_000)
    bench.now += 10_000
    bench.ack(3, difference=0)
    first, second, third = bench.recorder.samples
    assert (first.raw_delay, second.raw_delay, third.raw_delay) == (0, 40_000, None)
    assert second.queuing_delay == 0
    assert (first.growth, second.growth) == (0, 10_000)
    assert first.received_at == bench.now - 20_000
    assert first.has_more
    bench.recorder.cwnd = 1e9
    bench.flush()
    bench.ack(4, difference=5000)
    assert not bench.recorder.samples[-1].has_more


def test_a_loss_wants_proof_once_more() -> None:
    """What was seen on the way back when we stepped back is not believed any more after a loss."""
    bench = Bench()
    bench.sender.delay.round_trips().reverse_queue = 70_000
    bench.write(1000)
    bench.now += RTT
    bench.ack(0, 1, 2, 3)
    assert bench.sender.counters.window_cuts == 1
    assert bench.sender.delay.growth.reverse_queue == 0


def test_without_delay_samples_the_round_trip_tells() -> None:
    """0 and 2^31 - 1 are no measurement (protocol.md 1): what round trips have grown by counts."""
    bench = Bench()
    bench.write(600)
    bench.now += RTT
    bench.ack(1, difference=0)
    bench.now += 90_000
    for una in (2, 3, 4, 5):
        bench.ack(una, difference=0x7FFFFFFF)
    assert [sample.queuing_delay for sample in bench.recorder.samples] == [0, 0, 0, 0, 90_000]
    assert bench.recorder.samples[-1].is_disputed


@pytest.mark.parametrize(
    ("slow_start", "nbytes", "limited"),
    [(False, 1000, False), (False, 800, False), (False, 700, True), (True, 500, False), (True, 400, True)],
)
def test_application_limited(slow_start: bool, nbytes: int, limited: bool) -> None:
    """A window filled but for two packets is full; in slow start, which doubles it meanwhile, half of it is."""
    bench = Bench(cwnd=1000)
    if slow_start:
        bench.recorder.ssthresh = float("inf")
    bench.write(nbytes)
    bench.now += RTT
    bench.ack(1)
    assert bench.recorder.samples[0].app_limited is limited


def test_in_recovery_is_told() -> None:
    """While a cut is being digested, the controller knows."""
    bench = Bench()
    bench.write(1000)
    bench.now += RTT
    bench.ack(0, 1, 2, 3)
    bench.flush()
    bench.now += RTT
    bench.ack(4)
    assert bench.recorder.samples[-1].in_recovery


def test_fin_alone_is_no_news_for_the_controller() -> None:
    """An acknowledged FIN has no bytes to grow by."""
    bench = Bench()
    bench.eof()
    bench.now += RTT
    assert bench.ack(1)
    assert bench.recorder.samples == []


def test_idleness_is_told_in_timeouts() -> None:
    """After nothing was in flight for some RTOs, the controller hears how many; before that, nothing."""
    bench = Bench()
    bench.write(100)
    bench.now += RTT
    bench.ack(1)
    bench.now += 100_000
    bench.write(100)
    bench.now += RTT
    bench.ack(2)
    assert bench.recorder.told == []
    bench.now += 3 * bench.sender.rtt.rto
    bench.write(100)
    assert bench.recorder.told == ["idle 3"]


def test_fin_type() -> None:
    """A flight says which type its packets are."""
    bench = Bench()
    bench.sender.buffer.write(b"x")
    bench.sender.eof_queued = True
    first, second = (bench.sender.next_flight(bench.now, 9) for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.type, second.type, second.count) == (PacketType.DATA, PacketType.FIN, 1)


@pytest.mark.parametrize(("rtt", "is_paced"), [(1_999, False), (2_000, True)])
def test_very_short_paths_are_not_paced(rtt: int, is_paced: bool) -> None:
    """Where a round trip is no longer than a timer is late, there is nothing to spread."""
    bench = Bench(pacing=True, rtt=rtt)
    bench.write(10 * MSS)
    bench.now += rtt
    bench.ack(1)
    assert (bench.sender.pacing_rate > 0) is is_paced


def test_the_pace_follows_a_round_trip_that_has_become_short() -> None:
    """
    When a queue of others has gone, the window is spread over the round trip that there is, not over the smoothed one:
    a few packets would need as many of the old round trips to make it short.
    """
    bench = Bench(cwnd=2 * MSS, pacing=True, rtt=50_000)
    for _ in range(40):
        bench.sender.rtt.on_sample(500_000)
    bench.write(2 * MSS)
    bench.now += 50_000
    bench.ack(2)
    assert bench.sender.rtt.smoothed > 400_000
    assert bench.sender.pacing_rate * 0.05 >= 2 * MSS


def test_the_pace_does_not_follow_a_late_packet() -> None:
    """A single long round trip changes the pace only as far as it changes the smoothed one."""
    bench = Bench(cwnd=2 * MSS, pacing=True, rtt=50_000)
    bench.write(2 * MSS)
    bench.now += 400_000
    bench.ack(2)
    assert bench.sender.pacing_rate * 0.1 >= 2 * MSS


def test_the_first_repeated_packet_needs_no_window() -> None:
    """A cut window may be full of what is lost as well and not known to be (RFC 6937): one leaves for each ack."""
    bench = Bench(cwnd=10 * MSS)
    bench.write(1000)
    bench.now += RTT
    for _ in range(3):
        bench.ack(0)
    bench.recorder.cwnd = 5.0 * MSS
    assert offsets(bench.flush()) == [0]
    assert bench.flush() == []
    bench.now += RTT
    bench.ack(1)  # only then is it known that the others, sent before, are lost
    assert offsets(bench.flush()) == [1, 2, 3, 4, 5]


def test_a_probe_in_recovery_repeats_the_first() -> None:
    """What was repeated is lost too: the peer waits for that, and no new data will tell (RFC 9002 (6.2))."""
    bench = Bench()
    bench.write(1000)
    bench.now += RTT
    bench.ack(0, 9)
    bench.now += RTT
    bench.sender.find_losses(bench.now)
    assert offsets(bench.flush()) == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert bench.timer < 200_000
    bench.sender.buffer.write(bytes(MSS))
    assert offsets(bench.fire())[0] == 0
    assert bench.recorder.told == ["loss"]
    assert bench.sender.counters.tail_loss_probes == 1


def test_a_probe_that_is_answered_with_nothing_new() -> None:
    """Then the first packet is missing, and one such answer is enough."""
    bench = Bench()
    bench.write(1000)
    assert offsets(bench.fire()) == [9]
    bench.now += RTT
    bench.ack(0)
    assert offsets(bench.flush()) == [0]


@pytest.mark.parametrize(("sack", "length", "expected"), [(None, 0, True), (0, 4, True), (0, 8, False), (1, 4, False)])
def test_a_selective_ack_that_ends_too_early(sack: int | None, length: int, expected: bool) -> None:
    """All zero, it says something only where more is on its way than it could name."""
    bench = Bench()
    bench.write(40 * MSS)
    assert bench.sender.is_sack_uninformative(sack, length) is expected


# --- Every acknowledgement that moves una ---------------------------------------------------------------------


def test_una_over_what_was_selectively_acknowledged_is_progress() -> None:
    """An acknowledgement may name nothing new and still be the one that everything waits for."""
    bench = Bench()
    bench.write(300)
    bench.eof()
    assert bench.ack(0, 1, 2, 3)
    assert bench.ack(1)  # the peer takes its time, or lies
    assert bench.sender.board.una == FIRST + 1
    assert bench.ack(4)
    assert bench.sender.board.una == FIRST + 4
    assert not bench.ack(4)


@pytest.mark.parametrize("seed", range(40))
def test_progress_is_what_moves_the_board(seed: int) -> None:
    """Of any acknowledgement, honest or not, C{on_ack} says whether the board has changed; what is left has a timer."""
    rng, bench = Random(seed), Bench()
    bench.write(rng.randrange(1, 2000))
    bench.eof()
    board = bench.sender.board
    for _ in range(60):
        bench.now += rng.choice((1, 1000, 50_000))
        una = board.una - FIRST + rng.choice((-3, -2, -1, 0, 0, 0, 1, 2))
        una = min(una, bench.sender.next_seq - FIRST)
        named = rng.sample(range(una + 1, una + 8), rng.randrange(4))
        before = board.una, board.sacked_packets
        assert bench.ack(una, *named) == ((board.una, board.sacked_packets) != before)
        bench.flush()
        assert not board.flights or board.flights[0].seq == board.una
        assert bool(board.flights) == is_armed(bench.timers, Timer.RETRANSMISSION)
        if rng.random() < 0.2 and board.flights:
            bench.fire()
    if board.una < bench.sender.next_seq:
        assert bench.ack(bench.sender.next_seq - FIRST)
    bench.flush()
    assert not board.flights and not is_armed(bench.timers, Timer.RETRANSMISSION)
