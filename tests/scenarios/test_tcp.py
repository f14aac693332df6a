"""
Does it get out of a TCP download's way?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import tcp


@pytest.mark.parametrize("window", ["reno", "cubic"])
@pytest.mark.parametrize("controller", ["ledbat", "ledbat++"])
def test_deep_buffer(controller: str, window: str) -> None:
    """A tenth of the link at most while TCP runs, and TCP hardly notices."""
    figures = tcp.against_tcp(controller, window=window, rate=10, seconds=15).figures
    assert figures["share"] <= 0.1 and figures["ratio"] <= 1.07
    assert figures["regained"] <= 2.5


def test_codel() -> None:
    """Where the queue never reaches the target, it takes less than half all the same."""
    assert tcp.against_tcp("ledbat++", kind="codel", rate=10, seconds=15).figures["share"] <= 0.5
