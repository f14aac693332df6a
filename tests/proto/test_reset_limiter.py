"""
Are RESETs limited, for each source and altogether?
"""

from __future__ import annotations

from twisted_utp.proto.constants import (
    RESET_BURST,
    RESET_SOURCE_INTERVAL,
    RESET_SOURCES_REMEMBERED,
    RESETS_PER_SECOND,
    RESETS_PER_SOURCE,
)
from twisted_utp.proto.reset_limiter import ResetLimiter

NOW = 1_000_000_000


def test_a_source_gets_a_few() -> None:
    """One source gets RESETS_PER_SOURCE in an interval; another is not affected."""
    limiter = ResetLimiter()
    assert [limiter.allow("a", NOW) for _ in range(RESETS_PER_SOURCE + 2)] == [True] * RESETS_PER_SOURCE + [False] * 2
    assert limiter.allow("b", NOW)


def test_a_source_gets_more_after_the_interval() -> None:
    """The source's count starts anew when its interval is over, not a microsecond before."""
    limiter = ResetLimiter()
    for _ in range(RESETS_PER_SOURCE):
        limiter.allow("a", NOW)
    assert not limiter.allow("a", NOW + RESET_SOURCE_INTERVAL - 1)
    assert limiter.allow("a", NOW + RESET_SOURCE_INTERVAL)


def test_all_together_share_a_bucket() -> None:
    """Many sources get the burst, then RESETS_PER_SECOND."""
    limiter = ResetLimiter()
    assert sum(limiter.allow(source, NOW) for source in range(1000)) == RESET_BURST
    assert sum(limiter.allow(source, NOW + 1_000_000) for source in range(1000, 2000)) == RESETS_PER_SECOND


def test_long_silence_gives_no_more_than_the_burst() -> None:
    """The bucket does not overflow."""
    limiter = ResetLimiter()
    limiter.allow("a", NOW)
    later = NOW + 3600 * 1_000_000
    assert sum(limiter.allow(source, later) for source in range(1000)) == RESET_BURST


def test_a_refused_reset_costs_nothing() -> None:
    """What one insistent source is denied is left for the others."""
    limiter = ResetLimiter()
    for _ in range(10 * RESET_BURST):
        limiter.allow("a", NOW)
    others = sum(limiter.allow(source, NOW) for source in range(1000))
    assert others == RESET_BURST - RESETS_PER_SOURCE


def test_sources_remembered_are_bounded() -> None:
    """Forged sources do not grow memory; the total budget still holds."""
    limiter = ResetLimiter()
    allowed = 0
    for source in range(3 * RESET_SOURCES_REMEMBERED):
        allowed += limiter.allow(source, NOW + source * 20_000)
    assert allowed == 3 * RESET_SOURCES_REMEMBERED
    assert len(limiter._sources) == RESET_SOURCES_REMEMBERED


def test_spent() -> None:
    """Asking whether a source has had its share takes nothing from it."""
    limiter = ResetLimiter()
    for _ in range(RESETS_PER_SOURCE):
        assert not limiter.is_spent("a", 1) and limiter.allow("a", 1)
    assert limiter.is_spent("a", 1) and not limiter.is_spent("b", 1)
    assert not limiter.is_spent("a", 1 + RESET_SOURCE_INTERVAL)
