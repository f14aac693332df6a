"""
Is a peer found out whose echoes shrink faster than any clock drifts, and an honest one left alone?
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twisted_utp.proto.constants import DRIFT_PENALTY_DIVISOR, DRIFT_WINDOW, MAX_HONEST_DRIFT
from twisted_utp.proto.drift import ClockDrift

NOW = 5_000_000_000
TICK = 20_000


def worst(echo: Callable[[int], int], seconds: int = 20) -> int:
    """The largest penalty while the peer echoes a function of the elapsed µs."""
    drift, found = ClockDrift(), 0
    for elapsed in range(0, seconds * 1_000_000, TICK):
        drift.on_sample(echo(elapsed) & 0xFFFFFFFF, NOW + elapsed)
        found = max(found, drift.penalty)
    return found


@pytest.mark.parametrize("base", [500_000_000, 3, 0x80000005])
@pytest.mark.parametrize("per_second", [60_000, 100_000])
def test_falling_fast_is_penalised(per_second: int, base: int) -> None:
    """Beyond libutp's 200 ms in 5 s each sample gets a seventh of the excess, at any place in the 32 bits."""
    excess = per_second * DRIFT_WINDOW // 1_000_000 - MAX_HONEST_DRIFT
    expected = excess // DRIFT_PENALTY_DIVISOR
    assert worst(lambda elapsed: base - elapsed * per_second // 1_000_000) == pytest.approx(expected, rel=0.05)


def test_the_threshold_is_libutp_s() -> None:
    """libutp: a drift below -200 ms in 5 s."""
    assert MAX_HONEST_DRIFT / DRIFT_WINDOW == 200_000 / 5_000_000


@pytest.mark.parametrize("ppm", [0, 500, -500, 30_000, -30_000])
def test_clocks_that_drift_are_honest(ppm: int) -> None:
    """Even clocks worse than any real one are left alone, and one that runs fast gains nothing anyway."""
    assert worst(lambda elapsed: 70_000 + elapsed * ppm // 1_000_000) == 0


def test_single_samples_do_not_matter() -> None:
    """Averages count: one sample in each window that falls ever further, at its end even, is no trend."""

    def echo(elapsed: int) -> int:
        window, within = divmod(elapsed, DRIFT_WINDOW)
        return 90_000_000 - (window * 400_000 if not within else 0)

    assert worst(echo) == 0


def test_a_draining_queue_is_honest() -> None:
    """A queue of 300 ms that drains within a second falls fast, but not for two windows."""
    assert worst(lambda elapsed: 50_000 + max(0, 300_000 - max(0, elapsed - 4_000_000) * 3 // 10)) == 0


@pytest.mark.parametrize("step", [500_000, -500_000])
@pytest.mark.parametrize("at", [4_000_000, 5_000_000])
def test_a_clock_that_was_set_is_honest(step: int, at: int) -> None:
    """One step of half a second, either way and anywhere in a window, is no lie."""
    assert worst(lambda elapsed: 900_000 + (step if elapsed >= at else 0)) == 0


def test_the_penalty_ends_with_the_lie() -> None:
    """Whoever echoes honestly again is treated so two windows later."""
    drift = ClockDrift()
    for elapsed in range(0, 20_000_000, TICK):
        drift.on_sample(50_000_000 - min(elapsed, 10_000_000) // 10, NOW + elapsed)
        if elapsed == 9_980_000:
            assert drift.penalty > 0
    assert drift.penalty == 0
