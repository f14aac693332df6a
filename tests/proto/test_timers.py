"""
Does the table of deadlines arm, disarm and find the next?
"""

from __future__ import annotations

from twisted_utp.proto.timers import NEVER, Timer, TimerTable


def test_nothing_is_armed_at_first() -> None:
    """A new table has no deadline."""
    timers = TimerTable()
    assert timers.next() == NEVER
    assert not any(timers.is_armed(timer) for timer in Timer)
    assert not any(timers.expire(timer, NEVER - 1) for timer in Timer)


def test_next_is_the_earliest() -> None:
    """Of several deadlines the earliest counts, and setting again replaces."""
    timers = TimerTable()
    timers[Timer.KEEPALIVE] = 300
    timers[Timer.PACING] = 100
    timers[Timer.REORDER] = 200
    assert timers.next() == 100
    timers[Timer.PACING] = 400
    assert timers.next() == 200
    assert timers[Timer.PACING] == 400


def test_expire_is_due_at_its_instant_and_once() -> None:
    """A deadline is due at its very instant, not before, and only once."""
    timers = TimerTable()
    timers[Timer.LINGER] = 100
    assert not timers.expire(Timer.LINGER, 99)
    assert timers.is_armed(Timer.LINGER)
    assert timers.expire(Timer.LINGER, 100)
    assert not timers.is_armed(Timer.LINGER)
    assert not timers.expire(Timer.LINGER, 100)


def test_clear() -> None:
    """One is disarmed, or all."""
    timers = TimerTable()
    for timer in Timer:
        timers[timer] = 10 + timer
    timers[Timer.CONNECT] = NEVER
    assert timers[Timer.CONNECT] == NEVER
    assert timers.next() == 11
    timers.clear_all()
    assert timers.next() == NEVER
