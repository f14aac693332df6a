"""
Does a bucket fill at its rate, and does everybody have a turn?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from twisted_utp.proto.constants import MAX_RATE_DEBT, RATE_BURST, WHOLE_PACKET
from twisted_utp.proto.rate_limit import Taker, TokenBucket, Turns, lowest
from twisted_utp.proto.timers import NEVER

if TYPE_CHECKING:
    from tests.proto.conftest import Exchange

SECOND = 1_000_000
RATE = 1_000_000


@pytest.fixture
def takers(exchange: type[Exchange]) -> list[Taker]:
    """Some of one connection: it makes no difference."""
    connection = exchange().dial()
    return [Taker(connection) for _ in range(20)]


def test_a_full_bucket() -> None:
    """What comes in while a timer is late; and one packet and a half where that is more."""
    bucket = TokenBucket(RATE)
    assert bucket.credit(SECOND, 0) == RATE * RATE_BURST / 1e6
    slow = TokenBucket(1000)
    assert slow.credit(5, 1400) == 2100
    slow.spend(2100)
    assert slow.credit(5 + SECOND, 1400) == 1000
    assert slow.credit(5 + 60 * SECOND, 1400) == 2100


def test_ready_at() -> None:
    """A packet is worth a wake-up, or what comes in in some milliseconds: not sooner, and hardly later."""
    bucket = TokenBucket(RATE)
    bucket.spend(bucket.credit(0, 1400))
    at = bucket.ready_at(1400)
    assert bucket.credit(at - 2, 1400) < bucket.quantum == 5000 <= bucket.credit(at, 1400)
    slow = TokenBucket(1000)
    slow.spend(slow.credit(0, 1400))
    assert slow.ready_at(1400) == 1_400_001


def test_debt_is_bounded() -> None:
    """What was sent beyond a limit is made up for, but not for ever."""
    bucket = TokenBucket(RATE)
    bucket.credit(0, 0)
    bucket.spend(50 * RATE)
    assert bucket.credit(MAX_RATE_DEBT, 0) == 0
    assert bucket.credit(MAX_RATE_DEBT + 1000, 0) == 1000


def test_another_rate() -> None:
    """It counts from the last time that somebody asked."""
    bucket = TokenBucket(RATE)
    bucket.spend(bucket.credit(0, 0))
    bucket.set_rate(2 * RATE)
    assert bucket.credit(1000, 0) == 2000


def test_time_does_not_run_backwards() -> None:
    """A packet may have been received before the clock was read."""
    bucket = TokenBucket(RATE)
    bucket.spend(bucket.credit(1000, 0))
    assert bucket.credit(0, 0) == 0
    assert bucket.credit(2000, 0) == 1000


def test_alone(takers: list[Taker]) -> None:
    """Nobody waits: it has all that there is, or as much as it wants."""
    turns: Turns[Taker] = Turns(RATE)
    assert turns.take(takers[0], 1400, 5000, 0) == 5000
    assert turns.take(takers[0], 1400, 50_000, 0) == 13_000
    assert turns.next_at() == NEVER
    assert turns.take(takers[0], 1400, 50_000, 0) == 0
    assert len(turns) == 1 and takers[0] in turns
    assert turns.next_at() == 5001
    assert list(turns.serve(1000)) == []
    assert [(taker, round(amount)) for taker, amount in turns.serve(5001)] == [(takers[0], 5001)]
    assert not turns and turns.next_at() == NEVER


def test_nobody_overtakes(takers: list[Taker]) -> None:
    """Who comes while others wait goes to the end, although there is something in the bucket again."""
    turns: Turns[Taker] = Turns(RATE)
    turns.take(takers[0], 1400, 18_000, 0)
    assert turns.take(takers[1], 1400, 1400, 0) == 0
    assert turns.take(takers[2], 1400, 1400, 10_000) == 0
    assert turns.take(takers[1], 1400, 1400, 10_000) == 0  # and keeps its place
    assert [taker for taker, _ in turns.serve(10_000)] == [takers[1], takers[2]]


def test_equal_turns(takers: list[Taker]) -> None:
    """Over time all get as much, whatever the size of their packets; nobody more than he wants."""
    turns: Turns[Taker] = Turns(RATE)
    got = dict.fromkeys(takers, 0.0)
    sizes = {taker: 500 if number % 2 else 1400 for number, taker in enumerate(takers)}
    turns.bucket.spend(turns.bucket.credit(0, 1400))
    wants = {taker: 300.0 if taker is takers[0] else 3000.0 for taker in takers}
    now = 0
    for taker in takers:
        turns.take(taker, min(sizes[taker], wants[taker]), wants[taker], now)
    while now < 10 * SECOND:
        now = turns.next_at()
        for taker, amount in list(turns.serve(now)):
            assert amount <= wants[taker]
            got[taker] += amount
            turns.take(taker, min(sizes[taker], wants[taker]), wants[taker], now)
    shares = [amount for taker, amount in got.items() if taker is not takers[0]]
    assert sum(got.values()) == pytest.approx(10 * RATE, rel=0.01)
    assert max(shares) <= 1.1 * min(shares)
    assert 0 < got[takers[0]] < min(shares)


def test_a_few_at_a_time(takers: list[Taker]) -> None:
    """Not a packet for each of many, and never less than one."""
    turns: Turns[Taker] = Turns(10 * RATE)
    turns.take(takers[0], 1400, 180_000, 0)
    for taker in takers[1:]:
        turns.take(taker, 1400, 1e9, 0)
    amounts = [amount for _, amount in turns.serve(5000)]
    assert len(amounts) == 8 and min(amounts) > 4 * WHOLE_PACKET


def test_leaving(takers: list[Taker]) -> None:
    """Who is gone is passed over."""
    turns: Turns[Taker] = Turns(RATE)
    for taker in takers[:3]:
        turns.take(taker, 1400, 18_000, 0)
    turns.leave(takers[1])
    turns.leave(takers[1])
    assert [taker for taker, _ in turns.serve(2000)] == [takers[2]]


def test_lowest() -> None:
    """0 is no limit."""
    assert lowest(0, 0) == 0
    assert lowest(0, 5, 3) == 3
