"""
Does it pay to lie about delay?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import liars


@pytest.mark.parametrize("controller", ["ledbat", "ledbat++"])
@pytest.mark.parametrize("lie", [name for name in liars.LIES if name != "truth"])
def test_lies_do_not_pay(lie: str, controller: str) -> None:
    """Ten points more than an honest receiver gets at the most, and a queue of twice the target."""
    outcome = liars.liar(controller, lie, settle=10, seconds=15, rate=3)
    assert outcome.met, outcome.text


@pytest.mark.parametrize("lie", ["zero", "other-way", "step"])
def test_two_liars(lie: str) -> None:
    """Who both lie queue no more than twice the target, either."""
    _, queue = liars.share("ledbat++", lie, 10, 15, 3, both=True)
    assert queue <= 2 * liars.TARGETS["ledbat++"]
