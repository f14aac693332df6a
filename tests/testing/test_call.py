"""
Does a call feel the queue?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.call import Call
from twisted_utp.testing.topology import Dumbbell


def test_empty_line() -> None:
    """Fifty packets a second, each as long under way as the path, and a packet's time on the wire."""
    dumbbell = Dumbbell(there={"rate": 10_000_000})
    call = Call(dumbbell, 50_000)
    dumbbell.run_for(2.01)
    assert call.sent == 101 and 98 <= len(call.trips) <= 99
    assert call.percentile(0.95) == pytest.approx(50, abs=0.2)


def test_queue() -> None:
    """What others queue is added."""
    dumbbell = Dumbbell(there={"rate": 10_000_000})
    call = Call(dumbbell, 50_000)
    dumbbell.run_for(1)
    other = dumbbell.add_tcp(50_000, window="reno")
    other.congestion.cwnd = 10e6 / 8 * 0.15 * 1448 / 1500
    other.congestion.ssthresh = 0.0
    dumbbell.run_for(2)
    assert call.percentile(0.5, 0, 0.9) == pytest.approx(50, abs=0.2)
    assert call.percentile(0.5, 2) > 120


def test_nothing_came_back() -> None:
    """Says so."""
    call = Call(Dumbbell(there={"loss": 1.0}), 50_000)
    with pytest.raises(ValueError, match=r"no packet of that time has come back"):
        call.percentile(0.5)
