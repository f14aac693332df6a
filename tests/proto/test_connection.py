"""
Does a connection live from its SYN to the last packet it answers as the protocol says?

The peer's packets are written by hand, except where two of ours talk to each other.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.constants import (
    EXTENSION_BITS_SIGNATURE,
    FIN_WAIT_TIMEOUT,
    MAX_CONFIRMATIONS,
    MAX_LINGER,
    MAX_SACK_BYTES,
    MAX_SPAN,
    MAX_SPAN_FOREIGN,
    MIN_LINGER,
    PACING_RTT_SHARE,
    REFUSAL_INTERVAL,
    REFUSAL_TIMEOUT,
    UNCONFIRMED_TIMEOUT,
)
from twisted_utp.proto.events import Connected, ConnectionLost, EndOfStream, LossReason, Writable
from twisted_utp.proto.packet import Packet, PacketType, encode_packet
from twisted_utp.proto.states import State
from twisted_utp.proto.values import Datagram

if TYPE_CHECKING:
    from tests.proto.conftest import Exchange, Wire

DATA, FIN, STATE, RESET, SYN = PacketType.DATA, PacketType.FIN, PacketType.STATE, PacketType.RESET, PacketType.SYN
OURS = EXTENSION_BITS_SIGNATURE
SECOND = 1_000_000
PLAIN = UTPConfig(congestion="fixed", pacing=False, mtu=170)  # 150 bytes a packet, all at once
MSS = 150


def state_of(connection: Connection) -> State:
    """Its state now, which mypy would otherwise take to be the one that was asserted last."""
    return connection.state


def types(packets: list[Packet]) -> list[PacketType]:
    """Of each packet its type."""
    return [packet.type for packet in packets]


def seqs(packets: list[Packet]) -> list[int]:
    """Of each packet its seq_nr."""
    return [packet.seq_nr for packet in packets]


# --- Opening a connection -------------------------------------------------------------------------------------


def test_syn(exchange: type[Exchange]) -> None:
    """The SYN has our receive id, our extension bits, our window and no acknowledgement (protocol.md 2)."""
    peer = exchange()
    connection = peer.mux.connect(peer.address, now=peer.now)
    (syn,) = peer.flush()
    assert (syn.type, syn.connection_id, syn.ack_nr) == (SYN, connection.recv_id, 0)
    assert syn.extension_bits == OURS
    assert syn.wnd_size == UTPConfig().receive_buffer
    assert state_of(connection) is State.SYN_SENT
    assert not connection.incoming


def test_syn_ack_opens(exchange: type[Exchange]) -> None:
    """Our next packets carry id + 1 and ISN + 1, and acknowledge the SYN-ACK's seq_nr less one."""
    peer = exchange()
    connection = peer.dial(seq=0)
    assert peer.events == [Connected(incoming=False)]
    assert state_of(connection) is State.ESTABLISHED
    (data,) = peer.write(connection, b"hello")
    assert (data.type, data.payload) == (DATA, b"hello")
    assert data.connection_id == peer.id + 1 & 0xFFFF
    assert data.seq_nr == peer.ack + 1 & 0xFFFF
    assert data.ack_nr == 0xFFFF
    peer.data(b"world")  # with the seq_nr that the SYN-ACK had: it was not consumed
    assert peer.received == b"world"


def test_syn_is_repeated(exchange: type[Exchange]) -> None:
    """Unanswered, the same SYN after a second; the third and later with fresh ids and without extension bits."""
    peer = exchange()
    connection = peer.mux.connect(peer.address, now=peer.now)
    (first,) = peer.flush()
    sent = peer.wait_timed(8 * SECOND)
    assert [at for at, _ in sent][:3] == [1 * SECOND, 3 * SECOND, 5 * SECOND]
    again, *late = [packet for _, packet in sent]
    assert set(types([first, again, *late])) == {SYN}
    assert set(seqs([again, *late])) == {first.seq_nr}
    assert again.extension_bits == first.extension_bits == OURS
    assert again.connection_id == first.connection_id
    assert all(packet.extension_bits is None for packet in late)
    assert len({packet.connection_id for packet in [first, *late]}) == 1 + len(late)
    assert late[-1].connection_id == connection.recv_id


def test_answer_to_an_earlier_id_is_adopted(exchange: type[Exchange]) -> None:
    """Whichever SYN is answered, its id is the connection's, and the others are forgotten."""
    peer = exchange()
    connection = peer.mux.connect(peer.address, now=peer.now)
    (first,) = peer.flush()
    peer.wait(4 * SECOND)
    assert connection.recv_id != first.connection_id
    other = connection.recv_id
    peer.id, peer.seq, peer.ack = first.connection_id, 2000, first.seq_nr
    peer.state()
    assert state_of(connection) is State.ESTABLISHED
    (data,) = peer.write(connection, b"x")
    assert data.connection_id == first.connection_id + 1 & 0xFFFF
    peer.id = other
    (reset,) = peer.data(b"y")
    assert reset.type is RESET
    peer.id = first.connection_id
    peer.data(b"z", seq=2000)
    assert peer.received == b"z"
    assert len(peer.mux._connections) == 1


def test_a_wrong_packet_does_not_open(exchange: type[Exchange]) -> None:
    """Only a STATE that acknowledges the SYN does; DATA that overtook it is dropped, and a FIN waited behind."""
    peer = exchange()
    connection = peer.mux.connect(peer.address, now=peer.now)
    (syn,) = peer.flush()
    peer.id, peer.seq = syn.connection_id, 2000
    assert peer.state(ack=syn.seq_nr + 1) == []
    assert peer.data(b"early", ack=syn.seq_nr) == []
    assert peer.fin(ack=syn.seq_nr) == []
    assert state_of(connection) is State.SYN_SENT
    assert connection.stats().packets_invalid == 2
    peer.seq = 2000
    peer.state(ack=syn.seq_nr)
    assert state_of(connection) is State.ESTABLISHED


def test_the_handshake_measures_the_round_trip(exchange: type[Exchange]) -> None:
    """A SYN sent once gives the first sample; one sent twice gives none (Karn)."""
    peer = exchange()
    assert peer.dial().stats().rtt == 20_000
    peer = exchange()
    connection = peer.mux.connect(peer.address, now=peer.now)
    (syn,) = peer.flush()
    peer.wait(1_500_000)
    peer.id, peer.seq, peer.ack = syn.connection_id, 2000, syn.seq_nr
    peer.state()
    assert state_of(connection) is State.ESTABLISHED
    assert connection.stats().rtt == 0


def test_connect_timeout(exchange: type[Exchange]) -> None:
    """A connect that nobody answers fails at its timeout, and is forgotten."""
    peer = exchange(UTPConfig(connect_timeout=4.5))
    connection = peer.mux.connect(peer.address, now=peer.now)
    peer.wait(4_499_999)
    assert peer.lost == []
    peer.wait(1)
    assert peer.events == [ConnectionLost(LossReason.CONNECT_TIMED_OUT)]
    assert state_of(connection) is State.CLOSED
    assert len(peer.mux) == 0
    assert peer.wait(60 * SECOND) == []


def test_connect_refused(exchange: type[Exchange]) -> None:
    """A RESET for our SYN is a refusal, in either of the two forms of its id; with a wrong ack_nr it is nothing."""
    for offset in (0, 1):
        peer = exchange()
        peer.mux.connect(peer.address, now=peer.now)
        (syn,) = peer.flush()
        peer.id = syn.connection_id + offset & 0xFFFF
        peer.reset(ack=syn.seq_nr + 1)
        assert peer.lost == []
        peer.reset(ack=syn.seq_nr)
        assert peer.events == [ConnectionLost(LossReason.REFUSED)]


def answer_syns_with_fin(peer: Exchange, until: int) -> list[int]:
    """Each SYN gets a FIN, repeated each 300 ms, until so many µs have passed; when SYNs came."""
    begin, times, ids = peer.now, [], []
    packets = peer.flush()
    while peer.now - begin < until:
        for syn in packets:
            assert syn.type is SYN
            times.append(peer.now - begin)
            ids.append(syn.connection_id)
            peer.ack = syn.seq_nr
        for peer.id in ids:
            peer.fin(seq=4000)
        if peer.lost:
            break
        packets = [packet for at, packet in peer.wait_timed(100_000)]
    assert len(set(ids)) == len(ids)  # what answers with FIN still has the old id
    return times


def test_fin_in_answer_to_the_syn_for_a_moment(exchange: type[Exchange]) -> None:
    """A libtorrent that is still loading the torrent says FIN for a second: the connect tries again, and succeeds."""
    peer = exchange()
    connection = peer.mux.connect(peer.address, now=peer.now)
    times = answer_syns_with_fin(peer, 900_000)
    assert len(times) == 2 and not peer.lost
    (syn,) = peer.wait(REFUSAL_INTERVAL)
    peer.id, peer.seq, peer.ack = syn.connection_id, 2000, syn.seq_nr
    peer.state()
    assert state_of(connection) is State.ESTABLISHED and peer.events == [Connected(incoming=False)]


def test_fin_in_answer_to_the_syn_for_good(exchange: type[Exchange]) -> None:
    """If it stays so the connect is refused, long before it would time out."""
    peer = exchange()
    peer.mux.connect(peer.address, now=peer.now)
    begin = peer.now
    times = answer_syns_with_fin(peer, 30 * SECOND)
    peer.wait(0)
    assert peer.events == [ConnectionLost(LossReason.REFUSED)]
    assert REFUSAL_TIMEOUT <= peer.now - begin <= REFUSAL_TIMEOUT + 2 * REFUSAL_INTERVAL
    assert 4 <= len(times) <= 8
    assert len(peer.mux) == 0


def test_fin_in_answer_to_the_syn_then_nothing(exchange: type[Exchange]) -> None:
    """What was heard last counts when the time is over; a FIN for another SYN was never heard."""
    for wrong, reason in ((0, LossReason.REFUSED), (1, LossReason.CONNECT_TIMED_OUT)):
        peer = exchange(UTPConfig(connect_timeout=2))
        peer.mux.connect(peer.address, now=peer.now)
        (syn,) = peer.flush()
        peer.id = syn.connection_id
        peer.fin(seq=4000, ack=syn.seq_nr + wrong)
        assert not peer.lost
        peer.wait(2 * SECOND)
        assert peer.events == [ConnectionLost(reason)]


def test_syn_ack_behind_a_fin(exchange: type[Exchange]) -> None:
    """A peer that accepts and closes at once, and whose FIN overtakes: the connection opens, and has ended."""
    peer = exchange()
    peer.mux.connect(peer.address, now=peer.now)
    (syn,) = peer.flush()
    peer.id, peer.seq, peer.ack = syn.connection_id, 2000, syn.seq_nr
    fin = peer.packet(FIN)
    peer.feed(fin)
    peer.state()
    peer.feed(fin)
    assert peer.events == [Connected(incoming=False), EndOfStream()]


@pytest.mark.parametrize("how", ["close", "abort"])
def test_cancelled_connect(exchange: type[Exchange], how: str) -> None:
    """Closing or aborting what is not open yet ends it at once, without a RESET (there is no peer yet)."""
    peer = exchange()
    connection = peer.mux.connect(peer.address, now=peer.now)
    peer.flush()
    getattr(connection, how)(now=peer.now)
    assert peer.flush() == []
    assert peer.events == [ConnectionLost(LossReason.ABORTED)]
    assert len(peer.mux) == 0


def test_what_is_written_before_the_connection_is_open(exchange: type[Exchange]) -> None:
    """It goes out with the opening, FIN included."""
    peer = exchange()
    connection = peer.mux.connect(peer.address, now=peer.now)
    connection.write(b"early", now=peer.now)
    connection.write_eof(now=peer.now)
    (syn,) = peer.flush()
    assert connection.unsent_bytes == 5
    peer.id, peer.seq, peer.ack = syn.connection_id, 2000, syn.seq_nr
    data, fin = peer.state()
    assert (data.type, data.payload, fin.type) == (DATA, b"early", FIN)


def test_ours_confirm_themselves(exchange: type[Exchange]) -> None:
    """Toward one of ours an initiator says at once, and some more times, that it is there; to others nothing."""
    peer = exchange()
    connection = peer.mux.connect(peer.address, now=peer.now)
    (syn,) = peer.flush()
    peer.id, peer.seq, peer.ack = syn.connection_id, 2000, syn.seq_nr
    peer.now += 20_000
    assert types(peer.state(bits=OURS)) == [STATE]
    assert connection.peer_is_ours
    assert connection.peer_extension_bits == OURS
    assert types(peer.wait(20 * SECOND)) == [STATE] * (MAX_CONFIRMATIONS - 1)
    other = exchange()
    other.mux.connect(other.address, now=other.now)
    (syn,) = other.flush()
    other.id, other.seq, other.ack = syn.connection_id, 2000, syn.seq_nr
    assert other.state(bits=1) == []
    assert not other.only().peer_is_ours
    assert other.only().peer_extension_bits == 1
    assert other.wait(20 * SECOND) == []


def test_confirmations_stop_when_the_acceptor_speaks(exchange: type[Exchange]) -> None:
    """Any packet from the acceptor shows that it knows."""
    peer = exchange()
    peer.dial(bits=OURS)
    peer.state()
    assert peer.wait(20 * SECOND) == []


def test_data_in_trains_stops_confirmations_too(exchange: type[Exchange]) -> None:
    """The acceptor speaks in a train of packets: that is as good as one."""
    peer = exchange()
    peer.dial(bits=OURS)
    packets = [peer.packet(DATA, b"x" * 50, seq=peer.seq + at) for at in range(3)]
    assert types(peer.feed(*packets)) == [STATE]
    assert peer.wait(20 * SECOND) == []


# --- Accepting one --------------------------------------------------------------------------------------------


def test_syn_ack(exchange: type[Exchange]) -> None:
    """ack_nr is the SYN's; seq_nr is the next one, not consumed: the first DATA has the same (protocol.md 2)."""
    peer = exchange(UTPConfig(early_byte=True))
    (answer,) = peer.syn(id=0xFFFF, seq=0xFFFF)
    assert (answer.type, answer.connection_id, answer.ack_nr) == (STATE, 0xFFFF, 0xFFFF)
    assert answer.extension_bits is None
    connection = peer.only()
    assert (connection.state, connection.recv_id, connection.incoming) == (State.SYN_RECEIVED, 0, True)
    assert peer.events == [Connected(incoming=True)]
    (data,) = peer.write(connection, b"x")
    assert (data.type, data.seq_nr, data.connection_id) == (DATA, answer.seq_nr, 0xFFFF)
    peer.ack = answer.seq_nr
    peer.data(b"first")  # seq_nr 0, on id 0
    assert peer.received == b"first"
    assert state_of(connection) is State.ESTABLISHED


def test_repeated_syn_gets_the_identical_answer(exchange: type[Exchange]) -> None:
    """The same SYN-ACK again, never a second connection (protocol.md 2), before and after it is confirmed."""
    peer = exchange()
    (answer,) = peer.syn()
    (again,) = peer.syn()
    assert again == answer
    assert len(peer.mux) == 0 and peer.events == []
    connection = peer.accept()
    peer.write(connection, b"x")
    (again,) = peer.syn()
    assert (again.type, again.seq_nr, again.ack_nr) == (STATE, answer.seq_nr, answer.ack_nr)
    assert len(peer.mux) == 1
    assert peer.events == [Connected(incoming=True)]


def test_another_syn_with_a_known_id_is_dropped(exchange: type[Exchange]) -> None:
    """An id in use with another seq_nr is neither repeated nor new."""
    peer = exchange()
    connection = peer.accept()
    peer.id -= 1
    assert peer.feed(peer.packet(SYN, seq=4)) == []
    assert connection.stats().packets_invalid == 1


def test_syns_wnd_size_and_timestamp_do_not_count(exchange: type[Exchange]) -> None:
    """Several peers' SYN says wnd_size 0, and librqbit's timestamp is in ms (protocol.md 2)."""
    peer = exchange(PLAIN.replace(early_byte=True))
    peer.wnd = 0
    connection = peer.accept(confirm=False)
    assert connection.stats().peer_window > 0
    assert types(peer.write(connection, b"hello")) == [DATA]
    assert connection.sender.delay.base is None


def test_syn_ack_echoes_the_syns_delay(exchange: type[Exchange]) -> None:
    """timestamp_difference is our clock less the packet's timestamp, modulo 2^32, by the clock of our timestamps."""
    peer = exchange()
    syn = Packet(SYN, 9, timestamp=peer.now + 5 & 0xFFFFFFFF, seq_nr=1)
    (answer,) = peer.feed(syn)
    assert answer.timestamp - answer.timestamp_difference & 0xFFFFFFFF == syn.timestamp


def test_ours_get_the_extension_bits(exchange: type[Exchange]) -> None:
    """Who shows our bits gets ours, a wider span and longer selective acks."""
    peer = exchange()
    (answer,) = peer.syn(bits=OURS | 5)
    connection = peer.accept(bits=OURS | 5)
    assert answer.extension_bits == OURS
    assert connection.peer_extension_bits == OURS | 5
    assert connection.sender.max_span == MAX_SPAN
    assert connection.writer.sack_limit == MAX_SACK_BYTES
    assert exchange().accept().sender.max_span == MAX_SPAN_FOREIGN


def test_unconfirmed_acceptor(exchange: type[Exchange]) -> None:
    """Before a packet after the SYN has come one byte is sent, where that is wanted; then everything."""
    peer = exchange(PLAIN.replace(early_byte=True))
    connection = peer.accept(confirm=False)
    (tiny,) = peer.write(connection, bytes(500))
    assert len(tiny.payload) == 1
    rest = peer.state(ack=tiny.seq_nr)
    assert sum(len(packet.payload) for packet in rest) == 499
    assert state_of(connection) is State.ESTABLISHED


@pytest.mark.parametrize("bits", [None, OURS])
def test_unconfirmed_peer_gets_no_more_than_it_sent(exchange: type[Exchange], bits: int | None) -> None:
    """All that answers a SYN is no longer than the SYN, and nothing follows."""
    peer = exchange(UTPConfig(keepalive=1))
    sent = peer.syn(bits=bits) + peer.wait(2 * UNCONFIRMED_TIMEOUT)
    assert types(sent) == [STATE]
    assert len(encode_packet(sent[0])) == (20 if bits is None else 30)
    assert peer.mux.poll_timeout() is None and peer.mux.snapshot().half_open == 0


@pytest.mark.parametrize("does", ["write", "close", "abort", "write_eof"])
def test_early_connection_sends_little_more(exchange: type[Exchange], does: str) -> None:
    """With early_byte, whatever the application does, one packet of a byte at the most is all that is sent, once."""
    peer = exchange(UTPConfig(keepalive=1, early_byte=True))
    sent = peer.syn()
    connection = peer.only()
    connection.write(bytes(5000), now=peer.now)
    if does != "write":
        getattr(connection, does)(now=peer.now)
    sent += peer.flush() + peer.wait(2 * UNCONFIRMED_TIMEOUT)
    expected = {"write": [STATE, DATA], "close": [STATE, DATA], "write_eof": [STATE, DATA], "abort": [STATE]}
    assert types(sent) == expected[does]
    assert sum(len(encode_packet(packet)) for packet in sent) <= 41


def test_late_syn_without_bits_gets_no_longer_answer(exchange: type[Exchange]) -> None:
    """Only a SYN with our bits, ten bytes longer, is answered with them."""
    peer = exchange()
    (first,) = peer.syn(bits=OURS)
    (second,) = peer.syn()
    assert (first.extension_bits, second.extension_bits) == (OURS, None)
    assert second.seq_nr == first.seq_nr


def test_refused_at_once_is_reset_instead(exchange: type[Exchange]) -> None:
    """Who aborts before the SYN-ACK has left sends a RESET in its place, without a close reason."""
    peer = exchange(UTPConfig(early_byte=True))
    syn = Packet(SYN, 9, seq_nr=5)
    peer.mux.receive_datagrams([Datagram(encode_packet(syn), peer.address)], now=peer.now)
    peer.only().close_code = 7
    peer.only().abort(now=peer.now)
    (reset,) = peer.flush()
    assert (reset.type, reset.connection_id, reset.close_reason) == (RESET, 9, 0)


def test_a_peer_never_heard_of_again(exchange: type[Exchange]) -> None:
    """An unconfirmed connection ends after its timeout, as timed out, without a word."""
    peer = exchange(UTPConfig(keepalive=0, early_byte=True))
    peer.accept(confirm=False)
    assert peer.wait(UNCONFIRMED_TIMEOUT - 20_001) == []
    assert peer.lost == []
    peer.wait(1)
    assert peer.lost == [ConnectionLost(LossReason.TIMED_OUT)]
    assert len(peer.mux) == 0


def test_acceptor_may_close_at_once(exchange: type[Exchange]) -> None:
    """A FIN may go before the peer is confirmed, if a byte may; its acknowledgement confirms and ends."""
    peer = exchange(UTPConfig(early_byte=True))
    connection = peer.accept(confirm=False)
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    assert fin.type is FIN
    assert state_of(connection) is State.FIN_WAIT_1
    peer.state(ack=fin.seq_nr)
    assert state_of(connection) is State.FIN_WAIT_2
    assert peer.lost == [ConnectionLost(LossReason.DONE)]


# --- Receiving ------------------------------------------------------------------------------------------------


def test_one_ack_for_a_batch(exchange: type[Exchange]) -> None:
    """One STATE per drained batch (protocol.md 4), with our next seq_nr, unconsumed; one event for its data."""
    peer = exchange()
    connection = peer.dial()
    packets = [peer.packet(DATA, bytes([at]) * 10, seq=peer.seq + at) for at in range(5)]
    (ack,) = peer.feed(*packets)
    assert (ack.type, ack.ack_nr, ack.sack) == (STATE, peer.seq + 4, None)
    assert ack.seq_nr == peer.ack + 1 & 0xFFFF
    assert ack.payload == b""
    assert sum(isinstance(event, bytes) for event in peer.events) == 1
    assert connection.stats().acks_sent == 1


def test_acks_ride_on_data(exchange: type[Exchange]) -> None:
    """What the application writes while it handles the batch carries the acknowledgement (protocol.md 4)."""
    peer = exchange()
    connection = peer.dial()
    packet = peer.packet(DATA, b"ping")
    peer.mux.receive_datagrams([Datagram(encode_packet(packet), peer.address)], now=peer.now)
    connection.write(b"pong", now=peer.now)
    (answer,) = peer.flush()
    assert (answer.type, answer.payload, answer.ack_nr) == (DATA, b"pong", packet.seq_nr)


def test_a_gap_is_told_at_once(exchange: type[Exchange]) -> None:
    """A packet ahead of a gap is answered with a selective ack, and delivered when the gap closes."""
    peer = exchange()
    peer.dial(seq=65_534)
    (ack,) = peer.data(b"b", seq=65_535)
    assert (ack.ack_nr, ack.sack, ack.sack_length) == (65_533, 0b1, 4)
    (ack,) = peer.data(b"d", seq=1)
    assert (ack.ack_nr, ack.sack) == (65_533, 0b101)
    assert peer.received == b""
    (ack,) = peer.data(b"a", seq=65_534)
    assert (ack.ack_nr, ack.sack) == (65_535, 0b1)
    peer.data(b"c", seq=0)
    assert peer.received == b"abcd"


def test_old_data_is_acknowledged_again(exchange: type[Exchange]) -> None:
    """Our acknowledgement was lost: say it again at once (protocol.md 4); nothing is delivered twice."""
    peer = exchange()
    connection = peer.dial()
    peer.data(b"a", seq=2000)
    (ack,) = peer.data(b"a", seq=2000)
    assert (ack.type, ack.ack_nr) == (STATE, 2000)
    assert peer.received == b"a"
    assert connection.stats().packets_duplicate == 1


@pytest.mark.parametrize(
    ("offset", "valid"), [(-4, False), (-3, True), (0, True), (2, True), (3, False), (9999, False)]
)
def test_valid_ack_nr(exchange: type[Exchange], offset: int, valid: bool) -> None:
    """
    ack_nr in [next_seq - 1 - in_flight - 3, next_seq - 1] (protocol.md 3); else the packet is dropped and nothing torn
    down.
    """
    peer = exchange(PLAIN)
    connection = peer.dial()
    assert len(peer.write(connection, bytes(2 * MSS))) == 2
    peer.data(b"x", ack=peer.ack + offset)
    assert (peer.received == b"x") is valid
    assert state_of(connection) is State.ESTABLISHED
    assert ("ack_nr out of range" in peer.dropped) is not valid


def test_what_does_not_fit_is_dropped(exchange: type[Exchange]) -> None:
    """Data beyond the window or too far ahead is not taken, and is answered so that the peer sees where we are."""
    peer = exchange(UTPConfig(receive_buffer=16 * 1024))
    connection = peer.dial()
    connection.pause_reading()
    for _ in range(16):
        peer.data(bytes(1000))
    before = peer.seq
    (ack,) = peer.data(bytes(1000), seq=before)
    assert ack.ack_nr == before - 1
    assert ack.wnd_size == 384
    (ack,) = peer.data(b"", seq=before + 20_000)
    assert ack.ack_nr == before - 1
    assert peer.dropped == ["beyond the advertised window", "neither an echo nor the next number"]


def test_empty_data_and_payload_on_state(exchange: type[Exchange]) -> None:
    """DATA without payload takes its seq_nr, a STATE's payload is nothing (protocol.md 3: tolerate)."""
    peer = exchange()
    peer.dial()
    (ack,) = peer.data(b"")
    assert ack.ack_nr == 2000
    peer.feed(peer.packet(STATE, b"junk"))
    peer.data(b"x")
    assert peer.received == b"x"
    peer.feed(peer.packet(FIN, b"junk"))
    assert peer.received == b"x"
    assert EndOfStream() in peer.events


@pytest.mark.parametrize("seed", range(4))
def test_any_order_across_the_wrap(exchange: type[Exchange], seed: int) -> None:
    """Packets around seq_nr 65535 in random order, batches and repetition, FIN among them: the stream is whole."""
    random = Random(seed)
    peer = exchange()
    peer.dial(seq=65_500)
    payloads = [bytes([at]) * random.randrange(1, 40) for at in range(80)]
    order = [*range(81), *(random.randrange(81) for _ in range(30))]
    random.shuffle(order)
    while order:
        batch = [order.pop() for _ in range(min(len(order), random.randrange(1, 6)))]
        peer.feed(
            *(
                peer.packet(FIN, seq=65_500 + at) if at == 80 else peer.packet(DATA, payloads[at], seq=65_500 + at)
                for at in batch
            )
        )
    assert peer.received == b"".join(payloads)
    assert peer.events[-1] == EndOfStream()


def test_train_across_the_wrap(exchange: type[Exchange]) -> None:
    """A whole batch of equal packets over the wrap of seq_nr is delivered and acknowledged at once."""
    peer = exchange()
    connection = peer.dial(seq=65_530)
    packets = [peer.packet(DATA, bytes([at]) * 20, seq=65_530 + at) for at in range(12)]
    (ack,) = peer.feed(*packets)
    assert ack.ack_nr == 5
    assert peer.received == b"".join(packet.payload for packet in packets)
    assert connection.stats().packets_received == 13


def test_train_with_a_bad_ack_nr(exchange: type[Exchange]) -> None:
    """A train gets no further than its packets would one by one."""
    peer = exchange()
    connection = peer.dial()
    packets = [peer.packet(DATA, b"x" * 20, seq=peer.seq + at, ack=peer.ack + 500) for at in range(3)]
    peer.feed(*packets)
    assert peer.received == b""
    assert connection.stats().packets_invalid == 3


def test_train_in_a_late_state(exchange: type[Exchange]) -> None:
    """After both FINs a train is old data like any other."""
    peer = exchange()
    connection = peer.accept()
    packets = [peer.packet(DATA, b"x" * 20, seq=peer.seq + at) for at in range(3)]
    peer.feed(*packets)
    peer.seq += 3
    assert peer.received == b"x" * 60
    peer.fin()
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    assert types(peer.feed(*packets)) == [STATE, STATE]
    assert fin.type is FIN
    assert peer.received == b"x" * 60


# --- Sending --------------------------------------------------------------------------------------------------


def test_delay_echo(exchange: type[Exchange]) -> None:
    """timestamp_difference is measured on receipt of the last packet, not when we answer (protocol.md 1)."""
    peer = exchange()
    connection = peer.dial()
    theirs = peer.packet(DATA, b"x", timestamp=peer.now - 700 & 0xFFFFFFFF)
    peer.feed(theirs)
    peer.now += 50_000
    (data,) = peer.write(connection, b"y")
    assert data.timestamp - data.timestamp_difference & 0xFFFFFFFF == theirs.timestamp + 50_000 & 0xFFFFFFFF
    assert data.timestamp == peer.now + connection.writer.clock_offset & 0xFFFFFFFF


def test_kernel_timestamps_count(exchange: type[Exchange]) -> None:
    """A datagram that waited in the socket is measured by when it arrived."""
    peer = exchange()
    peer.dial()
    packet = peer.packet(DATA, b"x", timestamp=peer.now - 9000 & 0xFFFFFFFF)
    peer.mux.receive_datagrams([Datagram(encode_packet(packet), peer.address, 0, peer.now - 8000)], now=peer.now)
    (ack,) = peer.flush()
    assert ack.timestamp - ack.timestamp_difference & 0xFFFFFFFF == packet.timestamp + 8000 & 0xFFFFFFFF


def test_writable(exchange: type[Exchange]) -> None:
    """A send buffer over its limit says so, and says when it has drained to half; not without having been full."""
    peer = exchange(PLAIN.replace(send_buffer=4096))
    connection = peer.dial()
    peer.wnd = 10 * MSS
    peer.state()
    peer.write(connection, bytes(4096))
    assert not connection.is_write_full()
    peer.write(connection, bytes(1501))
    connection.write(bytes(100), now=peer.now)
    assert connection.unsent_bytes == 4197
    assert connection.is_write_full()
    acked = 0
    while Writable() not in peer.events:
        assert connection.unsent_bytes > 2048
        acked += 1
        peer.now += 20_000
        peer.state(ack=peer.ack + acked)
    assert connection.unsent_bytes <= 2048
    while connection.unsent_bytes:
        acked += 1
        peer.state(ack=peer.ack + acked)
    assert peer.events.count(Writable()) == 1


def test_no_writable_after_the_end(exchange: type[Exchange]) -> None:
    """Who has closed its write side need not hear that it may write."""
    peer = exchange(PLAIN.replace(send_buffer=4096))
    connection = peer.dial()
    connection.write(bytes(5000), now=peer.now)
    connection.write_eof(now=peer.now)
    peer.flush()
    assert connection.unsent_bytes == 0
    assert Writable() not in peer.events


def test_writes_after_the_end_are_ignored(exchange: type[Exchange]) -> None:
    """As in Twisted: after write_eof, close or the end, writing does nothing."""
    peer = exchange()
    connection = peer.dial()
    connection.write_eof(now=peer.now)
    assert types(peer.flush()) == [FIN]
    assert peer.write(connection, b"late") == []
    connection.abort(now=peer.now)
    peer.flush()
    connection.write(b"later", now=peer.now)
    connection.write_eof(now=peer.now)
    connection.abort(now=peer.now)
    assert peer.flush() == []
    assert connection.unsent_bytes == 0


def test_no_delay_switch(exchange: type[Exchange]) -> None:
    """Switching coalescing off lets go what it held."""
    peer = exchange(PLAIN)
    connection = peer.dial()
    for _ in range(4):
        peer.write(connection, b"x")
    assert connection.unsent_bytes == 2
    connection.set_no_delay(False, now=peer.now)
    assert peer.flush() == []
    connection.set_no_delay(True, now=peer.now)
    assert [packet.payload for packet in peer.flush()] == [b"xx"]


def test_sack_rides_on_small_data_and_a_state_follows_full_data(exchange: type[Exchange]) -> None:
    """With a gap, packets with room tell of it; full ones cannot, so a STATE does."""
    peer = exchange(PLAIN)
    connection = peer.dial()
    peer.data(b"b", seq=2001)
    (small,) = peer.write(connection, b"x" * 50)
    assert small.sack == 0b1
    connection.write(b"y" * MSS, now=peer.now)
    full, state = peer.data(b"c", seq=2002)
    assert (full.type, full.sack, state.type, state.sack) == (DATA, None, STATE, 0b11)


def test_mtu_follows_the_address(exchange: type[Exchange]) -> None:
    """A connection starts with what every path carries (RFC 8899 (5.1.2)); a configured size is used as it is."""
    peer = exchange()
    for host, config, expected in (
        ("192.0.2.7", None, 548),
        ("2001:db8::7", None, 1232),
        ("2001:db8::8", UTPConfig(mtu=900), 900),
    ):
        connection = peer.mux.connect((host, 1), now=peer.now, config=config)
        assert connection.stats().mss == expected - 20


# --- Reading paused -------------------------------------------------------------------------------------------


def test_paused_reader(exchange: type[Exchange]) -> None:
    """Nothing is delivered, the window closes; resuming delivers all at once and tells the peer."""
    peer = exchange(UTPConfig(receive_buffer=16 * 1024))
    connection = peer.dial()
    connection.pause_reading()
    windows = [peer.data(bytes(4096))[0].wnd_size for _ in range(4)]
    assert windows == [12288, 8192, 4096, 0]
    assert peer.received == b""
    connection.resume_reading(now=peer.now)
    (update,) = peer.flush()
    assert (update.type, update.wnd_size) == (STATE, 16384)
    assert len(peer.received) == 16384
    assert connection.stats().bytes_received == 16384


def test_resuming_without_news_says_nothing(exchange: type[Exchange]) -> None:
    """A window that has hardly changed is no packet's worth; nor is resuming what was not paused."""
    peer = exchange()
    connection = peer.dial()
    connection.resume_reading(now=peer.now)
    connection.pause_reading()
    peer.data(b"x")
    connection.resume_reading(now=peer.now)
    assert peer.flush() == []
    assert peer.received == b"x"


def test_end_of_stream_waits_for_the_paused_reader(exchange: type[Exchange]) -> None:
    """Neither data nor the end are told while paused; then in order."""
    peer = exchange()
    connection = peer.dial()
    connection.pause_reading()
    peer.data(b"last")
    peer.fin()
    assert peer.events == [Connected(incoming=False)]
    assert state_of(connection) is State.CLOSE_WAIT
    connection.resume_reading(now=peer.now)
    peer.flush()
    assert peer.events[1:] == [b"last", EndOfStream()]


def lingering_with_paused_reader(peer: Exchange) -> Connection:
    """Both FINs exchanged and acknowledged, but the reader has not taken the last bytes."""
    connection = peer.dial()
    connection.pause_reading()
    connection.write_eof(now=peer.now)
    (fin,) = peer.flush()
    peer.ack = fin.seq_nr
    peer.data(b"last")
    peer.fin()
    assert state_of(connection) is State.LINGERING
    assert peer.lost == []
    return connection


@pytest.mark.parametrize("wait", [0, MAX_LINGER + SECOND, 3600 * SECOND])
@pytest.mark.parametrize("how", ["resume", "close"])
def test_paused_reader_past_the_linger_time(exchange: type[Exchange], wait: int, how: str) -> None:
    """However late the reader resumes, it gets the bytes, the end and DONE; then the connection is forgotten."""
    peer = exchange()
    connection = lingering_with_paused_reader(peer)
    peer.wait(wait)
    assert peer.lost == []
    assert not peer.mux.is_idle()
    if how == "resume":
        connection.resume_reading(now=peer.now)
    else:
        connection.close(now=peer.now)
    peer.flush()
    told = [b"last", EndOfStream()] if how == "resume" else []
    assert peer.events[1:] == [*told, ConnectionLost(LossReason.DONE)]
    peer.wait(MAX_LINGER + SECOND)
    assert len(peer.mux) == 0


def test_reset_cannot_take_what_a_paused_reader_was_promised(exchange: type[Exchange]) -> None:
    """Everything up to the peer's FIN had arrived, so DONE must not hide that the reader never got it."""
    peer = exchange()
    connection = lingering_with_paused_reader(peer)
    peer.reset()
    connection.resume_reading(now=peer.now)
    peer.flush()
    if peer.lost == [ConnectionLost(LossReason.DONE)]:
        assert peer.received == b"last"
        assert EndOfStream() in peer.events
    else:
        assert [lost.reason for lost in peer.lost] == [LossReason.RESET]


# --- Closing --------------------------------------------------------------------------------------------------


def test_half_close(exchange: type[Exchange]) -> None:
    """After write_eof reading goes on, for as long as the peer likes; the peer's FIN ends it."""
    peer = exchange(UTPConfig(keepalive=0))
    connection = peer.dial()
    connection.write(b"request", now=peer.now)
    connection.write_eof(now=peer.now)
    data, fin = peer.flush()
    assert types([data, fin]) == [DATA, FIN]
    assert fin.seq_nr == data.seq_nr + 1 & 0xFFFF
    assert fin.payload == b""
    assert state_of(connection) is State.FIN_WAIT_1
    peer.ack = fin.seq_nr
    peer.state()
    assert state_of(connection) is State.FIN_WAIT_2
    peer.wait(600 * SECOND)
    (ack,) = peer.data(b"response")
    assert ack.seq_nr == fin.seq_nr + 1 & 0xFFFF
    peer.fin()
    assert peer.events[1:] == [b"response", EndOfStream(), ConnectionLost(LossReason.DONE)]
    assert state_of(connection) is State.LINGERING


def test_peer_half_closes(exchange: type[Exchange]) -> None:
    """After the peer's FIN we may still send; our FIN, acknowledged, ends it."""
    peer = exchange()
    connection = peer.dial()
    (ack,) = peer.fin()
    assert ack.ack_nr == 2000
    assert peer.events[-1] == EndOfStream()
    assert state_of(connection) is State.CLOSE_WAIT
    (data,) = peer.write(connection, b"more")
    assert data.payload == b"more"
    peer.state(ack=data.seq_nr)
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    assert state_of(connection) is State.LAST_ACK
    assert peer.lost == []
    peer.state(ack=fin.seq_nr)
    assert peer.lost == [ConnectionLost(LossReason.DONE)]


def test_who_answers_a_fin_does_not_linger(exchange: type[Exchange]) -> None:
    """A peer of our kind that acknowledges our FIN has read in it that its own had arrived: it repeats nothing."""
    peer = exchange()
    connection = peer.dial(bits=OURS)
    peer.fin()
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    assert peer.state(ack=fin.seq_nr) == []
    assert state_of(connection) is State.CLOSED
    assert peer.lost == [ConnectionLost(LossReason.DONE)]
    assert len(peer.mux) == 0 and peer.mux.poll_timeout() is None


def test_who_answers_a_fin_lingers_for_other_peers(exchange: type[Exchange]) -> None:
    """What they make of our FIN's ack_nr is not known, so a FIN that they repeat is answered."""
    peer = exchange()
    connection = peer.dial()
    peer.fin()
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    peer.state(ack=fin.seq_nr)
    assert state_of(connection) is State.LINGERING
    assert types(peer.fin(seq=2000, ack=fin.seq_nr)) == [STATE, STATE]


@pytest.mark.parametrize("early_byte", [False, True])
def test_an_id_that_is_taken_again(exchange: type[Exchange], early_byte: bool) -> None:
    """Whoever does not linger may take the same id again while we do: that is answered at once."""
    peer = exchange(UTPConfig(early_byte=early_byte))
    first = peer.accept(bits=OURS)
    first.close(now=peer.now)
    (fin,) = peer.flush()
    peer.fin(ack=fin.seq_nr)
    assert state_of(first) is State.LINGERING
    assert types(peer.syn(bits=OURS)) == [STATE], "its own SYN once more"
    assert state_of(first) is State.LINGERING
    second = peer.accept(seq=9000, bits=None if early_byte else OURS)
    assert second is not first and state_of(second) is State.ESTABLISHED and state_of(first) is State.CLOSED
    peer.wait(MAX_LINGER)
    assert peer.only() is second and peer.mux.snapshot().connections_accepted == 2


@pytest.mark.parametrize("has_unread", [False, True])
def test_a_syn_ends_nothing_that_is_not_over(exchange: type[Exchange], has_unread: bool) -> None:
    """Nor does one that nobody accepts."""
    peer = exchange()
    connection = peer.accept(bits=OURS)
    seq = peer.seq
    assert peer.syn(seq=9000) == [] and state_of(connection) is State.ESTABLISHED
    peer.seq = seq
    if has_unread:
        connection.pause_reading()
        peer.data(b"last")
    else:
        peer.mux.accepting = False
    connection.write_eof(now=peer.now)
    (fin,) = peer.flush()
    peer.fin(ack=fin.seq_nr)
    assert state_of(connection) is State.LINGERING
    peer.syn(seq=9000)
    assert state_of(connection) is State.LINGERING


def test_who_answers_a_fin_waits_for_a_paused_reader(exchange: type[Exchange]) -> None:
    """What has arrived is delivered first, then the end."""
    peer = exchange()
    connection = peer.dial(bits=OURS)
    connection.pause_reading()
    peer.data(b"last")
    peer.fin()
    connection.write_eof(now=peer.now)
    (fin,) = peer.flush()
    peer.state(ack=fin.seq_nr)
    assert state_of(connection) is State.LINGERING
    connection.resume_reading(now=peer.now)
    peer.collect()
    assert peer.events[1:] == [b"last", EndOfStream(), ConnectionLost(LossReason.DONE)]
    peer.wait(MAX_LINGER)
    assert len(peer.mux) == 0


def test_simultaneous_close(exchange: type[Exchange]) -> None:
    """FINs that cross: each is acknowledged, and both ends are clean."""
    peer = exchange()
    connection = peer.dial()
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    peer.fin()
    assert state_of(connection) is State.CLOSING
    peer.state(ack=fin.seq_nr)
    assert state_of(connection) is State.LINGERING
    assert peer.lost == [ConnectionLost(LossReason.DONE)]
    assert EndOfStream() not in peer.events  # closed: what arrives is thrown away


def test_close_discards_but_acknowledges(exchange: type[Exchange]) -> None:
    """After close what the peer sends is acknowledged and thrown away; DONE comes with the FIN's acknowledgement."""
    peer = exchange()
    connection = peer.dial()
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    packets = [peer.packet(DATA, b"x" * 20, seq=peer.seq + at) for at in range(3)]
    (ack,) = peer.feed(*packets)
    assert ack.ack_nr == peer.seq + 2
    assert ack.wnd_size == UTPConfig().receive_buffer
    assert peer.received == b""
    connection.pause_reading()  # of no use any more
    assert peer.lost == []
    peer.state(ack=fin.seq_nr)
    assert peer.lost == [ConnectionLost(LossReason.DONE)]


def test_close_delivers_what_a_paused_reader_left(exchange: type[Exchange]) -> None:
    """close() throws away what was not read, and keeps the peer's acknowledgements going."""
    peer = exchange(UTPConfig(receive_buffer=16 * 1024))
    connection = peer.dial()
    connection.pause_reading()
    for _ in range(4):
        peer.data(bytes(4096))
    connection.close(now=peer.now)
    assert peer.flush()[0].wnd_size == 16384
    assert peer.received == b""


def test_fin_wait_2_ends_with_a_reset(exchange: type[Exchange]) -> None:
    """A peer that does not close after we closed both ways is told after a while that nobody listens."""
    peer = exchange()
    connection = peer.dial()
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    peer.ack = fin.seq_nr
    peer.state()
    assert state_of(connection) is State.FIN_WAIT_2
    sent = peer.wait_timed(FIN_WAIT_TIMEOUT)
    assert [(at, packet.type) for at, packet in sent] == [(FIN_WAIT_TIMEOUT, RESET)]
    assert sent[0][1].connection_id == connection.send_id
    assert sent[0][1].ack_nr == 1999
    assert len(peer.mux) == 0
    assert len(peer.lost) == 1


def test_close_in_fin_wait_2(exchange: type[Exchange]) -> None:
    """Who half-closed and then closes is done at once, and the peer gets its time."""
    peer = exchange()
    connection = peer.dial()
    connection.write_eof(now=peer.now)
    (fin,) = peer.flush()
    peer.ack = fin.seq_nr
    peer.state()
    assert peer.lost == []
    connection.close(now=peer.now)
    peer.flush()
    assert peer.lost == [ConnectionLost(LossReason.DONE)]
    assert types(peer.wait(FIN_WAIT_TIMEOUT)) == [RESET]


def test_both_conventions_after_fin(exchange: type[Exchange]) -> None:
    """
    STATEs after our FIN carry FIN + 1 (libutp, which drops others); a peer that repeats what we acknowledged is also
    answered with FIN (libtorrent, which drops FIN + 1) (protocol.md 6).
    """
    peer = exchange()
    connection = peer.dial()
    peer.data(b"a")
    connection.write_eof(now=peer.now)
    (fin,) = peer.flush()
    (ack,) = peer.data(b"b")
    assert ack.seq_nr == fin.seq_nr + 1 & 0xFFFF
    acks = peer.data(b"b", seq=2001)
    assert [(packet.seq_nr, packet.ack_nr) for packet in acks] == [(fin.seq_nr + 1 & 0xFFFF, 2001), (fin.seq_nr, 2001)]
    assert len(peer.data(b"c")) == 1


def test_acks_count_whatever_their_seq_nr(exchange: type[Exchange]) -> None:
    """After the peer's FIN its STATEs carry FIN (libtorrent) or FIN + 1 (libutp): both acknowledge (protocol.md 6)."""
    for offset in (0, 1):
        peer = exchange()
        connection = peer.dial()
        peer.fin()
        (data,) = peer.write(connection, b"x")
        peer.state(ack=data.seq_nr, seq=2000 + offset)
        assert connection.stats().bytes_acked == 1


def test_late_acks_of_the_fin_are_told_once(exchange: type[Exchange]) -> None:
    """Acknowledgements after the one of our FIN change nothing."""
    peer = exchange()
    connection = peer.dial()
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    peer.ack = fin.seq_nr
    for _ in range(3):
        peer.state()
    assert state_of(connection) is State.FIN_WAIT_2
    assert len(peer.lost) == 1


@pytest.mark.parametrize("how", ["lagging", "cumulative"])
def test_fin_named_before_it_is_acknowledged(exchange: type[Exchange], how: str) -> None:
    """A selective ack that names our FIN does not keep the cumulative one that follows from ending the connection."""
    peer = exchange()
    connection = peer.accept()
    connection.write(b"bye", now=peer.now)
    connection.close(now=peer.now)
    fin = peer.flush()[-1].seq_nr
    if how == "lagging":
        peer.state(ack=fin - 1)
        peer.state(ack=fin - 2, sack=[fin])
    else:
        peer.state(ack=fin - 2, sack=[fin])
        peer.state(ack=fin - 1)
    peer.state(ack=fin)
    assert peer.lost == [ConnectionLost(LossReason.DONE)]
    peer.fin(ack=fin)
    assert state_of(connection) is State.LINGERING
    peer.wait(MAX_LINGER)
    assert len(peer.mux) == 0 and peer.mux.poll_timeout() is None


def test_nothing_past_the_fin(exchange: type[Exchange]) -> None:
    """Data past the peer's FIN is not valid (protocol.md 6); repeated FINs are acknowledged."""
    peer = exchange()
    connection = peer.dial()
    peer.fin()
    peer.data(b"past")
    assert peer.received == b""
    assert peer.dropped == ["past the FIN"]
    (ack,) = peer.fin(seq=2000)
    assert ack.ack_nr == 2000
    assert peer.events.count(EndOfStream()) == 1
    assert state_of(connection) is State.CLOSE_WAIT


def test_linger_answers_repeats(exchange: type[Exchange]) -> None:
    """A peer that missed our last acknowledgement gets it again, until the linger time is over; then a RESET."""
    peer = exchange()
    connection = peer.dial()
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    peer.ack = fin.seq_nr
    peer.fin()
    assert state_of(connection) is State.LINGERING
    assert peer.mux.is_idle()
    peer.wait(MIN_LINGER - 1)
    assert types(peer.fin(seq=2000)) == [STATE, STATE]
    peer.wait(1)
    assert len(peer.mux) == 0
    assert types(peer.fin(seq=2000)) == [RESET]


@pytest.mark.parametrize("change", [False, True])
def test_linger_is_quiet(exchange: type[Exchange], change: bool) -> None:
    """A lingering connection only answers: it sends no keepalive, not even when that is changed now."""
    peer = exchange(UTPConfig(keepalive=0.5))
    connection = peer.dial()
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    peer.ack = fin.seq_nr
    peer.fin()
    if change:
        connection.set_keepalive(0.1, now=peer.now)
    assert peer.wait(MAX_LINGER) == []


def test_abort(exchange: type[Exchange]) -> None:
    """A RESET on the peer's receive id, now; ABORTED; nothing afterwards."""
    peer = exchange()
    connection = peer.dial()
    peer.write(connection, b"x" * 5000)
    connection.abort(now=peer.now)
    (reset,) = peer.flush()
    assert (reset.type, reset.connection_id) == (RESET, connection.send_id)
    assert reset.ack_nr == 1999
    assert reset.close_reason == 0
    assert peer.lost == [ConnectionLost(LossReason.ABORTED)]
    assert peer.mux.poll_timeout() is None or peer.wait(60 * SECOND) == []
    assert len(peer.mux) == 0


def test_abort_with_a_reason(exchange: type[Exchange]) -> None:
    """libtorrent's close reason, both ways."""
    peer = exchange()
    connection = peer.dial()
    connection.close_code = 261
    connection.abort(now=peer.now)
    assert peer.flush()[0].close_reason == 261
    peer.dial(seq=5)
    peer.reset(close_reason=17)
    assert peer.lost[-1] == ConnectionLost(LossReason.RESET, 17)


def test_close_reason_on_fin(exchange: type[Exchange]) -> None:
    """libtorrent's FIN carries its reason; the loss tells it."""
    peer = exchange()
    connection = peer.dial()
    peer.fin(close_reason=5)
    connection.close_code = 6
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    assert (fin.type, fin.close_reason, fin.sack) == (FIN, 6, 0)  # libutp drops what has extension 3 first
    assert encode_packet(fin)[1] == 1
    assert peer.wait(SECOND)[-1].close_reason == 6  # repeated
    peer.state(ack=fin.seq_nr)
    assert peer.lost == [ConnectionLost(LossReason.DONE, 5)]


def test_linger_time(exchange: type[Exchange]) -> None:
    """What was written has so long to arrive once the connection is closed; then it is reset, and that is told."""
    for linger in (0, 3):
        peer = exchange(UTPConfig(linger=linger, keepalive=0))
        connection = peer.dial()
        peer.wnd = 0
        peer.state()
        connection.write(bytes(100), now=peer.now)
        connection.close(now=peer.now)
        peer.flush()
        for _ in range(10):  # it answers, and takes nothing
            peer.wait(SECOND)
            peer.state()
        if linger:
            assert peer.lost == [ConnectionLost(LossReason.TIMED_OUT)] and len(peer.mux) == 0
        else:
            assert peer.lost == [] and len(peer.mux) == 1


def test_linger_time_of_who_is_done(exchange: type[Exchange]) -> None:
    """A close that succeeds within it is a clean one, and half closing has no such limit."""
    peer = exchange(UTPConfig(linger=1))
    connection = peer.dial()
    connection.write_eof(now=peer.now)
    (fin,) = peer.flush()
    peer.state(ack=fin.seq_nr)
    assert peer.wait(5 * SECOND) == [] == peer.lost
    connection.close(now=peer.now)
    peer.fin()
    assert peer.lost == [ConnectionLost(LossReason.DONE)]


@pytest.mark.parametrize("how", ["never reads", "acks garbage", "takes a packet", "takes enough"])
def test_stall_timeout(exchange: type[Exchange], how: str) -> None:
    """Who answers and takes nothing, or a packet now and then, ends with a RESET; who reads slowly lives."""
    peer = exchange(UTPConfig(stall_timeout=60, keepalive=0, congestion="fixed"))
    connection = peer.dial()
    peer.wnd = 0
    if how == "never reads":
        peer.state()
    connection.write(bytes(50_000), now=peer.now)
    last = peer.flush()
    for second in range(200):
        last = peer.wait(SECOND) or last
        if peer.lost:
            assert how != "takes enough" and 58 <= second <= 62
            assert peer.lost == [ConnectionLost(LossReason.TIMED_OUT)] and last[-1].type is RESET
            return
        if second % {"takes a packet": 20, "takes enough": 4}.get(how, 1000) == 0 and DATA in types(last):
            peer.ack = peer.ack + 1 & 0xFFFF
        peer.state(ack=peer.ack + (30_000 if how == "acks garbage" and second % 2 else 0))
    assert how == "takes enough"


def drip(peer: Exchange, connection: Connection, *, nbytes: int, interval: int, limit: int) -> int:
    """The peer's window lets C{nbytes} through each C{interval} µs; when it is given up, C{limit} at most."""
    begin = peer.now
    while not peer.lost and peer.now - begin < limit:
        peer.wnd = nbytes
        taken = peer.state()
        peer.now += 1000
        for packet in taken:
            assert packet.type is DATA and len(packet.payload) <= nbytes
            peer.ack = packet.seq_nr
        peer.wnd = 0
        peer.state()
        peer.wait(interval - 1000)
    return peer.now - begin


def test_stall_of_one_packet_each_nine_minutes(exchange: type[Exchange]) -> None:
    """That kept a connection's buffers for a day."""
    peer = exchange()
    connection = peer.dial()
    connection.write(bytes(200_000), now=peer.now)
    peer.flush()
    peer.wnd = 0
    assert drip(peer, connection, nbytes=1000, interval=540 * SECOND, limit=86_400 * SECOND) <= 1200 * SECOND
    assert peer.lost == [ConnectionLost(LossReason.TIMED_OUT)]


@pytest.mark.parametrize(("nbytes", "ends"), [(5, True), (20, False)])
def test_stall_of_bytes(exchange: type[Exchange], nbytes: int, ends: bool) -> None:
    """A byte at a time, so often that no retransmission ever times out, is measured by the same rate."""
    peer = exchange(UTPConfig(stall_timeout=60))
    connection = peer.dial()
    peer.wnd = 0
    peer.state()
    connection.write(bytes(50_000), now=peer.now)
    peer.flush()
    took = drip(peer, connection, nbytes=nbytes, interval=100_000, limit=200 * SECOND)
    assert bool(peer.lost) == ends
    assert not ends or took <= 61 * SECOND


def test_stall_timeout_of_who_has_nothing_to_take(exchange: type[Exchange]) -> None:
    """Time in which nothing waits does not count, nor does a little that is taken at once."""
    peer = exchange(UTPConfig(stall_timeout=10, keepalive=0))
    connection = peer.dial()
    for _ in range(10):
        (data,) = peer.write(connection, b"a little")
        peer.state(ack=data.seq_nr)
        peer.wait(9 * SECOND)
    peer.wait(60 * SECOND)
    peer.write(connection, b"a little more")
    peer.wait(9 * SECOND)
    assert not peer.lost


# --- RESET ----------------------------------------------------------------------------------------------------


def in_state(peer: Exchange, state: State) -> Connection:
    """A connection brought to a state, with one DATA packet sent and acknowledged where that is possible."""
    if state is State.SYN_SENT:
        connection = peer.mux.connect(peer.address, now=peer.now)
        (syn,) = peer.flush()
        peer.id, peer.ack = syn.connection_id, syn.seq_nr
        return connection
    if state is State.SYN_RECEIVED:
        return peer.accept(confirm=False)
    connection = peer.dial()
    (data,) = peer.write(connection, b"x")
    peer.ack = data.seq_nr
    peer.state()
    if state in (State.CLOSE_WAIT, State.LAST_ACK):
        peer.fin()
    if state not in (State.ESTABLISHED, State.CLOSE_WAIT):
        connection.write_eof(now=peer.now)
        peer.flush()
    if state is State.CLOSING:
        peer.fin()
    if state in (State.FIN_WAIT_2, State.LINGERING):
        peer.ack += 1
        peer.state()
    if state is State.LINGERING:
        peer.fin()
    assert connection.state is state
    return connection


REASONS = {
    State.SYN_SENT: LossReason.REFUSED,
    State.SYN_RECEIVED: LossReason.RESET,
    State.ESTABLISHED: LossReason.RESET,
    State.FIN_WAIT_1: LossReason.RESET,
    State.FIN_WAIT_2: LossReason.RESET,  # only half closed: the peer's stream is cut short
    State.CLOSE_WAIT: LossReason.RESET,
    State.CLOSING: LossReason.DONE,  # the peer had finished and has all of our data: only the FIN is unacknowledged
    State.LAST_ACK: LossReason.DONE,
    State.LINGERING: LossReason.DONE,
}


@pytest.mark.parametrize("form", ["our receive id", "our send id", "another id"])
@pytest.mark.parametrize("ack", ["valid", "far ahead", "far behind"])
@pytest.mark.parametrize("state", REASONS, ids=lambda state: state.name)
def test_reset_validation(exchange: type[Exchange], state: State, ack: str, form: str) -> None:
    """
    A RESET counts only with one of our ids and an ack_nr of what we sent (SYN_SENT: the SYN's); once nothing can be
    missing it is a clean end (protocol.md 6).  It is never answered.
    """
    peer = exchange(UTPConfig(early_byte=True))
    connection = in_state(peer, state)
    answered_before = len(peer.lost)
    peer.id = {
        "our receive id": connection.recv_id,
        "our send id": connection.send_id,
        "another id": connection.recv_id + 77 & 0xFFFF,
    }[form]
    answer = peer.reset(ack=peer.ack + {"valid": 0, "far ahead": 300, "far behind": -300}[ack])
    assert answer == []
    if ack == "valid" and form != "another id":
        assert state_of(connection) is State.CLOSED
        assert [lost.reason for lost in peer.lost] == [REASONS[state]]
        assert len(peer.mux) == 0
    else:
        assert connection.state is state
        assert len(peer.lost) == answered_before
        assert peer.mux.stats.resets_ignored == 1
        assert "RESET not believed" in peer.dropped


def test_reset_in_answer_to_a_state(exchange: type[Exchange]) -> None:
    """A STATE's seq_nr is the next, unconsumed one; a peer that knows us no more answers it with that ack_nr."""
    peer = exchange()
    peer.dial()
    (ack,) = peer.data(b"x")
    peer.id = ack.connection_id
    peer.reset(ack=ack.seq_nr)
    assert peer.lost == [ConnectionLost(LossReason.RESET)]


def test_reset_after_close(exchange: type[Exchange]) -> None:
    """Closed both ways and our FIN acknowledged: whoever resets then just leaves (protocol.md 6)."""
    peer = exchange()
    connection = peer.dial()
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    peer.feed(peer.packet(STATE, ack=fin.seq_nr), peer.packet(RESET, ack=fin.seq_nr))
    assert peer.lost == [ConnectionLost(LossReason.DONE)]
    assert state_of(connection) is State.CLOSED


def test_reset_behind_the_end_of_the_stream(exchange: type[Exchange]) -> None:
    """FIN and RESET in one batch: the stream was whole."""
    peer = exchange()
    connection = peer.dial()
    connection.write_eof(now=peer.now)
    (fin,) = peer.flush()
    peer.ack = fin.seq_nr
    peer.state()
    peer.feed(peer.packet(DATA, b"last"), peer.packet(FIN, seq=peer.seq + 1), peer.packet(RESET))
    assert peer.events[1:] == [b"last", EndOfStream(), ConnectionLost(LossReason.DONE)]


def test_reset_of_data_half_sent_is_no_clean_end(exchange: type[Exchange]) -> None:
    """In LAST_ACK with data unacknowledged, something is lost."""
    peer = exchange()
    connection = peer.dial()
    peer.fin()
    connection.write(b"unheard", now=peer.now)
    connection.close(now=peer.now)
    peer.flush()
    assert state_of(connection) is State.LAST_ACK
    peer.reset()
    assert peer.lost == [ConnectionLost(LossReason.RESET)]


# --- Time -----------------------------------------------------------------------------------------------------


def test_retransmission_and_giving_up(exchange: type[Exchange]) -> None:
    """A silent peer is asked ever more rarely, and is gone after the user timeout (protocol.md 3)."""
    peer = exchange(UTPConfig(user_timeout=10, keepalive=0))
    connection = peer.dial()
    (data,) = peer.write(connection, b"anybody?")
    sent = peer.wait_timed(60 * SECOND)
    assert {packet.seq_nr for _, packet in sent} == {data.seq_nr}
    assert {packet.payload for _, packet in sent} == {b"anybody?"}
    gaps = [later - at for (at, _), (later, _) in zip(sent[1:], sent[2:], strict=False)]
    assert all(later == pytest.approx(2 * gap, rel=0.3) for gap, later in zip(gaps, gaps[1:], strict=False))
    assert peer.lost == [ConnectionLost(LossReason.TIMED_OUT)]
    assert state_of(connection) is State.CLOSED


def test_giving_up_on_the_last_fin(exchange: type[Exchange]) -> None:
    """When the peer had finished and only our FIN is unanswered, nothing is lost: a clean end."""
    for written, reason in ((b"", LossReason.DONE), (b"x", LossReason.TIMED_OUT)):
        peer = exchange(UTPConfig(user_timeout=2))
        connection = peer.dial()
        peer.fin()
        connection.write(written, now=peer.now)
        connection.close(now=peer.now)
        peer.wait(60 * SECOND)
        assert [lost.reason for lost in peer.lost] == [reason]


@pytest.mark.parametrize("linger", [0, 1])
@pytest.mark.parametrize("first", ["we", "the peer"])
def test_fin_that_is_never_acknowledged(exchange: type[Exchange], first: str, linger: int) -> None:
    """KTorrent acknowledges everything but a FIN: the user hears so soon, and it is repeated behind his back."""
    peer = exchange(UTPConfig(linger=linger))
    connection = peer.dial()
    if first == "the peer":
        peer.fin()
    connection.write(b"last words", now=peer.now)
    connection.close(now=peer.now)
    fin = peer.flush()[-1]
    peer.state(ack=fin.seq_nr - 1)
    if first == "we":
        peer.now += 20_000
        peer.fin(ack=fin.seq_nr - 1)
    assert not peer.lost and state_of(connection) is (State.CLOSING if first == "we" else State.LAST_ACK)
    sent = peer.wait(SECOND)
    assert peer.lost == [ConnectionLost(LossReason.DONE)]
    assert types(sent).count(FIN) >= 2
    again = peer.wait(10 * SECOND)
    assert types(again).count(FIN) >= 3 and set(types(again)) == {FIN}
    assert peer.mux.gate.connection_counts.connections == 0
    peer.wait(60 * SECOND)
    assert len(peer.mux) == 0 and len(peer.lost) == 1


def test_peer_that_neither_closes_nor_acknowledges_the_fin(exchange: type[Exchange]) -> None:
    """What was written has arrived, and nobody listens any more: the user need not wait for a FIN's acknowledgement."""
    peer = exchange()
    connection = peer.dial()
    connection.write(b"last words", now=peer.now)
    connection.close(now=peer.now)
    fin = peer.flush()[-1]
    peer.state(ack=fin.seq_nr - 2)
    assert not peer.wait(SECOND)[-1].payload and not peer.lost  # the last words have not arrived
    peer.state(ack=fin.seq_nr - 1)
    peer.wait(2 * SECOND)
    assert peer.lost == [ConnectionLost(LossReason.DONE)] and state_of(connection) is State.FIN_WAIT_1


def test_half_closed_reader_waits_for_the_end_of_the_stream(exchange: type[Exchange]) -> None:
    """Our FIN's missing acknowledgement ends nothing while the peer may still have something to say."""
    peer = exchange()
    connection = peer.dial()
    connection.write_eof(now=peer.now)
    peer.flush()
    peer.wait(10 * SECOND)
    assert not peer.lost
    peer.data(b"reply")
    peer.fin()
    assert peer.received == b"reply"
    assert peer.lost == [ConnectionLost(LossReason.DONE)]  # it was repeated often enough


def test_paused_reader_is_told_last(exchange: type[Exchange]) -> None:
    """A paused reader has not heard the peer's FIN, so it is not told that all is over before it has."""
    peer = exchange()
    connection = peer.dial()
    connection.pause_reading()
    peer.data(b"reply")
    peer.fin()
    connection.write_eof(now=peer.now)
    peer.flush()
    peer.wait(2 * SECOND)
    assert not peer.lost
    connection.resume_reading(now=peer.now)
    peer.flush()
    assert peer.events[-3:] == [b"reply", EndOfStream(), ConnectionLost(LossReason.DONE)]


def test_reorder_timer_fires(exchange: type[Exchange]) -> None:
    """A packet overtaken by one other goes again a quarter of a round trip later, without a timeout."""
    peer = exchange(PLAIN)
    connection = peer.dial()
    first, second, _ = peer.write(connection, bytes(3 * MSS))
    peer.now += 20_000
    assert peer.state(ack=first.seq_nr - 1, sack=[second.seq_nr]) == []
    assert [(at, packet.seq_nr) for at, packet in peer.wait_timed(6000)] == [(5000, first.seq_nr)]
    assert connection.stats().timeouts == 0


def test_pacing_timer_fires(exchange: type[Exchange]) -> None:
    """What the pacer held goes when its time has come, a burst at a time, without acks in between."""
    peer = exchange(UTPConfig(congestion="fixed", mtu=1020))
    connection = peer.dial()
    (data,) = peer.write(connection, b"x")
    peer.now += 20_000
    peer.ack = data.seq_nr
    peer.state()
    connection.write(bytes(500_000), now=peer.now)
    sent = [(0, packet) for packet in peer.flush()] + peer.wait_timed(5_000)
    bursts = {at: sum(len(packet.payload) for other, packet in sent if other == at) for at, _ in sent}
    rate = 1.25 * (1 << 20) / 20_000  # bytes a µs
    assert max(bursts.values()) <= 20_000 / PACING_RTT_SHARE * rate + 1000
    assert sum(bursts.values()) == pytest.approx(5_000 * rate, rel=0.3)


def test_zero_window_is_probed(exchange: type[Exchange]) -> None:
    """Against a closed window a question goes after an RTO; the connection stays while the peer answers."""
    peer = exchange(PLAIN.replace(user_timeout=2))
    connection = peer.dial()
    peer.wnd = 0
    peer.state()
    assert peer.write(connection, bytes(1000)) == []
    probes: list[Packet] = []
    for _ in range(400):
        new = peer.wait(50_000)
        probes += new
        if new:
            peer.state()
    assert len(probes) >= 6
    assert {packet.seq_nr for packet in probes} == {peer.ack - 1 & 0xFFFF}
    assert {len(packet.payload) for packet in probes} == {1}
    assert state_of(connection) is State.ESTABLISHED
    assert connection.stats().zero_window_probes == len(probes)
    peer.wnd = 1 << 20
    assert sum(len(packet.payload) for packet in peer.state()) == 1000


# --- Two of ours ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [0.0, 0.03, 0.2])
@pytest.mark.parametrize("congestion", ["ledbat", "fixed"])
def test_transfer_both_ways(wire: type[Wire], loss: float, congestion: str) -> None:
    """Whatever is lost or overtaken, both streams arrive whole and both sides end cleanly."""
    random = Random(7)
    link = wire(config=UTPConfig(congestion=congestion, mtu=600))
    link.lose = lambda side, packet: random.random() < loss
    link.jitter = lambda: random.randrange(3000) if loss else 0
    ours = link.connect()
    link.run_until(lambda: bool(link.of_type(1, Connected)))
    theirs = link.events[1][0][0]
    there, back = random.randbytes(150_000), random.randbytes(80_000)
    ours.write(there, now=link.now)
    theirs.write(back, now=link.now)
    ours.write_eof(now=link.now)
    theirs.write_eof(now=link.now)
    link.run_until(
        lambda: bool(link.of_type(0, ConnectionLost)) and bool(link.of_type(1, ConnectionLost)), 600 * SECOND
    )
    assert (link.received(1), link.received(0)) == (there, back)
    for side in (0, 1):
        assert [event.reason for event in link.of_type(side, ConnectionLost)] == [LossReason.DONE]
        assert len(link.of_type(side, EndOfStream)) == 1
    link.run(60 * SECOND)
    assert [len(mux) for mux in link.muxes] == [0, 0]


def test_transfer_to_a_paused_reader(wire: type[Wire]) -> None:
    """A fast sender's bytes stay bounded on the other side, and the stream goes on when the reader does."""
    link = wire(config=UTPConfig(receive_buffer=32 * 1024, mtu=1000, congestion="fixed"))
    ours, theirs = link.established()
    theirs.pause_reading()
    data = Random(3).randbytes(300_000)
    ours.write(data, now=link.now)
    link.run(10 * SECOND)
    assert theirs.receiver.unread_bytes <= 32 * 1024
    assert ours.unsent_bytes > 200_000
    theirs.resume_reading(now=link.now)
    link.run_until(lambda: len(link.received(1)) == len(data))
    assert link.received(1) == data


def test_interactive_traffic_never_waits_for_a_timer(wire: type[Wire]) -> None:
    """A request and its answer take a round trip each, however small."""
    link = wire()
    ours, theirs = link.established()
    for turn in range(1, 6):
        begin = link.now
        ours.write(b"?", now=link.now)
        link.run_until(lambda turn=turn: len(link.received(1)) == turn)  # type: ignore[misc]
        theirs.write(b"!", now=link.now)
        link.run_until(lambda turn=turn: len(link.received(0)) == turn)  # type: ignore[misc]
        assert link.now - begin == 2 * link.delay


def test_lost_tail_is_repaired_without_a_timeout(wire: type[Wire]) -> None:
    """The last packet of a burst is lost: the tail-loss probe brings it, two round trips later."""
    link = wire(config=PLAIN)
    ours, _ = link.established()
    ours.write(b"x", now=link.now)
    link.run(SECOND)
    dropped: list[int] = []

    def lose(side: int, packet: Packet) -> bool:
        if packet.type is DATA and not dropped and len(packet.payload) == 50:
            dropped.append(packet.seq_nr)
            return True
        return False

    link.lose = lose
    begin = link.now
    ours.write(bytes(10 * MSS + 50), now=link.now)
    link.run_until(lambda: len(link.received(1)) == 10 * MSS + 51)
    assert dropped
    assert ours.stats().timeouts == 0
    assert link.now - begin <= 6 * link.delay + 2000
