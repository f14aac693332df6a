"""
Who wins when several addresses are tried?
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.internet.task import Clock

from twisted_utp._happy_eyeballs import HappyEyeballs
from twisted_utp._resolution import interleave, is_numeric


class Attempts:
    """Attempts by hand."""

    def __init__(self, count: int) -> None:
        self.clock = Clock()
        self.started: list[Deferred[Any]] = []
        self.cancelled: list[Deferred[Any]] = []
        self.results: list[Any] = []
        self.race = HappyEyeballs(self.clock, [self.attempt] * count, 0.25)
        self.race.start().addBoth(self.results.append)

    def attempt(self) -> Deferred[Any]:
        self.started.append(Deferred(self.cancelled.append))
        return self.started[-1]


def test_staggered() -> None:
    """The next starts after the delay; the winner cancels the others, and no timer is left."""
    attempts = Attempts(3)
    assert len(attempts.started) == 1
    attempts.clock.advance(0.25)
    attempts.started[1].callback("second")
    assert attempts.results == ["second"]
    assert attempts.cancelled == [attempts.started[0]] and not attempts.clock.getDelayedCalls()


def test_next_at_once_after_a_failure() -> None:
    """Nobody waits for the delay when an attempt has failed; the last failure is the result."""
    attempts = Attempts(2)
    attempts.started[0].errback(TimeoutError())
    assert len(attempts.started) == 2
    attempts.started[1].errback(ConnectionRefusedError())
    assert attempts.results[0].check(ConnectionRefusedError) and not attempts.clock.getDelayedCalls()


def test_slow_one_wins_after_all_have_started() -> None:
    """The race goes on until the last attempt has failed."""
    attempts = Attempts(2)
    attempts.clock.advance(0.25)
    attempts.clock.advance(0.25)
    attempts.started[1].errback(TimeoutError())
    assert attempts.results == []
    attempts.started[0].callback("first")
    assert attempts.results == ["first"]


def test_cancel() -> None:
    """Cancelling the race cancels what runs."""
    attempts = Attempts(2)
    attempts.race.result.cancel()
    assert attempts.cancelled == attempts.started and not attempts.clock.getDelayedCalls()


def test_immediate_failures() -> None:
    """Attempts that fail before they return are no different."""
    clock = Clock()
    results: list[Any] = []
    HappyEyeballs(clock, [lambda: fail(TimeoutError())] * 3, 0.25).start().addBoth(results.append)
    assert results[0].check(TimeoutError) and not clock.getDelayedCalls()


def test_interleave() -> None:
    """Families alternate, beginning with the one the system prefers; repeats are dropped."""
    assert interleave(["::1", "::2", "::3", "1.1.1.1", "1.1.1.2"]) == ["::1", "1.1.1.1", "::2", "1.1.1.2", "::3"]
    assert interleave(["1.1.1.1", "1.1.1.1", "::1"]) == ["1.1.1.1", "::1"]
    assert interleave([]) == []


def test_is_numeric() -> None:
    """Addresses, with a scope id or without, need no resolver."""
    assert all(map(is_numeric, ["1.2.3.4", "::1", "fe80::1%eth0", "fe80::1%2"]))
    assert not any(map(is_numeric, ["localhost", "1.2.3", "", "example.org"]))
