"""
Do settings change on a connection that lives?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import LEDBATPP_TARGET_DELAY, SCAVENGER_MAX_TARGET
from twisted_utp.proto.events import Writable
from twisted_utp.proto.packet import PacketType
from twisted_utp.proto.reconfiguration import CHANGEABLE, reconfigure

if TYPE_CHECKING:
    from tests.proto.conftest import Exchange

SECOND = 1_000_000


def test_receive_buffer(exchange: type[Exchange]) -> None:
    """The peer hears of a larger one at once, and of a smaller one with the next packet."""
    peer = exchange(UTPConfig(receive_buffer=20_000))
    connection = peer.dial()
    reconfigure(connection, {"receive_buffer": 100_000}, now=peer.now)
    (update,) = peer.flush()
    assert (update.type, update.wnd_size) == (PacketType.STATE, 100_000)
    reconfigure(connection, {"receive_buffer": 30_000}, now=peer.now)
    assert peer.flush() == [] and peer.data(b"x")[0].wnd_size == 30_000
    assert connection.stats().receive_window == 30_000


def test_send_buffer(exchange: type[Exchange]) -> None:
    """More room lets a producer go on at once; less makes the next write full."""
    peer = exchange(UTPConfig(send_buffer=5000, congestion="fixed"))
    connection = peer.dial()
    peer.wnd = 0
    peer.state()
    peer.write(connection, bytes(20_000))
    assert connection.is_write_full() and not peer.events[1:]
    reconfigure(connection, {"send_buffer": 50_000}, now=peer.now)
    peer.flush()
    assert not connection.is_write_full() and peer.events[-1] == Writable()
    reconfigure(connection, {"send_buffer": 4096}, now=peer.now)
    assert connection.is_write_full()


def test_max_in_flight(exchange: type[Exchange]) -> None:
    """More than before, at once; less as acknowledgements come."""
    peer = exchange(UTPConfig(max_in_flight=16_384, congestion="fixed"))
    connection = peer.dial()
    sender = connection.sender
    sender.congestion.cwnd = 1e9
    peer.write(connection, bytes(1_000_000))
    peer.wait(10_000)
    assert 16_384 - sender.mss < sender.board.outstanding_bytes <= 16_384
    reconfigure(connection, {"max_in_flight": 50_000}, now=peer.now)
    peer.wait(10_000)
    assert 50_000 - sender.mss < sender.board.outstanding_bytes <= 50_000


@pytest.mark.parametrize(
    ("name", "default"),
    [("ledbat", 100_000), ("ledbat++", LEDBATPP_TARGET_DELAY), ("scavenger", SCAVENGER_MAX_TARGET), ("cubic", 100_000)],
)
def test_target_delay(exchange: type[Exchange], name: str, default: int) -> None:
    """The controller aims for it from now on, or for less; some have their own default."""
    connection = exchange(UTPConfig(congestion=name)).dial()
    controller = connection.sender.congestion
    reconfigure(connection, {"target_delay": 0.025}, now=1)
    assert controller.target_delay == 25_000
    assert getattr(controller, "effective_target", 25_000) == 25_000
    reconfigure(connection, {"target_delay": 0.1}, now=1)
    assert controller.target_delay == default


def test_keepalive_and_the_rest(exchange: type[Exchange]) -> None:
    """Timers follow; so does what is only read when it is needed."""
    peer = exchange(UTPConfig(keepalive=0))
    connection = peer.dial()
    assert peer.wait(60 * SECOND) == []
    reconfigure(connection, {"keepalive": 5, "linger": 3, "no_delay": True, "user_timeout": 9}, now=peer.now)
    for _ in range(2):
        assert len(peer.wait(5 * SECOND)) == 1
        peer.state()
    assert (connection.config.linger, connection.config.user_timeout, connection.sender.no_delay) == (3, 9, True)


def test_all_or_nothing(exchange: type[Exchange]) -> None:
    """A value out of range, an unknown name or one that is built in changes nothing."""
    connection = exchange().dial()
    before = connection.config
    for changes, error, says in (
        ({"keepalive": 5, "send_buffer": 1}, ValueError, "send_buffer=1: expected 4096 to"),
        ({"keepalive": 5, "congestion": "cubic"}, ValueError, "congestion: cannot change while connected; keepalive"),
        ({"keepalive": 5, "colour": 1}, TypeError, "colour: no such setting"),
    ):
        with pytest.raises(error, match=says):
            reconfigure(connection, changes, now=1)
        assert connection.config is before


def test_names_are_settings() -> None:
    """What can change exists."""
    assert {name for name in CHANGEABLE if not hasattr(UTPConfig(), name)} == set()
