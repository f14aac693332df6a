"""
Does every datagram find its connection, every connection its turn, and nothing grow without bound?
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.constants import (
    MAX_LINGER,
    MAX_TRAIN_BYTES,
    MAX_TRAIN_SEGMENTS,
    RESET_BURST,
    RESETS_PER_SOURCE,
)
from twisted_utp.proto.events import Connected, ConnectionLost, LossReason
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.packet import Packet, PacketType, decode_packet, encode_packet
from twisted_utp.proto.states import State
from twisted_utp.proto.values import Address, Datagram, Transmit

if TYPE_CHECKING:
    from tests.proto.conftest import Exchange, Wire

DATA, FIN, STATE, RESET, SYN = PacketType.DATA, PacketType.FIN, PacketType.STATE, PacketType.RESET, PacketType.SYN
SECOND = 1_000_000
NOW = 7_000_000_000
PLAIN = UTPConfig(congestion="fixed", pacing=False, mtu=170)
MSS = 150


def state_of(connection: Connection) -> State:
    """Its state now, which mypy would otherwise take to be the one that was asserted last."""
    return connection.state


def syn_from(mux: Multiplexer, address: Address, id: int = 700, now: int = NOW) -> list[Packet]:
    """A stranger's SYN, and what is answered."""
    mux.receive_datagrams([Datagram(encode_packet(Packet(SYN, id, seq_nr=1)), address)], now=now)
    return [decode_packet(transmit.payload) for transmit in mux.poll_transmits(now=now)]


def stranger(number: int) -> Address:
    """One of many."""
    return (f"198.51.{number >> 8}.{number & 0xFF}", 5000)


# --- Strangers ------------------------------------------------------------------------------------------------


def test_foreign_datagrams_are_handed_back(exchange: type[Exchange]) -> None:
    """What is not uTP belongs to somebody else on the port: returned, not answered (protocol.md 1)."""
    peer = exchange()
    connection = peer.dial()
    mixed = [
        Datagram(b"d1:q4:ping1:t2:aa1:y1:qe", peer.address),
        Datagram(encode_packet(peer.packet(DATA, b"ours")), peer.address),
        Datagram(b"", peer.address),
        Datagram(b"\x01" * 5, peer.address),
    ]
    assert peer.mux.receive_datagrams(mixed, now=peer.now) == [mixed[0], mixed[2], mixed[3]]
    assert [packet.type for packet in peer.flush()] == [STATE]
    assert peer.received == b"ours"
    assert peer.mux.stats.not_utp == 3
    assert connection.stats().packets_received == 2


def test_merged_foreign_datagrams(exchange: type[Exchange]) -> None:
    """A merged buffer of somebody else's is handed back datagram by datagram."""
    peer = exchange()
    foreign = peer.mux.receive_datagrams([Datagram(b"hello" * 3, peer.address, 5, 77)], now=peer.now)
    assert foreign == [Datagram(b"hello", peer.address, 0, 77)] * 3


def test_malformed_packets_are_dropped(exchange: type[Exchange]) -> None:
    """A chain of extensions that runs past the datagram: dropped and counted, not answered (protocol.md 1)."""
    peer = exchange()
    bad = bytearray(encode_packet(Packet(STATE, 5)))
    bad[1] = 1
    assert peer.mux.receive_datagrams([Datagram(bytes(bad), peer.address)], now=peer.now) == []
    assert peer.flush() == []
    assert peer.mux.stats.malformed == 1
    assert peer.dropped == ["extension header past the end"]


def test_stray_packet_gets_one_reset(exchange: type[Exchange]) -> None:
    """Its own id, ack_nr = its seq_nr, no larger than what provoked it (protocol.md 6)."""
    peer = exchange()
    peer.id = 4321
    for type in (DATA, STATE, FIN):
        (reset,) = peer.feed(peer.packet(type, seq=555))
        assert (reset.type, reset.connection_id, reset.ack_nr) == (RESET, 4321, 555)
        assert len(encode_packet(reset)) == 20
    assert peer.mux.stats.no_connection == 3
    assert "no such connection" in peer.dropped


def test_reset_is_never_answered(exchange: type[Exchange]) -> None:
    """A RESET for nobody is dropped."""
    peer = exchange()
    peer.id = 4321
    assert peer.reset() == []
    assert (peer.mux.stats.resets_received, peer.mux.stats.resets_ignored) == (1, 1)


def test_resets_are_limited(exchange: type[Exchange]) -> None:
    """A few per source, and a burst in total."""
    peer = exchange()
    peer.id = 4321
    answered = sum(len(peer.data(b"x")) for _ in range(20))
    assert answered == RESETS_PER_SOURCE
    assert peer.mux.stats.resets_suppressed == 20 - RESETS_PER_SOURCE
    mux = Multiplexer(rng=Random(1))
    flood = [Datagram(encode_packet(Packet(STATE, 9)), stranger(at)) for at in range(1000)]
    mux.receive_datagrams(flood, now=NOW)
    assert mux.stats.resets_sent == RESET_BURST


def test_another_address_is_another_peer(exchange: type[Exchange]) -> None:
    """A connection is known by address and id; the right id from elsewhere is a stranger's."""
    peer = exchange()
    peer.dial()
    packet = encode_packet(peer.packet(DATA, b"x"))
    peer.mux.receive_datagrams([Datagram(packet, ("192.0.2.1", 6882))], now=peer.now)
    assert peer.mux.poll_transmits(now=peer.now)[0].address == ("192.0.2.1", 6882)
    assert peer.received == b""


@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_arrives_raises_or_stays(seed: int) -> None:
    """Random and mutated packets in random shapes never raise, and leave nothing behind but the backlog."""
    random = Random(seed)
    mux = Multiplexer(UTPConfig(backlog=5), rng=random)
    mux.accepting = True
    mux.connect(stranger(1), now=NOW)
    for _ in range(2000):
        data = bytearray(
            encode_packet(
                Packet(
                    random.choice(tuple(PacketType)),
                    random.randrange(1 << 16),
                    seq_nr=random.randrange(1 << 16),
                    ack_nr=random.randrange(1 << 16),
                    payload=random.randbytes(random.randrange(40)),
                )
            )
        )
        for _ in range(random.randrange(3)):
            data[random.randrange(len(data))] = random.randrange(256)
        shape = random.choice((0, 0, 7, 25, len(data) // 2))
        mux.receive_datagrams([Datagram(bytes(data), stranger(random.randrange(3)), shape)], now=NOW)
        mux.poll_events()
        mux.poll_transmits(now=NOW, max_transmits=1000)
    assert len(mux) <= 1 + 5
    assert len(mux.port_queues.deadlines.heap) < 200


# --- Accepting ------------------------------------------------------------------------------------------------


def test_not_accepting_refuses(exchange: type[Exchange]) -> None:
    """While nobody listens a SYN gets a RESET with its id and seq_nr."""
    peer = exchange(accepting=False)
    (reset,) = peer.syn(id=9, seq=77)
    assert (reset.type, reset.connection_id, reset.ack_nr) == (RESET, 9, 77)
    assert len(peer.mux) == 0
    assert peer.events == []
    assert peer.mux.stats.syns_refused == 1


def test_backlog() -> None:
    """Connections that have not proved to be at their address are limited; one that has makes room for another."""
    mux = Multiplexer(UTPConfig(backlog=3), rng=Random(1))
    mux.accepting = True
    answers = [syn_from(mux, stranger(at))[0] for at in range(4)]
    assert [answer.type for answer in answers] == [STATE] * 4 and len(mux) == 0  # the last is a cookie
    assert mux.snapshot().half_open == 3
    confirm = Packet(STATE, 701, seq_nr=2, ack_nr=answers[1].seq_nr - 1 & 0xFFFF)
    mux.receive_datagrams([Datagram(encode_packet(confirm), stranger(1))], now=NOW)
    mux.poll_transmits(now=NOW)
    assert syn_from(mux, stranger(5))[0].type is STATE
    assert (len(mux), mux.snapshot().half_open, mux.stats.cookies_sent) == (1, 3, 1)
    syn_from(mux, stranger(6))
    assert (len(mux), mux.snapshot().half_open, mux.stats.cookies_sent) == (1, 3, 2)


@pytest.mark.parametrize("how", ["refused", "given up", "guesses", "timeout"])
def test_backlog_is_freed(how: str) -> None:
    """A half-open connection that its peer resets, that somebody guesses at, or that times out, counts no more."""
    mux = Multiplexer(UTPConfig(backlog=1), rng=Random(1))
    mux.accepting = True
    now = NOW
    (answer,) = syn_from(mux, stranger(1), now=now)
    assert answer.type is STATE and mux.snapshot().half_open == 1
    packets = {
        "refused": [Packet(RESET, 700, ack_nr=answer.seq_nr)],
        "given up": [Packet(RESET, 701, ack_nr=answer.seq_nr - 1 & 0xFFFF)],
        "guesses": [Packet(STATE, 701, seq_nr=2, ack_nr=answer.seq_nr + at & 0xFFFF) for at in range(3)],
        "timeout": [],
    }[how]
    for packet in packets:
        mux.receive_datagrams([Datagram(encode_packet(packet), stranger(1))], now=now)
    if how == "timeout":
        now += 61 * SECOND
        mux.handle_timeout(now=now)
    assert mux.poll_transmits(now=now) == [] and mux.poll_events() == []
    assert mux.snapshot().half_open == 0 and mux.poll_timeout() is None


def test_max_connections() -> None:
    """A SYN beyond the limit is refused; what is there stays.  Who has proved nothing takes no place."""
    mux = Multiplexer(UTPConfig(max_connections=2), rng=Random(1))
    mux.accepting = True
    mux.connect(stranger(100), now=NOW)
    mux.poll_transmits(now=NOW)
    answers = [syn_from(mux, stranger(at))[0] for at in range(3)]
    assert [answer.type for answer in answers] == [STATE] * 3
    for at, answer in enumerate(answers):
        confirm = Packet(STATE, 701, seq_nr=2, ack_nr=answer.seq_nr - 1 & 0xFFFF)
        mux.receive_datagrams([Datagram(encode_packet(confirm), stranger(at))], now=NOW)
    refusals = [decode_packet(transmit.payload) for transmit in mux.poll_transmits(now=NOW)]
    assert [packet.type for packet in refusals] == [RESET, RESET]
    assert len(mux) == 2
    assert syn_from(mux, stranger(4))[0].type is RESET


def test_accepted_connections_get_the_ports_configuration() -> None:
    """The configuration can be exchanged; it holds for connections accepted, and dialled without one, after that."""
    mux = Multiplexer(rng=Random(1))
    assert mux.config == UTPConfig()
    mux.accepting = True
    mux.config = UTPConfig(mtu=500)
    (answer,) = syn_from(mux, stranger(1))
    confirm = Packet(STATE, 701, seq_nr=2, ack_nr=answer.seq_nr - 1 & 0xFFFF)
    mux.receive_datagrams([Datagram(encode_packet(confirm), stranger(1))], now=NOW)
    ((accepted, _),) = mux.poll_events()
    assert accepted.config is mux.config
    assert mux.connect(stranger(2), now=NOW).config is mux.config
    own = UTPConfig(mtu=600)
    assert mux.connect(stranger(3), now=NOW, config=own).config is own


# --- Connection ids -------------------------------------------------------------------------------------------


class Stubborn(Random):
    """Gives the numbers it was told to, then random ones."""

    def __new__(cls, *numbers: int) -> Stubborn:
        """Until Python 3.11, Random took what __init__ takes for its seed."""
        return super().__new__(cls)

    def __init__(self, *numbers: int) -> None:
        super().__init__(1)
        self.numbers = list(numbers)

    def getrandbits(self, k: int, /) -> int:
        """The next number; for clock offsets, a random one."""
        return self.numbers.pop(0) if self.numbers and k == 16 else super().getrandbits(k)


@pytest.mark.parametrize("offset", [-2, -1, 0, 1])
def test_ids_keep_clear_of_each_other(offset: int) -> None:
    """Neither X nor X + 1 may be in use with that address in either role (protocol.md 2), across the wrap too."""
    taken = 0xFFFF
    mux = Multiplexer(rng=Stubborn(1, taken, 2, taken + offset & 0xFFFF, 300))
    first = mux.connect(stranger(1), now=NOW)
    second = mux.connect(stranger(1), now=NOW)
    assert (first.recv_id, first.send_id) == (taken, 0)
    assert second.recv_id == 300
    assert {first.recv_id, first.send_id}.isdisjoint({second.recv_id, second.send_id})


def test_ids_run_out() -> None:
    """When one address has them all, connecting fails instead of searching for ever; other addresses have theirs."""
    mux = Multiplexer(rng=Random(1))
    mux._connections.update({(stranger(1), number): None for number in range(0, 1 << 16, 2)})  # type: ignore[misc]
    with pytest.raises(LookupError, match="no connection id is free"):
        mux.connect(stranger(1), now=NOW)
    mux.connect(stranger(2), now=NOW)


def test_ids_of_other_addresses_do_not_matter() -> None:
    """The key has the address."""
    mux = Multiplexer(rng=Stubborn(1, 500, 2, 500))
    assert mux.connect(stranger(1), now=NOW).recv_id == mux.connect(stranger(2), now=NOW).recv_id == 500


def test_ids_are_free_again_after_the_end() -> None:
    """An ended connection leaves its id."""
    mux = Multiplexer(rng=Stubborn(1, 500, 2, 500))
    mux.connect(stranger(1), now=NOW).abort(now=NOW)
    assert mux.connect(stranger(1), now=NOW).recv_id == 500


def test_many_connections_to_one_address() -> None:
    """Thousands find ids that do not touch."""
    mux = Multiplexer(rng=Random(1))
    ids = sorted(mux.connect(stranger(1), now=NOW).recv_id for _ in range(3000))
    assert all(later - id >= 2 for id, later in zip(ids, ids[1:], strict=False))


# --- Both dial ------------------------------------------------------------------------------------------------


def both_dial(link: Wire) -> tuple[Connection, Connection]:
    """Each side dials the other at the same instant; a while later."""
    ours, theirs = link.connect(0), link.connect(1)
    link.run(5 * SECOND)
    return ours, theirs


def check_usable(link: Wire, ours: Connection, theirs: Connection) -> None:
    """Bytes pass both ways, and both sides end cleanly."""
    assert (ours.state, theirs.state) == (State.ESTABLISHED, State.ESTABLISHED)
    ours.write(b"there", now=link.now)
    theirs.write(b"back", now=link.now)
    link.run(SECOND)
    assert (link.received(1), link.received(0)) == (b"there", b"back")
    ours.close(now=link.now)
    theirs.close(now=link.now)
    link.run(60 * SECOND)
    for side in (0, 1):
        assert [lost.reason for lost in link.of_type(side, ConnectionLost)] == [LossReason.DONE]
    assert [len(mux) for mux in link.muxes] == [0, 0]


@pytest.mark.parametrize("seeds", [(1, 2), (2, 1), (5, 9), (9, 5)])
def test_simultaneous_open(wire: type[Wire], seeds: tuple[int, int]) -> None:
    """
    Both SYN from the ports they would listen on (BEP-55): one connection, usable on each side, whichever id is the
    smaller; each user hears Connected once, as of a connection that it dialled.
    """
    link = wire(seeds=seeds, accepting=(False, False))
    ours, theirs = both_dial(link)
    for side in (0, 1):
        assert link.of_type(side, Connected) == [Connected(incoming=False)]
    assert {ours.recv_id, ours.send_id} == {theirs.recv_id, theirs.send_id}
    check_usable(link, ours, theirs)


def test_simultaneous_open_with_a_lost_syn(wire: type[Wire]) -> None:
    """Whichever of the two SYNs is lost at first, a connection comes about."""
    for losing in (0, 1):
        link = wire(accepting=(False, False))
        lost: list[Packet] = []

        def lose(side: int, packet: Packet, losing: int = losing, lost: list[Packet] = lost) -> bool:
            if side == losing and packet.type is SYN and not lost:
                lost.append(packet)
                return True
            return False

        link.lose = lose
        check_usable(link, *both_dial(link))
        assert lost


def test_simultaneous_open_with_equal_ids(wire: type[Wire]) -> None:
    """Both chose the same id: the SYNs' seq_nrs break the tie."""
    link = wire(accepting=(False, False))
    link.muxes[0]._rng = Stubborn(10, 500)
    link.muxes[1]._rng = Stubborn(20, 500)
    ours, theirs = both_dial(link)
    assert ours.state is State.ESTABLISHED
    check_usable(link, ours, theirs)


def test_simultaneous_open_while_both_accept(wire: type[Wire]) -> None:
    """Where both listen, each dial is a connection of its own, and both are usable."""
    link = wire(accepting=(True, True))
    both_dial(link)
    assert [len(mux) for mux in link.muxes] == [2, 2]
    for side in (0, 1):
        assert sorted(event.incoming for event in link.of_type(side, Connected)) == [False, True]
        for connection in set(link.muxes[side]._connections.values()):
            assert state_of(connection) is State.ESTABLISHED
            connection.write(b"hi", now=link.now)
    link.run(SECOND)
    assert link.received(0) == link.received(1) == b"hihi"


def test_dialling_somebody_else_does_not_accept(exchange: type[Exchange]) -> None:
    """A SYN from an address that we are not dialling is refused all the same, and so is one that we talk to."""
    peer = exchange(accepting=False)
    peer.mux.connect(stranger(1), now=peer.now)
    peer.mux.poll_transmits(now=peer.now)
    assert peer.syn()[0].type is RESET
    other = exchange(accepting=False)
    other.dial()
    assert other.syn(id=other.id + 100 & 0xFFFF)[0].type is RESET


# --- Sending --------------------------------------------------------------------------------------------------


def filled(peer: Exchange, nbytes: int = 40 * MSS) -> Connection:
    """A connection with so much to send."""
    connection = peer.dial(config=PLAIN)
    connection.write(bytes(nbytes), now=peer.now)
    return connection


@pytest.mark.parametrize("segments", [1, 3, 64, 1000])
def test_train_segments(exchange: type[Exchange], segments: int) -> None:
    """A train has no more datagrams than the socket takes, and never more than the kernel does."""
    peer = exchange()
    filled(peer, 200 * MSS)
    sent: list[Transmit] = []
    while batch := peer.mux.poll_transmits(now=peer.now, max_segments=segments):
        sent += batch
    assert max(transmit.count for transmit in sent) == min(segments, MAX_TRAIN_SEGMENTS)
    assert sum(transmit.count for transmit in sent) == 200
    for transmit in sent:
        assert len(transmit.segments()) == transmit.count
        assert all(len(data) == transmit.segment_size == 170 for data in transmit.segments())
        assert not transmit.dont_fragment


@pytest.mark.parametrize(("nbytes", "count"), [(170 * 5, 5), (170 * 6 - 1, 5), (10, 1), (10**9, 64)])
def test_train_bytes(exchange: type[Exchange], nbytes: int, count: int) -> None:
    """A train has no more bytes than allowed, but one packet at the least."""
    peer = exchange()
    filled(peer, 100 * MSS)
    assert peer.mux.poll_transmits(now=peer.now, max_bytes=nbytes)[0].count == count
    assert count * 170 <= max(MAX_TRAIN_BYTES, 170)


def test_max_transmits_and_turns(exchange: type[Exchange]) -> None:
    """A call gives about so many trains, shared among connections; calling again gives the rest."""
    peer = exchange()
    connections = [peer.dial(config=PLAIN) for _ in range(4)]
    for connection in connections:
        connection.write(bytes(40 * MSS), now=peer.now)
    ids = {connection.send_id for connection in connections}
    first = peer.mux.poll_transmits(now=peer.now, max_transmits=8, max_segments=1)
    assert len(first) == 8
    assert {decode_packet(transmit.payload).connection_id for transmit in first} == ids
    rest = peer.flush()
    assert len(rest) == 4 * 40 - 8
    assert peer.mux.poll_transmits(now=peer.now) == []


def test_outbox_goes_first(exchange: type[Exchange]) -> None:
    """What no window holds back does not wait behind data, and counts among the transmits."""
    peer = exchange()
    filled(peer)
    for at in range(3):
        peer.mux.connect(("192.0.2.1", 6881 + at), now=peer.now)
    sent = peer.mux.poll_transmits(now=peer.now, max_transmits=2)
    assert [decode_packet(transmit.payload).type for transmit in sent] == [SYN, SYN]
    sent = peer.mux.poll_transmits(now=peer.now, max_transmits=2)
    assert [decode_packet(transmit.segments()[0]).type for transmit in sent] == [SYN, DATA]


def test_what_is_sent_is_counted(exchange: type[Exchange]) -> None:
    """Datagrams, bytes and trains."""
    peer = exchange()
    filled(peer, 10 * MSS)
    before = peer.mux.stats.datagrams_sent, peer.mux.stats.bytes_sent
    peer.flush()
    stats = peer.mux.stats
    assert (stats.datagrams_sent - before[0], stats.bytes_sent - before[1], stats.trains_sent) == (10, 1700, 1)


def test_nothing_to_send(exchange: type[Exchange]) -> None:
    """An idle port gives nothing, wants no timeout and has no connections."""
    peer = exchange()
    assert peer.mux.poll_transmits(now=peer.now) == []
    assert peer.mux.poll_timeout() is None
    assert peer.mux.poll_events() == []
    assert len(peer.mux) == 0
    peer.mux.handle_timeout(now=peer.now)


# --- Receiving ------------------------------------------------------------------------------------------------


def test_merged_buffers_and_single_datagrams_are_the_same(exchange: type[Exchange]) -> None:
    """A train merged by the kernel, the same packets singly and one by one: the same stream and the same ack."""
    answers = []
    for how in ("merged", "singly", "one by one"):
        peer = exchange()
        peer.dial()
        packets = [encode_packet(peer.packet(DATA, bytes([at]) * 30, seq=peer.seq + at)) for at in range(8)]
        packets.append(encode_packet(peer.packet(DATA, b"tail", seq=peer.seq + 8)))
        if how == "merged":
            peer.mux.receive_datagrams([Datagram(b"".join(packets), peer.address, 50)], now=peer.now)
            assert peer.mux.stats.trains_received == 1
        elif how == "singly":
            peer.mux.receive_datagrams([Datagram(data, peer.address) for data in packets], now=peer.now)
        else:
            for data in packets:
                peer.mux.receive_datagrams([Datagram(data, peer.address)], now=peer.now)
        (ack,) = peer.flush()
        answers.append((ack, peer.received, peer.mux.stats.datagrams_received, peer.mux.stats.bytes_received))
    assert answers[0] == answers[1] == answers[2]


def test_merged_strangers_are_strangers(exchange: type[Exchange]) -> None:
    """A train for no connection is answered as its packets would be."""
    peer = exchange()
    train = b"".join(encode_packet(Packet(DATA, 9, seq_nr=at, payload=b"xx")) for at in range(3))
    peer.mux.receive_datagrams([Datagram(train, peer.address, 22)], now=peer.now)
    assert [packet.ack_nr for packet in peer.flush()] == [0, 1, 2]


def test_merged_mixture(exchange: type[Exchange]) -> None:
    """A merged buffer that is no plain run is taken apart."""
    peer = exchange()
    peer.dial()
    seqs = (0, 2, 1, 3)
    packets = [encode_packet(peer.packet(DATA, bytes([at]), seq=peer.seq + at)) for at in seqs]
    peer.mux.receive_datagrams([Datagram(b"".join(packets), peer.address, 21)], now=peer.now)
    peer.flush()
    assert peer.received == b"\0\1\2\3"
    assert peer.mux.stats.datagrams_received == 5


def test_segment_size_of_a_single_datagram(exchange: type[Exchange]) -> None:
    """A segment size no smaller than the buffer, as some kernels report it, is one datagram."""
    peer = exchange()
    peer.dial()
    data = encode_packet(peer.packet(DATA, b"one"))
    for size in (len(data), len(data) + 100):
        peer.mux.receive_datagrams([Datagram(data, peer.address, size)], now=peer.now)
    peer.collect()
    assert peer.received == b"one"


def test_one_ack_per_connection_and_batch(exchange: type[Exchange]) -> None:
    """Two connections in one batch get an acknowledgement each."""
    peer = exchange()
    batch: list[Packet] = []
    for _ in range(2):
        peer.dial()
        batch += [peer.packet(DATA, b"x", seq=peer.seq + at) for at in range(3)]
    answers = peer.feed(*batch)
    assert [packet.type for packet in answers] == [STATE, STATE]
    assert len({packet.connection_id for packet in answers}) == 2


def test_events_are_in_order_and_drain(exchange: type[Exchange]) -> None:
    """Events come with their connection, in order, once."""
    peer = exchange()
    mux = peer.mux
    connection = mux.connect(peer.address, now=peer.now)
    syn = decode_packet(mux.poll_transmits(now=peer.now)[0].payload)
    peer.id, peer.seq, peer.ack = syn.connection_id, 9, syn.seq_nr
    packets = [peer.packet(STATE), peer.packet(DATA, b"x")]
    mux.receive_datagrams([Datagram(encode_packet(packet), peer.address) for packet in packets], now=peer.now)
    connection.abort(now=peer.now)
    assert mux.poll_events() == [
        (connection, Connected(incoming=False)),
        (connection, b"x"),
        (connection, ConnectionLost(LossReason.ABORTED)),
    ]
    assert mux.poll_events() == []


def test_batch_for_a_connection_that_ends_within_it(exchange: type[Exchange]) -> None:
    """What follows a RESET in its batch finds no connection any more."""
    peer = exchange()
    peer.dial()
    answers = peer.feed(peer.packet(DATA, b"x"), peer.packet(RESET), peer.packet(DATA, b"y", seq=peer.seq + 1))
    assert [packet.type for packet in answers] == [RESET]
    assert [type(event) for event in peer.events] == [Connected, bytes, ConnectionLost]
    assert len(peer.mux) == 0


# --- Time -----------------------------------------------------------------------------------------------------


def test_timeouts_of_many_connections() -> None:
    """One timer for the port: the earliest deadline of all; only what is due is served."""
    mux = Multiplexer(rng=Random(1))
    for at in range(5):
        mux.connect(stranger(at), now=NOW + at * 1000)
    mux.poll_transmits(now=NOW + 5000)
    assert mux.poll_timeout() == NOW + SECOND
    mux.handle_timeout(now=NOW + SECOND - 1)
    assert mux.poll_transmits(now=NOW + SECOND) == []
    mux.handle_timeout(now=NOW + SECOND + 2000)
    assert [transmit.address for transmit in mux.poll_transmits(now=NOW + SECOND)] == [stranger(at) for at in range(3)]
    assert mux.poll_timeout() == NOW + SECOND + 3000


def test_deadlines_stay_bounded(exchange: type[Exchange]) -> None:
    """However often deadlines move, outdated entries are few (protocol.md: nothing grows), and none is missed."""
    peer = exchange(PLAIN.replace(keepalive=3600))
    connections = [peer.dial() for _ in range(3)]
    peer.wait(2 * SECOND)  # the handshakes' deadlines are gone
    random = Random(1)
    for turn in range(6000):
        connection = random.choice(connections)
        # Half of the time ever earlier, which leaves an outdated entry each time, then at random.
        seconds = 3600 - turn if turn < 3000 else random.randrange(1, 3600)
        connection.set_keepalive(seconds, now=peer.now)
        peer.now += 10
        assert len(peer.mux.port_queues.deadlines.heap) <= 64 + 2 * 3 + 1
        at = peer.mux.poll_timeout()
        assert at is not None
        assert at <= min(min(connection.timers) for connection in connections)


def test_no_deadline_outlives_its_connection(exchange: type[Exchange]) -> None:
    """When the last connection is gone there is nothing to wake up for."""
    peer = exchange()
    connection = peer.dial()
    peer.write(connection, b"x")
    connection.abort(now=peer.now)
    peer.flush()
    assert peer.mux.poll_timeout() is None


def test_stale_deadline_is_skipped(exchange: type[Exchange]) -> None:
    """An entry of a connection that has ended is served to nobody."""
    peer = exchange()
    one, other = peer.dial(), peer.dial()
    one.set_keepalive(1, now=peer.now)
    one.abort(now=peer.now)
    peer.flush()
    peer.now += 2 * SECOND
    peer.mux.handle_timeout(now=peer.now)
    assert peer.flush() == []
    assert other.state is State.ESTABLISHED


# --- Idleness -------------------------------------------------------------------------------------------------


def test_is_idle(exchange: type[Exchange]) -> None:
    """
    The port may be closed when nothing but politely lingering connections is left: not while something waits to be
    sent or told, nor while a connection lives, our FIN is unanswered, or a reader has bytes to come.
    """
    peer = exchange()
    assert peer.mux.is_idle()
    connection = peer.mux.connect(peer.address, now=peer.now)
    assert not peer.mux.is_idle()
    (syn,) = peer.flush()
    assert not peer.mux.is_idle()
    peer.id, peer.seq, peer.ack = syn.connection_id, 2000, syn.seq_nr
    peer.state()
    assert not peer.mux.is_idle()
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    assert not peer.mux.is_idle()
    peer.ack = fin.seq_nr
    peer.state()
    assert state_of(connection) is State.FIN_WAIT_2
    assert not peer.mux.is_idle()
    peer.mux.receive_datagrams([Datagram(encode_packet(peer.packet(FIN)), peer.address)], now=peer.now)
    assert state_of(connection) is State.LINGERING
    peer.flush()
    assert peer.mux.is_idle()
    assert len(peer.mux) == 1


def test_untold_events_and_unsent_packets_are_not_idle(exchange: type[Exchange]) -> None:
    """An event that nobody has polled, or a RESET that has not left, keeps the port."""
    peer = exchange()
    connection = peer.dial()
    connection.abort(now=peer.now)
    assert not peer.mux.is_idle()
    assert peer.mux.poll_events()
    assert not peer.mux.is_idle()
    peer.flush()
    assert peer.mux.is_idle()


def test_acks_that_wait_are_not_idle(exchange: type[Exchange]) -> None:
    """The last acknowledgement of a lingering connection must leave before the port closes."""
    peer = exchange()
    connection = peer.dial()
    connection.close(now=peer.now)
    (fin,) = peer.flush()
    peer.ack = fin.seq_nr
    peer.mux.receive_datagrams([Datagram(encode_packet(peer.packet(FIN)), peer.address)], now=peer.now)
    peer.mux.poll_events()
    assert not peer.mux.is_idle()
    assert [packet.type for packet in peer.flush()] == [STATE]
    assert peer.mux.is_idle()


def test_len_counts_connections_not_ids(exchange: type[Exchange]) -> None:
    """A connection that has dialled with several ids is one."""
    peer = exchange()
    peer.mux.connect(peer.address, now=peer.now)
    peer.wait(6 * SECOND)
    assert len(peer.mux._connections) > 1
    assert len(peer.mux) == 1
    peer.only().abort(now=peer.now)
    assert len(peer.mux) == 0 and peer.mux._connections == {}


def test_everything_is_forgotten(wire: type[Wire]) -> None:
    """After many connections in both directions nothing is held any more."""
    link = wire(accepting=(True, True))
    for turn in range(20):
        connection = link.connect(turn % 2)
        connection.write(b"x" * 100, now=link.now)
        connection.close(now=link.now) if turn % 3 == 0 else connection.write_eof(now=link.now)
        link.run(200_000)
        for side in (0, 1):
            for other in set(link.muxes[side]._connections.values()):
                if turn % 5 == 0:
                    other.abort(now=link.now)
                else:
                    other.close(now=link.now)
    link.run(MAX_LINGER + 20 * SECOND)
    for mux in link.muxes:
        assert len(mux) == 0
        assert mux.poll_timeout() is None
        assert not mux.port_queues.ready
        assert not mux.port_queues.outbox
        assert not mux.table._other_ids and not mux.table.dialling
        connection_counts = mux.gate.connection_counts
        assert (connection_counts.half_open, connection_counts.connections, connection_counts._by_host) == (0, 0, {})


def test_tracer_is_told(exchange: type[Exchange]) -> None:
    """State changes with their names, and drops with their reasons."""
    peer = exchange()
    connection = peer.dial()
    connection.abort(now=peer.now)
    moves = [(data["old"], data["new"]) for event, data in peer.traced if event == "state_updated"]
    assert moves == [("SYN_SENT", "ESTABLISHED"), ("ESTABLISHED", "CLOSED")]
