"""
How far does somebody get who does not see our packets (docs/security.rst)?

The odds that the page states are counted here, not estimated: all values of a field are tried.
"""

from __future__ import annotations

import sys
from random import Random
from struct import pack
from typing import TYPE_CHECKING

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.constants import (
    CHALLENGE_INTERVAL,
    ECHOES_TO_PROVE,
    EXTENSION_BITS_SIGNATURE,
    HALF_OPEN_GUESSES,
    MAX_ECHO_AGE,
    MAX_ECHO_EARLY,
    MAX_ECHO_MISSES,
    MAX_RESET_ECHO_AGE,
    MAX_SPAN_FOREIGN,
)
from twisted_utp.proto.echo import is_fresh
from twisted_utp.proto.events import LossReason
from twisted_utp.proto.half_open import HalfOpen
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.packet import Packet, PacketType, encode_packet
from twisted_utp.proto.seqnum import expand_seq
from twisted_utp.proto.states import State
from twisted_utp.proto.values import Datagram
from twisted_utp.testing import RawPeer
from twisted_utp.testing.wire import DATA, FIN, RESET, STATE

if TYPE_CHECKING:
    from tests.proto.conftest import Exchange

OURS = EXTENSION_BITS_SIGNATURE
SECOND = 1_000_000
RANGE = 1 << 32

# Packets in flight: the most that a peer of another kind can have, and one of ours.
FLIGHTS = {0: None, 10: None, 200: None, 895: None, 4000: OURS, 15_900: OURS}


def sending(peer: Exchange, packets: int, bits: int | None) -> Connection:
    """A connection that has so many packets in flight."""
    connection = peer.dial(config=UTPConfig(congestion="fixed", pacing=False, mtu=150), bits=bits)
    connection.trace = connection.sender.trace = None
    connection.sender.congestion.cwnd = 1e9
    peer.wnd = 1 << 30
    peer.state()
    if packets:
        peer.write(connection, bytes(packets * connection.sender.mss))
    assert connection.sender.next_seq - connection.sender.board.una == packets
    return connection


def is_due(connection: Connection, ack_nr: int) -> bool:
    """Does a RESET with this ack_nr need no more proof?"""
    return expand_seq(ack_nr, connection.sender.board.una) in connection.proof.due_reset_numbers()


# --- Odds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packets", FLIGHTS)
def test_odds_of_a_reset(exchange: type[Exchange], packets: int) -> None:
    """A blind RESET is right once in 2^28 at the best, whatever is in flight, and however it is guessed."""
    connection = sending(exchange(), packets, FLIGHTS[packets])
    una = connection.sender.board.una
    due = sum(is_due(connection, ack) for ack in range(1 << 16))
    valid = sum(connection.proof.is_valid_ack(expand_seq(ack, una) + 1) for ack in range(1 << 16))
    ids = 2 / (1 << 16)
    by_number = ids * due / (1 << 16)
    by_echo = ids * valid / (1 << 16) * (MAX_RESET_ECHO_AGE + MAX_ECHO_EARLY + 1) / RANGE
    assert by_number <= 1 / (1 << 28)
    assert by_echo <= 1 / (1 << 28)


@pytest.mark.parametrize("packets", FLIGHTS)
def test_odds_of_data_and_fin(exchange: type[Exchange], packets: int) -> None:
    """The same for all else that has effects: DATA, FIN, acknowledgements.  The echo or the numbers must be right."""
    connection = sending(exchange(), packets, FLIGHTS[packets])
    una, next_seq = connection.sender.board.una, connection.receiver.next_seq
    acks = sum(connection.proof.is_valid_ack(expand_seq(ack, una) + 1) for ack in range(1 << 16)) / (1 << 16)
    odds = {}
    for has_echo in (True, False):
        now = 10 * SECOND
        timestamp = now + connection.writer.clock_offset + (0 if has_echo else RANGE // 2)
        seqs = sum(
            connection.proof.is_plausible(timestamp, 0, expand_seq(seq, next_seq), una, now) for seq in range(1 << 16)
        )
        share = (MAX_ECHO_AGE + MAX_ECHO_EARLY + 1) / RANGE if has_echo else 1
        odds[has_echo] = acks * seqs / (1 << 16) * share / (1 << 16)
    assert odds[True] <= 1 / (1 << 28)
    assert odds[False] <= 1 / (1 << 28)


def test_odds_of_an_echo() -> None:
    """As many of the 2^32 differences pass as the limits say, on both sides of the wrap."""
    for limit in (MAX_ECHO_AGE, MAX_RESET_ECHO_AGE):
        edges = {-MAX_ECHO_EARLY - 1: False, -MAX_ECHO_EARLY: True, 0: True, limit: True, limit + 1: False}
        for offset in (0, 5, RANGE - 3):
            for age, passes in edges.items():
                assert is_fresh(1000, 1000 - 77 - offset + age & RANGE - 1, offset, 77, limit) is passes


def test_odds_of_a_proof(exchange: type[Exchange]) -> None:
    """A half-open connection is confirmed by one ack_nr, or by two on a STATE; three wrong ones end it."""
    half = HalfOpen(Packet(PacketType.SYN, 1, seq_nr=9), 500, 7, 0)
    for kind, expected in ((PacketType.DATA, 1), (PacketType.FIN, 1), (PacketType.STATE, 2)):
        assert sum(half.is_proven_by(Packet(kind, 2, ack_nr=ack)) for ack in range(1 << 16)) == expected
    peer = exchange()
    (answer,) = peer.syn()
    for number in range(HALF_OPEN_GUESSES):
        assert peer.mux.snapshot().half_open == 1
        assert peer.data(b"x", ack=answer.seq_nr + 5 + number) == []
    assert peer.mux.snapshot().half_open == 0 and peer.mux.stats.proofs_failed == HALF_OPEN_GUESSES
    assert peer.mux.poll_events() == []


@pytest.mark.interpreted
def test_a_half_open_connection_is_small() -> None:
    """A few hundred bytes with all that refers to it, and no application, trace or event."""
    mux = Multiplexer(rng=Random(1))
    mux.accepting = True
    heard: list[object] = []
    mux.tracer = lambda *args, **data: heard.append(args)
    for number in range(1000):
        packet = encode_packet(Packet(PacketType.SYN, number * 3, 1, seq_nr=7))
        mux.receive_datagrams([Datagram(packet, (f"10.0.{number >> 8}.{number & 255}", 1000))], now=SECOND)
        mux.poll_transmits(now=SECOND)
    table = mux.table.half_open.by_key
    key, half = next(iter(table.items()))
    numbers = [getattr(half, name) for name in HalfOpen.__slots__ if name != "extension_bits"]
    parts = [half, key, key[0], *key[0], *key[1:], *numbers]
    assert len(table) == 1000 and sys.getsizeof(table) / 1000 + sum(map(sys.getsizeof, parts)) < 700
    assert mux.poll_events() == [] and heard == [] and len(mux) == 0


# --- RESET --------------------------------------------------------------------------------------------------------


def test_a_doubtful_reset_is_challenged(exchange: type[Exchange]) -> None:
    """One that may be the peer's is asked about, rarely; who does not know the connection answers with the number."""
    peer = exchange()
    connection = sending(peer, 100, None)
    middle = connection.sender.board.una + 50
    (challenge,) = peer.reset(ack=middle, timestamp_difference=0)
    assert (challenge.type, challenge.seq_nr) == (PacketType.STATE, connection.sender.next_seq & 0xFFFF)
    assert peer.reset(ack=middle, timestamp_difference=0) == []
    assert connection.state is State.ESTABLISHED and peer.mux.stats.challenges_sent == 1
    peer.now += CHALLENGE_INTERVAL
    assert len(peer.reset(ack=middle, timestamp_difference=0)) == 1
    connection.write(bytes(20_000), now=peer.now)
    peer.flush()  # the next number moves on; the challenge's stays
    peer.reset(ack=challenge.seq_nr, timestamp_difference=0)
    assert [lost.reason for lost in peer.lost] == [LossReason.RESET]


def test_a_reset_with_an_echo_is_believed(exchange: type[Exchange]) -> None:
    """Our own RESETs to packets of no connection bear it, so that a peer of ours ends at the first."""
    peer = exchange()
    connection = sending(peer, 100, None)
    peer.reset(ack=connection.sender.board.una + 50)
    assert [lost.reason for lost in peer.lost] == [LossReason.RESET]


def test_our_strays_bear_an_echo() -> None:
    """A RESET of ours shows that its sender has read what it answers."""
    peer = RawPeer.facing()
    stray = peer.data(b"x", connection_id=99)
    reset = peer.expect(RESET)
    age = peer.simulator.now - (reset.timestamp - reset.timestamp_difference) & RANGE - 1
    assert (reset.ack_nr, age) == (stray.seq_nr, 20_000)


def test_a_blind_flood_of_resets(exchange: type[Exchange]) -> None:
    """Half a million, with the right id and random numbers: nothing ends, and challenges are few."""
    peer = exchange()
    connection = sending(peer, 15_900, OURS)
    rng, due = Random(3), connection.proof.due_reset_numbers()
    una = connection.sender.board.una
    for _ in range(5000):
        packets = []
        for _ in range(100):
            ack = rng.getrandbits(16)
            if expand_seq(ack, una) not in due:
                packets.append(peer.packet(PacketType.RESET, ack=ack, timestamp=rng.getrandbits(32)))
        batch = [Datagram(encode_packet(packet), peer.address) for packet in packets]
        peer.mux.receive_datagrams(batch, now=peer.now)
        if connection.state is State.CLOSED:
            break
    # By the echo alone one in some 14,000 with the right id passes; with random ids it is one in 2^28.
    assert peer.mux.stats.challenges_sent <= 1


# --- Dials --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_punching", [False, True])
def test_a_forged_crossing_syn_ends_no_dial(exchange: type[Exchange], is_punching: bool) -> None:
    """SYNs in the name of whom we dial are answered, and the dial goes on: the real answer opens the connection."""
    peer = exchange(UTPConfig(backlog=4), accepting=False)
    connection = peer.mux.connect(peer.address, now=peer.now, is_punching=is_punching)
    (syn,) = peer.flush()
    for number in range(10):
        peer.syn(id=syn.connection_id + 10 * number + 7 & 0xFFFF, seq=0)
    assert connection.state is State.SYN_SENT and peer.mux.snapshot().half_open <= 4
    peer.id, peer.seq, peer.ack = syn.connection_id, 2000, syn.seq_nr
    peer.state()
    assert connection.state is State.ESTABLISHED
    peer.data(b"real")
    assert peer.received == b"real"
    peer.wait(100 * SECOND)
    assert peer.mux.snapshot().half_open == 0


def test_a_crossing_syn_opens_the_dial(exchange: type[Exchange]) -> None:
    """When its sender is proved: one connection, on the peer's id."""
    peer = exchange(accepting=False)
    connection = peer.mux.connect(peer.address, now=peer.now)
    peer.flush()
    assert peer.accept(id=connection.recv_id + 100 & 0xFFFF, seq=0) is connection
    peer.data(b"x")
    assert peer.received == b"x" and len(peer.mux) == 1
    assert peer.mux.snapshot().half_open == 0


# --- Packets without an echo --------------------------------------------------------------------------------------


def test_a_clock_that_is_set_stops_nobody() -> None:
    """A peer whose clock jumps gives wrong echoes until it hears from us: its data goes on, also far ahead of gaps."""
    peer = RawPeer.facing()
    peer.handshake()
    for _ in range(5):
        peer.data(b"x")
        peer.drain()
    assert peer.record.connection.proof.is_given
    for jump in (3_000_000_000, 11):
        peer.timestamp_difference = jump
        peer.data(b"y", timestamp=77, timestamp_difference=jump)
        peer.data(b"z", seq_nr=peer.seq_nr + 500, timestamp=77, timestamp_difference=jump)
        answers = peer.drain()
        assert answers[-1].ack_nr == peer.seq_nr - 1 & 0xFFFF and answers[-1].extension(1)
    assert bytes(peer.record.data) == b"xxxxxyy"


def test_what_is_dropped_is_challenged(exchange: type[Exchange]) -> None:
    """With much in flight little without an echo is taken; the acknowledgement that answers lets the peer go on."""
    peer = exchange()
    connection = sending(peer, 15_900, OURS)
    far = peer.packet(PacketType.DATA, b"x", seq=peer.seq + 300, timestamp_difference=0)
    (challenge,) = peer.feed(far)
    assert challenge.type is PacketType.STATE and challenge.ack_nr == peer.seq - 1 & 0xFFFF
    assert not connection.receiver.has_gap
    assert peer.data(b"x", timestamp_difference=0)
    assert peer.received == b"x"


@pytest.mark.parametrize("bits", [None, OURS])
def test_slow_paths_work(bits: int | None) -> None:
    """A round trip longer than any echo's limit: data still flows both ways."""
    peer = RawPeer.facing(delay=MAX_ECHO_AGE, config=UTPConfig(connect_timeout=60, user_timeout=600))
    peer.syn(extensions=[(2, bits.to_bytes(8, "big"))] if bits else [])
    peer.ack_nr = peer.expect(STATE, within=60).seq_nr - 1
    peer.data(b"hello")
    peer.run_for(20)
    assert bytes(peer.record.data) == b"hello"
    peer.node.write(peer.record, b"back")
    assert peer.expect_until(DATA, within=60).payload == b"back"


# --- Acknowledging what one has not got ---------------------------------------------------------------------------


def blind_server(seed: int) -> RawPeer:
    """A peer without echoes that somebody has confirmed, and a server that has much to say."""
    peer = RawPeer.facing(seed=seed, config=UTPConfig(congestion="cubic"))
    peer.syn(timestamp_difference=0)
    peer.ack_nr = peer.expect(STATE).seq_nr - 1
    peer.data(b"GET", timestamp_difference=0)
    peer.run_for(0.1)
    peer.node.write(peer.record, bytes(8_000_000))
    return peer


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("step", [1, 7, 60])
def test_blind_acknowledgements_draw_nothing(seed: int, step: int) -> None:
    """
    However it steps, somebody who acknowledges what he has not read is cut off after some dozen packets; unless he
    guesses what was not sent at all, which counts for nothing.
    """
    peer = blind_server(seed)
    ack, acks = peer.ack_nr, 0
    while peer.record.reason is None and acks < 3000:
        ack, acks = ack + step, acks + 1
        peer.state(ack_nr=ack & 0xFFFF, timestamp_difference=0)
        peer.run_for(0.05)
    sent = sum(len(header.payload) + 20 for _, header in peer.all)
    assert peer.record.reason is (LossReason.TIMED_OUT if step == 60 else LossReason.FORGED), acks
    assert sent < 150_000
    peer.received.clear()
    peer.run_for(120)
    assert all(header.type == RESET for header in peer.received), "he is sent nothing more"


@pytest.mark.parametrize("seed", range(3))
def test_an_honest_peer_without_echo_is_served(seed: int) -> None:
    """It gets everything: a packet that was kept back is repeated like a lost one."""
    peer = blind_server(seed)
    got: dict[int, bytes] = {}
    while sum(map(len, got.values())) < 1_000_000:
        header = peer.next(within=5)
        assert header is not None, peer.record.reason
        if header.type == DATA:
            got[header.seq_nr] = header.payload
        while peer.ack_nr + 1 & 0xFFFF in got:
            peer.ack_nr += 1
        missing = [at for at in range(2, 34) if peer.ack_nr + at & 0xFFFF in got]
        mask = sum(1 << at - 2 for at in missing)
        peer.state(timestamp_difference=0, extensions=[(1, pack("<I", mask))] if mask else [])
    assert peer.record.reason is None and peer.record.connection.sender.withholding is not None


@pytest.mark.parametrize("seed", range(5))
def test_a_fin_does_not_overtake_what_is_held_back(seed: int) -> None:
    """npm's utp takes a FIN for the end even where data is missing before it."""
    peer = blind_server(seed)
    connection, got, fin = peer.record.connection, set(), None
    connection.sender.buffer.clear()
    peer.node.write(peer.record, bytes(60_000))
    peer.node.close(peer.record)
    while fin is None:
        header = peer.next(within=5)
        assert header is not None
        if header.type == FIN:
            fin = header.seq_nr
        got.add(header.seq_nr)
        while peer.ack_nr + 1 & 0xFFFF in got:
            peer.ack_nr += 1
        peer.state(timestamp_difference=0)
    assert peer.ack_nr & 0xFFFF == fin, "everything before it has come"


@pytest.mark.parametrize("seed", range(4))
def test_trying_all_echoes_proves_nothing(seed: int) -> None:
    """A guess that is right once stays right: three packets for each of 520 guesses are no proof."""
    peer = blind_server(seed)
    connection = peer.record.connection
    for guess in range(seed << 30, RANGE + (seed << 30), MAX_ECHO_AGE):
        for _ in range(ECHOES_TO_PROVE):
            peer.state(timestamp=guess & RANGE - 1, timestamp_difference=0)
        peer.run_for(0.001)
    assert not connection.proof.is_given and connection.sender.withholding is not None


def test_few_packets_without_an_echo_harm_nobody(exchange: type[Exchange]) -> None:
    """As many as are borne, by a clock that is set or a path that was slow, and the peer can still prove itself."""
    one = exchange()
    connection = one.accept_blindly()
    for _ in range(MAX_ECHO_MISSES - 1):
        one.data(b"x", timestamp_difference=0)
    for _ in range(ECHOES_TO_PROVE):
        one.data(b"x")
    assert connection.proof.is_given


def test_a_peer_with_echoes_gets_all_at_once() -> None:
    """Three of them, and nothing is kept back any more."""
    peer = RawPeer.facing()
    peer.handshake()
    for _ in range(2):
        peer.data(b"x")
        peer.drain()
    assert peer.record.connection.proof.is_given and peer.record.connection.sender.withholding is None
    peer.acknowledges = True
    peer.node.write(peer.record, bytes(2_000_000))
    peer.run_for(20)
    stats = peer.record.connection.stats()
    assert (stats.bytes_acked, stats.packets_retransmitted) == (2_000_000, 0)


def test_echoes_must_be_in_a_row(exchange: type[Exchange]) -> None:
    """By chance one packet in 520 has one: a wrong one in between begins anew."""
    peer = exchange()
    connection = peer.accept_blindly()
    for _ in range(4):
        for difference in (peer.difference, peer.difference, 0):
            peer.data(b"x", timestamp_difference=difference)
    assert not connection.proof.is_given
    for _ in range(3):
        peer.data(b"x")
    assert connection.proof.is_given
    peer.data(b"x", timestamp_difference=0)
    assert connection.proof.is_given


def test_span_of_foreign_peers_stays_within_the_odds() -> None:
    """The number of packets in flight to peers that may have no echo is part of the odds above."""
    assert max(packets for packets, bits in FLIGHTS.items() if bits is None) <= MAX_SPAN_FOREIGN


def test_honest_data_vouches_for_no_other(exchange: type[Exchange]) -> None:
    """A stranger's DATA, of the same length, that waits in the socket with the peer's is judged by itself."""
    one = exchange()
    connection = one.accept()
    for _ in range(4):
        one.data(b"true")
    honest = [one.packet(PacketType.DATA, b"true", seq=one.seq + at) for at in range(4)]
    forged = one.packet(PacketType.DATA, b"evil", seq=one.seq + 4, timestamp=1, timestamp_difference=1)
    far = one.packet(PacketType.DATA, b"evil", seq=one.seq + 9000, timestamp=1, timestamp_difference=1)
    for odd in (forged, far):
        odd.ack_nr = odd.ack_nr + 999 & 0xFFFF
    one.feed(honest[0], far, honest[1], forged, honest[2], honest[3])
    assert one.received == 8 * b"true"
    assert not connection.receiver.has_gap


def test_a_forged_state_supersedes_none(exchange: type[Exchange]) -> None:
    """A later STATE with a higher ack_nr, made up by a stranger, does not make us drop the peer's unread."""
    one = exchange()
    connection = one.accept()
    sent = one.write(connection, bytes(3000))
    one.now += SECOND // 50
    honest = one.packet(PacketType.STATE, ack=sent[-1].seq_nr)
    for seq, difference in ((one.seq + 500, one.difference), (one.seq, one.difference ^ 1 << 25)):
        forged = one.packet(PacketType.STATE, seq=seq, ack=sent[-1].seq_nr + 100, timestamp_difference=difference)
        assert connection.sender.board.flights
        one.feed(honest, forged)
        assert not connection.sender.board.flights
        sent = one.write(connection, bytes(1000))
        one.now += SECOND // 50
        honest = one.packet(PacketType.STATE, ack=sent[-1].seq_nr)
