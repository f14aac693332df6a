"""
Do we get on with what peers really send: data, acknowledgements, timestamps, windows?

The sections 2.4 and 2.6 of the survey of peers, one test for each quirk, byte by byte.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.events import Connected
from twisted_utp.testing.link import Link
from twisted_utp.testing.network import Network
from twisted_utp.testing.node import Node
from twisted_utp.testing.raw_peer import RawPeer
from twisted_utp.testing.simulator import Simulator
from twisted_utp.testing.wire import DATA, STATE, SYN, Header

SMALL_PACKETS = UTPConfig(mtu=150, congestion="fixed", pacing=False)
PAYLOAD = 130
OUR_EXTENSION_BITS = bytes.fromhex("7477757400000000")


class Sequence(Random):
    """
    Chooses the given first sequence number, whatever is asked for.
    """

    def __init__(self, number: int) -> None:
        super().__init__(0)
        self.number = number

    def getrandbits(self, k: int, /) -> int:
        return self.number


def connected(config: UTPConfig | None = None, **settings: object) -> RawPeer:
    """A peer that connected to a node."""
    peer = RawPeer.facing(config=config, **settings)  # type: ignore[arg-type]
    peer.handshake()
    return peer


def facing_sender(packets: int = 12, *, delay: int = 50_000) -> tuple[RawPeer, list[Header]]:
    """A peer that was just sent that many packets in one go, and has acknowledged none of them."""
    peer = connected(SMALL_PACKETS, delay=delay)
    peer.node.write(peer.record, bytes(PAYLOAD * packets))
    sent = [header for header in peer.drain(within=delay / 1e6 + 0.01) if header.type == DATA]
    assert len(sent) == packets
    peer.ack_nr = sent[0].seq_nr - 1
    return peer, sent


# --- Sequence numbers and acknowledgements --------------------------------------------------------------------


def test_state_carries_the_next_seq_nr_unconsumed() -> None:
    """libutp throws away an ack whose seq_nr is not near the next one: ours is exactly that, before and after."""
    peer = connected()
    peer.node.write(peer.record, b"x")
    sent = peer.expect(DATA)
    peer.state()
    for _ in range(3):
        peer.data(b"y")
        assert peer.expect(STATE).seq_nr == (sent.seq_nr + 1) & 0xFFFF
    peer.node.write(peer.record, b"z")
    assert peer.expect(DATA).seq_nr == (sent.seq_nr + 1) & 0xFFFF


def test_one_ack_for_a_batch() -> None:
    """Everything that arrives together gets one STATE."""
    peer = connected()
    for _ in range(20):
        peer.data(bytes(100))
    states = peer.drain()
    assert [header.ack_nr for header in states] == [peer.seq_nr - 1]


def test_ack_rides_on_data() -> None:
    """What the application writes while it hears of data carries the ack: no STATE besides."""
    peer = connected()
    peer.record.on_data = lambda data: peer.record.connection.write(b"answer", now=peer.node.now())
    peer.data(b"question")
    answer = peer.expect(DATA)
    assert answer.ack_nr == peer.seq_nr - 1
    peer.state()
    peer.expect_nothing()


def test_old_data_is_acked_again_at_once() -> None:
    """The peer repeats what we have: our ack was lost, and the next one goes out at once (libutp UI:1890)."""
    peer = connected()
    peer.data(b"once", seq_nr=peer.seq_nr)
    peer.expect(STATE)
    peer.data(b"once", seq_nr=peer.seq_nr)
    assert peer.expect(STATE, within=0.03).ack_nr == peer.seq_nr
    assert bytes(peer.record.data) == b"once"


def test_data_ahead_of_a_gap_is_acked_at_once() -> None:
    """A gap is told of at once, with the selective ack."""
    peer = connected()
    peer.data(b"b", seq_nr=peer.seq_nr + 1)
    state = peer.expect(STATE, within=0.03)
    assert state.ack_nr == peer.seq_nr - 1 and state.extension(1) == b"\x01\0\0\0"


def test_ack_nr_beyond_what_was_sent_is_ignored() -> None:
    """ethereum/utp resets the connection (EC:911); we ignore the packet and go on."""
    peer, sent = facing_sender()
    peer.state(ack_nr=sent[-1].seq_nr + 1)
    peer.data(b"not this", ack_nr=sent[-1].seq_nr + 100, seq_nr=peer.seq_nr)
    peer.run_for(0.06)
    stats = peer.record.connection.stats()
    assert stats.bytes_acked == 0 and stats.packets_invalid == 2 and peer.record.lost is None
    peer.ack_nr = sent[-1].seq_nr
    peer.data(b"but this")
    peer.run_for(0.06)
    assert bytes(peer.record.data) == b"but this"
    assert peer.record.connection.stats().bytes_acked == 12 * PAYLOAD


@pytest.mark.parametrize(("lag", "valid"), [(0, True), (1, True), (3, True), (4, False), (1000, False), (32767, False)])
def test_ack_nr_may_lag_by_three(lag: int, valid: bool) -> None:
    """An ack_nr up to 3 below the newest acknowledged is valid (libutp UI:1794), an older one is not."""
    peer, sent = facing_sender()
    peer.ack_nr = sent[9].seq_nr
    peer.state()
    peer.run_for(0.06)
    peer.data(b"x", ack_nr=sent[9].seq_nr - lag)
    peer.run_for(0.06)
    assert bytes(peer.record.data) == (b"x" if valid else b"")
    assert peer.record.connection.stats().bytes_acked == 10 * PAYLOAD and peer.record.lost is None


def test_keepalive_with_ack_nr_minus_1_is_no_duplicate_ack() -> None:
    """libutp's keepalive is a STATE with ack_nr - 1: a sign of life, no sign of loss, and not answered."""
    peer, sent = facing_sender()
    peer.ack_nr = sent[2].seq_nr
    peer.state()
    peer.run_for(0.06)
    for _ in range(5):
        peer.state(ack_nr=peer.ack_nr - 1)
    peer.expect_nothing(within=0.12)
    assert peer.record.connection.stats().packets_lost == 0


def test_keepalive_is_not_answered() -> None:
    """A STATE never provokes a packet, or two stacks would play ping-pong."""
    peer = connected()
    peer.state(ack_nr=peer.ack_nr - 1)
    peer.state()
    peer.expect_nothing(within=5)


def test_three_duplicate_acks_repeat_the_first_packet() -> None:
    """Peers without selective acks say it with repeated STATEs."""
    peer, sent = facing_sender()
    peer.ack_nr = sent[2].seq_nr
    for _ in range(4):
        peer.state()
    assert peer.expect(DATA, within=0.12).seq_nr == sent[3].seq_nr
    peer.expect_nothing(within=0.05)


def test_two_duplicate_acks_repeat_nothing() -> None:
    """Two are reordering."""
    peer, sent = facing_sender()
    peer.ack_nr = sent[2].seq_nr
    for _ in range(3):
        peer.state()
    peer.expect_nothing(within=0.12)


def test_duplicate_acks_count_in_state_only() -> None:
    """A peer that sends data repeats its ack_nr in every DATA: that is no duplicate ack (UI:1923, US:2694)."""
    peer, sent = facing_sender()
    peer.ack_nr = sent[2].seq_nr
    for _ in range(6):
        peer.data(b"x")
    assert DATA not in [header.type for header in peer.drain(within=0.12)]
    assert peer.record.connection.stats().packets_lost == 0


def test_span_to_a_foreign_peer_is_bounded() -> None:
    """libutp drops what is 1024 ahead, libtorrent 953, and its SACK ends there: at most ~900 are under way."""
    peer = connected(SMALL_PACKETS)
    peer.node.write(peer.record, bytes(PAYLOAD * 5000))
    sent = {header.seq_nr for header in peer.drain(within=0.02) if header.type == DATA}
    assert 500 < len(sent) <= 900


def test_span_to_one_of_ours_is_wider() -> None:
    """A peer with our extension bits takes more."""
    peer = RawPeer.facing(config=SMALL_PACKETS)
    peer.syn(extensions=[(2, OUR_EXTENSION_BITS)])
    peer.ack_nr = peer.expect(STATE).seq_nr - 1
    peer.state()
    peer.run_for(0.1)
    peer.node.write(peer.record, bytes(PAYLOAD * 5000))
    assert len([header for header in peer.drain(within=0.02) if header.type == DATA]) > 2000


@pytest.mark.parametrize("first", [65533, 65534, 65535, 0, 32767])
def test_peers_sequence_numbers_wrap(first: int) -> None:
    """Data, gaps and selective acks across 65535 -> 0."""
    peer = RawPeer.facing()
    peer.handshake(seq_nr=first)
    for number, ahead in ((1, 1), (3, 3)):
        peer.data(bytes([number]), seq_nr=(first + 1 + ahead) & 0xFFFF)
    state = peer.drain()[-1]
    assert state.ack_nr == first and state.extension(1) == b"\x05\0\0\0"
    for number in (0, 2):
        peer.data(bytes([number]), seq_nr=(first + 1 + number) & 0xFFFF)
    state = peer.drain()[-1]
    assert state.ack_nr == (first + 4) & 0xFFFF and not state.extensions
    assert bytes(peer.record.data) == bytes(range(4))


@pytest.mark.parametrize("first", [65530, 65535, 0])
def test_our_sequence_numbers_wrap(first: int) -> None:
    """So do ours, and acknowledgements of them, cumulative and selective."""
    peer = RawPeer.facing(config=SMALL_PACKETS, rng=Sequence(first), delay=50_000)
    assert peer.handshake().seq_nr == first
    peer.node.write(peer.record, bytes(PAYLOAD * 12))
    sent = peer.drain(within=0.06)
    assert [header.seq_nr for header in sent] == [(first + number) & 0xFFFF for number in range(12)]
    peer.ack_nr = sent[4].seq_nr
    peer.state(extensions=[(1, b"\x3f\0\0\0")])
    assert peer.expect(DATA, within=0.12).seq_nr == sent[5].seq_nr
    peer.ack_nr = sent[-1].seq_nr
    peer.state()
    peer.run_for(0.1)
    assert peer.record.connection.stats().bytes_acked == 12 * PAYLOAD


def test_many_wraps() -> None:
    """150,000 packets: the sequence number wraps twice in each direction of acknowledgement."""
    simulator = Simulator()
    network = Network(simulator)
    one, other = network.add_host("10.0.0.1"), network.add_host("10.0.0.2")
    network.join(one, other, there=[Link(simulator, delay=1000)], back=[Link(simulator, delay=1000)])
    config = UTPConfig(mtu=150, congestion="fixed", pacing=False)
    client, server = Node(one, config=config, gro=True), Node(other, 1, config=config, accepting=True, gro=True)
    record = client.connect(server.address)
    simulator.run_for(10_000)
    heard = server.records[0]
    count = 0

    def note(data: bytes) -> None:
        nonlocal count
        count += len(data)

    heard.on_data = note
    total = 150_000 * PAYLOAD
    client.write(record, bytes(total))
    simulator.run(lambda: count >= total)
    assert count == total and record.lost is None
    assert record.connection.stats().packets_retransmitted == 0


# --- Odd packets ----------------------------------------------------------------------------------------------


def test_empty_data_consumes_its_seq_nr() -> None:
    """libutp delivers nothing and goes on, libtorrent acks it, ethereum resets: we do as the first two."""
    peer = connected()
    peer.data(b"")
    assert peer.expect(STATE).ack_nr == peer.seq_nr - 1
    peer.data(b"next")
    peer.drain()
    assert peer.record.events == [Connected(incoming=True), b"next"]


def test_empty_data_ahead_of_a_gap() -> None:
    """It fills its place there too."""
    peer = connected()
    first = peer.seq_nr
    peer.data(b"", seq_nr=first + 1)
    peer.data(b"c", seq_nr=first + 2)
    peer.data(b"a", seq_nr=first)
    assert peer.drain()[-1].ack_nr == first + 2
    assert bytes(peer.record.data) == b"ac"


def test_state_with_payload_is_tolerated() -> None:
    """The payload of a STATE is nobody's: it consumes nothing and is not delivered."""
    peer = connected()
    peer.state(payload=b"what is this")
    peer.data(b"data")
    peer.drain()
    assert bytes(peer.record.data) == b"data"


def test_wildly_wrong_seq_nr_is_ignored() -> None:
    """Neither far ahead nor far behind reaches the stream; the connection goes on."""
    peer = connected()
    for offset in (20_000, 32_767, -32_768, -5):
        peer.data(b"wrong", seq_nr=peer.seq_nr + offset & 0xFFFF)
    peer.drain()
    peer.data(b"right")
    peer.drain()
    assert bytes(peer.record.data) == b"right"


def test_same_packet_ahead_of_a_gap_twice() -> None:
    """A duplicate of what waits ahead of a gap changes nothing."""
    peer = connected()
    first = peer.seq_nr
    for _ in range(3):
        peer.data(b"b", seq_nr=first + 1)
    peer.data(b"a", seq_nr=first)
    peer.drain()
    assert bytes(peer.record.data) == b"ab"


def test_large_datagram() -> None:
    """Other stacks send up to the link's MTU, and loopback's is 64 KiB."""
    peer = connected()
    payload = bytes(range(256)) * 250
    peer.data(payload)
    peer.expect(STATE)
    assert bytes(peer.record.data) == payload


@pytest.mark.parametrize(("host", "base", "limit"), [("10.0.0", 548, 1472), ("fd00:", 1232, 1452)])
def test_our_datagrams_fit_the_path(host: str, base: int, limit: int) -> None:
    """What every path carries until more is known about this one, an Ethernet's worth at the most."""
    simulator = Simulator()
    network = Network(simulator)
    separator = "." if "." in host else ":"
    one, other = network.add_host(f"{host}{separator}1"), network.add_host(f"{host}{separator}2")
    sizes: list[int] = []
    link = Link(simulator)
    link.taps.append(lambda packet: sizes.append(len(packet.data)) or False)  # type: ignore[func-returns-value]
    network.join(one, other, there=[link], back=[Link(simulator)])
    client, server = Node(one), Node(other, accepting=True)
    record = client.connect(server.address)
    client.write(record, bytes(100_000))
    simulator.run(lambda: bool(server.records) and server.records[0].nbytes == 100_000)
    assert sizes[1] == base  # after the SYN
    assert max(sizes) == limit


# --- Timestamps -----------------------------------------------------------------------------------------------


def test_timestamp_difference_is_measured_on_receipt() -> None:
    """It tells how long the peer's last packet took, however late the packet that carries it is sent."""
    peer = connected(clock_offset=123_456)
    expected = 10_000 + 123_456 + peer.record.connection.writer.clock_offset & 0xFFFFFFFF
    peer.data(b"x")
    assert peer.expect(STATE).timestamp_difference == expected
    peer.run_for(3)
    peer.node.write(peer.record, b"y")
    assert peer.expect(DATA).timestamp_difference == expected


def test_timestamps_are_the_senders_clock() -> None:
    """Microseconds of our own clock with the connection's offset, modulo 2^32."""
    peer = connected(clock_offset=5_000_000_000)
    sent_at = peer.node.now()
    peer.node.write(peer.record, b"x")
    assert peer.expect(DATA).timestamp == sent_at + peer.record.connection.writer.clock_offset & 0xFFFFFFFF


def queuing_delay(peer: RawPeer, *differences: int) -> int:
    """The node's estimate after it was told these one-way delays, one for each of its packets."""
    for difference in differences:
        peer.node.write(peer.record, b"x")
        peer.expect_until(DATA)
        peer.timestamp_difference = difference
        peer.state()
        peer.run_for(0.05)
    return peer.record.connection.stats().queuing_delay


@pytest.mark.parametrize("nothing", [0, 0x7FFFFFFF], ids=["0", "INT_MAX"])
def test_no_sample_yet(nothing: int) -> None:
    """0 and INT_MAX both mean that the peer has measured nothing (UI:2017): no base, no delay."""
    peer = connected(delay=50_000)
    assert queuing_delay(peer, nothing, nothing) == 0
    assert peer.record.connection.sender.delay.base is None
    assert queuing_delay(peer, 50_000) == 0
    assert queuing_delay(peer, *[60_000] * 4, nothing) == 10_000
    assert peer.record.connection.sender.delay.base == 50_000


@pytest.mark.parametrize("garbage", [0x80000000, 0x90000000, 0xC0000000, 0x7FFFFFFE + 60_000])
def test_half_range_samples_are_garbage(garbage: int) -> None:
    """A hostile value crashed libutp's assert (UI:2057): it must neither count as delay nor become the base."""
    peer = connected(delay=50_000)
    assert queuing_delay(peer, 50_000, *[60_000] * 4) == 10_000
    assert queuing_delay(peer, garbage, garbage, garbage) == 10_000
    assert peer.record.connection.sender.delay.base == 50_000
    assert queuing_delay(peer, 60_000) == 10_000 and peer.record.lost is None


def test_delay_is_clamped_to_the_round_trip() -> None:
    """There alone cannot take longer than there and back (UI:1621): a lying or stepping clock is found out."""
    peer = connected(delay=50_000)
    assert queuing_delay(peer, 50_000, *[3_000_000] * 5) <= 100_000


def test_timestamps_wrap() -> None:
    """Timestamps and differences across 2^32 (every 71.6 minutes) are as good as any."""
    peer = connected(delay=50_000, clock_offset=2**32 - 1_000_000_000 - 250_000)  # wraps in a quarter of a second
    base = 2**32 - 30_000
    assert queuing_delay(peer, base, base, *[(base + 40_000) % 2**32] * 4) == 40_000
    assert peer.node.now() > 2**32
    peer.data(b"x")
    offset = peer.record.connection.writer.clock_offset
    assert peer.expect_until(STATE).timestamp_difference == (50_000 + 2**32 - 1_000_250_000 + offset) % 2**32


# --- Windows --------------------------------------------------------------------------------------------------


def test_window_is_honoured_strictly() -> None:
    """libtorrent drops data beyond its window (US:2415): not a byte more than advertised is under way."""
    peer = RawPeer.facing(config=SMALL_PACKETS, delay=50_000)
    peer.handshake(wnd_size=1000)
    peer.node.write(peer.record, bytes(10_000))
    first = [header for header in peer.drain(within=0.06) if header.type == DATA]
    assert 500 < sum(len(header.payload) for header in first) <= 1000
    peer.ack_nr = first[0].seq_nr
    peer.wnd_size = 1000 - len(first[0].payload)
    peer.state()  # one packet less under way, one packet less of window: nothing may follow
    peer.expect_nothing(within=0.12)
    peer.wnd_size = 1000
    peer.state()
    more = {header.seq_nr: header for header in first[1:] + peer.drain(within=0.12) if header.type == DATA}
    assert len(first) - 1 < len(more)
    assert sum(len(header.payload) for header in more.values()) <= 1000


def test_shrinking_window_of_an_old_packet_does_not_count() -> None:
    """A packet that was overtaken tells of an old window."""
    peer, sent = facing_sender()
    peer.ack_nr = sent[-1].seq_nr
    peer.state()
    peer.state(ack_nr=sent[-1].seq_nr - 2, wnd_size=0)
    peer.run_for(0.1)
    assert peer.record.connection.stats().peer_window == peer.wnd_size


def zero_window_probes(count: int, *, takes: bool) -> list[int]:
    """The times between the probes to a peer whose window stays closed, and which takes them or not."""
    peer = RawPeer.facing()
    peer.handshake(wnd_size=0)
    peer.node.write(peer.record, bytes(100_000))
    peer.expect_nothing(within=0.15)
    times = []
    for _ in range(count):
        ack_nr = peer.ack_nr
        assert len(peer.expect(DATA, within=70).payload) <= 1382
        times.append(peer.simulator.now)
        if not takes:
            peer.ack_nr = ack_nr
        peer.state()
    assert peer.record.lost is None
    return [later - earlier for earlier, later in pairwise(times)]


def test_zero_window_is_probed_ever_more_rarely() -> None:
    """A closed window is probed with one packet after a timeout, then after ever longer ones."""
    gaps = zero_window_probes(7, takes=False)
    assert min(gaps) >= 200_000 and gaps[0] < gaps[-1] <= 60_000_000


def test_zero_window_stays_closed_for_a_peer_that_takes_the_probes() -> None:
    """A peer that acknowledges each probe but keeps its window closed is not fed a packet each round trip."""
    assert min(zero_window_probes(7, takes=True)) >= 200_000


def test_answers_to_zero_window_probes_are_no_duplicate_acks() -> None:
    """STATEs that say "still closed" repeat ack_nr: they are no sign of loss (RFC 5681, (2): the window is the same
    and something in flight, but the probe was refused)."""
    gaps = zero_window_probes(7, takes=False)
    assert min(gaps) >= 200_000


def test_nothing_goes_beyond_the_window_of_a_peer_that_answers() -> None:
    """
    KTorrent resets a connection that brings it more than it has room for: its window is asked for with old bytes, also
    when three questions are lost.
    """
    peer = RawPeer.facing()
    peer.handshake(wnd_size=0)
    peer.node.write(peer.record, bytes(100_000))
    acknowledged = peer.ack_nr
    for count in range(24):
        question = peer.expect(DATA, within=70)
        assert (question.seq_nr, len(question.payload)) == (acknowledged - 1 & 0xFFFF, 1)
        peer.ack_nr = acknowledged
        if count % 4 == 3:
            peer.state()
    peer.wnd_size = 1000
    peer.state()
    assert len(peer.expect(DATA, within=1).payload) <= 1000


def test_zero_window_is_outlived() -> None:
    """As long as the peer answers, a closed window is no reason to give up, for minutes."""
    peer = RawPeer.facing(config=UTPConfig(user_timeout=5.0))
    peer.handshake(wnd_size=0)
    peer.node.write(peer.record, b"late")
    ack_nr = peer.ack_nr
    end = peer.simulator.now + 120_000_000
    while peer.simulator.now < end:
        if peer.next(within=1) is not None:
            peer.ack_nr = ack_nr  # the probe is not taken
            peer.state()
    assert peer.record.lost is None
    peer.wnd_size = 100_000
    peer.state()
    assert peer.expect_until(DATA, within=70).payload == b"late"


def test_window_opens_by_itself() -> None:
    """A STATE with a window starts the flow at once, without waiting for the probe."""
    peer = RawPeer.facing()
    peer.handshake(wnd_size=0)
    peer.node.write(peer.record, b"x")
    peer.run_for(0.05)
    peer.state(wnd_size=1 << 20)
    peer.expect(DATA, within=0.03)


def test_window_update_without_being_asked() -> None:
    """libtorrent has none, libutp's comes late: when a paused reader drains, the peer hears of it at once."""
    peer = connected(UTPConfig(receive_buffer=16_384))
    peer.node.pause_reading(peer.record)
    for _ in range(16):
        peer.data(bytes(1024))
    assert peer.drain()[-1].wnd_size == 0
    assert peer.record.nbytes == 0
    peer.node.resume_reading(peer.record)
    assert peer.expect(STATE, within=0.03).wnd_size == 16_384
    assert peer.record.nbytes == 16_384


def test_data_beyond_our_window_is_dropped() -> None:
    """Who ignores our window cannot make us hold more than the receive buffer; dropped data is not acknowledged."""
    peer = connected(UTPConfig(receive_buffer=16_384))
    peer.node.pause_reading(peer.record)
    first = peer.seq_nr
    for _ in range(40):
        peer.data(bytes(1024))
    last = peer.drain()[-1]
    assert last.ack_nr == first + 15 and last.wnd_size == 0
    assert peer.record.connection.receiver.unread_bytes == 16_384
    peer.node.resume_reading(peer.record)
    peer.data(b"on", seq_nr=first + 16)
    peer.drain()
    assert peer.record.nbytes == 16_386


def test_data_ahead_of_a_gap_counts_against_the_buffer() -> None:
    """What waits ahead of a gap is bounded too; the packet that closes the gap always gets in."""
    peer = connected(UTPConfig(receive_buffer=16_384))
    first = peer.seq_nr
    for ahead in range(1, 60):
        peer.data(bytes(1024), seq_nr=first + ahead)
    peer.drain()
    assert peer.record.nbytes == 0
    peer.data(bytes(1024), seq_nr=first)
    state = peer.drain()[-1]
    assert first + 14 <= state.ack_nr <= first + 16
    assert peer.record.nbytes == (state.ack_nr - first + 1) * 1024


def test_reader_that_is_paused_gets_nothing() -> None:
    """No data and no end of stream while reading is paused, all of it after."""
    peer = connected()
    peer.node.pause_reading(peer.record)
    peer.data(b"a")
    peer.fin()
    peer.drain()
    assert peer.record.events == [Connected(incoming=True)]
    peer.node.resume_reading(peer.record)
    assert bytes(peer.record.data) == b"a" and peer.record.eof


# --- Keepalive ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("says", [b"", b"something"])
def test_our_keepalive(says: bytes) -> None:
    """
    After 29 s of silence a byte that the peer has acknowledged: all stacks answer it at once, and nothing else.

    The acceptor, which this is, leaves the initiator the first word.
    """
    peer = connected()
    peer.acknowledges = True
    if says:
        peer.node.write(peer.record, says)
        peer.expect(DATA)
    since = peer.simulator.now
    for _ in range(3):
        keepalive = peer.expect(DATA, within=32)
        assert len(keepalive.payload) == 1 and keepalive.seq_nr == peer.ack_nr - 1 & 0xFFFF
        assert 29_000_000 < peer.simulator.now - since <= 31_000_000  # with those of other connections
        since = peer.simulator.now
        peer.expect_nothing(within=10)
    assert peer.record.lost is None


def test_keepalive_can_be_switched_off() -> None:
    """With keepalive 0 an idle connection says nothing, and has no timer."""
    peer = connected(UTPConfig(keepalive=0))
    peer.expect_nothing(within=300)
    assert peer.record.lost is None and peer.node.multiplexer.poll_timeout() is None


def test_keepalive_of_an_initiator() -> None:
    """An initiator that never says anything asks with the seq_nr before its SYN, which is old to the acceptor."""
    peer = RawPeer.facing()
    peer.node.connect(peer.address)
    syn = peer.expect(SYN)
    peer.answer_syn(syn)
    keepalive = peer.expect_until(DATA, within=29)
    assert (keepalive.seq_nr, len(keepalive.payload)) == (syn.seq_nr - 1 & 0xFFFF, 1)
