"""
How long does one lost packet hold things up?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import repair


@pytest.mark.parametrize("position", ["first", "middle", "last"])
def test_lost_packet(position: str) -> None:
    """Three round trips at the most."""
    assert repair.lost_packet("ledbat++", position=position).met


def test_lost_syn_ack() -> None:
    """A second at the most."""
    assert repair.lost_syn_ack("ledbat++").met
