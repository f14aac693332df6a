"""
Do uTP flows share a link fairly?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import sharing


@pytest.mark.parametrize("later", [5, 30])
def test_latecomer(later: float) -> None:
    """One that comes later has its half after ten slowdowns (libutp: everything)."""
    outcome = sharing.latecomer("ledbat++", later=later, rate=2, seconds=20)
    assert outcome.met and outcome.figures["queue"] <= 120


@pytest.mark.parametrize("count", [2, 4])
def test_many(count: int) -> None:
    """Jain's index is 0.95 or more, and the queue stays near the target."""
    outcome = sharing.many("ledbat++", count=count, settle=30, seconds=10, rate=2)
    assert outcome.met and outcome.figures["queue"] <= 100


def test_round_trips() -> None:
    """20 ms against 200 ms: no more than 3 : 1."""
    assert sharing.rtt_fairness("ledbat++", settle=15, seconds=20, rate=4).met


@pytest.mark.parametrize("lie", ["delay", "window", "acks"])
def test_liar(lie: str) -> None:
    """A receiver that lies gets no more than a fifth above its share."""
    assert sharing.liar("ledbat++", lie=lie, settle=12, seconds=15, rate=3).met


def test_jain() -> None:
    """1 for equal shares, 1/n when one has everything."""
    assert sharing.jain([2.0, 2.0, 2.0]) == pytest.approx(1)
    assert sharing.jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
