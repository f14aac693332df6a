"""
Are round trips told apart, and what came through in each?
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.congestion.rounds import Rounds

RTT = 50_000


def ack(rounds: Rounds, now: int, delay: int | None, nbytes: int = 1000) -> bool:
    """An acknowledgement at a round trip of 50 ms."""
    return rounds.on_ack(now, AckSample(nbytes, 0, RTT, RTT, RTT, delay, False, False))


def test_a_round_lasts_a_round_trip() -> None:
    """It ends with the first acknowledgement that comes a round trip after its beginning."""
    rounds = Rounds()
    assert [ack(rounds, 1 + at, 0) for at in (0, 25_000, 49_999, 50_000, 60_000)] == [False, False, False, True, False]
    assert (rounds.count, rounds.duration) == (1, RTT)


def test_a_queue_that_has_gone_makes_rounds_short() -> None:
    """The smoothed round trip has it for long; the latest tells."""
    rounds = Rounds()
    sample = AckSample(1000, 0, 10 * RTT, RTT, RTT, 0, False, False)
    assert [rounds.on_ack(1 + at, sample) for at in (0, 49_999, 50_000)] == [False, False, True]


def test_shortest_and_longest() -> None:
    """The extremes of the last whole round; the longest counts the present one as well."""
    rounds = Rounds()
    assert rounds.shortest is None and rounds.longest is None
    for at, delay in ((0, 30), (25_000, 10), (50_000, 20)):
        ack(rounds, 1 + at, delay)
    assert (rounds.shortest, rounds.longest) == (10, 30)
    ack(rounds, 60_001, 90)
    assert (rounds.shortest, rounds.longest) == (10, 90)


def test_without_samples() -> None:
    """A round without a sample knows no delay."""
    rounds = Rounds()
    ack(rounds, 1, None)
    assert ack(rounds, 1 + RTT, None)
    assert rounds.shortest is None and rounds.longest is None


def test_rate() -> None:
    """Bytes per µs of the last round; of the present one when half of it is over and it is faster."""
    rounds = Rounds()
    assert rounds.rate(1) == 0
    ack(rounds, 1, 0)
    ack(rounds, 50_001, 0, nbytes=100_000)
    assert rounds.rate(50_001) == 2
    ack(rounds, 60_001, 0, nbytes=80_000)
    assert rounds.rate(60_001) == 2
    ack(rounds, 80_001, 0, nbytes=40_000)
    assert rounds.rate(80_001) == 4
