"""
Does a connection survive a NAT that changes the peer's port, and nobody but the peer profit from it?
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import RESET_SOURCE_INTERVAL
from twisted_utp.proto.packet import Packet, PacketType, encode_packet
from twisted_utp.testing import MILLISECOND, NAT, Link, Network, Node, RawPeer, Simulator
from twisted_utp.testing.wire import DATA, FIN, RESET, STATE, Header, encode


class Home:
    """A node behind a NAT, connected to one outside."""

    def __init__(self, **config: Any) -> None:
        self.simulator = Simulator(3)
        network = Network(self.simulator)
        self.nat = NAT(self.simulator, "203.0.113.1")
        there, back = (Link(self.simulator, delay=10 * MILLISECOND) for _ in range(2))
        inside, outside = network.add_host("192.168.0.2"), network.add_host("198.51.100.1")
        network.add_path("192.168.0.2", "198.51.100.1", [self.nat.outbound, there])
        network.add_path("198.51.100.1", "203.0.113.1", [back, self.nat.inbound])
        settings = UTPConfig(**config)
        self.outside = Node(outside, 9000, accepting=True, config=settings)
        self.inside = Node(inside, config=settings)
        self.near = self.inside.connect(self.outside.address)
        self.run(0.1)
        (self.far,) = self.outside.records

    def run(self, seconds: float) -> None:
        self.simulator.run_for(round(seconds * 1_000_000))


@pytest.mark.parametrize("speaks", ["inside", "outside", "both"])
def test_survives(speaks: str) -> None:
    """Whoever was speaking: what comes from the new port continues the connection, and answers go there."""
    home = Home(keepalive=5)
    before = home.far.connection.address
    if speaks != "outside":
        home.inside.write(home.near, bytes(200_000))
    if speaks != "inside":
        home.outside.write(home.far, bytes(200_000))
    home.run(0.03)
    home.nat.rebind()
    home.run(40)
    assert home.far.connection.address == (before[0], before[1] + 1)
    assert (home.far.nbytes, home.near.nbytes) == (200_000 * (speaks != "outside"), 200_000 * (speaks != "inside"))
    assert home.outside.multiplexer.stats.rebindings == 1
    home.inside.close(home.near)
    home.outside.close(home.far)
    home.run(20)
    assert home.near.lost and home.far.lost and home.near.lost.reason.name == home.far.lost.reason.name == "DONE"
    assert len(home.outside.multiplexer) == 0


def test_many_at_once() -> None:
    """All connections of a house move together."""
    home = Home(keepalive=5)
    for _ in range(50):
        home.inside.connect(home.outside.address)
    home.run(1)
    home.nat.rebind()
    home.run(20)
    assert home.outside.multiplexer.stats.rebindings == 51
    assert all(record.lost is None for record in home.inside.records + home.outside.records)


def stranger_sends(peer: RawPeer, *, host: str | None = None, port: int = 7001, **fields: Any) -> list[Header]:
    """A packet as the peer's next, with differences, from another port (or host); what arrives anywhere."""
    known = {
        "connection_id": peer.send_id,
        "seq_nr": peer.seq_nr & 0xFFFF,
        "ack_nr": peer.ack_nr & 0xFFFF,
        "wnd_size": 5000,
        "timestamp": 1,
        "timestamp_difference": 1,
        "payload": b"",
    }
    header = Header(fields.pop("kind", STATE), **{**known, **fields})
    peer.node.inject(encode(header), (host or peer.address[0], port))
    return peer.drain()


def test_exactly_the_next_packet_moves() -> None:
    """The peer itself, from another port: its data is taken, and the answer goes there."""
    peer = RawPeer.facing()
    peer.handshake()
    stranger_sends(peer, kind=DATA, payload=b"moved")
    assert bytes(peer.record.data) == b"moved"
    assert peer.record.connection.address == (peer.address[0], 7001)


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "10.0.0.9"},
        {"connection_id": 9},
        {"kind": DATA, "payload": b"x", "seq_nr": 1002},
        {"seq_nr": 1000},
        {"ack_nr": 30_000},
        {"kind": FIN},
        {"kind": RESET},
    ],
    ids=str,
)
def test_anything_else_does_not(wrong: dict[str, Any]) -> None:
    """Another host, id, seq_nr or ack_nr, or what ends connections: nothing happens to the connection."""
    peer = RawPeer.facing()
    peer.handshake()
    before = peer.record.connection.stats()
    stranger_sends(peer, **wrong)
    connection = peer.record.connection
    assert connection.address == peer.address and connection.stats() == before
    peer.data(b"still here")
    peer.expect_until(STATE)
    assert bytes(peer.record.data) == b"still here" and peer.record.lost is None


def test_no_reset_for_a_peer_that_may_have_moved() -> None:
    """A RESET would end the connection of a peer whose first packet from the new port was not the next one."""
    peer = RawPeer.facing()
    peer.handshake()
    sent = peer.node.multiplexer.stats.datagrams_sent
    stranger_sends(peer, kind=DATA, payload=b"x", seq_nr=1005)
    assert peer.node.multiplexer.stats.datagrams_sent == sent
    stranger_sends(peer, connection_id=9)  # that one is nobody's
    assert peer.node.multiplexer.stats.datagrams_sent == sent + 1


def test_guesses_are_few() -> None:
    """After some wrong ones not even the right one is believed, until a while has passed."""
    peer = RawPeer.facing(config=UTPConfig(keepalive=0))
    peer.handshake()
    for number in range(4):
        stranger_sends(peer, port=7001 + number, ack_nr=20_000)
    stranger_sends(peer)
    assert peer.record.connection.address == peer.address
    peer.run_for(RESET_SOURCE_INTERVAL / 1_000_000)
    stranger_sends(peer)
    assert peer.record.connection.address[1] == 7001


def test_guesses_of_others_hide_none() -> None:
    """Whatever hosts with connections of their own guess meanwhile, one host has no more guesses than its few."""
    peer = RawPeer.facing(config=UTPConfig(keepalive=0))
    peer.handshake()
    limiter = peer.node.multiplexer.acceptor._rebind_limiter
    for number in range(1000):
        limiter.allow(number, peer.node.now())  # the budget of all together is gone
    for number in range(4):
        stranger_sends(peer, port=7001 + number, ack_nr=20_000)
    stranger_sends(peer)
    assert peer.record.connection.address == peer.address


def test_strays_do_not_switch_it_off() -> None:
    """Thousands of packets a second with other ids, from the same host and from others, keep nobody from moving."""
    peer = RawPeer.facing(config=UTPConfig(keepalive=0))
    peer.handshake()
    connection = peer.record.connection
    rng = Random(3)
    for number in range(5000):
        connection_id = connection.recv_id + rng.randrange(1, 65536) & 0xFFFF
        packet = Packet(PacketType.DATA, connection_id, 1, 1, 1, rng.getrandbits(16), rng.getrandbits(16), b"x")
        host = peer.address[0] if number % 2 else f"10.1.{number % 200}.1"
        peer.node.inject(encode_packet(packet), (host, 8000 + number % 1000))
    peer.run_for(2)
    stranger_sends(peer)
    assert peer.record.connection.address[1] == 7001


def test_guesses_without_an_echo_are_no_guesses() -> None:
    """Once a peer has shown that it echoes our timestamps, packets with its id and none do not count as guesses."""
    peer = RawPeer.facing(config=UTPConfig(keepalive=0))
    peer.handshake()
    for _ in range(4):
        peer.data(b"x")
        peer.drain()
    connection = peer.record.connection
    assert connection.proof.is_given
    for number in range(100):
        packet = Packet(PacketType.DATA, connection.recv_id, 1, 1, 1, number, number, b"x")
        peer.node.inject(encode_packet(packet), (peer.address[0], 8000 + number))
    stranger_sends(peer)  # without an echo
    assert connection.address == peer.address
    now = peer.simulator.now & 0xFFFFFFFF
    stranger_sends(peer, timestamp=now, timestamp_difference=peer.timestamp_difference)
    assert connection.address[1] == 7001


def test_blind_guessing() -> None:
    """100,000 packets from the peer's host with random numbers move, feed and end nothing."""
    peer = RawPeer.facing()
    peer.handshake()
    rng, before = Random(6), peer.record.connection.stats()
    for _ in range(100_000):
        kind = PacketType(rng.randrange(5))
        packet = Packet(kind, rng.randrange(65536), 1, 1, 1, rng.randrange(65536), rng.randrange(65536), b"evil")
        if kind is not PacketType.SYN:
            peer.node.inject(encode_packet(packet), (peer.address[0], rng.randrange(65536)))
    assert peer.record.connection.stats() == before and peer.record.connection.address == peer.address
