"""
Is a queue that overflows told from chance?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.chance import is_by_chance, missing_in_a_row
from twisted_utp.proto.constants import CHANCE_IN_A_ROW, CHANCE_QUEUE


def test_chance() -> None:
    """One or two packets, where nothing is queued."""
    assert is_by_chance(0, 1)
    assert is_by_chance(CHANCE_QUEUE, CHANCE_IN_A_ROW)
    assert not is_by_chance(CHANCE_QUEUE + 1, 1)
    assert not is_by_chance(0, CHANCE_IN_A_ROW + 1)


@pytest.mark.parametrize(
    ("arrived", "missing"),
    [
        ("1", 1),
        ("1011", 1),
        ("01", 2),
        ("1001", 2),
        ("001", 3),
        ("10001", 3),
        ("1" * 40 + "0" * 30 + "1", 3),  # more than it takes
        ("0", 0),  # some peers always send one
    ],
)
def test_missing_in_a_row(arrived: str, missing: int) -> None:
    """The packet after ack_nr is missing, then come those of the mask, the first one first."""
    assert missing_in_a_row(int(arrived[::-1], 2)) == missing
