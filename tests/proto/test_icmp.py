"""
Does an ICMP message mean what it should to a connection, and nothing when it was forged?
"""

from __future__ import annotations

from random import Random
from struct import pack, pack_into
from typing import TYPE_CHECKING

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.constants import BASE_MTU_IPV4, HEADER_SIZE
from twisted_utp.proto.events import Connected, ConnectionLost, LossReason
from twisted_utp.proto.icmp import QuotedPacket
from twisted_utp.proto.packet import PacketType
from twisted_utp.proto.states import State
from twisted_utp.proto.values import Address, Datagram, Obstacle, ReturnedDatagram, Transmit
from twisted_utp.testing import Pair
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.pair import SERVER_HOST, SERVER_PORT

if TYPE_CHECKING:
    from tests.proto.conftest import Exchange

TOO_BIG, PORT_CLOSED, UNREACHABLE = Obstacle.TOO_BIG, Obstacle.PORT_CLOSED, Obstacle.UNREACHABLE
SYN_ID_AT, TIMESTAMP_AT, SEQ_AT = 2, 4, 16
LINUX_QUOTES = 520
SECOND = 1_000_000


def dialled(peer: Exchange) -> Transmit:
    """Dial, and take the SYN."""
    peer.mux.connect(peer.address, now=peer.now)
    (syn,) = peer.mux.poll_transmits(now=peer.now)
    return syn


def more(peer: Exchange, connection: Connection) -> list[Transmit]:
    """The application writes on; what leaves."""
    connection.write(b"y" * 2_000, now=peer.now)
    return peer.mux.poll_transmits(now=peer.now)


def give_back(peer: Exchange, quoted: bytes, obstacle: Obstacle, size: int = 0, address: Address | None = None) -> None:
    """An ICMP message."""
    returned = ReturnedDatagram(address or peer.address, quoted[:LINUX_QUOTES], obstacle, size)
    peer.mux.receive_returned([returned], now=peer.now)
    peer.collect()


def with_field(quoted: bytes, at: int, code: str, change: int) -> bytes:
    """The quote with a header field that is off by C{change}."""
    changed = bytearray(quoted)
    width = {"H": 2, "I": 4}[code]
    value = int.from_bytes(quoted[at : at + width], "big") + change & (1 << 8 * width) - 1
    pack_into(">" + code, changed, at, value)
    return bytes(changed)


def counted(peer: Exchange) -> tuple[int, int, int]:
    """What was too big, unreachable, and ignored."""
    stats = peer.mux.stats
    return stats.icmp_too_big, stats.icmp_unreachable, stats.icmp_ignored


FORGERIES = {
    "another connection id": lambda quoted: with_field(quoted, SYN_ID_AT, "H", 1),
    "another seq_nr": lambda quoted: with_field(quoted, SEQ_AT, "H", 1),
    "an older seq_nr": lambda quoted: with_field(quoted, SEQ_AT, "H", -1),
    "sent in the future": lambda quoted: with_field(quoted, TIMESTAMP_AT, "I", 1),
    "too short": lambda quoted: quoted[: HEADER_SIZE - 1],
    "nothing": lambda quoted: b"",
    "not uTP": lambda quoted: b"d1:ad2:id20:" + quoted[12:],
    "a RESET": lambda quoted: bytes([PacketType.RESET << 4 | 1]) + quoted[1:],
    "a FIN": lambda quoted: bytes([PacketType.FIN << 4 | 1]) + quoted[1:],
}

# --- Unreachable ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("obstacle", "reason"), [(PORT_CLOSED, LossReason.REFUSED), (UNREACHABLE, LossReason.UNREACHABLE)]
)
def test_a_dial_ends_at_once(exchange: type[Exchange], obstacle: Obstacle, reason: LossReason) -> None:
    """The SYN came back: there is nothing to wait for, and nothing is left."""
    peer = exchange()
    syn = dialled(peer)
    give_back(peer, syn.payload, obstacle)
    assert peer.events == [ConnectionLost(reason)]
    assert (len(peer.mux), peer.mux.poll_timeout(), peer.flush()) == (0, None, [])
    assert counted(peer) == (0, 1, 0)


def test_a_punching_dial_goes_on(exchange: type[Exchange]) -> None:
    """The peer's NAT has no way in until the peer dials as well, and may say so (BEP 55)."""
    peer = exchange()
    connection = peer.mux.connect(peer.address, now=peer.now, is_punching=True)
    (syn,) = peer.mux.poll_transmits(now=peer.now)
    give_back(peer, syn.payload, PORT_CLOSED)
    assert connection.state is State.SYN_SENT
    assert peer.events == []


def test_any_syn_of_the_dial_counts(exchange: type[Exchange]) -> None:
    """Later SYNs come from other connection ids; the first may be the one that is answered."""
    peer = exchange()
    first = dialled(peer)
    assert len(peer.wait(4 * SECOND)) == 2
    give_back(peer, first.payload, PORT_CLOSED)
    assert peer.events == [ConnectionLost(LossReason.REFUSED)]
    assert len(peer.mux) == 0


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_quotes_of_a_syn(exchange: type[Exchange], forgery: str) -> None:
    """Who has not seen the SYN cannot end the dial (RFC 5927 (4.1))."""
    peer = exchange()
    syn = dialled(peer)
    give_back(peer, FORGERIES[forgery](syn.payload), PORT_CLOSED)
    assert (peer.events, counted(peer)) == ([], (0, 0, 1))
    assert peer.only().state is State.SYN_SENT


def test_quote_with_another_address(exchange: type[Exchange]) -> None:
    """A SYN to one peer is no SYN to another, nor to another port of the same."""
    peer = exchange()
    syn = dialled(peer)
    give_back(peer, syn.payload, PORT_CLOSED, address=("192.0.2.99", peer.address[1]))
    give_back(peer, syn.payload, PORT_CLOSED, address=(peer.address[0], peer.address[1] + 1))
    assert (peer.events, counted(peer)) == ([], (0, 0, 2))


def test_a_syn_is_never_too_big(exchange: type[Exchange]) -> None:
    """Every path carries it, so whoever says otherwise is not believed."""
    peer = exchange()
    syn = dialled(peer)
    give_back(peer, syn.payload, TOO_BIG, BASE_MTU_IPV4)
    assert (peer.events, counted(peer)) == ([], (0, 0, 1))


def with_data_in_flight(peer: Exchange, config: UTPConfig | None = None) -> tuple[Connection, Transmit]:
    """A connection, and a DATA packet of ours that has not been acknowledged."""
    connection = peer.dial(config=config)
    connection.write(b"x" * 100, now=peer.now)
    (transmit,) = peer.mux.poll_transmits(now=peer.now)
    peer.collect()
    return connection, transmit


@pytest.mark.parametrize("obstacle", [PORT_CLOSED, UNREACHABLE])
def test_an_established_connection_survives(exchange: type[Exchange], obstacle: Obstacle) -> None:
    """It is a hint, which is counted: routes come back, and timeouts tell (RFC 1122 (4.2.3.9), RFC 5927 (5.2))."""
    peer = exchange()
    connection, data = with_data_in_flight(peer)
    for _ in range(100):
        give_back(peer, data.payload, obstacle)
    assert counted(peer) == (0, 100, 0)
    assert peer.events == [Connected(incoming=False)]
    assert connection.stats().packets_lost == 0
    peer.ack += 1
    peer.state()
    assert connection.stats().bytes_acked == 100


def test_an_acceptor_survives(exchange: type[Exchange]) -> None:
    """Its SYN-ACK came back: the SYN's sender was forged, or its port is late.  The usual timeout decides."""
    peer = exchange()
    (answer,) = peer.syn()
    quoted = pack(">BBHIIIHH", 0x21, 0, answer.connection_id, answer.timestamp, 0, 0, answer.seq_nr, 0)
    give_back(peer, quoted, PORT_CLOSED)
    assert counted(peer) == (0, 0, 1)
    assert peer.mux.snapshot().half_open == 1


def test_a_peer_that_gave_no_echo_is_ended(exchange: type[Exchange]) -> None:
    """Its port is closed, says the network, and nothing that came from it shows that it reads us: it is forged."""
    peer = exchange()
    connection = peer.accept_blindly()
    (data,) = peer.write(connection, bytes(100))
    quoted = pack(">BBHIIIHH", 0x01, 0, data.connection_id, data.timestamp, 0, 0, data.seq_nr, 0)
    give_back(peer, quoted, PORT_CLOSED)
    assert counted(peer) == (0, 1, 0)
    assert [lost.reason for lost in peer.lost] == [LossReason.FORGED]
    assert peer.mux.stats.peers_cut_off == 1


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_quotes_of_data(exchange: type[Exchange], forgery: str) -> None:
    """Neither a hint nor a size."""
    peer = exchange()
    connection, data = with_data_in_flight(peer)
    before = connection.stats()
    for obstacle in Obstacle:
        give_back(peer, FORGERIES[forgery](data.payload), obstacle, 1000)
    assert (counted(peer), connection.stats()) == ((0, 0, 3), before)


def test_acknowledged_packets_do_not_come_back(exchange: type[Exchange]) -> None:
    """A quote of a packet that arrived is a lie, or too late to matter."""
    peer = exchange()
    _, data = with_data_in_flight(peer)
    peer.ack += 1
    peer.state()
    give_back(peer, data.payload, PORT_CLOSED)
    assert counted(peer) == (0, 0, 1)


# --- Too big --------------------------------------------------------------------------------------------------


def with_probe(peer: Exchange) -> tuple[Connection, Transmit]:
    """A connection with an MTU probe on its way."""
    connection = peer.dial(config=UTPConfig(congestion="fixed", pacing=False))
    transmits: list[Transmit] = []
    for _ in range(2):  # a probe never travels alone
        connection.write(b"x" * 2_000, now=peer.now)
        transmits += peer.mux.poll_transmits(now=peer.now)
    peer.collect()
    (probe,) = [transmit for transmit in transmits if transmit.dont_fragment]
    return connection, probe


def test_the_reported_size_is_tried_next(exchange: type[Exchange]) -> None:
    """The payload is sent again at once without padding, and the next probe is what the router named."""
    peer = exchange()
    connection, probe = with_probe(peer)
    before = connection.stats()
    give_back(peer, probe.payload, TOO_BIG, 1252)
    transmits = more(peer, connection)
    again = [transmit for transmit in transmits if transmit.payload[SEQ_AT : SEQ_AT + 2] == probe.payload[16:18]]
    assert [len(transmit.payload) <= BASE_MTU_IPV4 for transmit in again] == [True]
    assert [len(transmit.payload) for transmit in transmits if transmit.dont_fragment] == [1252]
    assert counted(peer) == (1, 0, 0)
    after = connection.stats()
    assert (after.packets_lost, after.window_cuts, after.cwnd, after.timeouts) == (0, 0, before.cwnd, 0)


def test_the_size_may_be_missing(exchange: type[Exchange]) -> None:
    """Routers of before RFC 1191 name none: the search goes on below the size that failed."""
    peer = exchange()
    connection, probe = with_probe(peer)
    give_back(peer, probe.payload, TOO_BIG)
    (following,) = [len(sent.payload) for sent in more(peer, connection) if sent.dont_fragment]
    assert BASE_MTU_IPV4 < following < len(probe.payload) - 100


@pytest.mark.parametrize("size", [1, 68, BASE_MTU_IPV4 - 1, 1402, 1403, 9000, 1 << 31])
def test_sizes_that_cannot_be(exchange: type[Exchange], size: int) -> None:
    """Less than every path carries, or as much as the packet had: ignored (RFC 5927 (7.2), RFC 8201 (4))."""
    peer = exchange()
    connection, probe = with_probe(peer)
    assert len(probe.payload) == 1402
    give_back(peer, probe.payload, TOO_BIG, size)
    assert counted(peer) == (0, 0, 1)
    assert connection.sender.mtu.probing == 1402
    assert connection.sender.mtu.size == BASE_MTU_IPV4


def test_a_probe_comes_back_once(exchange: type[Exchange]) -> None:
    """What was sent again without padding is no probe any more."""
    peer = exchange()
    connection, probe = with_probe(peer)
    give_back(peer, probe.payload, TOO_BIG, 1252)
    peer.now += 1
    more(peer, connection)
    give_back(peer, probe.payload, TOO_BIG, 1000)
    assert counted(peer) == (1, 0, 1)
    assert connection.sender.mtu.probing == 1252


def test_rubbish_never_raises() -> None:
    """Whatever is quoted."""
    pair = Pair()
    ends = pair.connect()
    transfer = pair.start_transfer(ends, 300_000)
    random, mux = Random(1), pair.client.multiplexer
    sent = pair.log.entries[-1].data
    for _ in range(500):
        quoted = bytearray(sent[: random.randrange(60)])
        for _ in range(min(len(quoted), 3)):
            quoted[random.randrange(len(quoted))] = random.randrange(256)
        returned = ReturnedDatagram(
            (SERVER_HOST, SERVER_PORT), bytes(quoted), random.choice(list(Obstacle)), random.randrange(3000)
        )
        mux.receive_returned([returned], now=pair.client.now())
    pair.drive(lambda: transfer.done, limit=60)
    assert mux.stats.icmp_ignored > 400


def test_quotes_are_read_like_packets() -> None:
    """The header's fields, whatever follows it or is cut off."""
    header = pack(">BBHIIIHH", 0x01, 2, 7, 8, 9, 10, 11, 12)
    for tail in (b"", b"\x08", bytes(500)):
        assert QuotedPacket.of(ReturnedDatagram(("192.0.2.1", 1), header + tail, TOO_BIG, 99)) == QuotedPacket(
            PacketType.DATA, 7, 8, 11, TOO_BIG, 99
        )


# --- In the simulated network ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [600, 900, 1280, 1400, 1450])
def test_path_mtu_with_icmp(path: int) -> None:
    """The router's word is taken: exact to the byte, with one probe too many, and no packet counts as lost."""
    pair = Pair(link={"rate": 20_000_000, "delay": 25_000, "mtu": path}, config=UTPConfig(congestion="ledbat"))
    pair.network.answer_too_big(pair.up)
    ends = pair.connect()
    probes: list[int] = []

    def watch(packet: Packet) -> bool:
        if packet.dont_fragment:
            probes.append(packet.size)
        return False

    pair.up.taps.append(watch)
    transfer = pair.start_transfer(ends, 500_000)
    pair.drive(lambda: transfer.done, limit=60)
    sender = ends.client.connection.sender
    assert sender.mtu.size == path - 28
    too_big = [size for size in (1430, 1500) if size > path][:1]
    assert probes == ([1430] if path >= 1430 else []) + too_big + [path]
    stats = ends.client.connection.stats()
    assert (stats.packets_lost, stats.window_cuts, stats.timeouts) == (0, 0, 0)
    assert pair.client.multiplexer.stats.icmp_too_big == 1


def test_closed_port_in_the_simulator() -> None:
    """Where the host answers, a connect is refused after a round trip; the answer of a firewall is silence."""
    pair = Pair(link={"delay": 25_000})
    pair.server.host.answers_after = 25_000
    start = pair.simulator.now
    record = pair.client.connect((SERVER_HOST, 1))
    pair.drive(lambda: record.lost is not None, limit=5)
    assert record.reason is LossReason.REFUSED
    assert pair.simulator.now - start == 50_000


def test_data_for_nobody(exchange: type[Exchange]) -> None:
    """Quotes of a connection that is no more, or never was, are counted and forgotten."""
    peer = exchange()
    give_back(peer, pack(">BBHIIIHH", 0x01, 0, 7, 8, 9, 10, 11, 12), TOO_BIG, 1000)
    assert (counted(peer), len(peer.mux), peer.flush()) == ((0, 0, 1), 0, [])
    assert peer.mux.receive_datagrams([Datagram(b"", peer.address)], now=peer.now) != []
