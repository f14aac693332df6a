"""
Does Transmission exchange torrents with us?
"""

from __future__ import annotations

from harness.transmission import Transmission

CLIENT = Transmission


def test_exchange(exchanged, case):
    """
    16 MB, or 8 on a lossy path, by uTP alone.
    """
    exchanged(case)
