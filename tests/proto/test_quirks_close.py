"""
Do we get on with how peers really end a connection: FIN in two conventions, RESET in several forms?

The section 2.5 of the survey of peers, one test for each quirk, byte by byte.
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.events import Connected, ConnectionLost, EndOfStream, LossReason
from twisted_utp.testing.raw_peer import RawPeer
from twisted_utp.testing.wire import DATA, FIN, RESET, STATE, SYN, Header, encode

CONNECTED = Connected(incoming=True)


def connected(config: UTPConfig | None = None) -> RawPeer:
    """A peer that connected to a node."""
    peer = RawPeer.facing(config=config)
    peer.handshake()
    return peer


def half_closed() -> tuple[RawPeer, Header]:
    """A peer to which the node has sent its FIN, acknowledged by nobody yet."""
    peer = connected()
    peer.node.write_eof(peer.record)
    fin = peer.expect(FIN)
    return peer, fin


# --- FIN from the peer ----------------------------------------------------------------------------------------


def test_fin_is_acked_at_once_and_ends_the_stream() -> None:
    """EOF follows the data; the other direction goes on."""
    peer = connected()
    peer.data(b"last words")
    fin = peer.fin()
    assert peer.expect(STATE, within=0.03).ack_nr == fin.seq_nr
    assert peer.record.events == [CONNECTED, b"last words", EndOfStream()]
    peer.node.write(peer.record, b"still here")
    assert peer.expect(DATA).payload == b"still here"
    assert peer.record.lost is None


def test_fin_out_of_order_is_remembered() -> None:
    """A FIN before the data it follows: no end of stream until the data has come (librqbit drops such a FIN)."""
    peer = connected()
    first = peer.seq_nr
    peer.fin(seq_nr=first + 2)
    peer.data(b"b", seq_nr=first + 1)
    peer.drain()
    assert peer.record.events == [CONNECTED]
    peer.data(b"a", seq_nr=first)
    assert peer.drain()[-1].ack_nr == first + 2
    assert bytes(peer.record.data) == b"ab" and peer.record.events[-1] == EndOfStream()


def test_data_past_the_fin_is_dropped() -> None:
    """Nothing past a FIN is valid, whether the FIN was in order or not (UI:2412, US:2615)."""
    peer = connected()
    first = peer.seq_nr
    peer.fin(seq_nr=first + 1)
    peer.data(b"no", seq_nr=first + 2)
    peer.data(b"yes", seq_nr=first)
    peer.data(b"no", seq_nr=first + 2)
    assert peer.drain()[-1].ack_nr == first + 1
    assert peer.record.events == [CONNECTED, b"yes", EndOfStream()]


def test_fin_below_data_that_waits_is_refused() -> None:
    """A FIN that would cut off data already received ahead of a gap is nonsense: the data is kept."""
    peer = connected()
    first = peer.seq_nr
    peer.data(b"b", seq_nr=first + 1)
    peer.data(b"c", seq_nr=first + 2)
    peer.fin(seq_nr=first + 1)
    peer.data(b"a", seq_nr=first)
    peer.drain()
    assert bytes(peer.record.data) == b"abc" and not peer.record.eof


def test_second_fin_elsewhere_is_ignored() -> None:
    """Only the first FIN counts."""
    peer = connected()
    first = peer.seq_nr
    peer.fin(seq_nr=first + 2)
    peer.fin(seq_nr=first + 1)
    peer.fin(seq_nr=first + 5)
    peer.data(b"a", seq_nr=first)
    peer.data(b"b", seq_nr=first + 1)
    assert peer.drain()[-1].ack_nr == first + 2
    assert bytes(peer.record.data) == b"ab" and peer.record.eof


def test_repeated_fin_is_acked_again() -> None:
    """Our ack of it was lost."""
    peer = connected()
    fin = peer.fin()
    peer.expect(STATE)
    for _ in range(3):
        peer.send_bytes(encode(fin))
        assert peer.expect_until(STATE, within=0.03).ack_nr == fin.seq_nr
    assert peer.record.events.count(EndOfStream()) == 1


def test_fin_is_never_acknowledged() -> None:
    """KTorrent closes in its turn and leaves it at that: no 30 seconds of waiting for our user."""
    peer, fin = half_closed()
    peer.fin(ack_nr=fin.seq_nr - 1)
    peer.run_for(3.2)  # no round trip was measured yet, so the first timeout is a second
    assert peer.record.reason is LossReason.DONE
    assert peer.expect_until(FIN, within=10).seq_nr == fin.seq_nr


def test_fin_with_payload_is_tolerated() -> None:
    """libtorrent takes it for EOF (US:2841); the payload is nobody's."""
    peer = connected()
    peer.fin(payload=b"psst")
    peer.expect(STATE)
    assert peer.record.events == [CONNECTED, EndOfStream()]


def test_fin_with_close_reason_first() -> None:
    """libtorrent's FIN begins with extension 3, which is invisible to libutp [run]: we see both."""
    peer = connected()
    peer.fin(extensions=[(3, b"\0\0\0\x05")])
    peer.expect(STATE)
    assert peer.record.eof
    peer.node.close(peer.record)
    peer.expect(FIN)
    peer.state()
    peer.drain()
    assert peer.record.lost == ConnectionLost(LossReason.DONE, 5)


def test_fin_with_sack_and_ack() -> None:
    """A FIN acknowledges like any packet."""
    peer = connected()
    peer.node.write(peer.record, b"x")
    peer.expect(DATA)
    peer.fin()
    peer.drain()
    assert peer.record.connection.stats().bytes_acked == 1


def test_fin_across_the_wrap() -> None:
    """FIN at 65535, data past it at 0."""
    peer = RawPeer.facing()
    peer.handshake(seq_nr=65533)
    peer.fin(seq_nr=65535)
    peer.data(b"no", seq_nr=0)
    peer.data(b"yes", seq_nr=65534)
    assert peer.drain()[-1].ack_nr == 65535
    assert bytes(peer.record.data) == b"yes" and peer.record.eof


# --- FIN from us, and what the two conventions make of it -----------------------------------------------------


def test_our_fin_consumes_a_seq_nr() -> None:
    """FIN follows the data; later STATEs carry FIN + 1 (libutp's convention)."""
    peer = connected()
    peer.node.write(peer.record, b"x")
    data = peer.expect(DATA)
    peer.node.write_eof(peer.record)
    fin = peer.expect(FIN)
    assert fin.seq_nr == data.seq_nr + 1 and fin.payload == b""
    peer.data(b"y")
    assert peer.expect(STATE).seq_nr == fin.seq_nr + 1


def test_our_fin_is_repeated_until_it_is_acked() -> None:
    """libtorrent advances over an early FIN only when it comes again (US:2826)."""
    peer, fin = half_closed()
    for _ in range(3):
        assert peer.expect(FIN, within=10).seq_nr == fin.seq_nr
    peer.state()
    peer.run_for(0.1)
    peer.expect_nothing(within=20)


def test_state_in_libutps_convention_after_fin_is_heard() -> None:
    """After its FIN libutp's STATEs carry FIN + 1, which lies past the end of its stream: their acks count."""
    peer = connected()
    peer.fin()
    peer.expect(STATE)
    peer.node.write(peer.record, b"x")
    peer.expect(DATA)
    peer.state(seq_nr=peer.seq_nr)
    peer.run_for(0.05)
    assert peer.record.connection.stats().bytes_acked == 1


def test_state_in_libtorrents_convention_after_fin_is_heard() -> None:
    """After its FIN libtorrent's STATEs carry FIN itself, which is old news: their acks count all the same."""
    peer = connected()
    fin = peer.fin()
    peer.expect(STATE)
    peer.node.write(peer.record, b"x")
    peer.expect(DATA)
    peer.state(seq_nr=fin.seq_nr)
    peer.run_for(0.05)
    assert peer.record.connection.stats().bytes_acked == 1


@pytest.mark.parametrize("offset", [-1000, -1, 0, 1, 2, 900])
def test_acks_count_whatever_the_seq_nr(offset: int) -> None:
    """Before FIN as after it, a STATE's ack_nr is read however odd its seq_nr."""
    peer = connected()
    peer.node.write(peer.record, b"x")
    peer.expect(DATA)
    peer.state(seq_nr=peer.seq_nr + offset & 0xFFFF)
    peer.run_for(0.05)
    assert peer.record.connection.stats().bytes_acked == 1


def test_peer_that_cannot_read_our_convention_gets_the_other() -> None:
    """A libtorrent that recorded our FIN drops STATEs with FIN + 1 unread [run] and repeats its FIN: then it is
    answered with FIN as well."""
    peer, our_fin = half_closed()
    peer.state()
    peer_fin = peer.fin()
    assert [header.seq_nr for header in peer.drain(within=0.05)] == [our_fin.seq_nr + 1]
    peer.send_bytes(encode(peer_fin))
    again = peer.drain(within=0.05)
    assert [header.type for header in again] == [STATE, STATE]
    assert [header.seq_nr for header in again] == [our_fin.seq_nr + 1, our_fin.seq_nr]
    assert {header.ack_nr for header in again} == {peer_fin.seq_nr}


def test_peer_that_repeats_data_after_our_fin_gets_both_conventions() -> None:
    """The same with DATA: a half-closed direction is acknowledged so that both stacks can read it."""
    peer, our_fin = half_closed()
    data = peer.data(b"x")
    assert [header.seq_nr for header in peer.drain(within=0.05) if header.type == STATE] == [our_fin.seq_nr + 1]
    peer.send_bytes(encode(data))
    seqs = [header.seq_nr for header in peer.drain(within=0.05) if header.type == STATE]
    assert seqs == [our_fin.seq_nr + 1, our_fin.seq_nr]


def test_half_close_reads_on() -> None:
    """After our FIN was acknowledged, the peer's data is still delivered, then its EOF, then it is done."""
    peer, _ = half_closed()
    peer.state()
    peer.run_for(3)
    for word in (b"one ", b"two"):
        peer.data(word)
        peer.expect(STATE)
    assert bytes(peer.record.data) == b"one two" and peer.record.lost is None
    peer.fin()
    peer.expect(STATE)
    assert peer.record.events[-2:] == [EndOfStream(), ConnectionLost(LossReason.DONE)]


def test_close_is_done_when_our_fin_is_acked() -> None:
    """close() does not wait for the peer's FIN, and throws away what still comes."""
    peer = connected()
    peer.node.close(peer.record)
    peer.expect(FIN)
    peer.data(b"too late")
    peer.drain()
    assert peer.record.events == [CONNECTED, ConnectionLost(LossReason.DONE)]


def test_close_sends_everything_first() -> None:
    """FIN follows what was written."""
    peer = connected()
    peer.acknowledges = True
    peer.record.connection.write(bytes(50_000), now=peer.node.now())
    peer.node.close(peer.record)
    peer.run_for(3)
    assert sum(len(header.payload) for header in {one.seq_nr: one for _, one in peer.all}.values()) == 50_000
    assert peer.all[-1][1].type == FIN and peer.record.reason is LossReason.DONE


def test_both_fins_cross() -> None:
    """Simultaneous close ends cleanly on both sides."""
    peer = connected()
    peer.node.close(peer.record)
    peer_fin = peer.fin()
    our_fin = peer.expect(FIN)
    peer.ack_nr = our_fin.seq_nr
    peer.state()
    assert peer.drain()[-1].ack_nr == peer_fin.seq_nr
    assert peer.record.reason is LossReason.DONE


def test_lingering_connection_answers_a_repeated_fin() -> None:
    """Our last ack was lost: the peer must not be left to time out, nor be reset."""
    peer = connected()
    fin = peer.fin()
    peer.expect(STATE)
    peer.node.close(peer.record)
    peer.expect(FIN)
    peer.state()
    peer.run_for(0.05)
    assert peer.record.reason is LossReason.DONE
    peer.send_bytes(encode(fin))
    assert RESET not in [header.type for header in peer.drain(within=0.1)]


def test_nothing_is_left_after_both_fins() -> None:
    """The connection is forgotten after the linger time, and nothing more is sent."""
    peer, _ = half_closed()
    peer.state()
    peer.fin()
    peer.drain(within=15)
    assert len(peer.node.multiplexer) == 0 and peer.node.multiplexer.poll_timeout() is None


def test_peer_that_never_finishes_is_left() -> None:
    """After close(), a peer that neither sends FIN nor RESET is not waited for for ever."""
    peer = connected()
    peer.node.close(peer.record)
    peer.expect(FIN)
    peer.state()
    peer.run_for(60)
    assert len(peer.node.multiplexer) == 0


def test_peer_that_vanishes_after_our_fin() -> None:
    """nim destroys its socket when its FIN is acked: our own FIN is answered by RESET, or by nothing.  Both are a
    clean end once everything was delivered."""
    for answer in (True, False):
        peer = connected(UTPConfig(user_timeout=5.0))
        peer.fin()
        peer.expect(STATE)
        peer.node.close(peer.record)
        fin = peer.expect(FIN)
        if answer:
            peer.send(RESET, connection_id=fin.connection_id, ack_nr=fin.seq_nr)
            peer.run_for(0.1)
        else:
            peer.run_for(200)
        assert peer.record.lost is not None
        assert peer.record.events.count(EndOfStream()) == 1 and len(peer.node.multiplexer) == 0


# --- RESET ----------------------------------------------------------------------------------------------------


def test_reset_bearing_our_receive_id() -> None:
    """libtorrent's own RESET carries its send id, which is our receive id."""
    peer = connected()
    peer.reset(connection_id=peer.send_id)
    peer.run_for(0.1)
    assert peer.record.events == [CONNECTED, ConnectionLost(LossReason.RESET)]
    assert len(peer.node.multiplexer) == 0


def test_reset_bearing_our_send_id() -> None:
    """libutp's RESET for an unknown socket repeats the id of the packet that offended it: our send id."""
    peer = connected()
    peer.reset(connection_id=peer.recv_id)
    peer.run_for(0.1)
    assert peer.record.reason is LossReason.RESET


@pytest.mark.parametrize("as_initiator", [True, False])
@pytest.mark.parametrize("form", ["receive id", "send id"])
def test_reset_in_both_forms_and_roles(as_initiator: bool, form: str) -> None:
    """Initiator and acceptor alike."""
    peer = RawPeer.facing()
    if as_initiator:
        peer.accept()
    else:
        peer.handshake()
    connection = peer.record.connection
    peer.reset(connection_id=connection.recv_id if form == "receive id" else connection.send_id)
    peer.run_for(0.1)
    assert peer.record.reason is LossReason.RESET


@pytest.mark.parametrize("neighbour", [-2, 2])
def test_reset_for_a_neighbouring_id_is_ignored(neighbour: int) -> None:
    """Only our two ids are ours."""
    peer = connected()
    connection = peer.record.connection
    number = (
        min(connection.recv_id, connection.send_id) if neighbour < 0 else max(connection.recv_id, connection.send_id)
    )
    peer.reset(connection_id=number + neighbour // 2)
    peer.run_for(0.1)
    assert peer.record.lost is None


@pytest.mark.parametrize("offset", [2, 100, 32_767, -5, -1000])
def test_reset_with_a_wrong_ack_nr_is_ignored(offset: int) -> None:
    """libutp believes any RESET (UI:2850); a blind attacker must at least guess what we have sent."""
    peer = connected()
    peer.node.write(peer.record, b"x")
    sent = peer.expect(DATA)
    peer.reset(ack_nr=sent.seq_nr + offset & 0xFFFF)
    peer.run_for(0.1)
    assert peer.record.lost is None and peer.node.multiplexer.stats.resets_ignored == 1


def test_reset_answering_any_packet_in_flight() -> None:
    """A restarted libutp answers each of our packets with ack_nr = its seq_nr: believed for all of them."""
    for index in range(3):
        peer = connected(UTPConfig(mtu=150, congestion="fixed", pacing=False))
        peer.node.write(peer.record, bytes(390))
        sent = peer.drain(within=0.02)
        peer.send(RESET, connection_id=sent[index].connection_id, ack_nr=sent[index].seq_nr)
        peer.run_for(0.1)
        assert peer.record.reason is LossReason.RESET


def test_reset_answering_a_keepalive() -> None:
    """A peer that has forgotten us answers with ack_nr = its seq_nr, which is that of something acknowledged."""
    peer = connected()
    keepalive = peer.expect(DATA, within=31)
    peer.send(RESET, connection_id=keepalive.connection_id, ack_nr=keepalive.seq_nr)
    peer.run_for(0.1)
    assert peer.record.reason is LossReason.RESET


def test_reset_from_elsewhere_is_ignored() -> None:
    """Another address, the right ids: not our peer."""
    peer = connected()
    other = RawPeer(peer.port.host, peer.node, port=7001)
    other.send(RESET, connection_id=peer.send_id, ack_nr=peer.ack_nr & 0xFFFF)
    other.run_for(0.1)
    assert peer.record.lost is None


@pytest.mark.parametrize("form", ["receive id", "send id"])
def test_reset_of_our_syn_is_refusal(form: str) -> None:
    """In answer to a SYN, ack_nr is the SYN's seq_nr."""
    peer = RawPeer.facing()
    peer.node.connect(peer.address)
    syn = peer.expect(SYN)
    number = syn.connection_id + (form == "send id")
    peer.send(RESET, connection_id=number, ack_nr=syn.seq_nr - 1)
    peer.run_for(0.1)
    assert peer.record.lost is None
    peer.send(RESET, connection_id=number, ack_nr=syn.seq_nr)
    peer.run_for(0.1)
    assert peer.record.events == [ConnectionLost(LossReason.REFUSED)]
    assert len(peer.node.multiplexer) == 0


def test_reset_after_close_is_a_clean_end() -> None:
    """librqbit and nim leave like that once our FIN is acked; nothing more was wanted from them."""
    peer = connected()
    peer.node.close(peer.record)
    peer.expect(FIN)
    peer.state()
    peer.run_for(0.1)
    peer.reset()
    peer.run_for(0.1)
    assert peer.record.events == [CONNECTED, ConnectionLost(LossReason.DONE)]
    assert len(peer.node.multiplexer) == 0


def test_reset_after_both_fins_is_a_clean_end() -> None:
    """All was said on both sides, and ours is acknowledged: how the peer leaves does not matter."""
    peer, _ = half_closed()
    peer.state()
    peer.fin()
    peer.reset()
    peer.run_for(0.1)
    assert peer.record.events[-2:] == [EndOfStream(), ConnectionLost(LossReason.DONE)]


def test_reset_of_a_half_closed_connection_is_no_end_of_stream() -> None:
    """A request was sent and ended, half of the answer has come, then a RESET: that is an error, or a truncated
    answer would pass for a whole one."""
    peer, _ = half_closed()
    peer.state()
    peer.data(b"half of the ans")
    peer.run_for(0.1)
    peer.reset()
    peer.run_for(0.1)
    assert peer.record.events == [CONNECTED, b"half of the ans", ConnectionLost(LossReason.RESET)]


def test_reset_is_not_answered() -> None:
    """Neither a believed RESET nor one for nobody provokes another."""
    peer = connected()
    peer.reset(connection_id=30_000)
    peer.reset()
    peer.reset()
    peer.expect_nothing(within=2)


def test_reset_close_reason() -> None:
    """libtorrent says why."""
    peer = connected()
    peer.reset(extensions=[(3, b"\0\0\0\x09")])
    peer.run_for(0.1)
    assert peer.record.lost == ConnectionLost(LossReason.RESET, 9)


def test_data_before_a_reset_in_the_same_batch_is_delivered() -> None:
    """A peer that answers and aborts at once: that both came with one wake-up must not lose the answer."""
    peer = connected()
    peer.data(b"answer")
    peer.reset()
    peer.run_for(0.1)
    assert peer.record.events == [CONNECTED, b"answer", ConnectionLost(LossReason.RESET)]


def test_our_reset_bears_the_peers_receive_id() -> None:
    """libtorrent looks RESETs up by its receive id only (US:215)."""
    peer = connected()
    peer.data(b"x")
    peer.expect(STATE)
    peer.node.abort(peer.record)
    reset = peer.expect(RESET)
    assert reset.connection_id == peer.recv_id and reset.ack_nr == peer.seq_nr - 1
    assert peer.record.reason is LossReason.ABORTED
    peer.expect_nothing(within=30)


@pytest.mark.parametrize("kind", [DATA, FIN, STATE])
def test_packet_for_nobody_gets_one_reset(kind: int) -> None:
    """Its own id, ack_nr = its seq_nr, no larger than what provoked it."""
    peer = RawPeer.facing()
    peer.send(kind, connection_id=4711, seq_nr=815)
    reset = peer.expect(RESET)
    assert (reset.connection_id, reset.ack_nr, reset.payload, reset.extensions) == (4711, 815, b"", ())
    peer.expect_nothing()


def test_resets_per_source_are_limited() -> None:
    """A forged source is not flooded: a few, then silence, then again a few."""
    peer = RawPeer.facing()
    for number in range(50):
        peer.send(DATA, connection_id=number)
    assert 1 <= len(peer.drain(within=1)) <= 4
    stats = peer.node.multiplexer.stats
    assert stats.resets_sent + stats.resets_suppressed == 50
    peer.run_for(10)
    peer.send(DATA, connection_id=1)
    peer.expect(RESET)


def test_resets_in_total_are_limited() -> None:
    """Many forged sources together get no flood either, and cost bounded memory."""
    peer = RawPeer.facing()
    stray = encode(Header(DATA, 1, 0, 0, 0, 1, 1))
    for number in range(5000):
        peer.node.inject(stray, (f"192.0.2.{number % 250}", 1024 + number))
    assert peer.node.multiplexer.stats.resets_sent <= 128
    assert len(peer.node.multiplexer.acceptor._reset_limiter._sources) <= 1024


def test_unanswered_data_ends_the_connection() -> None:
    """A peer that is gone: TIMED_OUT after the user timeout, not before, and not never."""
    peer = connected(UTPConfig(user_timeout=10.0))
    started = peer.simulator.now
    peer.node.write(peer.record, b"anybody?")
    peer.simulator.run(lambda: peer.record.lost is not None, limit=120_000_000)
    assert peer.record.reason is LossReason.TIMED_OUT
    assert 10 <= (peer.simulator.now - started) / 1e6 <= 30
    assert len(peer.node.multiplexer) == 0
