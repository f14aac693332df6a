"""
Do uTP flows share a link fairly?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import sharing


def test_latecomer() -> None:
    """One that comes five seconds later gets its half (libutp: everything)."""
    assert sharing.latecomer("ledbat++", settle=50, seconds=20).met


def test_many() -> None:
    """Four flows: Jain's index is 0.95 or more, and the queue stays near the target."""
    figures = sharing.many("ledbat++", count=3, settle=30, seconds=10).figures
    assert figures["jain"] >= 0.95 and figures["queue"] <= 80


def test_round_trips() -> None:
    """20 ms against 200 ms: no more than 3 : 1."""
    assert sharing.rtt_fairness("ledbat++", settle=20, seconds=30).met


@pytest.mark.parametrize("lie", ["delay", "window", "acks"])
def test_liar(lie: str) -> None:
    """A receiver that lies gets no more than half as much again as its share."""
    assert sharing.liar("ledbat++", lie=lie, settle=10, seconds=15).figures["share"] <= 0.6


def test_jain() -> None:
    """1 for equal shares, 1/n when one has everything."""
    assert sharing.jain([2.0, 2.0, 2.0]) == pytest.approx(1)
    assert sharing.jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
