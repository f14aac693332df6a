"""
What do losses, jitter and outages cost that have nothing to do with congestion?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import weather


@pytest.mark.parametrize(("percent", "seconds"), [(1, 10), (5, 15)])
@pytest.mark.parametrize("controller", ["ledbat", "ledbat++"])
def test_random_loss(controller: str, percent: float, seconds: float) -> None:
    """Well above libutp's rate, with hardly a timeout."""
    figures = weather.random_loss(controller, percent=percent, seconds=seconds).figures
    assert figures["rate"] >= 1.5 * weather.LIBUTP_WITH_LOSS[percent]
    assert figures["timeouts"] <= seconds / 10


@pytest.mark.parametrize("milliseconds", [1, 20])
def test_jitter(milliseconds: int) -> None:
    """Packets that overtake each other cost next to nothing."""
    assert weather.jitter("ledbat++", milliseconds=milliseconds, seconds=8, rate=30).met


@pytest.mark.parametrize(("rtt", "duration", "goal"), [(100, 0.3, 2), (50, 1.5, 3)])
def test_outage(rtt: int, duration: float, goal: float) -> None:
    """The rate is back in seconds, where libutp needs 15 to 20."""
    assert weather.outage("ledbat++", rtt=rtt, duration=duration, goal=goal, rate=30, before=4).met
