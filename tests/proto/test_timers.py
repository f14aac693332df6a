"""
Does the table of deadlines arm, disarm and find the next?
"""

from __future__ import annotations

from twisted_utp.proto.timers import NEVER, UNARMED, Timer, expire, is_armed


def test_nothing_is_armed_at_first() -> None:
    """A new table has no deadline."""
    timers = UNARMED[:]
    assert min(timers) == NEVER
    assert not any(is_armed(timers, timer) for timer in Timer)
    assert not any(expire(timers, timer, NEVER - 1) for timer in Timer)


def test_next_is_the_earliest() -> None:
    """Of several deadlines the earliest counts, and setting again replaces."""
    timers = UNARMED[:]
    timers[Timer.KEEPALIVE] = 300
    timers[Timer.PACING] = 100
    timers[Timer.REORDER] = 200
    assert min(timers) == 100
    timers[Timer.PACING] = 400
    assert min(timers) == 200
    assert timers[Timer.PACING] == 400


def test_expire_is_due_at_its_instant_and_once() -> None:
    """A deadline is due at its very instant, not before, and only once."""
    timers = UNARMED[:]
    timers[Timer.LINGER] = 100
    assert not expire(timers, Timer.LINGER, 99)
    assert is_armed(timers, Timer.LINGER)
    assert expire(timers, Timer.LINGER, 100)
    assert not is_armed(timers, Timer.LINGER)
    assert not expire(timers, Timer.LINGER, 100)


def test_clear() -> None:
    """One is disarmed, or all."""
    timers = UNARMED[:]
    for timer in Timer:
        timers[timer] = 10 + timer
    timers[Timer.CONNECT] = NEVER
    assert timers[Timer.CONNECT] == NEVER
    assert min(timers) == 11
    timers[:] = UNARMED
    assert min(timers) == NEVER
