"""
Does WebTorrent exchange torrents with us?
"""

from __future__ import annotations

from harness.webtorrent import WebTorrent

CLIENT = WebTorrent


def test_exchange(exchanged, case):
    """
    16 MB, or 8 on a lossy path, by uTP alone.
    """
    exchanged(case)
