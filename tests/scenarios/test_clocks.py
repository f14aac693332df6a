"""
What do clocks that disagree cost?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import clocks


@pytest.mark.parametrize("ppm", [200, -200])
def test_drift(ppm: int) -> None:
    """Two minutes of drift (the command runs an hour)."""
    assert clocks.drift("ledbat++", ppm=ppm, seconds=60).met


@pytest.mark.parametrize("milliseconds", [500, -500])
def test_step(milliseconds: int) -> None:
    """A clock that jumps costs neither rate nor packets."""
    assert clocks.step("ledbat++", milliseconds=milliseconds, seconds=20).met


def test_wrap() -> None:
    """Timestamps that wrap cost nothing."""
    assert clocks.wrap("ledbat++", seconds=20).met
