"""
Do the counters count what they say, and are snapshots snapshots?
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.packet import Packet, PacketType
from twisted_utp.proto.seqnum import signed_timestamp
from twisted_utp.proto.stats import ConnectionStats, PortCounters, PortStats, SenderCounters
from twisted_utp.proto.values import Datagram
from twisted_utp.testing import TO_CLIENT, TO_SERVER, Pair, RandomLoss

if TYPE_CHECKING:
    from tests.proto.conftest import Exchange, Wire


def test_counters_start_at_zero() -> None:
    """Nothing has happened yet."""
    assert set(dataclasses.asdict(SenderCounters()).values()) == {0}
    for value in dataclasses.asdict(PortCounters()).values():
        assert value == 0 or set(value) == {0}


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


# --- Overhead, causes, sizes --------------------------------------------------------------------------------------

OVERHEADS = [field.name for field in dataclasses.fields(ConnectionStats) if field.name.startswith("overhead_")]


def overhead(stats: ConnectionStats | PortStats) -> int:
    """All kinds together."""
    return sum(getattr(stats, name) for name in OVERHEADS)


@pytest.mark.parametrize("loss", [0, 0.05])
@pytest.mark.parametrize("end", ["close", "abort", "reason"])
def test_overhead_is_what_the_wire_carried(loss: float, end: str) -> None:
    """Payload sent first and all kinds of overhead are together every byte that left, for a connection and a port."""
    pair = Pair(seed=5, link={"loss": RandomLoss(loss)} if loss else {})
    ends = pair.connect()
    pair.transfer(ends, 300_000)
    pair.transfer(ends, 50_000, direction=TO_CLIENT)
    pair.run_for(65)  # keepalives
    ends.client.connection.close_code = 5 if end == "reason" else 0
    if end == "abort":
        pair.client.abort(ends.client)
    else:
        pair.client.close(ends.client)
        pair.server.close(ends.server)
    pair.run_for(30)
    for node, record, direction in ((pair.client, ends.client, TO_SERVER), (pair.server, ends.server, TO_CLIENT)):
        entries = [entry for entry in pair.log.entries if entry.direction == direction]
        wire = sum(len(entry.data) for entry in entries)
        stats, port = record.connection.stats(), node.multiplexer.snapshot()
        assert stats.bytes_sent + overhead(stats) == wire
        assert port.bytes_sent == port.payload_sent + overhead(port) == wire
        assert port.datagrams_sent == len(entries) == sum(port.sizes_sent.values())
        assert (port.payload_sent, port.payload_received) == (stats.bytes_sent, stats.bytes_received)
        assert stats.overhead_connect == port.overhead_connect == 30
        assert stats.overhead_close == port.overhead_close or loss
        assert (stats.overhead_retransmit > 0) == (port.packets_retransmitted > 0) >= (stats.packets_lost > 0)


@pytest.mark.parametrize("cause", ["retransmitted_fast", "retransmitted_timeout", "retransmitted_probe"])
def test_retransmissions_by_cause(cause: str) -> None:
    """A packet lost among others, one lost at the end, and everything lost for a while."""
    pair = Pair(seed=1)
    ends = pair.connect()
    pair.client.write(ends.client, bytes(100_000))
    pair.run_for(1)
    loss = {"retransmitted_fast": 1, "retransmitted_probe": 1, "retransmitted_timeout": None}[cause]
    data = pair.drop(TO_SERVER, lambda header: header.type == 0, count=loss)
    pair.client.write(ends.client, bytes(60_000) if cause == "retransmitted_fast" else b"last")
    pair.run_for(1)
    data.remove()
    pair.run_for(20)
    stats = ends.client.connection.stats()
    causes = {name: getattr(stats, name) for name in ConnectionStats.__slots__ if name.startswith("retransmitted_")}
    assert causes[cause] > 0 and sum(causes.values()) == stats.packets_retransmitted
    assert ends.server.nbytes == stats.bytes_sent
    if loss:
        assert causes["retransmitted_timeout"] == 0


def test_delays_both_ways() -> None:
    """A queue shows in the delay of its own way; the constant part is the clocks' difference, which is arbitrary."""
    pair = Pair(up={"rate": 250_000}, server_clock={"offset": 5_000_000}, config=UTPConfig(target_delay=0.05))
    ends = pair.connect()
    transfer = pair.start_transfer(ends, 3_000_000)
    pair.run_for(8)
    assert not transfer.done
    client, server = ends.client.connection.stats(), ends.server.connection.stats()
    assert 10_000 < client.queuing_delay < 150_000 and client.peer_queuing_delay < 10_000
    assert server.peer_queuing_delay > 10_000
    assert client.one_way_delay is not None and client.peer_one_way_delay is not None
    there, back = ends.client.connection.writer.clock_offset, ends.server.connection.writer.clock_offset
    difference = signed_timestamp(5_000_000 + back - there)
    assert client.one_way_delay == pytest.approx(difference + 10_000 + client.queuing_delay, abs=50_000)
    assert client.peer_one_way_delay == pytest.approx(-difference + 10_000, abs=10_000)
    assert (client.mtu, client.bytes_in_flight > 0) == (client.mss + 20, True)


def test_delays_before_the_first_sample(exchange: type[Exchange]) -> None:
    """Unknown is None, not 0."""
    stats = exchange().mux.connect(("192.0.2.9", 9), now=1).stats()
    assert stats.one_way_delay is None and stats.peer_one_way_delay is None


def test_size_classes(exchange: type[Exchange]) -> None:
    """Each datagram is in the class of its length; merged ones count each."""
    peer = exchange()
    peer.dial()
    peer.mux.receive_datagrams([Datagram(bytes(3000), peer.address, 1000), Datagram(b"", peer.address)], now=1)
    peer.mux.receive_datagrams([Datagram(bytes(65_507), peer.address)], now=1)
    assert peer.mux.snapshot().sizes_received == {31: 1, 1023: 3, 0: 1, 65_535: 1}
    assert peer.mux.snapshot().sizes_sent == {31: 1}


def test_system_calls(exchange: type[Exchange]) -> None:
    """As the owner of the socket counts them, or one for each datagram."""
    peer = exchange()
    assert peer.mux.snapshot().calls_per_datagram == 0
    peer.dial()
    assert peer.mux.snapshot().calls_per_datagram == 1
    assert peer.mux.snapshot(reads=3, writes=1).calls_per_datagram == 2
