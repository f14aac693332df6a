"""
Does the queueing delay survive drift, clock steps, wraps and lies (RFC 6817 (3.4))?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.constants import BASE_HISTORY_BUCKETS, CURRENT_DELAY_FILTER
from twisted_utp.proto.delay import OneWayDelay, is_delay_sample
from twisted_utp.proto.delay_history import BaseDelayHistory

NOW = 10_000_000_000
MINUTE = 60_000_000
MASK = 0xFFFFFFFF
RTT = 100_000


def fed(delay: OneWayDelay, *samples: int, rtt: int = 10 * RTT, min_rtt: int = RTT, now: int = NOW) -> int | None:
    """Samples, one by one; what the last gives."""
    result = None
    for sample in samples:
        result = delay.on_our_sample(sample & MASK, rtt, min_rtt, now)
    return result


@pytest.mark.parametrize(("value", "expected"), [(0, False), (0x7FFFFFFF, False), (1, True), (0xFFFFFFFF, True)])
def test_the_two_ways_to_say_no_sample(value: int, expected: bool) -> None:
    """0 and INT_MAX mean "none yet" (peers.md 2.4); everything else is a measurement."""
    assert is_delay_sample(value) is expected


def test_no_sample_is_no_delay() -> None:
    """A field without a measurement leaves everything as it was."""
    delay = OneWayDelay()
    assert fed(delay, 0) is None
    assert fed(delay, 0x7FFFFFFF) is None
    assert delay.base is None
    fed(delay, 5000, *[9000] * CURRENT_DELAY_FILTER)
    assert fed(delay, 0x7FFFFFFF) is None
    assert delay.queuing == 4000


def test_queue_is_what_exceeds_the_base() -> None:
    """RFC 6817 (3.4.2): queuing_delay = current - base."""
    delay = OneWayDelay()
    assert fed(delay, 5000) == 0
    assert fed(delay, *[30_000] * CURRENT_DELAY_FILTER) == 25_000
    assert delay.base == 5000


def test_filter_takes_the_smallest_of_the_last_few() -> None:
    """RFC 6817 FILTER: one sample delayed on its own is no queue; CURRENT_FILTER of them are."""
    delay = OneWayDelay()
    fed(delay, 5000)
    results = [fed(delay, 45_000) for _ in range(CURRENT_DELAY_FILTER + 1)]
    assert results == [0] * (CURRENT_DELAY_FILTER - 1) + [40_000] * 2


@pytest.mark.parametrize("base", [5, 0xFFFFFFFF - 2000, 0xFFFFFFFF, 0x7FFFFFF0, 0x80000000])
def test_samples_around_the_wrap(base: int) -> None:
    """Echoes are modulo 2^32; a queue that crosses the wrap, or the sign bit, is as long as any other."""
    delay = OneWayDelay()
    fed(delay, base)
    assert fed(delay, *[base + 7000] * CURRENT_DELAY_FILTER) == 7000
    assert fed(delay, base - 1000) == 0
    assert delay.base == (base - 1000) & MASK
    assert fed(delay, *[base + 7000] * CURRENT_DELAY_FILTER) == 8000


@pytest.mark.parametrize("off", [1 << 31, 1 << 30, -(1 << 30), (1 << 31) - 1])
def test_half_range_samples_are_garbage(off: int) -> None:
    """Values a quarter of the range off or more are no measurement and leave no trace (protocol.md 5)."""
    delay = OneWayDelay()
    fed(delay, 1000, *[5000] * CURRENT_DELAY_FILTER)
    assert fed(delay, 1000 + off) is None
    assert (delay.base, delay.queuing) == (1000, 4000)


def test_base_forgets_after_its_history() -> None:
    """RFC 6817 BASE_HISTORY: a base that is not reached again is forgotten when its minute drops out."""
    history = BaseDelayHistory()
    history.on_sample(1000, NOW)
    for minute in range(1, BASE_HISTORY_BUCKETS):
        history.on_sample(3000 + minute, NOW + minute * MINUTE)
        assert history.base == 1000
    history.on_sample(9000, NOW + BASE_HISTORY_BUCKETS * MINUTE)
    assert history.base == 3001


def test_base_history_is_at_least_ten_minutes() -> None:
    """RFC 6817 (3.4.3): BASE_HISTORY of 10 minutes or more."""
    assert BASE_HISTORY_BUCKETS >= 10


def test_bucket_keeps_its_minimum() -> None:
    """Within one minute only a smaller sample changes anything, across the wrap too."""
    history = BaseDelayHistory()
    for sample, expected in ((10, 10), (20, 10), (0xFFFFFFF0, 0xFFFFFFF0), (5, 0xFFFFFFF0)):
        history.on_sample(sample, NOW)
        assert history.base == expected


def test_shift_moves_every_bucket() -> None:
    """A correction applies to the whole history, modulo 2^32."""
    history = BaseDelayHistory()
    history.on_sample(0xFFFFFFFE, NOW)
    history.on_sample(7, NOW + MINUTE)
    history.shift(4)
    assert history.base == 2
    history.shift(-4)
    assert history.base == 0xFFFFFFFE


@pytest.mark.parametrize("ppm", [100, -100, 500, -500])
def test_drift_is_no_queue(ppm: int) -> None:
    """
    An empty path of an hour between clocks that drift apart shows no queue, whichever runs faster.

    libutp's rule (protocol.md 5): when their base falls, ours is raised by as much.
    """
    delay = OneWayDelay()
    worst = 0
    for tenth in range(10 * 600):
        elapsed = tenth * 100_000
        drift = elapsed * ppm // 1_000_000  # what the peer's clock has gained
        now = NOW + elapsed
        delay.on_their_sample(40_000 - drift & MASK, now)
        worst = max(worst, fed(delay, 60_000 + drift, rtt=RTT, now=now) or 0)
    assert worst < 1000


def test_drift_does_not_hide_a_queue() -> None:
    """With the clocks drifting, a real queue of 50 ms is still seen as about 50 ms."""
    delay = OneWayDelay()
    for second in range(120):
        now, drift = NOW + second * 1_000_000, second * 100
        queue = 50_000 if second >= 100 else 0
        delay.on_their_sample(40_000 - drift & MASK, now)
        fed(delay, 60_000 + drift + queue, rtt=RTT + queue, now=now)
    assert delay.queuing == pytest.approx(50_000, abs=3000)


def test_their_base_falling_far_is_no_drift() -> None:
    """Larger steps than 10 ms are a route or a clock change and do not raise our base (libutp)."""
    delay = OneWayDelay()
    fed(delay, 5000)
    delay.on_their_sample(50_000, NOW)
    delay.on_their_sample(50_000 - 10_001, NOW)
    assert delay.base == 5000
    delay.on_their_sample(50_000 - 10_001 - 10_000, NOW)
    assert delay.base == 15_000


def test_their_samples_alone_do_nothing() -> None:
    """Before the peer has echoed anything there is no base to correct; their base rising corrects nothing either."""
    delay = OneWayDelay()
    for sample in (9000, 8000, 9000):
        delay.on_their_sample(sample, NOW)
    assert delay.base is None
    fed(delay, 5000)
    delay.on_their_sample(20_000, NOW + MINUTE)
    assert delay.base == 5000


def test_forward_step_of_the_peers_clock() -> None:
    """Half a second forward is no queue: what exceeds the round trip goes into the base, at once."""
    delay = OneWayDelay()
    fed(delay, *[20_000] * 5, rtt=RTT)
    assert fed(delay, 520_000, rtt=RTT) == 0
    assert delay.base == 520_000
    assert fed(delay, *[520_000] * 5, rtt=RTT) == 0
    assert fed(delay, *[550_000] * 5, rtt=RTT + 30_000) == 30_000


def test_forward_step_amid_a_queue() -> None:
    """When the clock is set while a queue stands, the round trip's growth is the queue that is left."""
    delay = OneWayDelay()
    fed(delay, *[20_000] * 5, rtt=RTT)
    assert fed(delay, *[60_000] * 5, rtt=RTT + 40_000) == 40_000
    assert fed(delay, *[560_000] * 5, rtt=RTT + 40_000) == 40_000
    assert delay.base == 520_000


def test_backward_step_of_the_peers_clock() -> None:
    """Half a second back gives a new, lower base at once; a queue after it is measured from there."""
    delay = OneWayDelay()
    fed(delay, *[620_000] * 5, rtt=RTT)
    assert fed(delay, 120_000, rtt=RTT) == 0
    assert fed(delay, *[140_000] * 5, rtt=RTT + 20_000) == 20_000


@pytest.mark.parametrize("step", [500_000, -500_000])
def test_step_of_our_own_clock(step: int) -> None:
    """Our clock set by half a second changes both directions' samples; no queue comes of it."""
    delay = OneWayDelay()
    base = 1_000_000
    for _ in range(5):
        delay.on_their_sample(base, NOW)
        fed(delay, base, rtt=RTT)
    for _ in range(10):
        delay.on_their_sample(base + step, NOW)
        assert fed(delay, base - step, rtt=RTT) == 0
    assert fed(delay, *[base - step + 15_000] * 5, rtt=RTT + 15_000) == 15_000


def test_one_way_is_never_longer_than_there_and_back() -> None:
    """The delay is clamped to the round trip measured by the same ack (protocol.md 5)."""
    delay = OneWayDelay()
    fed(delay, 1000, rtt=RTT)
    result = fed(delay, *[1000 + RTT + 1] * 8, rtt=RTT)
    assert result is not None
    assert result <= RTT


def test_unknown_round_trip_clamps_nothing() -> None:
    """Without a measured round trip the sample stands for itself."""
    delay = OneWayDelay()
    fed(delay, 1000, rtt=0)
    assert fed(delay, *[901_000] * CURRENT_DELAY_FILTER, rtt=0) == 900_000


def test_a_clock_that_seems_to_run_slow_wins_nothing() -> None:
    """
    A peer whose clock runs slow to win bandwidth is penalised (protocol.md 5; libutp: drift below -200 ms in 5 s).

    The queue grows to 150 ms while the peer subtracts 80 ms a second from what it echoes, so that each sample is a
    new base.  The round trip shows the queue; the delay must not be 0.
    """
    delay = OneWayDelay()
    for tick in range(100):  # ten seconds
        queue = min(tick * 1500, 150_000)
        delay.on_our_sample(100_000_000 + queue - tick * 8000, RTT + queue, RTT, NOW + tick * 100_000)
    assert delay.queuing > 0
