"""
Is a window spread over its round trip, in bursts as short as the path needs?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.constants import CHANCE_IN_A_ROW, CHANCE_QUEUE, PACING_CALM
from twisted_utp.proto.mtu import PathMtu
from twisted_utp.proto.pacing import Pacer

MSS = 1000
NOW = 5_000_000


def pacer(cwnd: float = 100.0 * MSS, rtt: int = 100_000, *, slow_start: bool = False) -> Pacer:
    """A pacer that follows a window since NOW."""
    paced = Pacer()
    paced.set_window(cwnd, rtt, MSS, slow_start=slow_start, now=NOW)
    return paced


def short_path(rate: float) -> Pacer:
    """A pacer for 10 ms, too short for long bursts; C{rate} in bytes a µs."""
    return pacer(cwnd=rate / 1.25 * 10_000, rtt=10_000)


def test_no_round_trip_no_limit() -> None:
    """Before the first measurement nothing is known to spread over, whatever is sent."""
    paced = Pacer()
    paced.set_window(5000.0, 0, MSS, slow_start=True, now=NOW)
    paced.on_sent(1 << 30)
    assert paced.rate == 0
    assert paced.allowance(NOW) == float("inf")


@pytest.mark.parametrize(("slow_start", "gain"), [(False, 1.25), (True, 2.0)])
def test_rate_is_a_window_per_round_trip(slow_start: bool, gain: float) -> None:
    """cwnd / RTT with a gain that leads the window's growth."""
    assert pacer(slow_start=slow_start).rate == pytest.approx(gain * 100 * MSS / 0.1)


def test_a_round_trip_s_allowance_is_about_a_window() -> None:
    """Spent as it comes, the credit of one round trip is the window times the gain."""
    paced = pacer()
    sent = 0
    for at in range(NOW, NOW + 100_000, 500):
        while paced.allowance(at) >= MSS:
            paced.on_sent(MSS)
            sent += MSS
    burst = 12 * MSS
    assert 1.2 * 100 * MSS <= sent <= 1.25 * 100 * MSS + burst


def test_repeats_beyond_the_credit_do_not_silence_for_long() -> None:
    """
    A recovery repeats a packet for each acknowledgement whatever the credit: no more than a burst of it is made up for,
    or a flow that goes down to two packets in a round trip would say nothing for as many round trips.
    """
    paced = pacer()
    paced.set_rate(0.01, 100_000, MSS, now=NOW)
    for _ in range(50):
        paced.on_sent(MSS)
    assert paced.allowance(NOW + 400_000) >= MSS


LATER = NOW + 3_600_000_000


def test_what_of_a_burst_is_still_at_the_bottleneck() -> None:
    """What was sent of it, less what a link of four times the rate has carried since."""
    paced = pacer(cwnd=1000.0 * MSS)
    assert Pacer().ahead(NOW) == paced.ahead(NOW) == 0
    at = NOW + 100_000
    assert paced.ahead(at) == 0
    paced.on_sent(8 * MSS)
    assert paced.ahead(at) == 8 * MSS
    at += round(MSS / (paced.rate / 1e6))
    assert paced.ahead(at) == pytest.approx(4 * MSS, abs=50)
    assert paced.ahead(at + 10_000) == 0


def test_what_was_sent_without_a_pace_is_no_burst() -> None:
    """On a path too short for pacing everything leaves at once: none of it is ahead of what is paced later."""
    paced = pacer(cwnd=1000.0 * MSS)
    paced.on_sent(8 * MSS)
    paced.release()
    for _ in range(1000):
        paced.on_sent(MSS)
    paced.set_rate(0.01, 100_000, MSS, now=NOW)
    assert paced.ahead(NOW) == 0


def test_a_rate_of_its_own() -> None:
    """A controller may name a rate: one packet in 100 ms where a window of two, and 1 ms of round trip, make 2 MB/s."""
    paced = Pacer()
    paced.set_rate(MSS / 100_000, 1000, MSS, now=NOW)
    assert paced.rate == pytest.approx(10 * MSS)
    paced.on_sent(2 * MSS)
    assert paced.allowance(NOW + 50_000) < MSS
    assert paced.next_at(MSS) == pytest.approx(NOW + 100_000, abs=2)
    paced.set_window(10.0 * MSS, 10_000, MSS, slow_start=False, now=NOW + 50_000)
    assert paced.rate == pytest.approx(1.25 * MSS * 1000), "and windows count again"


@pytest.mark.parametrize(("queue", "in_a_row"), [(CHANCE_QUEUE + 1, 1), (0, CHANCE_IN_A_ROW + 1)])
def test_bursts_are_short_for_a_while_after_a_loss(queue: int, in_a_row: int) -> None:
    """What overflowed, or a queue that drops early, would lose more of long ones."""
    calm = pacer(cwnd=1000.0 * MSS)
    longest = calm.allowance(LATER)
    calm.on_loss(LATER, queue, in_a_row)
    calm.set_window(1000.0 * MSS, 100_000, MSS, slow_start=False, now=LATER)
    assert calm.allowance(LATER + 1_000_000) < longest / 2
    calm.set_window(1000.0 * MSS, 100_000, MSS, slow_start=False, now=LATER + PACING_CALM)
    assert calm.allowance(LATER + PACING_CALM + 1_000_000) == pytest.approx(longest)


def test_a_loss_by_chance_changes_no_bursts() -> None:
    """Where no queue stands when a packet is lost, short bursts would lose as many."""
    lossy = pacer(cwnd=300.0 * MSS)
    usual = lossy.stride
    lossy.on_loss(LATER, CHANCE_QUEUE, CHANCE_IN_A_ROW)
    for slow_start in (False, True):  # the window returns to what it was
        lossy.set_window(300.0 * MSS, 100_000, MSS, slow_start=slow_start, now=LATER)
        assert lossy.stride == usual
    lossy.on_loss(LATER, CHANCE_QUEUE + 1, 1)
    lossy.set_window(300.0 * MSS, 100_000, MSS, slow_start=True, now=LATER)
    assert lossy.stride < usual / 2, "an overflow after it counts"


def test_burst_is_a_millisecond_of_the_rate() -> None:
    """After any silence a burst carries at most 1 ms of the rate (protocol.md 5): on short paths, and in slow start."""
    assert short_path(100).allowance(LATER) == pytest.approx(100_000)
    assert pacer(cwnd=5000.0 * MSS, slow_start=True).allowance(LATER) == pytest.approx(100_000)


@pytest.mark.parametrize(
    ("rate", "burst"),
    [
        (0.5, 8_000),  # 4 Mb/s: less than 12 packets
        (1.75, 6_857),  # 14 Mb/s: 12 packets
        (2.5, 6_000),
        (12.5, 6_000),
        (24.0, 4_000),  # 192 Mb/s: 96 packets
        (120.0, 1_000),
    ],
)
def test_longer_strides_once_the_rate_is_found(rate: float, burst: int) -> None:
    """
    12 packets, or 6 ms while that is no more than 96 packets, but never more than 8 ms, and never less than 1.
    """
    paced = pacer(cwnd=rate / 1.25 * 100_000)
    assert paced.allowance(LATER) == pytest.approx(max(rate * burst, 2 * MSS), rel=0.01)


@pytest.mark.parametrize(
    ("rate", "queue", "burst"),
    [
        (2.5, 12_000, 8_000),  # no more than a twelfth of the round trip
        (2.5, 18_000, 9_000),
        (2.5, 60_000, 20_000),
        (0.5, 44_000, 22_000),  # 4 Mb/s: less than 12 packets
        (0.5, 500_000, 24_000),
        (0.4, 500_000, 25_000),
        (12.5, 60_000, 7_680),
    ],
)
def test_a_queue_hides_longer_strides(rate: float, queue: int, burst: int) -> None:
    """Half of what queues anyhow, and 25 ms at most, while acknowledgements come in batches."""
    paced = pacer(cwnd=rate / 1.25 * 100_000)
    paced.follows_batches = True
    paced.set_window(rate / 1.25 * 100_000, 100_000, MSS, slow_start=False, now=NOW, queue=queue)
    assert paced.allowance(LATER) == pytest.approx(max(rate * burst, 2 * MSS), rel=0.01)


def test_next_at_allows_a_whole_long_burst() -> None:
    """Where acknowledgements come in batches the next one comes before that, and serves what waits by the way."""
    paced = pacer(cwnd=200.0 * MSS)  # 2.5 bytes a µs, bursts of 6 ms
    paced.on_sent(15_000)
    assert paced.next_at(MSS) - NOW == pytest.approx(3_000, abs=400)
    paced.follows_batches = True
    assert paced.next_at(MSS) - NOW == pytest.approx(6_000, abs=400)


def test_strides_are_a_twelfth_of_the_round_trip() -> None:
    """On 36 ms, 3 ms; on 12 ms and below, 1 ms as in slow start."""
    assert pacer(cwnd=36_000 * 8.0, rtt=36_000).allowance(LATER) == pytest.approx(30_000)
    assert pacer(cwnd=12_000 * 8.0, rtt=12_000).allowance(LATER) == pytest.approx(10_000)
    assert pacer(cwnd=3_000 * 8.0, rtt=3_000).allowance(LATER) == pytest.approx(10_000)


def test_burst_is_at_least_two_packets() -> None:
    """On slow links trains of two still go out."""
    assert pacer(cwnd=2.0 * MSS).allowance(NOW + 3_600_000_000) == 2 * MSS


def test_a_crowd_may_send_whole_windows() -> None:
    """
    What the others with the same host send in a millisecond may leave at once.  Alone, and where a crowd sends less
    than a few packets in that time, all is as ever.
    """
    for others, burst in ((0, 2 * MSS), (10_000, 2 * MSS), (500_000, 50 * MSS)):
        path = PathMtu(0)
        paced = Pacer(path)
        paced.set_window(10.0 * MSS, 100_000, MSS, slow_start=False, now=NOW)
        paced.on_sent(5 * MSS)
        path.paced_bytes += others
        paced.set_window(10.0 * MSS, 100_000, MSS, slow_start=False, now=NOW + 10_000)
        assert paced.allowance(NOW + 3_600_000_000) == burst


def test_next_at_allows_half_a_burst() -> None:
    """At the instant named, half a burst may go and just before it not."""
    paced = short_path(100)
    paced.allowance(NOW + 10_000)
    paced.on_sent(100_000)
    at = paced.next_at(MSS)
    assert paced.allowance(at) >= 50_000
    assert at - (NOW + 10_000) == pytest.approx(500, abs=2)


def test_next_at_allows_a_packet_on_slow_links() -> None:
    """With little credit the wait is for a whole packet, also after an overdraft."""
    paced = pacer(cwnd=2.0 * MSS)
    paced.allowance(NOW + 1_000_000)
    paced.on_sent(3 * MSS)
    assert paced.allowance(NOW + 1_000_000) == -MSS
    at = paced.next_at(MSS)
    assert paced.allowance(at - 2) < MSS
    assert paced.allowance(at) >= MSS


def test_credit_survives_a_new_window() -> None:
    """A change of rate neither loses what was saved nor gives the new rate to time that has passed."""
    paced = pacer(cwnd=100.0 * MSS)  # 1.25 bytes a µs
    paced.on_sent(int(paced.allowance(NOW)))  # all of the first burst
    paced.set_window(1000.0 * MSS, 100_000, MSS, slow_start=False, now=NOW + 800)
    assert paced.allowance(NOW + 800) == pytest.approx(1000)
    assert paced.allowance(NOW + 900) == pytest.approx(1000 + 1250)


def test_a_clock_that_stands_gives_nothing() -> None:
    """Asked twice at one instant, or with an earlier one, the credit does not change."""
    paced = pacer()
    credit = paced.allowance(NOW + 500)
    assert paced.allowance(NOW + 500) == credit
    assert paced.allowance(NOW + 100) == credit


def woken_late(paced: Pacer, late: int, times: int) -> int:
    """Wait for the pacer's instants, always so much longer, and send all that may be sent; the last instant."""
    now = NOW
    for _ in range(times):
        paced.on_sent(int(paced.allowance(now)))
        now = paced.next_at(MSS) + late
    return now


def test_late_timers_get_longer_bursts() -> None:
    """Timers that fire 12 ms late: a burst grows to what the rate moves in 12 ms, and the rate is kept."""
    paced = pacer(cwnd=800.0 * MSS)  # 10 bytes a µs
    assert paced.allowance(NOW) == pytest.approx(60_000)
    now = woken_late(paced, 12_000, 20)
    assert paced.allowance(now) == pytest.approx(120_000, rel=0.05)


def test_punctual_timers_get_the_usual_bursts() -> None:
    """Half a millisecond late changes nothing; and after late ones, punctual ones bring the old bursts back."""
    paced = pacer(cwnd=800.0 * MSS)
    assert paced.allowance(woken_late(paced, 500, 20)) <= 60_001
    now = woken_late(paced, 10_000, 20)
    for _ in range(60):
        paced.on_sent(int(paced.allowance(now)))
        now = paced.next_at(MSS)
    paced.on_sent(int(paced.allowance(now)))
    assert paced.allowance(now + 10_000) <= 60_001


def test_lateness_counts_for_a_quarter_of_a_round_trip() -> None:
    """A process that slept for a second does not send a window at once."""
    paced = pacer(cwnd=800.0 * MSS)
    now = woken_late(paced, 1_000_000, 20)
    assert paced.allowance(now) <= 250_001


def test_what_bursts_add_to_a_queue() -> None:
    """Three quarters of what a batch, less two packets, takes on the line; at most an eighth of the target."""
    paced = pacer(cwnd=100.0 * MSS)  # 1 byte a µs on the line, bursts of 8 ms
    assert paced.burst_after(0, 60_000) == paced.burst_after(2 * MSS, 60_000) == 0
    assert paced.burst_after(6 * MSS, 60_000) == pytest.approx(3000, abs=1)
    assert paced.burst_after(60 * MSS, 60_000) == pytest.approx(6000, abs=1), "no longer than the pacer's"
    assert paced.burst_after(60 * MSS, 20_000) == 2500
    assert short_path(10).burst_after(60 * MSS, 60_000) == 0, "short ones are no matter"
