"""
Does the fixed window stay fixed?
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample, make_congestion_controller
from twisted_utp.proto.congestion.fixed import FIXED_WINDOW, FixedWindow


def test_nothing_changes_it() -> None:
    """Neither acks nor losses nor timeouts nor idleness move the window."""
    controller = make_congestion_controller("fixed", mss=1000, target_delay=100_000)
    assert isinstance(controller, FixedWindow)
    controller.on_ack(now=1, sample=AckSample(5000, 9000, 1000, 1000, 1000, 900_000, False, False))
    controller.on_loss(now=2, bytes_in_flight=100)
    controller.on_timeout(now=3, bytes_in_flight=100)
    controller.on_spurious_loss(now=4)
    controller.on_idle(now=5, timeouts=100)
    controller.on_mss(500)
    assert controller.cwnd == FIXED_WINDOW


def test_has_no_slow_start() -> None:
    """It is at its final size from the first packet on."""
    assert not FixedWindow(mss=1000, target_delay=1).in_slow_start
