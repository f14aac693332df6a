"""
Is a path's MTU found without anything waiting for it?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import path_mtu


@pytest.mark.parametrize("mtu", [600, 900, 1280, 1400])
def test_path_mtu(mtu: int) -> None:
    """First byte within three round trips, no stall, found to 16 bytes."""
    assert path_mtu.path_mtu("ledbat++", mtu=mtu, seconds=3).met
