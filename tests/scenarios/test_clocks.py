"""
What do clocks that disagree cost?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import clocks


@pytest.mark.parametrize("ppm", [200, -200])
def test_drift(ppm: int) -> None:
    """A minute of a drift that is five times as fast (the command runs an hour of the real one)."""
    assert clocks.drift("ledbat++", ppm=5 * ppm, seconds=60).met


@pytest.mark.parametrize("milliseconds", [500, -500])
def test_step(milliseconds: int) -> None:
    """A clock that jumps costs neither rate nor packets."""
    assert clocks.step("ledbat++", milliseconds=milliseconds, seconds=20, rate=5).met


def test_wrap() -> None:
    """Timestamps and sequence numbers that wrap cost nothing."""
    outcome = clocks.wrap("ledbat++", seconds=20, rate=5)
    assert outcome.met and outcome.figures["next_seq"] > 1 << 16
