"""
Does a page load as one does?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.page import FIRST_TIMEOUT, SYN_ON_WIRE, Page
from twisted_utp.testing.queues import DropTail
from twisted_utp.testing.topology import Dumbbell

RTT = 50_000


def dumbbell_of(rate: int | None = 20_000_000) -> Dumbbell:
    """With a deep buffer."""
    return Dumbbell(there={"rate": rate, "queue": DropTail(milliseconds=500)})


def load(dumbbell: Dumbbell, **settings: int) -> Page:
    """One page."""
    page = Page(dumbbell, RTT, **settings)
    dumbbell.simulator.run(lambda: page.done)
    return page


def test_one_small_object() -> None:
    """Two round trips: one for the SYN, one for the request and its answer."""
    assert load(dumbbell_of(None), objects=1, size=1000).seconds == pytest.approx(2 * RTT / 1e6, abs=1e-4)


def test_rounds_of_slow_start() -> None:
    """100 kB are 70 segments: windows of 10, 20 and 40 after the handshake, so four round trips."""
    assert load(dumbbell_of(None), objects=1).seconds == pytest.approx(4 * RTT / 1e6, abs=2e-3)


def test_six_at_a_time() -> None:
    """Seven small objects take as long as two after each other."""
    assert load(dumbbell_of(None), objects=7, size=1000).seconds == pytest.approx(4 * RTT / 1e6, abs=1e-3)


def test_as_fast_as_the_line() -> None:
    """2 MB at 20 Mb/s are 0.83 s and headers; the handshakes overlap."""
    assert 0.83 < load(dumbbell_of()).seconds < 1.5


def test_syn_ack_waits_in_the_queue() -> None:
    """Behind 100 ms of queue the first round trip takes 100 ms longer."""
    dumbbell = dumbbell_of()
    other = dumbbell.add_tcp(RTT, window="reno")
    other.congestion.cwnd = 20e6 / 8 * 0.15 * 1448 / 1500
    other.congestion.ssthresh = 0.0
    dumbbell.run_for(1)
    assert dumbbell.there.queueing_delay > 90_000
    assert load(dumbbell, objects=1, size=1000).seconds == pytest.approx(0.1 + 0.2, abs=0.03)


def test_lost_syn_ack() -> None:
    """Asked for again after a second."""
    dumbbell = dumbbell_of(None)
    lost: list[int] = []

    def lose(packet: object) -> bool:
        if getattr(packet, "size", 0) == SYN_ON_WIRE and not lost:
            lost.append(dumbbell.now)
            return True
        return False

    dumbbell.there.taps.append(lose)
    assert load(dumbbell, objects=1, size=1000).seconds == pytest.approx((2 * RTT + FIRST_TIMEOUT) / 1e6, abs=1e-3)
    assert lost


def test_lost_request() -> None:
    """As well, and everything that was started ends."""
    dumbbell = Dumbbell(seed=1, there={"loss": 0.05}, back={"loss": 0.2})
    page = load(dumbbell, objects=10, size=10_000)
    dumbbell.run_for(60)
    assert page.done and dumbbell.simulator.pending == 0
