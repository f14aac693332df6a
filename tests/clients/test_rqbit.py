"""
Does rqbit exchange torrents with us?
"""

from __future__ import annotations

from harness.rqbit import Rqbit

CLIENT = Rqbit


def test_exchange(exchanged, case):
    """
    16 MB, or 8 on a lossy path, by uTP alone.
    """
    exchanged(case)
