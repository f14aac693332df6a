"""
Do the round-trip estimator and the retransmission timeout follow RFC 6298?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.rtt import RttEstimator

FLOOR = 200_000


def test_initial_timeout_is_a_second() -> None:
    """RFC 6298 (2.1): before a measurement, one second."""
    assert RttEstimator(FLOOR).rto == 1_000_000


def test_first_sample() -> None:
    """RFC 6298 (2.2): SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 * RTTVAR."""
    rtt = RttEstimator(FLOOR)
    rtt.on_sample(400_000)
    assert (rtt.smoothed, rtt.variation, rtt.rto) == (400_000, 200_000, 1_200_000)


def test_later_samples() -> None:
    """RFC 6298 (2.3): gains 1/4 and 1/8, the variation from the SRTT before its update."""
    rtt = RttEstimator(FLOOR)
    rtt.on_sample(400_000)
    rtt.on_sample(800_000)
    assert rtt.variation == (3 * 200_000 + 400_000) // 4
    assert rtt.smoothed == (7 * 400_000 + 800_000) // 8
    rtt.on_sample(50_000)
    assert rtt.variation == (3 * 250_000 + 400_000) // 4
    assert rtt.smoothed == (7 * 450_000 + 50_000) // 8


def test_floor() -> None:
    """RFC 6298 (2.4): never below the minimum, whatever was measured."""
    rtt = RttEstimator(FLOOR)
    for _ in range(50):
        rtt.on_sample(1000)
    assert rtt.rto == FLOOR


def test_timeout_exceeds_a_constant_round_trip() -> None:
    """RFC 6298 (2.3): SRTT + max(G, 4 * RTTVAR); without G an unvarying path's every ack meets its timeout."""
    rtt = RttEstimator(FLOOR)
    for _ in range(200):
        rtt.on_sample(300_000)
    assert rtt.rto > rtt.smoothed


def test_backoff_doubles_up_to_a_minute() -> None:
    """RFC 6298 (5.5), (2.5): each timeout doubles it; the cap is 60 s."""
    rtt = RttEstimator(FLOOR)
    rtt.on_sample(10_000)
    seen = []
    for _ in range(12):
        seen.append(rtt.rto)
        rtt.on_timeout()
    assert seen[:5] == [200_000, 400_000, 800_000, 1_600_000, 3_200_000]
    assert seen[-1] == 60_000_000
    for _ in range(1000):
        rtt.on_timeout()
    assert rtt.rto == 60_000_000


@pytest.mark.parametrize("how", ["on_sample", "on_progress"])
def test_backoff_ends(how: str) -> None:
    """A new measurement (RFC 6298 (5.7)), or any new acknowledgement, ends the backoff."""
    rtt = RttEstimator(FLOOR)
    rtt.on_sample(10_000)
    rtt.on_timeout()
    if how == "on_sample":
        rtt.on_sample(10_000)
    else:
        rtt.on_progress()
    assert rtt.rto == FLOOR


def test_one_doubling_outlasts_doubt() -> None:
    """An answer to what a timeout repeated may be to either; until a sample comes the timeout stays doubled."""
    rtt = RttEstimator(FLOOR)
    rtt.on_sample(10_000)
    for _ in range(4):
        rtt.on_timeout()
    for _ in range(2):
        rtt.on_doubtful_progress()
        assert rtt.rto == 2 * FLOOR
    rtt.on_sample(10_000)
    assert rtt.rto == FLOOR


def test_minimum_and_latest() -> None:
    """The smallest sample is kept, and the last."""
    rtt = RttEstimator(FLOOR)
    for sample in (30_000, 20_000, 50_000):
        rtt.on_sample(sample)
    assert (rtt.minimum, rtt.latest) == (20_000, 50_000)


def test_instant_answer_still_counts() -> None:
    """A round trip below the clock's tick is one tick: 0 would mean "no sample yet"."""
    rtt = RttEstimator(FLOOR)
    rtt.on_sample(0)
    assert (rtt.smoothed, rtt.minimum) == (1, 1)
