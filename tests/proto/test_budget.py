"""
Does a budget let through what it should, and no more?
"""

from __future__ import annotations

from twisted_utp.proto.budget import Budget

NOW = 5_000_000_000


def test_a_burst_then_one_in_each_interval() -> None:
    """It is full at first."""
    budget = Budget(3, 100)
    assert [budget.take(NOW) for _ in range(4)] == [True, True, True, False]
    assert not budget.take(NOW + 99)
    assert budget.take(NOW + 100)
    assert not budget.take(NOW + 199)
    assert budget.take(NOW + 200)


def test_no_more_than_a_burst_is_kept() -> None:
    """However long nobody asks."""
    budget = Budget(2, 100)
    assert budget.take(NOW)
    later = NOW + 1_000_000
    assert [budget.take(later) for _ in range(3)] == [True, True, False]
