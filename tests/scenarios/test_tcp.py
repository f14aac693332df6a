"""
Does it get out of a TCP download's way?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import tcp


@pytest.mark.parametrize(("controller", "window"), [("ledbat", "reno"), ("ledbat++", "reno"), ("ledbat++", "cubic")])
def test_deep_buffer(controller: str, window: str) -> None:
    """
    A tenth of the link at most while TCP runs, TCP hardly notices, and the link is used again within a second.

    TCP's start, when uTP's packets are still in the queue, weighs twice as much in half of the command's time.
    """
    figures = tcp.against_tcp(controller, window=window, rate=10, seconds=15).figures
    assert figures["share"] <= 0.1 and figures["ratio"] <= 1.1
    assert figures["regained"] <= 1


@pytest.mark.parametrize("kind", ["codel", "50 ms"])
def test_short_queues(kind: str) -> None:
    """Where the queue never reaches the target, it takes less than half all the same."""
    assert tcp.against_tcp("ledbat++", kind=kind, rate=8, seconds=8, most=0.5, slower=2).met
