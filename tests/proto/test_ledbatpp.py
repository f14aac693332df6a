"""
Does LEDBAT++ step back when it should, and only then?
"""

from __future__ import annotations

from typing import Any

import pytest

from twisted_utp.proto.congestion.base import AckSample, make_congestion_controller
from twisted_utp.proto.congestion.ledbatpp import LedbatPlusPlus

MSS = 1000
RTT = 50_000
TARGET = 60_000


def ledbatpp(cwnd: float | None = None) -> LedbatPlusPlus:
    """A controller, in congestion avoidance when it is given a window."""
    controller = make_congestion_controller("ledbat++", mss=MSS, target_delay=100_000)
    assert isinstance(controller, LedbatPlusPlus)
    if cwnd is not None:
        controller.cwnd = controller.ssthresh = cwnd
    return controller


def rounds(controller: LedbatPlusPlus, count: int, delay: int, start: int, **changes: Any) -> int:
    """So many round trips, ten acknowledgements in each; when they end."""
    now = start
    values = {"rtt": RTT + delay, "latest_rtt": RTT + delay, "min_rtt": RTT, "app_limited": False, "in_recovery": False}
    for _ in range(10 * count):
        now += (RTT + delay) // 10
        nbytes = max(int(controller.cwnd / 10), 1)
        controller.on_ack(now=now, sample=AckSample(nbytes, 1 << 30, queuing_delay=delay, **{**values, **changes}))
    return now


def begin_slowdown(controller: LedbatPlusPlus) -> int:
    """Leave the first slow start at 100 packets, and wait for the slowdown; when it has begun."""
    controller.cwnd = 100.0 * MSS
    now = rounds(controller, 1, 50_000, 1)
    assert not controller.in_slow_start and controller.slowdowns == 0
    while not controller.slowdowns:
        now = rounds(controller, 1, 50_000, now)
    return now


def test_target() -> None:
    """60 ms by default; another one when it is set."""
    assert ledbatpp().target_delay == TARGET
    assert LedbatPlusPlus(mss=MSS, target_delay=25_000).target_delay == 25_000


@pytest.mark.parametrize(("base", "gain"), [(1_000, 1 / 16), (20_000, 1 / 6), (50_000, 1 / 3), (200_000, 1.0)])
def test_gain(base: int, gain: float) -> None:
    """The draft's GAIN, 1 / min(16, ceil(2 * TARGET / base)), in slow start; later twice that, of 3000 bytes."""
    controller = ledbatpp()
    sample = AckSample(MSS, 1 << 30, base, base, base, 10_000, False, False)
    controller.on_ack(now=1, sample=sample)
    assert controller.cwnd == pytest.approx((10 + gain) * MSS)
    controller = ledbatpp(10.0 * MSS)
    controller.on_ack(now=1, sample=sample)
    assert controller.cwnd == pytest.approx(10 * MSS + 3000 * min(2 * gain, 1) / 10)


def test_first_slow_start() -> None:
    """Doubling while nothing queues, GAIN (a third) from the first queue on and where the delay is not known."""
    controller = ledbatpp()
    now = rounds(controller, 3, 0, 1)  # which adds a tenth ten times in each
    assert controller.cwnd == pytest.approx(10 * 1.1**30 * MSS, rel=0.01)
    before = controller.cwnd
    now = rounds(controller, 1, 10_000, now)
    assert controller.in_slow_start and controller.cwnd == pytest.approx((1 + 1 / 30) ** 10 * before, rel=0.01)
    before = controller.cwnd
    controller.on_ack(now=now, sample=AckSample(3000, 1 << 30, RTT, RTT, RTT, None, False, False))
    assert controller.cwnd == pytest.approx(before + 1000)


def test_growth_is_constant_below_the_target() -> None:
    """Not proportional to the distance, unless the buffer has shown to be shallow: then it is LEDBAT's."""
    changes = []
    for delay, effective in ((1_000, TARGET), (59_000, TARGET), (0, 40_000), (20_000, 40_000)):
        controller = ledbatpp(100.0 * MSS)
        controller.effective_target = float(effective)
        controller.on_ack(now=1, sample=AckSample(MSS, 1 << 30, RTT, RTT, RTT, delay, False, False))
        changes.append(controller.cwnd - 100 * MSS)
    assert changes[0] == changes[1] == pytest.approx(20)
    assert changes[2] == pytest.approx(2 * changes[3]) == pytest.approx(30)


def test_decrease() -> None:
    """120 ms of queue in a round trip of 170 ms: 60 ms of it are too much, and half of them go, but for the growth."""
    controller = ledbatpp(100.0 * MSS)
    controller.on_ack(now=1, sample=AckSample(MSS, 1 << 30, 170_000, 170_000, RTT, 120_000, False, False))
    assert controller.cwnd - 100 * MSS == pytest.approx((2000 - 50 * MSS * 60 / 170) / 100)


def test_first_slowdown() -> None:
    """Two round trips after slow start: two packets, for two round trips, then back."""
    controller = ledbatpp()
    now = begin_slowdown(controller)
    assert controller.cwnd == 2 * MSS and controller.ssthresh > 40 * MSS
    window = controller.ssthresh
    now = rounds(controller, 1, 0, now, rtt=RTT)
    assert controller.cwnd == 2 * MSS
    rounds(controller, 12, 0, now)
    assert controller.cwnd >= window and controller.slowdowns == 1


def test_slowdowns_become_rare_when_nobody_is_there() -> None:
    """The interval doubles up to fourfold while each slowdown finds the path empty."""
    controller = ledbatpp()
    now = begin_slowdown(controller)
    starts = [now]
    while len(starts) < 4:
        before = controller.slowdowns
        now = rounds(controller, 6, 0, now)
        while controller.slowdowns == before:
            now = rounds(controller, 1, 50_000, now)
        starts.append(now)
    gaps = [second - first for first, second in zip(starts, starts[1:], strict=False)]
    assert gaps[1] > 1.8 * gaps[0] and gaps[2] == pytest.approx(gaps[1], rel=0.1)


def test_slowdowns_stay_frequent_when_somebody_is_there() -> None:
    """A queue that stays during the slowdown is somebody else's: nine times its duration, no more."""
    controller = ledbatpp()
    now = begin_slowdown(controller)
    for _ in range(2):
        began, before = now, controller.slowdowns
        while controller.slowdowns == before:
            now = rounds(controller, 1, 50_000, now)
        assert now - began < 12 * 20 * RTT


def test_no_slowdown_without_a_queue() -> None:
    """An empty path misleads nobody."""
    controller = ledbatpp()
    controller.cwnd = 100.0 * MSS
    now = rounds(controller, 1, 50_000, 1)
    rounds(controller, 30, 1_000, now)
    assert controller.slowdowns == 0


def test_loss_in_a_slowdown() -> None:
    """The window to return to is cut; the two packets stay."""
    controller = ledbatpp()
    now = begin_slowdown(controller)
    window = controller.ssthresh
    controller.on_loss(now=now, bytes_in_flight=0)
    assert controller.cwnd == 2 * MSS
    assert controller.ssthresh == pytest.approx(window / 2)
