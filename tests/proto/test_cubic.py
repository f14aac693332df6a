"""
Does the window follow RFC 9438?
"""

from __future__ import annotations

from typing import Any

import pytest

from twisted_utp.proto.congestion.base import AckSample, make_congestion_controller
from twisted_utp.proto.congestion.cubic import ALPHA, Cubic

MSS = 1000


def cubic(cwnd: float | None = None) -> Cubic:
    """A controller, in congestion avoidance when it is given a window."""
    controller = make_congestion_controller("cubic", mss=MSS, target_delay=100_000)
    assert isinstance(controller, Cubic)
    if cwnd is not None:
        controller.cwnd = controller.ssthresh = cwnd
    return controller


def run(controller: Cubic, seconds: float, *, rtt: int = 100_000, start: int = 1, delay: int = 0, **more: Any) -> int:
    """Whole windows acknowledged in tenths, for so long; when it ends."""
    now, end = start, start + int(seconds * 1e6)
    values = {"app_limited": False, "in_recovery": False, **more}
    while now < end:
        now += rtt // 10
        controller.on_ack(now=now, sample=AckSample(int(controller.cwnd / 10), 0, rtt, rtt, rtt, delay, **values))
    return now


def test_initial_window() -> None:
    """RFC 6928: ten packets, and slow start doubles."""
    controller = cubic()
    assert controller.cwnd == 10 * MSS and controller.in_slow_start
    run(controller, 0.1)
    assert controller.cwnd == pytest.approx(20 * MSS, rel=0.4)


def test_slow_start_ends_when_the_queue_grows() -> None:
    """RFC 9406: five round trips of queue end it; a queue that goes away does not."""
    controller = cubic()
    now = run(controller, 0.3, delay=20_000)
    now = run(controller, 0.3, start=now)
    assert controller.in_slow_start
    run(controller, 1.0, start=now, delay=20_000)
    assert not controller.in_slow_start


def test_loss() -> None:
    """(4.6): seven tenths remain."""
    controller = cubic(100.0 * MSS)
    controller.on_loss(now=1, bytes_in_flight=0)
    assert controller.cwnd == controller.ssthresh == 70 * MSS


def test_plateau_after_k() -> None:
    """(4.2): K = cbrt((W_max - cwnd) / C) seconds after the loss the window is back, and growth is slowest there."""
    controller = cubic(1000.0 * MSS)
    controller.on_loss(now=1, bytes_in_flight=0)
    k = (300 / 0.4) ** (1 / 3)
    now = run(controller, k / 2)
    halfway = controller.cwnd
    now = run(controller, k / 2, start=now)
    assert controller.cwnd == pytest.approx(1000 * MSS, rel=0.01)
    assert halfway > 950 * MSS
    run(controller, k, start=now)
    assert controller.cwnd == pytest.approx(1300 * MSS, rel=0.05)


def test_fast_convergence() -> None:
    """(4.7): a loss below the last maximum aims lower, to leave room for a newcomer."""
    controller = cubic(1000.0 * MSS)
    controller.on_loss(now=1, bytes_in_flight=0)
    controller.on_loss(now=2, bytes_in_flight=0)
    run(controller, ((700 * 0.85 - 490) / 0.4) ** (1 / 3), start=2)
    assert controller.cwnd == pytest.approx(700 * 0.85 * MSS, rel=0.02)


def test_reno_friendly_region() -> None:
    """(4.3): a small window on a short path grows by alpha packets per round trip, and by one above the old one."""
    controller = cubic(20.0 * MSS)
    controller.on_loss(now=1, bytes_in_flight=0)
    run(controller, 0.2, rtt=10_000)
    assert controller.cwnd == pytest.approx((20 + 20 - 6 / ALPHA) * MSS, rel=0.03)
    assert pytest.approx(0.53, abs=0.01) == ALPHA


@pytest.mark.parametrize("why", ["app_limited", "in_recovery"])
def test_no_growth(why: str) -> None:
    """(5.8) and while a loss is being repaired."""
    controller = cubic(20.0 * MSS)
    run(controller, 1, **{why: True})
    assert controller.cwnd == 20 * MSS


def test_timeout() -> None:
    """(4.8): one packet, slow start up to seven tenths; a second timeout keeps that."""
    controller = cubic(100.0 * MSS)
    for _ in range(2):
        controller.on_timeout(now=1, bytes_in_flight=0)
        assert (controller.cwnd, controller.ssthresh) == (MSS, 70 * MSS)


def test_spurious_loss() -> None:
    """(4.9): taken back, once."""
    controller = cubic(100.0 * MSS)
    controller.on_spurious_loss(now=1)
    controller.on_loss(now=1, bytes_in_flight=0)
    controller.on_spurious_loss(now=2)
    assert controller.cwnd == 100 * MSS
    controller.cwnd = 50.0 * MSS
    controller.on_spurious_loss(now=3)
    assert controller.cwnd == 50 * MSS


def test_idle() -> None:
    """RFC 2861: halved for each timeout, down to the initial window."""
    controller = cubic(100.0 * MSS)
    controller.on_idle(now=1, timeouts=2)
    assert controller.cwnd == 25 * MSS and controller.in_slow_start
    controller.on_idle(now=1, timeouts=10)
    assert controller.cwnd == 10 * MSS
