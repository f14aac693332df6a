"""
Do we get on with what peers really send: headers, extensions, connection ids, handshakes?

One test for each quirk of the deployed stacks, byte by byte.  Who does what, and where in their source, is in
C{docs}' survey of peers; the section numbers below are its (2.1 the header, 2.2 ids, 2.3 the handshake).
"""

from __future__ import annotations

from random import Random

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.events import Connected, LossReason
from twisted_utp.testing.pair import Pair
from twisted_utp.testing.raw_peer import RawPeer
from twisted_utp.testing.wire import DATA, FIN, RESET, STATE, SYN, Header, decode, encode

# Many small packets, all at once: what these tests count is packets, not time.
SMALL_PACKETS = UTPConfig(mtu=150, congestion="fixed", pacing=False)
PAYLOAD = 130

EXTENSION_BITS = bytes(8)
OUR_EXTENSION_BITS = bytes.fromhex("7477757400000000")


def facing_sender(packets: int = 12, *, delay: int = 50_000) -> tuple[RawPeer, list[Header]]:
    """A peer that was just sent that many packets in one go, and has acknowledged none of them."""
    peer = RawPeer.facing(config=SMALL_PACKETS, delay=delay)
    peer.handshake()
    peer.node.write(peer.record, bytes(PAYLOAD * packets))
    sent = [header for header in peer.drain(within=delay / 1e6 + 0.01) if header.type == DATA]
    assert len(sent) == packets
    peer.ack_nr = sent[0].seq_nr - 1
    return peer, sent


# --- 2.1 Header and extension chain ---------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 3, 5, 120])
def test_sack_of_length(length: int) -> None:
    """Selective acks of 1 to 120 bytes, multiples of four or not, are read (libtorrent sends (span + 7) / 8)."""
    peer, sent = facing_sender()
    mask = (0x7FF).to_bytes(2, "little").ljust(length, b"\0")[:length]
    peer.state(extensions=[(1, mask)])  # all but the first, as far as the mask reaches
    assert peer.expect(DATA, within=0.15).seq_nr == sent[0].seq_nr
    peer.expect_nothing(within=0.05)
    assert peer.record.lost is None


def test_sack_of_length_0() -> None:
    """An empty selective ack is no information, and no reason to drop the packet."""
    peer, sent = facing_sender()
    peer.ack_nr = sent[3].seq_nr
    peer.state(extensions=[(1, b"")])
    peer.expect_nothing(within=0.12)
    assert peer.record.connection.stats().bytes_acked == 4 * PAYLOAD
    assert peer.record.connection.stats().packets_lost == 0


def test_all_zero_sack_is_no_information() -> None:
    """A mask of zeros says that nothing arrived past the gap: that is no sign of loss, however often repeated."""
    peer, _ = facing_sender()
    for _ in range(4):
        peer.state(extensions=[(1, bytes(4))])
    peer.expect_nothing(within=0.12)
    assert peer.record.connection.stats().packets_lost == 0


def test_sack_bit_0_is_ack_nr_plus_2() -> None:
    """ack_nr + 1 is missing by definition; the least significant bit of the first byte is ack_nr + 2."""
    peer, sent = facing_sender()
    peer.ack_nr = sent[0].seq_nr
    peer.state(extensions=[(1, b"\x07\0\0\0")])  # 2, 3 and 4 places behind ack_nr
    assert peer.expect(DATA, within=0.15).seq_nr == sent[1].seq_nr
    assert peer.record.connection.stats().bytes_acked == 4 * PAYLOAD


def test_sack_bits_run_from_the_least_significant() -> None:
    """Bit 7 of the first byte is ack_nr + 9, bit 0 of the second ack_nr + 10."""
    peer, sent = facing_sender()
    peer.state(extensions=[(1, b"\x80\x03\0\0")])
    got = [header.seq_nr for header in peer.drain(within=0.15)]
    assert got == [header.seq_nr for header in sent[:8]]  # everything before the three


def test_sack_on_data_is_read() -> None:
    """libtorrent attaches selective acks to DATA as well."""
    peer, sent = facing_sender()
    peer.data(b"hello", extensions=[(1, b"\xff\0\0\0")])
    repeated = [header.seq_nr for header in peer.drain(within=0.15) if header.type == DATA]
    assert repeated == [sent[0].seq_nr]
    assert bytes(peer.record.data) == b"hello"


def test_our_sack_is_a_multiple_of_four() -> None:
    """ethereum/utp and nim reject other lengths; nim takes exactly four bytes, which is what a short gap needs."""
    peer = RawPeer.facing()
    peer.handshake()
    first = peer.seq_nr
    for ahead in (1, 3):
        peer.data(seq_nr=first + ahead)
    state = peer.drain()[-1]
    assert state.ack_nr == first - 1 and state.extensions == ((1, b"\x05\0\0\0"),)
    peer.data(seq_nr=first + 40)
    mask = peer.drain()[-1].extension(1)
    assert mask is not None and len(mask) == 8 and int.from_bytes(mask, "little") == 5 | 1 << 39


def test_our_sack_to_strangers_is_bounded() -> None:
    """However many holes, a foreign peer gets at most 128 bytes of mask."""
    peer = RawPeer.facing()
    peer.handshake()
    for ahead in range(1, 3000, 7):
        peer.data(seq_nr=(peer.seq_nr + ahead) & 0xFFFF)
    masks = [header.extension(1) for header in peer.drain()]
    assert all(mask is not None and len(mask) <= 128 and len(mask) % 4 == 0 for mask in masks)


def test_no_sack_without_a_gap() -> None:
    """Once the gap is closed the extension is gone."""
    peer = RawPeer.facing()
    peer.handshake()
    peer.data(b"b", seq_nr=peer.seq_nr + 1)
    assert peer.expect(STATE).extensions
    peer.data(b"a")
    state = peer.expect(STATE)
    assert not state.extensions and state.ack_nr == peer.seq_nr
    assert bytes(peer.record.data) == b"ab"


def test_first_extension_3_is_still_utp() -> None:
    """libtorrent puts its close reason first, libutp drops such packets: we read them, and the reason."""
    peer = RawPeer.facing()
    peer.handshake()
    peer.data(b"bye", extensions=[(3, b"\0\0\0\x0f")])
    peer.drain()
    assert bytes(peer.record.data) == b"bye" and not peer.node.foreign
    peer.reset()
    peer.drain()
    assert peer.record.lost is not None and peer.record.lost.close_code == 15


def test_close_reason_of_another_length_is_ignored() -> None:
    """libtorrent honours its own extension only when it is four bytes."""
    peer = RawPeer.facing()
    peer.handshake()
    peer.data(b"x", extensions=[(3, b"\0\x0f")])
    peer.drain()
    peer.reset()
    peer.drain()
    assert bytes(peer.record.data) == b"x"
    assert peer.record.lost is not None and peer.record.lost.close_code == 0


def test_our_close_reason_never_comes_first() -> None:
    """libutp drops packets whose first extension is 3 or more, so something it knows goes before."""
    peer = RawPeer.facing()
    peer.handshake()
    peer.record.connection.close_code = 7
    peer.record.connection.abort(now=peer.node.now())
    peer.node.flush()
    reset = peer.expect(RESET)
    assert reset.extensions[0][0] == 1 and reset.extension(3) == b"\0\0\0\x07"


def test_unknown_extension_is_skipped() -> None:
    """A type that nobody knows, anywhere but first, is passed over and the rest is read."""
    peer = RawPeer.facing()
    peer.handshake()
    peer.data(b"payload", extensions=[(1, bytes(4)), (77, b"abc"), (200, b""), (2, EXTENSION_BITS)])
    peer.drain()
    assert bytes(peer.record.data) == b"payload"


def test_first_extension_above_3_is_somebody_elses() -> None:
    """That is how libutp, and we, tell uTP from other protocols on the port."""
    peer = RawPeer.facing()
    peer.handshake()
    peer.send_bytes(encode(Header(DATA, peer.send_id, 1, 0, 0, peer.seq_nr, 0, ((4, b""),), b"x")))
    peer.expect_nothing()
    assert len(peer.node.foreign) == 1 and peer.node.multiplexer.stats.not_utp == 1


@pytest.mark.parametrize(
    ("first", "tail"),
    [
        (1, b""),
        (1, b"\0"),
        (1, b"\0\x04abc"),
        (2, b"\x01\x08" + bytes(8)),
        (2, b"\x01\x08" + bytes(8) + b"\x00"),
        (3, b"\x03\x00" * 300 + b"\x03"),
        (1, b"\0\xff" + bytes(254)),
    ],
    ids=["no header", "half a header", "short body", "no second", "half a second", "long chain", "255 bytes"],
)
def test_extension_chain_past_the_end_is_dropped_and_counted(first: int, tail: bytes) -> None:
    """A chain that runs past the datagram makes it invalid: dropped, counted, not answered, nothing torn down."""
    peer = RawPeer.facing()
    peer.handshake()
    header = bytearray(encode(Header(DATA, peer.send_id, 1, 0, 9, peer.seq_nr & 0xFFFF, peer.ack_nr)))
    header[1] = first
    peer.send_bytes(bytes(header) + tail)
    peer.expect_nothing()
    assert peer.node.multiplexer.stats.malformed == 1 and not peer.node.foreign
    peer.data(b"alive")
    peer.expect(STATE)
    assert bytes(peer.record.data) == b"alive"


@pytest.mark.parametrize("length", [0, 1, 4, 7, 9, 255])
def test_extension_bits_of_another_length_are_ignored(length: int) -> None:
    """libutp drops the whole packet, libtorrent [run] takes 4 bytes: we ignore the extension, not the packet."""
    peer = RawPeer.facing()
    peer.handshake(extensions=[(2, OUR_EXTENSION_BITS.ljust(length, b"\0")[:length])])
    assert peer.record.connected
    assert peer.record.connection.peer_extension_bits is None and not peer.record.connection.peer_is_ours


def test_extension_bits_of_a_stranger() -> None:
    """libutp sends eight zero bytes: noted, and no sign of one of ours; our answer carries no bits either."""
    peer = RawPeer.facing()
    answer = peer.handshake(extensions=[(2, EXTENSION_BITS)])
    assert peer.record.connection.peer_extension_bits == 0 and not peer.record.connection.peer_is_ours
    assert not answer.extensions


def test_extension_bits_of_ours() -> None:
    """Our own mark is recognised and answered in kind, so both sides know."""
    peer = RawPeer.facing()
    assert peer.handshake(extensions=[(2, OUR_EXTENSION_BITS)]).extension(2) == OUR_EXTENSION_BITS
    assert peer.record.connection.peer_is_ours


def test_chained_extensions_of_librqbit() -> None:
    """librqbit writes the second extension's type over the first one's length: bounded, lenient, no harm."""
    peer = RawPeer.facing()
    peer.handshake()
    header = bytearray(encode(Header(STATE, peer.send_id, 1, 0, 1 << 20, peer.seq_nr, peer.ack_nr)))
    header[1] = 1
    peer.send_bytes(bytes(header) + b"\0\x03" + bytes(8) + b"\0\x04" + bytes(4))
    peer.data(b"alive")
    peer.drain()
    assert bytes(peer.record.data) == b"alive" and peer.record.lost is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"d1:ad2:id20:",
        bytes(19),
        b"\x02" + bytes(19),
        b"\x51" + bytes(19),
        b"\xf1" + bytes(30),
        b"\x40" + bytes(40),
    ],
    ids=["empty", "a DHT node", "too short", "version 2", "type 5", "type 15", "version 0"],
)
def test_what_is_not_utp_is_handed_back(data: bytes) -> None:
    """Others share the port: what is not uTP is theirs, unanswered."""
    peer = RawPeer.facing()
    assert [datagram.data for datagram in peer.node.inject(data, peer.address)] == [data]
    peer.expect_nothing()


# --- 2.2 Connection ids ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("connection_id", [0, 500, 65534, 65535])
def test_acceptor_sends_on_x_and_receives_on_x_plus_1(connection_id: int) -> None:
    """SYN carries the initiator's receive id X; X + 1 modulo 2^16 is its send id."""
    peer = RawPeer.facing()
    answer = peer.handshake(connection_id)
    assert answer.connection_id == connection_id
    peer.data(b"x", connection_id=(connection_id + 1) % 65536)
    assert peer.expect(STATE).connection_id == connection_id
    assert bytes(peer.record.data) == b"x"


def test_initiator_sends_on_x_plus_1_and_receives_on_x() -> None:
    """Only SYN carries X; everything after it carries X + 1."""
    peer = RawPeer.facing()
    syn = peer.accept()
    peer.node.write(peer.record, b"x")
    assert peer.expect(DATA).connection_id == (syn.connection_id + 1) % 65536
    peer.data(b"y", connection_id=syn.connection_id)
    peer.drain()
    assert bytes(peer.record.data) == b"y"


def test_initiator_id_wraps() -> None:
    """X = 65535 sends on 0."""

    class Last(Random):
        def getrandbits(self, k: int, /) -> int:
            return (1 << k) - 1

    peer = RawPeer.facing(rng=Last())
    assert peer.accept().connection_id == 65535
    peer.node.write(peer.record, b"x")
    assert peer.expect(DATA).connection_id == 0


def test_same_id_from_another_address_is_another_connection() -> None:
    """Connections are told apart by (address, port, id)."""
    peer = RawPeer.facing()
    peer.handshake(500)
    other = RawPeer(peer.port.host, peer.node, port=7001)
    other.handshake(500)
    other.data(b"theirs")
    other.drain()
    assert [bytes(record.data) for record in peer.node.records] == [b"", b"theirs"]


def test_our_ids_do_not_collide_in_either_role() -> None:
    """Neither X nor X + 1 may be in use with that address, by connections we opened or accepted."""

    class Narrow(Random):
        def getrandbits(self, k: int, /) -> int:
            return super().getrandbits(k) % 80

    peer = RawPeer.facing(rng=Narrow(1))
    for connection_id in (10, 20):
        peer.handshake(connection_id)
    peer.syn(30)  # half open
    peer.expect(STATE)
    for _ in range(8):
        peer.node.connect(peer.address)
        peer.expect_until(SYN)
    used = [number for one in peer.node.records for number in (one.connection.recv_id, one.connection.send_id)]
    used += [30, 31]
    assert len(used) == 22 == len(set(used))


def test_packet_for_an_unknown_id_is_nobodys() -> None:
    """An established peer that uses another id does not reach the connection."""
    peer = RawPeer.facing()
    peer.handshake()
    peer.data(b"x", connection_id=peer.send_id + 7)
    peer.drain()
    assert bytes(peer.record.data) == b"" and peer.node.multiplexer.stats.no_connection == 1


# --- 2.3 Handshake --------------------------------------------------------------------------------------------


def test_first_sequence_numbers_are_random() -> None:
    """BEP-29's text begins at 1; nobody does, and whoever guesses them can forge packets."""
    syns = []
    for seed in range(8):
        peer = RawPeer.facing(seed=seed)
        peer.node.connect(peer.address)
        syns.append(peer.expect(SYN).seq_nr)
    answers = [RawPeer.facing(seed=seed).handshake().seq_nr for seed in range(8)]
    assert len(set(syns)) == len(set(answers)) == 8 and 1 not in syns + answers


def test_syn_consumes_a_sequence_number() -> None:
    """The initiator's first DATA is ISN + 1."""
    peer = RawPeer.facing()
    syn = peer.accept()
    peer.node.write(peer.record, b"x")
    assert peer.expect(DATA).seq_nr == (syn.seq_nr + 1) & 0xFFFF


def test_syn_ack_is_not_consumed() -> None:
    """The acceptor's first DATA has the sequence number that its SYN-ACK had."""
    peer = RawPeer.facing()
    answer = peer.handshake()
    peer.node.write(peer.record, b"x")
    assert peer.expect(DATA).seq_nr == answer.seq_nr


def test_syn_ack_of_the_peer_is_not_consumed() -> None:
    """As initiator: ack_nr is the SYN-ACK's seq_nr - 1, and the acceptor's first DATA reuses that number."""
    peer = RawPeer.facing()
    peer.accept(seq_nr=2000)
    peer.node.write(peer.record, b"x")
    assert peer.expect(DATA).ack_nr == 1999
    peer.data(b"first", seq_nr=2000)
    assert peer.expect_until(STATE).ack_nr == 2000
    assert bytes(peer.record.data) == b"first"


def test_syn_ack_acknowledges_the_syn() -> None:
    """The SYN-ACK is a STATE with ack_nr = the SYN's seq_nr, no payload, and no foreign extension."""
    peer = RawPeer.facing()
    syn = peer.syn(seq_nr=4711)
    answer = peer.expect(STATE)
    assert answer.ack_nr == syn.seq_nr and answer.payload == b"" and answer.wnd_size > 0


def test_acceptor_may_write_at_once_and_the_state_goes_first() -> None:
    """Early data is fine with libutp and libtorrent only behind the bare STATE (ethereum and nim drop it)."""
    peer = RawPeer.facing(config=UTPConfig(early_byte=True))
    peer.node.on_connected = lambda record: record.connection.write(b"banner", now=peer.node.now())
    peer.syn()
    answer = peer.expect(STATE)
    early = peer.expect(DATA)
    assert early.seq_nr == answer.seq_nr
    peer.ack_nr = early.seq_nr
    peer.state()
    rest = peer.expect_until(DATA)
    assert early.payload + rest.payload == b"banner"


def test_unconfirmed_peer_gets_nothing() -> None:
    """Until a packet follows the SYN, its source may be forged: no data goes there (libutp #74)."""
    peer = RawPeer.facing()
    peer.node.on_connected = lambda record: record.connection.write(bytes(100_000), now=peer.node.now())
    peer.syn()
    assert [(header.type, len(header.payload)) for header in peer.drain(within=90)] == [(STATE, 0)]


def test_early_byte() -> None:
    """Whoever wants libutp initiators to hear a server that speaks first risks a byte, and no more."""
    peer = RawPeer.facing(config=UTPConfig(early_byte=True))
    peer.node.on_connected = lambda record: record.connection.write(bytes(100_000), now=peer.node.now())
    peer.syn()
    answers = peer.drain(within=30)
    assert sum(20 + len(header.payload) for header in answers) < 20 * 20
    assert max(len(header.payload) for header in answers) <= 1


def test_unconfirmed_connection_is_given_up() -> None:
    """libutp keeps such connections for ever (#79): ours end after a minute or so."""
    peer = RawPeer.facing()
    peer.syn()
    peer.expect(STATE)
    assert peer.node.multiplexer.snapshot().half_open == 1
    peer.run_for(90)
    assert peer.node.multiplexer.snapshot().half_open == 0 and not peer.node.records


def test_syn_window_0_is_not_stored() -> None:
    """libtorrent and librqbit send wnd_size 0 in their SYN: our first data does not wait for a window probe."""
    peer = RawPeer.facing(config=UTPConfig(early_byte=True))
    peer.node.on_connected = lambda record: record.connection.write(b"x", now=peer.node.now())
    peer.syn(wnd_size=0)
    peer.expect(STATE)
    peer.expect(DATA, within=0.05)


def test_syn_timestamp_in_ms_is_no_delay_sample() -> None:
    """librqbit's SYN has a timestamp in ms: it must not become their base delay."""
    peer = RawPeer.facing()
    peer.syn(timestamp=peer.simulator.now // 1000)
    peer.ack_nr = peer.expect(STATE).seq_nr - 1
    peer.data(b"x")
    peer.expect(STATE)
    connection = peer.record.connection
    assert connection.sender.delay._theirs.base == 10_000 + connection.writer.clock_offset & 0xFFFFFFFF


def test_duplicate_syn_gets_the_identical_syn_ack() -> None:
    """libtorrent opens a second socket with another ISN [run], libutp stays silent: we repeat the same bytes."""
    peer = RawPeer.facing()
    syn = peer.syn()
    first = peer.expect(STATE)
    for _ in range(3):
        peer.send_bytes(encode(syn))
        assert peer.expect(STATE).without_times() == first.without_times()
    assert peer.node.multiplexer.snapshot().half_open == 1 and not peer.node.records
    peer.ack_nr = first.seq_nr - 1
    peer.state()
    peer.run_for(0.1)
    assert peer.record.events == [Connected(incoming=True)]


def test_duplicate_syn_after_data_gets_the_first_seq_nr() -> None:
    """anacrolix answers with its current sequence number, which loses data: ours is the one of the SYN-ACK."""
    peer = RawPeer.facing(config=UTPConfig(early_byte=True))
    peer.node.on_connected = lambda record: record.connection.write(b"early", now=peer.node.now())
    syn = peer.syn()
    first = peer.expect(STATE)
    peer.expect(DATA)
    peer.send_bytes(encode(syn))
    assert peer.expect_until(STATE).without_times() == first.without_times()


def test_syn_of_another_connection_with_our_ids_is_ignored() -> None:
    """A SYN whose X is in use, but with another seq_nr, neither replaces nor disturbs the connection."""
    peer = RawPeer.facing()
    peer.handshake()
    peer.send(SYN, connection_id=peer.recv_id, seq_nr=31_000)
    peer.expect_nothing()
    seq_nr = peer.seq_nr
    peer.data(b"still", seq_nr=seq_nr)
    peer.expect(STATE)
    assert bytes(peer.record.data) == b"still" and len(peer.node.multiplexer) == 1


def test_syn_is_repeated_with_the_same_id_and_then_with_another() -> None:
    """libutp ignores a repeated SYN, so when its SYN-ACK was lost only another id can succeed."""
    peer = RawPeer.facing()
    peer.node.connect(peer.address)
    first, second, third = (peer.expect(SYN, within=10) for _ in range(3))
    assert first.without_times() == second.without_times()
    assert third.connection_id not in (first.connection_id - 1, first.connection_id, first.connection_id + 1)
    assert third.seq_nr == first.seq_nr


def test_syn_is_answered_with_fin_for_a_while() -> None:
    """libtorrent does so while it loads the torrent; what has the first id by then must not get the next SYN."""
    peer = RawPeer.facing()
    record = peer.node.connect(peer.address)
    first = peer.expect(SYN)
    peer.answer_syn(first, kind=FIN, extensions=[(3, bytes(4))])
    second = peer.expect(SYN, within=1)
    assert second.connection_id not in (first.connection_id - 1, first.connection_id, first.connection_id + 1)
    peer.answer_syn(second)
    peer.run_for(1)
    assert record.events == [Connected(incoming=False)]


def test_late_syns_have_no_extensions() -> None:
    """nim drops SYNs with extension bits: ours end with one that it takes."""
    peer = RawPeer.facing()
    peer.node.connect(peer.address)
    syns = [peer.expect(SYN, within=10) for _ in range(4)]
    assert syns[0].extension(2) == OUR_EXTENSION_BITS
    assert syns[2].extensions == syns[3].extensions == ()


@pytest.mark.parametrize("answered", [0, 2, 3])
def test_any_of_the_syns_may_be_answered(answered: int) -> None:
    """A late answer to an early SYN opens the connection with that SYN's ids."""
    peer = RawPeer.facing()
    peer.node.connect(peer.address)
    syns = [peer.expect(SYN, within=10) for _ in range(4)]
    peer.answer_syn(syns[answered])
    peer.run_for(0.1)
    assert peer.record.connected and len(peer.node.multiplexer) == 1
    peer.node.write(peer.record, b"x")
    assert peer.expect_until(DATA).connection_id == (syns[answered].connection_id + 1) & 0xFFFF


def test_connect_times_out() -> None:
    """Nobody answers: one event, at the configured time, and nothing is left."""
    peer = RawPeer.facing(config=UTPConfig(connect_timeout=5.0))
    started = peer.simulator.now
    peer.node.connect(peer.address)
    peer.simulator.run(lambda: peer.record.lost is not None)
    assert peer.record.reason is LossReason.CONNECT_TIMED_OUT
    assert peer.simulator.now - started == 5_000_000
    assert len(peer.node.multiplexer) == 0 and not peer.record.connected


@pytest.mark.parametrize("kind", [STATE, DATA, FIN])
def test_answer_to_another_syn_does_not_connect(kind: int) -> None:
    """Whatever does not acknowledge our SYN's seq_nr is no answer to it."""
    peer = RawPeer.facing()
    peer.node.connect(peer.address)
    syn = peer.expect(SYN)
    peer.send_id = syn.connection_id
    peer.send(kind, ack_nr=syn.seq_nr - 1)
    peer.send(kind, ack_nr=syn.seq_nr + 1)
    peer.run_for(0.1)
    assert not peer.record.connected and peer.record.lost is None


def test_data_that_overtakes_the_syn_ack_loses_no_bytes() -> None:
    """An acceptor's second DATA arrives before its SYN-ACK and its first: it must not pass for the first."""
    peer = RawPeer.facing()
    peer.node.connect(peer.address)
    syn = peer.expect(SYN)
    peer.send_id, peer.recv_id, peer.ack_nr = syn.connection_id, syn.connection_id + 1, syn.seq_nr
    peer.data(b"second", seq_nr=2001)
    peer.run_for(0.01)
    peer.state(seq_nr=2000)
    peer.data(b"first", seq_nr=2000)
    peer.run_for(0.1)
    peer.data(b"second", seq_nr=2001)  # its retransmission
    peer.run_for(0.1)
    assert bytes(peer.record.data) == b"firstsecond"


def test_first_data_before_the_syn_ack() -> None:
    """The acceptor's first DATA arrives before its SYN-ACK (libtorrent writes early): no byte is lost or doubled."""
    peer = RawPeer.facing()
    peer.node.connect(peer.address)
    syn = peer.expect(SYN)
    peer.send_id, peer.recv_id, peer.ack_nr = syn.connection_id, syn.connection_id + 1, syn.seq_nr
    peer.data(b"first", seq_nr=2000)
    peer.run_for(0.01)
    peer.state(seq_nr=2000)
    peer.run_for(0.1)
    peer.data(b"first", seq_nr=2000)
    peer.run_for(0.1)
    assert bytes(peer.record.data) == b"first"


def test_second_syn_ack_with_another_seq_nr_changes_nothing() -> None:
    """libtorrent answers a repeated SYN from a second socket, with another first sequence number [run]."""
    peer = RawPeer.facing()
    peer.accept(seq_nr=2000)
    peer.state(seq_nr=43_718)
    peer.run_for(0.1)
    peer.data(b"first", seq_nr=2000)
    peer.drain()
    assert bytes(peer.record.data) == b"first" and peer.record.events.count(Connected(incoming=False)) == 1


def test_late_syn_ack_after_data_changes_nothing() -> None:
    """A duplicate of the SYN-ACK that arrives after the acceptor's data does not take the stream back."""
    peer = RawPeer.facing()
    syn = peer.accept(seq_nr=2000)
    peer.data(b"first", seq_nr=2000)
    peer.run_for(0.1)
    peer.state(seq_nr=2000, ack_nr=syn.seq_nr)
    peer.data(b"second", seq_nr=2001)
    peer.drain()
    assert bytes(peer.record.data) == b"firstsecond"


def test_acceptor_that_waits_for_data_is_served() -> None:
    """A libutp acceptor cannot write before our first DATA: a connection that only listens says so in the docs;
    one that writes gets its answer."""
    peer = RawPeer.facing()
    peer.accept()
    peer.node.write(peer.record, b"?")
    peer.expect(DATA)
    peer.data(b"!")
    peer.drain()
    assert bytes(peer.record.data) == b"!"


@pytest.mark.parametrize("accepting", [True, False])
def test_simultaneous_open(accepting: bool) -> None:
    """Both dial each other from the ports they listen on (BEP-55): each side gets a connection that works."""
    pair = Pair()
    pair.client.multiplexer.accepting = pair.server.multiplexer.accepting = accepting
    one = pair.client.connect(pair.server.address)
    other = pair.server.connect(pair.client.address)
    pair.run_for(2)
    assert one.connected and other.connected and one.lost is None and other.lost is None
    pair.client.write(one, b"from the client")
    pair.server.write(other, b"from the server")
    pair.run_for(1)
    client_heard = b"".join(bytes(record.data) for record in pair.client.records)
    server_heard = b"".join(bytes(record.data) for record in pair.server.records)
    assert (client_heard, server_heard) == (b"from the server", b"from the client")


def test_not_accepting_refuses_with_reset() -> None:
    """A SYN that nobody wants gets a RESET that its sender believes: its own id, ack_nr = its seq_nr."""
    peer = RawPeer.facing(accepting=False)
    syn = peer.syn()
    reset = peer.expect(RESET)
    assert (reset.connection_id, reset.ack_nr) == (syn.connection_id, syn.seq_nr)
    assert not peer.node.records


def test_backlog_bounds_unconfirmed_connections() -> None:
    """A flood of SYNs fills the backlog and no more; confirmed connections make room."""
    peer = RawPeer.facing(config=UTPConfig(backlog=3))
    for number in range(10):
        peer.syn(1000 + 2 * number)
    peer.drain()
    mux = peer.node.multiplexer
    assert (mux.snapshot().half_open, mux.stats.cookies_sent, len(mux)) == (3, 7, 0)
    peer.send(STATE, connection_id=1001, ack_nr=peer.all[0][1].seq_nr - 1, seq_nr=1001)
    peer.run_for(0.1)
    peer.syn(2000)
    peer.drain()
    assert (mux.snapshot().half_open, mux.stats.cookies_sent, len(mux)) == (3, 7, 1)


def test_max_connections() -> None:
    """Beyond the limit a SYN is refused."""
    peer = RawPeer.facing(config=UTPConfig(max_connections=2))
    for number in range(2):
        peer.handshake(1000 + 2 * number)
    for number in range(2, 4):
        peer.syn(1000 + 2 * number)
    kinds = [header.type for header in peer.drain()]
    assert kinds.count(RESET) == 2 and len(peer.node.multiplexer) == 2


def test_wire_reader_reads_what_it_writes() -> None:
    """The tests' own codec agrees with itself, or all of the above would mean little."""
    header = Header(FIN, 1, 2, 3, 4, 5, 6, ((1, b"abcd"), (9, b"")), b"payload")
    assert decode(encode(header)) == header
