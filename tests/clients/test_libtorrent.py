"""
Does libtorrent exchange torrents with us?
"""

from __future__ import annotations

from harness.libtorrent import Libtorrent

CLIENT = Libtorrent


def test_exchange(exchanged, case):
    """
    16 MB, or 8 on a lossy path, by uTP alone.
    """
    exchanged(case)
