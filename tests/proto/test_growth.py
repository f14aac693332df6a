"""
Do our own round trips bound what a peer may say about delay?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.constants import CURRENT_DELAY_FILTER, MAX_REVERSE_QUEUE, MAX_UNEXPLAINED_DELAY, QUIET_PACKETS
from twisted_utp.proto.delay import OneWayDelay
from twisted_utp.proto.growth import RoundTripGrowth

NOW = 10_000_000_000
RTT = 50_000
TARGET = 60_000
OFFSET = 3_000_000_000  # between the two clocks
NONE = 0x7FFFFFFF


def test_growth_is_what_all_of_the_last_few_took_longer() -> None:
    """One late answer is no queue; as many as are remembered are."""
    growth = RoundTripGrowth()
    growth.on_round_trip(RTT, NOW)
    seen = []
    for _ in range(CURRENT_DELAY_FILTER):
        growth.on_round_trip(RTT + 30_000, NOW)
        seen.append(growth.growth)
    assert seen == [0] * (CURRENT_DELAY_FILTER - 1) + [30_000]


def quiet(growth: RoundTripGrowth, *rtts: int, now: int, packets: float = QUIET_PACKETS) -> int:
    """Answers with so few packets in flight, one after the other; when the last has come."""
    for rtt in rtts:
        now += rtt
        growth.on_in_flight(packets, now)
        growth.on_round_trip(rtt, now)
    return now


def test_what_is_left_when_we_step_back_is_not_ours() -> None:
    """The least of the round trips that began and ended with hardly anything in flight."""
    growth = RoundTripGrowth()
    growth.on_round_trip(RTT, NOW)
    growth.on_in_flight(40, NOW)
    now = quiet(growth, RTT + 70_000, now=NOW)
    assert growth.reverse_queue == 0, "what it measures had left among many others"
    now = quiet(growth, RTT + 40_000, RTT + 30_000, RTT + 35_000, now=now)
    assert growth.reverse_queue == 30_000
    quiet(growth, RTT + 90_000, now=now, packets=QUIET_PACKETS + 1)
    assert growth.reverse_queue == 30_000, "until the next time"
    quiet(growth, RTT, RTT + 80_000, RTT + 80_000, now=now + 1_000_000)
    assert growth.reverse_queue == 80_000


class Path:
    """
    A delay and a peer that says what the test wants.
    """

    def __init__(self) -> None:
        self.delay = OneWayDelay()
        self.now = NOW
        self.answer(0, 0)

    def answer(self, there: int, back: int, echo: int | None = None, claimed: int | None = None) -> int | None:
        """
        Answers over queues of C{there} and C{back} µs; the peer echoes, and claims for the way back, what is true if
        nothing else.
        """
        result = None
        for _ in range(2 * CURRENT_DELAY_FILTER):
            self.now += 10_000
            back_claimed = back if claimed is None else claimed
            self.delay.on_their_sample(RTT // 2 - OFFSET + back_claimed & 0xFFFFFFFF, self.now)
            said = RTT // 2 + OFFSET + there & 0xFFFFFFFF if echo is None else echo
            self.delay.round_trips().on_in_flight(50, self.now)
            result = self.delay.on_ack(said, RTT + there + back, RTT, RTT, TARGET, self.now)
        return result

    def step_back(self, there: int, back: int) -> None:
        """For some round trips we are out of the way."""
        self.now = quiet(self.delay.round_trips(), *[RTT + there + back] * 3, now=self.now)


@pytest.mark.parametrize("echo", [None, 0, NONE, RTT // 2 + OFFSET])
def test_no_echo_hides_a_queue(echo: int | None) -> None:
    """The truth, no sample, or an empty path: the queue is the same."""
    path = Path()
    assert path.answer(50_000, 0, echo) == 50_000
    assert path.delay.is_disputed is (echo is not None)


@pytest.mark.parametrize("claimed", [10_000, 50_000, 300_000, 10_000_000])
def test_no_claim_about_the_way_back_hides_a_queue(claimed: int) -> None:
    """Before we have stepped back it is not believed at all, and then no more than what was left."""
    path = Path()
    empty = RTT // 2 + OFFSET
    assert path.answer(50_000, 0, empty, claimed) == 50_000
    path.step_back(0, 0)
    assert path.answer(50_000, 0, empty, claimed) == 50_000
    path.step_back(10_000, 0)
    assert path.answer(50_000, 0, empty, claimed) == 40_000


def test_a_queue_on_the_way_back_is_believed_after_a_step_back() -> None:
    """It is still there when we are not."""
    path = Path()
    assert path.answer(0, 100_000) == 100_000
    assert path.delay.is_disputed
    path.step_back(0, 100_000)
    assert path.answer(0, 100_000) == 0
    assert path.answer(40_000, 100_000) == 40_000
    assert not path.delay.is_disputed


def test_the_way_back_has_a_limit() -> None:
    """Who delays his acknowledgements when we step back gains this much, and no more."""
    path = Path()
    path.step_back(0, 5_000_000)
    assert path.answer(600_000, 0, RTT // 2 + OFFSET, 5_000_000) == 600_000 - MAX_REVERSE_QUEUE


@pytest.mark.parametrize("growth", [MAX_UNEXPLAINED_DELAY, MAX_UNEXPLAINED_DELAY + 1])
def test_small_growth_is_believed_to_be_anything(growth: int) -> None:
    """Jitter and late timers are in every round trip; short of the target that gives nothing away."""
    path = Path()
    assert path.answer(growth, 0, RTT // 2 + OFFSET) == (growth if growth > MAX_UNEXPLAINED_DELAY else 0)


def test_small_targets_believe_less() -> None:
    """Half of the target, so that a liar's queue is no longer than twice the target."""
    delay = OneWayDelay()
    for rtt in (RTT, *[RTT + 11_000] * CURRENT_DELAY_FILTER):
        seen = delay.on_ack(5, rtt, RTT, RTT, 20_000, NOW)
    assert seen == 11_000
