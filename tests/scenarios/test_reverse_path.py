"""
Is a queue on the way back no congestion of the way there?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import reverse_path

BOTH = pytest.mark.parametrize("controller", ["ledbat", "ledbat++"])


@BOTH
@pytest.mark.parametrize("milliseconds", [60, 100, 300])
def test_standing_queue(controller: str, milliseconds: int) -> None:
    """It takes a step back to see that it is not ours; after that the link is full again."""
    outcome = reverse_path.standing(controller, milliseconds, settle=8, seconds=8, rate=3)
    assert outcome.met, outcome.text


@BOTH
def test_swinging_queue(controller: str) -> None:
    """As the upload of another uTP makes it."""
    outcome = reverse_path.swinging(controller, seconds=10, rate=3)
    assert outcome.met, outcome.text


@BOTH
def test_late_acknowledgements(controller: str) -> None:
    """Each by another amount up to 40 ms."""
    outcome = reverse_path.late(controller, seconds=10, rate=3)
    assert outcome.met, outcome.text
