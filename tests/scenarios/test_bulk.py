"""
Does one flow alone fill its link with a short queue?  Shorter than the command's scenarios, with tighter bounds.
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.queues import RED
from twisted_utp.testing.scenarios import bulk

BOTH = pytest.mark.parametrize("controller", ["ledbat", "ledbat++"])


@BOTH
def test_deep_buffer(controller: str) -> None:
    """A full link, a queue at the target, no loss."""
    outcome = bulk.deep_buffer(controller, seconds=20)
    assert outcome.met and outcome.figures["drops"] == 0
    assert outcome.figures["used"] >= 0.94


@BOTH
def test_ramp(controller: str) -> None:
    """11 MB/s within 1.4 s, where 3 were the goal."""
    assert bulk.ramp(controller, seconds=1.5).figures["seconds"] <= 1.4


def test_long_path() -> None:
    """350 ms: 10 MB/s within 4 s, where 15 were the goal, and no less after that."""
    outcome = bulk.long_path("ledbat++", seconds=6)
    assert outcome.met and outcome.figures["seconds"] <= 4


@BOTH
def test_shallow_buffer(controller: str) -> None:
    """A buffer below the target: full, and the drops are those of the start."""
    outcome = bulk.shallow_buffer(controller, seconds=12)
    assert outcome.met and outcome.figures["drops"] <= {"ledbat": 90, "ledbat++": 30}[controller]


@BOTH
def test_codel(controller: str) -> None:
    """Its drops teach a target below its own."""
    outcome = bulk.managed(controller, seconds=12)
    assert outcome.met and outcome.figures["drops"] <= 10


def test_red() -> None:
    """The same."""
    outcome = bulk.managed("ledbat++", lambda: RED(nbytes=125_000), seconds=20)
    assert outcome.met and outcome.figures["drops"] <= 20
