"""
What do losses, jitter and outages cost that have nothing to do with congestion?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import weather


@pytest.mark.parametrize(
    ("controller", "percent", "seconds"),
    [
        ("ledbat", 0.1, 2),
        ("ledbat", 1, 6),
        ("ledbat", 2, 8),
        ("ledbat", 5, 16),
        ("ledbat++", 1, 6),
        ("ledbat++", 5, 16),
        ("cubic", 1, 10),
        ("cubic", 5, 20),
    ],
)
def test_random_loss(controller: str, percent: float, seconds: float) -> None:
    """Twice libutp's rate (cubic: what RFC 9438 gives), with hardly a timeout."""
    assert weather.random_loss(controller, percent=percent, seconds=seconds).met


@pytest.mark.parametrize("milliseconds", [1, 5, 20])
def test_jitter(milliseconds: int) -> None:
    """Packets that overtake each other cost next to nothing."""
    assert weather.jitter("ledbat++", milliseconds=milliseconds, seconds=5, rate=10).met


@pytest.mark.parametrize(("rtt", "duration", "goal"), [(100, 0.3, 2), (50, 1.5, 3)])
def test_outage(rtt: int, duration: float, goal: float) -> None:
    """The rate is back in seconds, where libutp needs 15 to 20."""
    assert weather.outage("ledbat++", rtt=rtt, duration=duration, goal=goal, rate=20, before=3).met
