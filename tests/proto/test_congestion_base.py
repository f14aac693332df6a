"""
Is the registry of congestion controllers strict, and the interface harmless by default?
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.congestion import base
from twisted_utp.proto.congestion.base import (
    AckSample,
    CongestionController,
    congestion_controller_names,
    make_congestion_controller,
    register_congestion_controller,
)


class Plain(CongestionController):
    """The least that a controller can be."""

    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """Nothing."""

    def on_loss(self, *, now: int, bytes_in_flight: int, bytes_lost: int = 0) -> None:
        """Nothing."""

    def on_timeout(self, *, now: int, bytes_in_flight: int) -> None:
        """Nothing."""


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = dict(base._registry)
    yield
    base._registry.clear()
    base._registry.update(before)


def test_built_in_names() -> None:
    """Importing the core registers its own controllers; the names come sorted."""
    assert congestion_controller_names() == sorted(congestion_controller_names())
    assert {"fixed", "ledbat"} <= set(congestion_controller_names())


def test_registered_name_works_in_a_configuration() -> None:
    """A controller of the user's own can be configured by its name, and is made with what the factory is told."""
    register_congestion_controller("mine", Plain)
    controller = make_congestion_controller(UTPConfig(congestion="mine").congestion, mss=100, target_delay=7)
    assert isinstance(controller, Plain)
    assert (controller.mss, controller.target_delay) == (100, 7)


def test_registering_twice() -> None:
    """The same factory again is harmless, another under a taken name is an error that names it."""
    register_congestion_controller("mine", Plain)
    register_congestion_controller("mine", Plain)
    with pytest.raises(ValueError, match="'mine'.*registered already"):
        register_congestion_controller("mine", lambda **keywords: Plain(**keywords))


def test_empty_name() -> None:
    """A controller needs a name."""
    with pytest.raises(ValueError, match="expected a name"):
        register_congestion_controller("", Plain)


def test_unknown_name() -> None:
    """The error names the value and what there is."""
    with pytest.raises(ValueError, match="congestion='bbr': expected one of .*ledbat"):
        make_congestion_controller("bbr", mss=100, target_delay=7)


def test_optional_hooks_do_nothing() -> None:
    """A controller may ignore undone losses and idleness."""
    controller = Plain(mss=100, target_delay=7)
    controller.cwnd = 5.0
    controller.on_spurious_loss(now=1)
    controller.on_idle(now=1, timeouts=3)
    assert controller.cwnd == 5.0


def test_mss_is_followed() -> None:
    """A new packet size is stored."""
    controller = Plain(mss=100, target_delay=7)
    controller.on_mss(50)
    assert controller.mss == 50


def test_slow_start_lasts_until_ssthresh() -> None:
    """cwnd below ssthresh is slow start (RFC 5681 (3.1))."""
    controller = Plain(mss=100, target_delay=7)
    controller.cwnd, controller.ssthresh = 99.0, 100.0
    assert controller.in_slow_start
    controller.cwnd = 100.0
    assert not controller.in_slow_start
