"""
Does the window open at the rate, and is the peer told?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import WHOLE_PACKET
from twisted_utp.proto.packet import PacketType
from twisted_utp.proto.reconfiguration import reconfigure

if TYPE_CHECKING:
    from tests.proto.conftest import Exchange

SECOND = 1_000_000


def test_from_the_first_answer_on(exchange: type[Exchange]) -> None:
    """A SYN-ACK has room for one packet, also while nothing is kept of the peer; without a limit for the buffer."""
    for settings in ({"max_rate": 5000}, {"max_receive_rate": 5000}, {"max_port_rate": 5000}):
        (answer,) = exchange(UTPConfig(**settings)).syn()
        assert answer.wnd_size == WHOLE_PACKET
    (answer,) = exchange(UTPConfig(max_send_rate=5000, receive_buffer=100_000)).syn()
    assert answer.wnd_size == 100_000


@pytest.mark.parametrize("setting", ["max_receive_rate", "max_port_receive_rate"])
def test_a_closed_window_opens_by_a_packet(exchange: type[Exchange], setting: str) -> None:
    """At its time, and never by less; and again when nothing comes, three times."""
    peer = exchange(UTPConfig(**{setting: 1000}, keepalive=0))
    peer.dial()
    peer.difference = 0
    assert peer.data(bytes(1000))[0].wnd_size == 0
    sent = []
    for _ in range(200):
        sent += [(packet, peer.now) for packet in peer.wait(SECOND // 10)]
    assert {packet.type for packet, _ in sent} == {PacketType.STATE}
    assert all(packet.wnd_size >= WHOLE_PACKET for packet, _ in sent)
    assert 1 <= len(sent) <= 4
    if setting == "max_receive_rate":
        assert len(sent) == 4


def test_the_buffer_counts_as_well(exchange: type[Exchange]) -> None:
    """Of a full buffer and a limit the smaller window is shown."""
    peer = exchange(UTPConfig(max_receive_rate=10_000_000, receive_buffer=16_384))
    connection = peer.dial()
    connection.pause_reading()
    for _ in range(20):
        answers = peer.data(bytes(1000))
        peer.wait(10_000)
    assert answers[0].wnd_size <= 16_384 - connection.receiver.unread_bytes + 1000
    assert connection.receiver.unread_bytes <= 16_384


def test_a_limit_set_late(exchange: type[Exchange]) -> None:
    """It is shown with the next acknowledgement; taken away, the peer hears of it at once."""
    peer = exchange()
    connection = peer.dial()
    assert peer.data(bytes(1000))[0].wnd_size == connection.config.receive_buffer
    reconfigure(connection, {"max_rate": 1000}, now=peer.now)
    peer.flush()
    assert peer.data(bytes(1400))[0].wnd_size <= WHOLE_PACKET
    reconfigure(connection, {"max_rate": 0}, now=peer.now)
    (update,) = peer.flush()
    assert update.wnd_size == connection.config.receive_buffer
    assert connection.receiver.limit is None


def test_few_updates_while_the_window_is_open(exchange: type[Exchange]) -> None:
    """libtorrent would take the third for a loss."""
    peer = exchange(UTPConfig(max_receive_rate=1_000_000, keepalive=0))
    peer.dial()
    peer.data(bytes(1000))
    updates = []
    for _ in range(1000):
        updates += peer.wait(1000)
    assert 1 <= len(updates) <= 3  # one opens it, if it was closed


def test_nothing_after_the_end(exchange: type[Exchange]) -> None:
    """Once the peer's FIN is there, no window is of interest."""
    peer = exchange(UTPConfig(max_receive_rate=1000, keepalive=0))
    peer.dial()
    peer.data(bytes(1400))
    peer.feed(peer.packet(PacketType.FIN))
    assert peer.wait(20 * SECOND) == []
