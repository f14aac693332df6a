"""
What can somebody do who wants to do harm (docs/security.rst)?

Each of these has its counterpart on the machine's own sockets in tests/glue/test_abuse.py.
"""

from __future__ import annotations

import sys
from collections import Counter
from random import Random

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import EXTENSION_BITS_SIGNATURE, MAX_WAITING_ANSWERS, UNCONFIRMED_TIMEOUT
from twisted_utp.proto.events import LossReason
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.packet import Packet, PacketType, encode_packet
from twisted_utp.proto.reconfiguration import reconfigure
from twisted_utp.proto.values import Address, Datagram, Obstacle, ReturnedDatagram
from twisted_utp.testing import Ends, Pair, RawPeer
from twisted_utp.testing.node import Record
from twisted_utp.testing.wire import DATA, RESET, STATE

SECOND = 1_000_000


def syn(rng: Random) -> bytes:
    """Of whoever; every other one looks like one of ours."""
    bits = EXTENSION_BITS_SIGNATURE if rng.random() < 0.5 else None
    packet = Packet(PacketType.SYN, rng.getrandbits(16), 1, 0, 1000, rng.getrandbits(16), extension_bits=bits)
    return encode_packet(packet)


def anyone(rng: Random) -> Address:
    """A source address."""
    return ".".join(str(rng.randrange(1, 255)) for _ in range(4)), rng.randrange(1, 65536)


# --- SYN floods ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ours", "speaks first"])
def test_syn_flood_lets_real_peers_in(kind: str) -> None:
    """While 10,000 forged SYNs arrive each second a peer connects at its first try, and its data passes."""
    pair = Pair(server_config=UTPConfig(backlog=100))
    rng, mux = Random(7), pair.server.multiplexer

    def flood() -> None:
        for _ in range(10):
            pair.server.inject(syn(rng), anyone(rng))
        pair.simulator.call_later(1000, flood)

    flood()
    pair.run_for(1)
    assert (len(mux), mux.gate.connection_counts.half_open) == (0, 100) and mux.stats.cookies_sent > 9000
    started = pair.now
    if kind == "ours":
        client = pair.start_connect()
        pair.drive(lambda: client.connected and mux.stats.cookies_proven)
        assert pair.now - started < 50_000
        (server,) = [record for record in pair.server.records if record.connection.address == pair.client.address]
        ends = Ends(client, server)
        pair.transfer(ends, 300_000)
        pair.transfer(ends, 300_000, direction="server")
    else:
        peer = RawPeer(pair.client.host, pair.server)
        peer.syn()
        peer.ack_nr = peer.expect(STATE).seq_nr - 1
        peer.data(b"hello")
        peer.expect(STATE)
        assert bytes(pair.server.records[-1].data) == b"hello"
    assert mux.gate.connection_counts.half_open <= 100 and len(mux) <= 1
    assert len(mux.port_queues.deadlines.heap) <= 64 + 3 * len(mux) and len(mux.port_queues.outbox) <= 10


def test_syn_flood_leaves_nothing() -> None:
    """A minute after a flood of 50,000 everything that it left is gone."""
    mux = Multiplexer(UTPConfig(backlog=200), rng=Random(1))
    mux.accepting = True
    rng, now = Random(2), 10 * SECOND
    for _ in range(500):
        mux.receive_datagrams([Datagram(syn(rng), anyone(rng)) for _ in range(100)], now=now)
        mux.poll_events()
        while mux.poll_transmits(now=now):
            pass
        now += 1000
    assert (len(mux), mux.gate.connection_counts.half_open, len(mux.table.half_open)) == (0, 200, 200)
    now += UNCONFIRMED_TIMEOUT
    mux.handle_timeout(now=now)
    mux.poll_transmits(now=now)
    mux.poll_events()
    assert len(mux) == 0 and mux.poll_timeout() is None and not mux.table.half_open and not mux.port_queues.ready
    connection_counts = mux.gate.connection_counts
    assert (connection_counts.connections, connection_counts.half_open, connection_counts._by_host) == (0, 0, {})


def test_answers_wait_in_a_bounded_queue() -> None:
    """A socket that takes nothing does not make answers to a flood pile up."""
    mux = Multiplexer(UTPConfig(backlog=10), rng=Random(1))
    mux.accepting = True
    rng = Random(3)
    for _ in range(100):
        mux.receive_datagrams([Datagram(syn(rng), anyone(rng)) for _ in range(100)], now=SECOND)
    repeated = Datagram(syn(rng), anyone(rng))
    mux.receive_datagrams([repeated] * 1000, now=SECOND)
    assert len(mux.port_queues.outbox) <= MAX_WAITING_ANSWERS
    assert mux.stats.answers_dropped >= 10_000 - MAX_WAITING_ANSWERS


# --- Amplification ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backlog", [5, 1000])
@pytest.mark.parametrize("accepting", [True, False])
def test_nobody_gets_more_bytes_than_he_sent(accepting: bool, backlog: int) -> None:
    """Whatever 300 strangers send, and however eager the application is to talk: at no time do we owe them bytes."""
    mux = Multiplexer(UTPConfig(backlog=backlog, keepalive=1), rng=Random(1))
    mux.accepting = accepting
    rng, now = Random(4), 10 * SECOND
    strangers = [anyone(rng) for _ in range(300)]
    received: Counter[Address] = Counter()
    sent: Counter[Address] = Counter()
    for turn in range(4000):
        source, data = rng.choice(strangers), syn(rng)
        if turn % 3 == 0:
            kind = rng.choice(list(PacketType))
            data = encode_packet(Packet(kind, rng.getrandbits(16), 1, 1, 1, rng.getrandbits(16), rng.getrandbits(16)))
        received[source] += len(data)
        mux.receive_datagrams([Datagram(data, source)], now=now)
        for connection, _ in mux.poll_events():
            connection.write(bytes(5000), now=now)
            if turn % 2:
                rng.choice((connection.abort, connection.close, connection.write_eof))(now=now)
        now += 20_000
        mux.handle_timeout(now=now)
        for transmit in mux.poll_transmits(now=now):
            sent[transmit.address] += len(transmit.payload)
            assert sent[transmit.address] <= received[transmit.address]
    assert sum(sent.values()) > 10_000


def test_settings_wait_for_the_peer() -> None:
    """An application that changes its settings before the peer has shown itself does not make us send to it."""
    mux = Multiplexer(UTPConfig(early_byte=True), rng=Random(1))
    mux.accepting = True
    mux.receive_datagrams([Datagram(syn(Random(2)), ("192.0.2.1", 6881))], now=SECOND)
    ((connection, _),) = mux.poll_events()
    assert len(mux.poll_transmits(now=SECOND)) == 1
    reconfigure(connection, {"receive_buffer": 8 << 20, "keepalive": 3}, now=2 * SECOND)
    assert mux.poll_transmits(now=2 * SECOND) == []
    mux.handle_timeout(now=20 * SECOND)
    assert mux.poll_transmits(now=20 * SECOND) == []


# --- Forgeries ----------------------------------------------------------------------------------------------------


def busy(peer: RawPeer) -> Record:
    """A connection with data on its way to the peer."""
    peer.handshake()
    peer.node.write(peer.record, bytes(2000))
    peer.drain(within=0.05)
    return peer.record


@pytest.mark.parametrize("kind", ["DATA", "FIN", "STATE", "RESET"])
def test_blind_forgeries_do_nothing(kind: str) -> None:
    """50,000 packets with the peer's own source address and random numbers change nothing."""
    peer = RawPeer.facing(config=UTPConfig(keepalive=0))
    record = busy(peer)
    rng, before = Random(9), record.connection.stats()
    for _ in range(50_000):
        numbers = [rng.getrandbits(16) for _ in range(3)]
        packet = Packet(PacketType[kind], numbers[0], 1, 1, 1, numbers[1], numbers[2], b"evil" * (kind == "DATA"))
        peer.node.multiplexer.receive_datagrams([Datagram(encode_packet(packet), peer.address)], now=peer.node.now())
        peer.node.multiplexer.poll_transmits(now=peer.node.now())
    assert record.connection.stats() == before and record.lost is None


@pytest.mark.parametrize("kind", ["DATA", "FIN", "STATE", "RESET"])
def test_forgeries_with_the_right_id_do_nothing(kind: str) -> None:
    """Who knows the connection's id, and nothing else, changes nothing either: the ack_nr has to be right."""
    peer = RawPeer.facing(config=UTPConfig(keepalive=0))
    record = busy(peer)
    rng = Random(10)
    for _ in range(5000):
        ack = peer.ack_nr + rng.randrange(10, 65536 - 10)
        seq = peer.seq_nr + rng.randrange(-5, 5)
        body = b"evil" * (kind == "DATA")
        packet = Packet(PacketType[kind], peer.send_id, 1, 1, 1, seq & 0xFFFF, ack & 0xFFFF, body)
        peer.node.inject(encode_packet(packet), peer.address)
    peer.drain()
    assert record.lost is None and not record.data and not record.eof
    peer.data(b"from the peer itself")
    peer.run_for(0.1)
    assert bytes(record.data) == b"from the peer itself"


# --- Peers that cost --------------------------------------------------------------------------------------------


def test_tiny_packets_to_a_paused_reader() -> None:
    """A receive buffer filled two bytes at a time takes little more memory than its bytes."""
    peer = RawPeer.facing(config=UTPConfig(receive_buffer=64 * 1024, keepalive=0))
    peer.handshake()
    connection = peer.record.connection
    connection.pause_reading()
    for number in range(31_000):
        packet = Packet(
            PacketType.DATA, peer.send_id, 1, 1, 5000, peer.seq_nr & 0xFFFF, peer.ack_nr, b"%02d" % (number % 99)
        )
        peer.node.multiplexer.receive_datagrams([Datagram(encode_packet(packet), peer.address)], now=peer.node.now())
        peer.seq_nr += 1
    pieces = connection.receiver._unread
    held = sys.getsizeof(pieces) + sum(map(sys.getsizeof, pieces))
    assert connection.receiver.unread_bytes == 62_000 and held < 100_000
    peer.node.resume_reading(peer.record)
    assert bytes(peer.record.data) == b"".join(b"%02d" % (number % 99) for number in range(31_000))


@pytest.mark.parametrize("how", ["never reads", "never acks", "acks garbage"])
def test_useless_peer_ends(how: str) -> None:
    """It costs no more than what it was sent, and ends; the memory is free then."""
    peer = RawPeer.facing(config=UTPConfig(user_timeout=10, stall_timeout=30, send_buffer=64 * 1024))
    peer.handshake(wnd_size=0 if how == "never reads" else 1 << 20)
    record, rng = peer.record, Random(5)
    peer.node.write(record, bytes(100_000))
    first, taken = peer.simulator.now, peer.ack_nr
    for _ in range(1200):
        for header in peer.drain(within=0.1):
            if header.type == DATA and how != "never acks":
                peer.state(ack_nr=taken if how == "never reads" else rng.getrandbits(16))
        if record.lost is not None:
            break
    peer.drain()
    assert record.reason is LossReason.TIMED_OUT
    assert peer.simulator.now - first < 60 * SECOND
    assert len(peer.node.multiplexer) == 0 and peer.node.multiplexer.poll_timeout() is None
    sent = sum(20 + len(header.payload) for _, header in peer.all)
    assert sent < 100_000 and (how == "never reads") == (peer.all[-1][1].type == RESET)


def test_nothing_that_a_stranger_sends_walks_through_all_connections() -> None:
    """SYNs and strays, from hosts with connections or without, forged ICMP: none takes a walk, but one each second."""

    class Counting(dict):  # type: ignore[type-arg]
        walks = 0

        def __iter__(self):  # type: ignore[no-untyped-def]
            Counting.walks += 1
            return super().__iter__()

        items = values = keys = None  # type: ignore[assignment]

    for accepting in (False, True):
        mux, rng = Multiplexer(rng=Random(1)), Random(2)
        mux.accepting = accepting
        for number in range(100):
            mux.connect(("192.0.2.1", 1 + number), now=SECOND)
        mux.table.by_key = Counting(mux.table.by_key)
        mux._connections = mux.table.by_key
        Counting.walks = 0
        mux.receive_datagrams([Datagram(syn(rng), anyone(rng)) for _ in range(1000)], now=SECOND)
        mux.receive_datagrams([Datagram(syn(rng), ("192.0.2.1", 9999)) for _ in range(1000)], now=SECOND)
        assert Counting.walks == 0 and mux.stats.syns_refused == (0 if accepting else 2000)
        strays = [encode_packet(Packet(PacketType.DATA, rng.getrandbits(16), payload=b"x")) for _ in range(1000)]
        mux.receive_datagrams([Datagram(stray, ("192.0.2.1", 9999)) for stray in strays], now=SECOND)
        mux.receive_datagrams([Datagram(stray, ("192.0.2.1", 1)) for stray in strays], now=SECOND)
        mux.receive_returned(
            [ReturnedDatagram(("192.0.2.1", 1), stray, Obstacle.PORT_CLOSED) for stray in strays], now=SECOND
        )
        len(mux)
        assert Counting.walks <= 1
