"""
Does the window grow, shrink and recover as RFC 6817 and BEP-29 say?
"""

from __future__ import annotations

from typing import Any

import pytest

from twisted_utp.proto.congestion.base import AckSample, make_congestion_controller
from twisted_utp.proto.congestion.ledbat import Ledbat

MSS = 1000
TARGET = 100_000


def ledbat(cwnd: float | None = None, ssthresh: float | None = None) -> Ledbat:
    """A controller, in congestion avoidance when it is given a window."""
    controller = make_congestion_controller("ledbat", mss=MSS, target_delay=TARGET)
    assert isinstance(controller, Ledbat)
    if cwnd is not None:
        controller.cwnd = cwnd
        controller.ssthresh = cwnd if ssthresh is None else ssthresh
    return controller


def sample(nbytes: int, queuing_delay: int | None = 0, **changes: Any) -> AckSample:
    """An acknowledgement of so many bytes, the window being full."""
    values: dict[str, Any] = {
        "bytes_in_flight": 1 << 30,
        "rtt": 50_000,
        "latest_rtt": 50_000,
        "min_rtt": 50_000,
        "app_limited": False,
        "in_recovery": False,
        **changes,
    }
    return AckSample(bytes_acked=nbytes, queuing_delay=queuing_delay, **values)


def round_trip(controller: Ledbat, delay: int | None, **changes: Any) -> float:
    """A whole window is acknowledged packet by packet; by how much it changed."""
    before = controller.cwnd
    for _ in range(round(before / MSS)):
        controller.on_ack(now=1, sample=sample(MSS, delay, **changes))
    return controller.cwnd - before


def test_initial_window() -> None:
    """RFC 6928: ten packets, in slow start."""
    controller = ledbat()
    assert controller.cwnd == 10 * MSS
    assert controller.in_slow_start


def test_slow_start_doubles_each_round_trip() -> None:
    """Every byte acknowledged adds one (RFC 5681 (3.1))."""
    controller = ledbat()
    for expected in (20, 40, 80):
        round_trip(controller, 0)
        assert controller.cwnd == expected * MSS


def test_slow_start_ends_at_three_quarters_of_the_target() -> None:
    """At 75 ms of queue for a target of 100 ms it ends (protocol.md 5), not before."""
    controller = ledbat(50 * MSS, float("inf"))
    controller.on_ack(now=1, sample=sample(MSS, 75_000))
    assert controller.in_slow_start
    before = controller.cwnd
    controller.on_ack(now=1, sample=sample(MSS, 75_001))
    assert not controller.in_slow_start
    assert controller.cwnd - before < MSS / 10


def test_slow_start_ends_at_ssthresh() -> None:
    """From ssthresh on growth is additive."""
    controller = ledbat(20 * MSS, 21 * MSS)
    controller.on_ack(now=1, sample=sample(MSS))
    assert controller.cwnd == 21 * MSS
    controller.on_ack(now=1, sample=sample(MSS))
    assert controller.cwnd < 21.2 * MSS


@pytest.mark.parametrize(("delay", "expected"), [(0, 3000), (50_000, 1500), (100_000, 0)])
def test_growth_is_proportional_to_the_distance_from_the_target(delay: int, expected: int) -> None:
    """RFC 6817 (2.4.2) with BEP-29's 3000 bytes per round trip: (target - delay) / target of it."""
    assert round_trip(ledbat(100.0 * MSS), delay) == pytest.approx(expected, abs=60)


def test_never_more_than_3000_bytes_a_round_trip() -> None:
    """BEP-29 MAX_CWND_INCREASE_PACKETS_PER_RTT: also when one ack covers several windows."""
    controller = ledbat(10.0 * MSS)
    controller.on_ack(now=1, sample=sample(50 * MSS, 0))
    assert controller.cwnd <= 13 * MSS


def test_above_the_target_half_of_the_excess_is_taken_back() -> None:
    """A queue of 150 ms in a round trip of 200 ms: a quarter of the window is too much, and an eighth goes."""
    assert round_trip(ledbat(100.0 * MSS), 150_000) == pytest.approx(-12_500, rel=0.1)


def test_never_less_than_rfc_6817_decreases() -> None:
    """A small window shrinks by as much as an empty queue would let it grow."""
    controller = ledbat(4.0 * MSS)
    controller.on_ack(now=1, sample=sample(MSS, 2 * TARGET))
    assert controller.cwnd == pytest.approx(4 * MSS - 3000 / 4)


def test_far_above_the_target_the_decrease_is_bounded() -> None:
    """A delay of many targets takes no more than half of the window in a round trip."""
    assert -51_000 <= round_trip(ledbat(100.0 * MSS), 100 * TARGET) <= -35_000


def test_delay_never_shrinks_below_two_packets() -> None:
    """RFC 6817 MIN_CWND."""
    controller = ledbat(3.0 * MSS)
    for _ in range(50):
        round_trip(controller, 5 * TARGET)
    assert controller.cwnd == 2 * MSS


@pytest.mark.parametrize("ssthresh", [float("inf"), 0.0])
def test_no_growth_while_application_limited(ssthresh: float) -> None:
    """A window that is not filled says nothing about the path (protocol.md 5), in slow start and after."""
    assert round_trip(ledbat(20.0 * MSS, ssthresh), 0, app_limited=True) == 0


def test_application_limited_still_yields() -> None:
    """A queue above the target shrinks even a window that is not filled."""
    assert round_trip(ledbat(20.0 * MSS), 2 * TARGET, app_limited=True) < 0


def test_no_sample_no_change() -> None:
    """After slow start, without a delay measured nothing is known."""
    assert round_trip(ledbat(20.0 * MSS), None) == 0


def test_no_growth_in_recovery() -> None:
    """A loss that is still being digested stops growth, but not yielding."""
    assert round_trip(ledbat(20.0 * MSS), 0, in_recovery=True) == 0
    assert round_trip(ledbat(20.0 * MSS), 2 * TARGET, in_recovery=True) < 0


def test_loss_halves() -> None:
    """RFC 6817 (2.4.2): cwnd = cwnd / 2, and slow start is over."""
    controller = ledbat(20.0 * MSS, float("inf"))
    controller.on_loss(now=1, bytes_in_flight=20 * MSS)
    assert controller.cwnd == 10 * MSS
    assert not controller.in_slow_start


@pytest.mark.parametrize(("before", "after"), [(3.0, 2.0), (2.0, 2.0), (1.0, 1.0)])
def test_loss_keeps_two_packets_and_never_grows(before: float, after: float) -> None:
    """RFC 6817: min_cwnd; but a window that a timeout made smaller is not enlarged by a loss."""
    controller = ledbat(before * MSS)
    controller.on_loss(now=1, bytes_in_flight=0)
    assert controller.cwnd == after * MSS


def test_timeout_leaves_one_packet() -> None:
    """RFC 5681 (3.1): one packet.  Delay ends the slow start that follows, so it may regain what there was."""
    controller = ledbat(20.0 * MSS)
    controller.on_timeout(now=1, bytes_in_flight=12 * MSS)
    assert (controller.cwnd, controller.ssthresh) == (MSS, 20 * MSS)


def test_timeout_before_the_window_is_regained() -> None:
    """RFC 5681 (3.1) equation 4: half of what was in flight, at least two packets."""
    controller = ledbat(20.0 * MSS)
    controller.on_timeout(now=1, bytes_in_flight=12 * MSS)
    controller.cwnd = 8.0 * MSS
    controller.on_timeout(now=2, bytes_in_flight=8 * MSS)
    assert (controller.cwnd, controller.ssthresh) == (MSS, 4 * MSS)
    controller.cwnd = 2.0 * MSS
    controller.on_timeout(now=3, bytes_in_flight=MSS)
    assert (controller.cwnd, controller.ssthresh) == (MSS, 2 * MSS)


def test_repeated_timeout_keeps_ssthresh() -> None:
    """RFC 5681 (3.1) equation 4: the retransmission itself timing out does not lower ssthresh again."""
    controller = ledbat(20.0 * MSS)
    controller.on_timeout(now=1, bytes_in_flight=20 * MSS)
    controller.on_timeout(now=2, bytes_in_flight=MSS)
    assert (controller.cwnd, controller.ssthresh) == (MSS, 20 * MSS)


@pytest.mark.parametrize("what", ["loss", "timeout", "two timeouts"])
def test_spurious_cut_is_undone(what: str) -> None:
    """RFC 4015: a cut for a loss that was none is taken back, to where it was before the first timeout."""
    controller = ledbat(20.0 * MSS, 30.0 * MSS)
    if what == "loss":
        controller.on_loss(now=1, bytes_in_flight=20 * MSS)
    else:
        controller.on_timeout(now=1, bytes_in_flight=20 * MSS)
    if what == "two timeouts":
        controller.on_timeout(now=2, bytes_in_flight=MSS)
    controller.on_spurious_loss(now=3)
    assert (controller.cwnd, controller.ssthresh) == (20 * MSS, 30 * MSS)


def test_undo_happens_once_and_never_shrinks() -> None:
    """A second undo changes nothing; a window grown past the old one stays."""
    controller = ledbat(20.0 * MSS)
    controller.on_spurious_loss(now=1)
    assert controller.cwnd == 20 * MSS
    controller.on_loss(now=2, bytes_in_flight=0)
    controller.cwnd = 40.0 * MSS
    controller.on_spurious_loss(now=3)
    assert controller.cwnd == 40 * MSS
    controller.cwnd = 5.0 * MSS
    controller.on_spurious_loss(now=4)
    assert controller.cwnd == 5 * MSS


@pytest.mark.parametrize(("timeouts", "expected"), [(1, 40), (2, 20), (3, 10), (4, 10), (100_000, 10)])
def test_idleness_halves_the_window_per_timeout(timeouts: int, expected: int) -> None:
    """RFC 2861 (3.1): halved for each RTO without anything in flight, down to the initial window."""
    controller = ledbat(80.0 * MSS)
    controller.on_idle(now=1, timeouts=timeouts)
    assert controller.cwnd == expected * MSS


def test_after_idleness_it_grows_back_quickly() -> None:
    """What the path carried before is regained in slow start, and no more than that."""
    controller = ledbat(80.0 * MSS)
    controller.on_idle(now=1, timeouts=10)
    assert controller.in_slow_start
    for _ in range(3):
        round_trip(controller, 0)
    assert 80 * MSS <= controller.cwnd < 84 * MSS


def test_idleness_does_not_enlarge() -> None:
    """A window below the initial one stays."""
    controller = ledbat(1.0 * MSS)
    controller.on_idle(now=1, timeouts=3)
    assert controller.cwnd == MSS


def test_larger_packets_raise_the_minimum() -> None:
    """MIN_CWND counts packets."""
    controller = ledbat(2.0 * MSS)
    controller.on_mss(1400)
    assert controller.mss == 1400
    assert controller.cwnd == 2800


def test_target_is_configurable() -> None:
    """RFC 6817 TARGET: with 25 ms, a queue of 25 ms is the balance."""
    controller = make_congestion_controller("ledbat", mss=MSS, target_delay=25_000)
    controller.cwnd = controller.ssthresh = 50.0 * MSS
    controller.on_ack(now=1, sample=sample(MSS, 25_000))
    assert controller.cwnd == 50 * MSS
    controller.on_ack(now=1, sample=sample(MSS, 26_000))
    assert controller.cwnd < 50 * MSS


# --- Delay decides ----------------------------------------------------------------------------------------------


def rounds(controller: Ledbat, count: int, delay: int, start: int = 0, **changes: Any) -> int:
    """So many round trips of 50 ms, five acknowledgements in each; when they end."""
    now = start or 1
    for _ in range(5 * count):
        now += 10_000
        controller.on_ack(now=now, sample=sample(int(controller.cwnd / 5), delay, **changes))
    return now


def test_slow_start_ends_with_what_came_through() -> None:
    """A window of 100 packets, of which 10 come through in 10 ms: what fits into 50 ms and the target remains."""
    controller = ledbat(100.0 * MSS, float("inf"))
    now = 1
    for _ in range(12):
        now += 10_000
        controller.on_ack(now=now, sample=sample(10 * MSS, 0, app_limited=True))
    controller.cwnd = 200.0 * MSS
    controller.on_ack(now=now + 10_000, sample=sample(10 * MSS, 80_000))
    assert controller.cwnd == controller.ssthresh == pytest.approx(150 * MSS, rel=0.05)


@pytest.mark.parametrize(("delay", "share"), [(0, 0.8), (3_000, 0.8), (3_001, 0.5), (90_000, 0.5)])
def test_loss_without_a_queue_cuts_less(delay: int, share: float) -> None:
    """No queue within two round trips: a fifth, as in TCP Veno."""
    controller = ledbat(100.0 * MSS)
    now = rounds(controller, 2, delay, app_limited=True)
    before = controller.cwnd
    controller.on_loss(now=now, bytes_in_flight=0)
    assert controller.cwnd == pytest.approx(share * before)


@pytest.mark.parametrize(
    ("min_rtt", "lost", "share"), [(500, 13, 0.5), (500, 12, 0.8), (3_000, 50, 0.8), (500, 0, 0.8)]
)
def test_a_short_path_overflows_without_a_queue(min_rtt: int, lost: int, share: float) -> None:
    """More than an eighth of a flight, where a round trip is shorter than what counts as queue: a full buffer."""
    controller = ledbat(100.0 * MSS)
    now = rounds(controller, 2, 0, app_limited=True, min_rtt=min_rtt)
    before = controller.cwnd
    controller.on_loss(now=now, bytes_in_flight=100 * MSS, bytes_lost=lost * MSS)
    assert controller.cwnd == pytest.approx(share * before)


def test_loss_below_the_target_lowers_it() -> None:
    """A buffer that overflows at 40 ms: 20 ms are aimed for, and the target comes back within minutes."""
    controller = ledbat(100.0 * MSS)
    now = rounds(controller, 2, 40_000)
    controller.on_loss(now=now, bytes_in_flight=0)
    assert controller.effective_target == 20_000
    rounds(controller, 2400, 20_000, start=now)
    assert controller.effective_target == TARGET


def test_spurious_loss_restores_the_target() -> None:
    """What was no loss says nothing about the buffer."""
    controller = ledbat(100.0 * MSS)
    now = rounds(controller, 2, 40_000)
    controller.on_loss(now=now, bytes_in_flight=0)
    controller.on_spurious_loss(now=now)
    assert controller.effective_target == TARGET


def test_returns_quickly_when_others_have_left() -> None:
    """Driven to the minimum by others' queue, it regains its window in slow start once the queue is empty."""
    controller = ledbat(100.0 * MSS)
    now = rounds(controller, 1, 50_000)
    settled = controller.cwnd
    now = rounds(controller, 20, 500_000, start=now, rtt=550_000)
    assert controller.cwnd == 2 * MSS
    now = rounds(controller, 30, 500_000, start=now)
    now = rounds(controller, 8, 0, start=now)
    assert controller.cwnd > 0.9 * settled


def test_explores_after_empty_rounds() -> None:
    """Five round trips without a queue: exponential growth, a quarter of slow start's."""
    controller = ledbat(100.0 * MSS)
    controller.on_loss(now=1, bytes_in_flight=0)
    now = rounds(controller, 7, 0)
    assert controller.in_slow_start
    before = controller.cwnd
    rounds(controller, 1, 0, start=now)
    assert controller.cwnd == pytest.approx(1.25 * before, rel=0.05)


def test_patience() -> None:
    """Each drop below the target doubles the wait before it explores again."""
    controller = ledbat(100.0 * MSS)
    now = rounds(controller, 2, 10_000)
    controller.on_loss(now=now, bytes_in_flight=0)
    now = rounds(controller, 8, 0, start=now)
    assert not controller.in_slow_start
    rounds(controller, 5, 0, start=now)
    assert controller.in_slow_start


def test_bursts_count_as_queue() -> None:
    """What they add to the queue, and the filtered delay does not show, is part of what is compared with the target."""
    assert round_trip(ledbat(100.0 * MSS), TARGET - 2000) > 0
    assert round_trip(ledbat(100.0 * MSS), TARGET - 2000, burst=4000) < 0
