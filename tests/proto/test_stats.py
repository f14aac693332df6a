"""
Do the counters count what they say, and are snapshots snapshots?
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.packet import Packet, PacketType
from twisted_utp.proto.stats import ConnectionStats, PortStats, SenderCounters

if TYPE_CHECKING:
    from tests.proto.conftest import Exchange, Wire


def test_counters_start_at_zero() -> None:
    """Nothing has happened yet."""
    for counters in (SenderCounters(), PortStats()):
        assert set(dataclasses.asdict(counters).values()) == {0}


def test_snapshot_is_frozen_and_stays(exchange: type[Exchange]) -> None:
    """A snapshot cannot be changed, and does not change when the connection goes on."""
    peer = exchange()
    connection = peer.dial()
    before = connection.stats()
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.bytes_sent = 5  # type: ignore[misc]
    peer.write(connection, b"x" * 100)
    assert before.bytes_sent == 0
    assert connection.stats().bytes_sent == 100


def test_connection_counts_both_ways(wire: type[Wire]) -> None:
    """After a transfer that lost some packets, the sums of both sides agree with each other and with the wire."""
    link = wire(config=UTPConfig(congestion="fixed", mtu=520))
    ours, theirs = link.established()
    packets = lost = 0

    def lose(side: int, packet: Packet) -> bool:
        nonlocal packets, lost
        if side or packet.type is not PacketType.DATA:
            return False
        packets += 1
        lost += packets % 10 == 5
        return packets % 10 == 5

    link.lose = lose
    ours.write(bytes(50_000), now=link.now)
    link.run_until(lambda: ours.stats().bytes_acked == 50_000)
    link.run(1_000_000)
    sent, got = ours.stats(), theirs.stats()
    assert sent.state == got.state == "ESTABLISHED"
    assert (sent.bytes_sent, sent.bytes_acked, got.bytes_received) == (50_000, 50_000, 50_000)
    assert sent.packets_sent == 100
    assert sent.packets_lost > 0
    assert sent.packets_retransmitted >= sent.packets_lost > 0
    assert sent.bytes_retransmitted == 500 * sent.packets_retransmitted
    assert sent.bytes_in_flight == sent.bytes_unsent == 0
    assert sent.packets_sent + sent.packets_retransmitted == packets
    assert got.packets_duplicate == sent.packets_retransmitted - lost
    assert sent.min_rtt == pytest.approx(20_000, abs=100)
    assert sent.mss == 500
    assert sent.peer_is_ours
    assert sent.peer_window == got.receive_window == UTPConfig().receive_buffer
    assert sent.ssthresh == 0
    assert got.acks_sent > 0


def test_unbounded_slow_start_threshold_is_none(exchange: type[Exchange]) -> None:
    """No threshold yet: None, not a float infinity."""
    assert exchange().dial().stats().ssthresh is None


def test_port_counts_what_passes(exchange: type[Exchange]) -> None:
    """Datagrams and bytes in both directions, connections opened and accepted, SYNs."""
    peer = exchange()
    peer.accept()
    peer.dial()
    stats = peer.mux.stats
    assert (stats.connections_opened, stats.connections_accepted, stats.syns_received) == (1, 1, 1)
    assert (stats.datagrams_received, stats.datagrams_sent) == (3, 2)
    assert stats.bytes_received == 3 * 20
    assert stats.bytes_sent == 20 + 30  # our SYN has the extension bits


def test_all_fields_are_told() -> None:
    """Every field of a snapshot is a plain number or name, so that it can be written to a log."""
    allowed = {"str", "int", "float", "bool", "int | None"}
    assert {str(field.type) for field in dataclasses.fields(ConnectionStats)} <= allowed
