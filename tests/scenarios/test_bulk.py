"""
Does one flow alone fill its link with a short queue?  Shorter than the command's scenarios, with tighter bounds.
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import bulk

BOTH = pytest.mark.parametrize("controller", ["ledbat", "ledbat++"])


@BOTH
def test_deep_buffer(controller: str) -> None:
    """A full link, a queue at the target, no loss."""
    figures = bulk.deep_buffer(controller, seconds=15).figures
    assert figures["drops"] == 0
    assert figures["used"] >= 0.94 and figures["late"] >= 0.97
    assert figures["queue"] <= bulk.TARGET_MS[controller] + 10


@BOTH
def test_ramp(controller: str) -> None:
    """11 MB/s within 3 s."""
    assert bulk.ramp(controller).figures["seconds"] <= {"ledbat": 1.6, "ledbat++": 2.2}[controller]


def test_long_path() -> None:
    """350 ms: 10 MB/s within 5 s, where 15 were the goal."""
    outcome = bulk.long_path("ledbat++", seconds=7.5)
    assert outcome.met and outcome.figures["seconds"] <= 5.1


@BOTH
def test_shallow_buffer(controller: str) -> None:
    """A buffer below the target: full, and the drops are those of the start."""
    figures = bulk.shallow_buffer(controller, seconds=15).figures
    assert figures["used"] >= 0.93 and figures["drops"] <= 100


@BOTH
def test_codel(controller: str) -> None:
    """Its drops teach a target below its own."""
    figures = bulk.codel(controller, seconds=20).figures
    assert figures["used"] >= 0.93 and figures["drops"] <= 15
