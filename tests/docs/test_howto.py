"""
Do the README, the tutorial and the how-to pages do what they say?
"""

from __future__ import annotations

from typing import Any


def test_pages_to_follow_do_what_they_say(howto_page: str, run_page: Any) -> None:
    """
    One block after the other, as somebody who reads the page would.
    """
    run_page(howto_page)
