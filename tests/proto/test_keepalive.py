"""
Does a silent connection stay alive as long as its peer does, and no longer?
"""

from __future__ import annotations

from random import Random
from struct import pack
from typing import TYPE_CHECKING

import pytest

from twisted_utp.proto import keepalive
from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.constants import (
    ECHOES_TO_PROVE,
    KEEPALIVE_SHARE,
    KEEPALIVES_UNANSWERED,
    MIN_TRANSMISSIONS_BEFORE_GIVING_UP,
)
from twisted_utp.proto.events import ConnectionLost, LossReason
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.packet import Packet, PacketType, encode_packet
from twisted_utp.proto.states import State
from twisted_utp.proto.values import Address, Datagram, Obstacle, ReturnedDatagram
from twisted_utp.testing.guards import unguarded
from twisted_utp.testing.loss import RandomLoss
from twisted_utp.testing.pair import Pair

if TYPE_CHECKING:
    from tests.proto.conftest import Exchange

DATA, STATE = PacketType.DATA, PacketType.STATE
SECOND = 1_000_000
KEEPALIVE, USER_TIMEOUT = 29, 30  # the defaults


# --- When and what --------------------------------------------------------------------------------------------


def test_after_silence(exchange: type[Exchange]) -> None:
    """
    After 29 s a byte that the peer has acknowledged, and again 29 s after that; earlier by at most a thirty-second, so
    that those of other connections leave at the same instant.
    """
    peer = exchange()
    connection = peer.dial()
    peer.data(b"x")
    for _ in range(3):
        ((at, packet),) = peer.wait_timed(KEEPALIVE * SECOND)
        assert at >= 28 * SECOND
        sent_at = peer.now - KEEPALIVE * SECOND + at
        assert sent_at % (KEEPALIVE * SECOND // KEEPALIVE_SHARE) == 0
        assert (packet.type, packet.connection_id, packet.ack_nr) == (DATA, connection.send_id, 2000)
        assert (packet.seq_nr, len(packet.payload), packet.sack) == (peer.ack - 1 & 0xFFFF, 1, None)
        peer.now = sent_at + 20_000
        assert peer.state() == []


def test_only_in_silence(exchange: type[Exchange]) -> None:
    """Whatever we send puts it off: data, or an acknowledgement, which holds the NAT's mapping as well."""
    peer = exchange()
    connection = peer.dial()
    peer.wait(20 * SECOND)
    (data,) = peer.write(connection, b"x")
    peer.state(ack=data.seq_nr)
    peer.ack = data.seq_nr
    peer.wait(20 * SECOND)
    peer.data(b"x")
    assert peer.wait(28 * SECOND) == []
    (question,) = peer.wait(2 * SECOND)
    assert (question.type, question.seq_nr) == (DATA, data.seq_nr - 1 & 0xFFFF)


def test_acceptor_leaves_it_to_the_initiator(exchange: type[Exchange]) -> None:
    """One question and one answer do for both ends, so the acceptor waits a little longer."""
    peer = exchange()
    connection = peer.accept()
    ((at, packet),) = peer.wait_timed(31 * SECOND)
    assert 29 * SECOND < at <= 31 * SECOND
    assert (packet.type, packet.seq_nr) == (DATA, peer.ack - 1 & 0xFFFF)  # two less than the SYN-ACK's
    assert connection.stats().state == "ESTABLISHED"


def test_interval_can_be_changed(exchange: type[Exchange]) -> None:
    """At once, off and on; out of range is an error; before the connection is open it is just remembered."""
    peer = exchange()
    connection = peer.dial()
    connection.set_keepalive(2.0, now=peer.now)
    for _ in range(2):
        ((at, _),) = peer.wait_timed(2 * SECOND)
        assert at > 1.8 * SECOND
        peer.state()
    peer.wait(2 * SECOND)  # asked, and no answer yet
    connection.set_keepalive(0, now=peer.now)
    assert peer.wait(3600 * SECOND) == []
    connection.set_keepalive(10, now=peer.now)
    assert len(peer.wait(10 * SECOND)) == 1 and not peer.lost
    with pytest.raises(ValueError, match="keepalive=-1"):
        connection.set_keepalive(-1, now=peer.now)
    early = peer.mux.connect(("192.0.2.9", 9), now=peer.now)
    early.set_keepalive(1, now=peer.now)
    assert min(early.timers) == peer.now + SECOND  # the SYN's


def test_after_our_fin_the_question_is_what_was_before(exchange: type[Exchange]) -> None:
    """An old FIN would end libtorrent's connection, so what follows the FIN asks with the last data's seq_nr."""
    peer = exchange()
    connection = peer.dial()
    connection.write(b"request", now=peer.now)
    connection.write_eof(now=peer.now)
    data, fin = peer.flush()
    peer.state(ack=fin.seq_nr)
    (question,) = peer.wait(KEEPALIVE * SECOND)
    assert connection.state is State.FIN_WAIT_2
    assert (question.type, question.seq_nr, len(question.payload)) == (DATA, data.seq_nr, 1)


def test_no_question_while_something_is_in_flight(exchange: type[Exchange]) -> None:
    """What is in flight is repeated, which asks as well, and has the same patience."""
    peer = exchange(UTPConfig(keepalive=1, user_timeout=60))
    connection = peer.dial()
    peer.write(connection, b"something")
    sent = peer.wait(50 * SECOND)
    assert sent and {packet.payload for packet in sent} == {b"something"}
    peer.wait(60 * SECOND)
    assert peer.lost == [ConnectionLost(LossReason.TIMED_OUT)]


# --- Who does not answer --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dials", [True, False])
@pytest.mark.parametrize(("interval", "patience"), [(KEEPALIVE, USER_TIMEOUT), (5, 5), (1, 60), (100, 1)])
def test_silence_ends_it(exchange: type[Exchange], interval: int, patience: int, dials: bool) -> None:
    """The question is repeated for the user timeout, and not beyond."""
    peer = exchange(UTPConfig(keepalive=interval, user_timeout=patience))
    connection = peer.dial() if dials else peer.accept()
    begin = peer.now
    sent: list[Packet] = []
    while not peer.lost:
        sent += peer.wait(SECOND // 20)
    # An acceptor knows of no round trip, so four questions take four seconds.
    wait = patience if dials else max(patience, MIN_TRANSMISSIONS_BEFORE_GIVING_UP)
    assert interval * 31 / 32 + wait <= (peer.now - begin) / SECOND <= interval * 34 / 32 + wait + 0.2
    assert peer.lost == [ConnectionLost(LossReason.VANISHED)]
    assert MIN_TRANSMISSIONS_BEFORE_GIVING_UP <= len(sent) <= max(KEEPALIVES_UNANSWERED, patience // interval)
    assert {(packet.type, packet.seq_nr) for packet in sent} == {(DATA, peer.ack - 1 & 0xFFFF)}
    assert connection.state is State.CLOSED and len(peer.mux) == 0 and peer.mux.poll_timeout() is None


@pytest.mark.parametrize("answered", range(1, KEEPALIVES_UNANSWERED + 1))
def test_any_answer_will_do(exchange: type[Exchange], answered: int) -> None:
    """Whichever of the questions is answered, and by whatever packet."""
    peer = exchange()
    peer.dial()
    asked = 0
    while asked < answered:
        asked += len(peer.wait(SECOND))
    peer.state(ack=peer.ack - 1)  # what libutp sends of its own accord
    assert len(peer.wait(28 * SECOND)) <= 1 and not peer.lost
    asked = 0
    while not peer.lost:
        asked += len(peer.wait(SECOND))
    assert asked >= KEEPALIVES_UNANSWERED - 1


def test_forged_packets_are_no_answer(exchange: type[Exchange]) -> None:
    """Only what is valid counts."""
    peer = exchange()
    peer.dial()
    while not peer.lost:
        peer.wait(SECOND)
        peer.state(ack=peer.ack + 30_000)
    assert peer.lost == [ConnectionLost(LossReason.VANISHED)]


def test_long_round_trips(exchange: type[Exchange]) -> None:
    """Answers take longer than the user timeout: the question is repeated as patiently as anything would be."""
    peer = exchange(UTPConfig(keepalive=5, user_timeout=1))
    connection = peer.dial()
    connection.sender.rtt.on_sample(1_500_000)
    for _ in range(10):
        peer.wait(5 * SECOND)
        answer = peer.packet(STATE)
        peer.wait(1_500_000)
        peer.feed(answer)
    assert not peer.lost


def test_a_process_that_slept(exchange: type[Exchange]) -> None:
    """Time that passed while nobody looked is not held against the peer: it is asked first."""
    peer = exchange()
    peer.dial()
    for _ in range(3):
        peer.now += 3600 * SECOND
        peer.mux.handle_timeout(now=peer.now)
        assert [packet.type for packet in peer.flush()] == [DATA]
        peer.state()
    peer.wait(KEEPALIVE * SECOND)  # asked
    peer.now += 3600 * SECOND
    peer.mux.handle_timeout(now=peer.now)
    assert len(peer.flush()) == 1 and not peer.lost


def test_a_lossy_path() -> None:
    """Of twenty idle connections over a path that loses a packet in ten each way, none is taken for dead."""
    pair = Pair(seed=4, link={"loss": RandomLoss(0.1)}, log=False)
    records = [pair.start_connect() for _ in range(20)]
    pair.run_for(86_400 / 4)
    assert all(record.connected and record.lost is None for record in records)
    for link in (pair.up, pair.down):
        link.down_for(1 << 60)
    pair.run_for(KEEPALIVE + USER_TIMEOUT + 5)
    assert {record.reason for record in records} == {LossReason.VANISHED}
    assert len(pair.client.multiplexer) == len(pair.server.multiplexer) == 0


# --- Every state ends -----------------------------------------------------------------------------------------


def brought_to(peer: Exchange, state: State) -> Connection:
    """A connection in that state, from which nothing more will be heard."""
    if state is State.SYN_SENT:
        return peer.mux.connect(peer.address, now=peer.now)
    connection = peer.accept(confirm=state is not State.SYN_RECEIVED)
    if state in (State.CLOSE_WAIT, State.LAST_ACK, State.LINGERING):
        peer.fin()
    if state in (State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING, State.LAST_ACK, State.LINGERING):
        connection.write_eof(now=peer.now)
        (fin,) = peer.flush()
        if state in (State.FIN_WAIT_2, State.LINGERING):
            peer.state(ack=fin.seq_nr)
    if state is State.CLOSING:
        peer.fin()
    return connection


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
def test_every_state_ends(exchange: type[Exchange], state: State, closes: bool) -> None:
    """Whatever state the peer's silence begins in, the connection ends and its user hears of it once."""
    peer = exchange(UTPConfig(early_byte=state is State.SYN_RECEIVED))  # otherwise there is no connection yet
    connection = brought_to(peer, state)
    assert connection.state is state
    if closes:
        connection.close(now=peer.now)
        peer.flush()
    end = peer.now + 100 * SECOND
    while peer.now < end and len(peer.mux):
        peer.wait(100_000)
        assert unguarded(connection) is None
    assert len(peer.mux) == 0 and peer.mux.poll_timeout() is None and len(peer.lost) == 1
    assert peer.mux.gate.connection_counts.connections == peer.mux.gate.connection_counts.half_open == 0


# --- The fast path -------------------------------------------------------------------------------------------


CLIENT, SERVER = ("192.0.2.1", 1000), ("192.0.2.2", 2000)


def established(now: int) -> tuple[Multiplexer, Multiplexer, Connection, Connection]:
    """Two ports, nobody who traces, and a connection between them, seen from each end."""
    muxes = [Multiplexer(UTPConfig(), rng=Random(seed)) for seed in (1, 2)]
    muxes[1].accepting = True
    ours = muxes[0].connect(SERVER, now=now)
    for _ in range(4):
        carry(muxes[0], muxes[1], CLIENT, now)
        carry(muxes[1], muxes[0], SERVER, now)
    (theirs,) = muxes[1]._connections.values()
    return muxes[0], muxes[1], ours, theirs


def carry(sender: Multiplexer, receiver: Multiplexer, address: Address, now: int) -> list[bytes]:
    """What one has to say, told the other."""
    sender.poll_events()
    packets = [data for transmit in sender.poll_transmits(now=now) for data in transmit.segments()]
    receiver.receive_datagrams([Datagram(data, address) for data in packets], now=now)
    receiver.poll_events()
    return [bytes(packet) for packet in packets]


def echo(connection: Connection) -> int:
    """The C{timestamp_difference} of a packet with timestamp 1 that shows that its sender reads what we send."""
    return 1 - SECOND - connection.writer.clock_offset & 0xFFFFFFFF


def state_of_both(*connections: Connection) -> list[object]:
    """What the paths might leave behind differently."""
    return [(connection.stats(), list(connection.timers), connection.last_sent_at) for connection in connections]


@pytest.mark.interpreted
def test_both_paths_lead_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Question and answer do the same whether they took the fast path or the slow one."""
    short = keepalive.take
    taken: list[bytes | None] = []

    def note(connection: Connection, data: bytes, received_at: int, now: int) -> bytes | None:
        taken.append(short(connection, data, received_at, now))
        return taken[-1]

    def refuse(connection: Connection, data: bytes, received_at: int, now: int) -> bytes | None:
        return None

    told: list[list[object]] = []
    for path in (note, refuse):
        monkeypatch.setattr(keepalive, "take", path)
        now = 5 * SECOND
        near, far, ours, theirs = established(now)
        said: list[object] = []
        for _ in range(120):
            now += SECOND
            for mux in (near, far):
                mux.handle_timeout(now=now)
            said += [carry(near, far, CLIENT, now), carry(far, near, SERVER, now)]
        told.append([*said, *state_of_both(ours, theirs)])
    assert told[0] == told[1]
    assert any(taken) and b"" in taken  # a question, and an answer


@pytest.mark.parametrize(
    "unusual",
    [
        {"seq_nr": 1},
        {"seq_nr": -1},
        {"ack_nr": 1},
        {"ack_nr": -1},
        {"wnd_size": 0},
        {"payload": b""},
        {"payload": b"12"},
        {"type": PacketType.FIN},
        {"type": STATE},
        {"extension_bits": 0},
        {"timestamp_difference": 2},
    ],
    ids=str,
)
def test_what_is_unusual_takes_the_slow_path(unusual: dict[str, object]) -> None:
    """A packet that is not quite a keepalive is left untouched."""
    _, _, ours, theirs = established(SECOND)
    theirs.proof.echoes = ECHOES_TO_PROVE
    fields: dict[str, object] = {
        "type": DATA,
        "connection_id": theirs.recv_id,
        "timestamp": 1,
        "timestamp_difference": echo(theirs),
        "wnd_size": 5000,
        "seq_nr": ours.sender.next_seq - 2 & 0xFFFF,
        "ack_nr": theirs.sender.next_seq - 1 & 0xFFFF,
        "payload": b"x",
    }
    assert keepalive.take(theirs, encode_packet(Packet(**fields)), SECOND, SECOND)  # type: ignore[arg-type]
    for name, value in unusual.items():
        before = fields.get(name)
        fields[name] = before + value & 0xFFFF if name in ("seq_nr", "ack_nr") else value  # type: ignore[operator]
    before_it = state_of_both(theirs)
    assert keepalive.take(theirs, encode_packet(Packet(**fields)), SECOND, SECOND) is None  # type: ignore[arg-type]
    assert state_of_both(theirs) == before_it


@pytest.mark.parametrize("busy", ["written", "in flight", "eof", "gap", "their fin", "paused", "unsaid", "unproven"])
def test_a_connection_that_is_not_idle_takes_the_slow_path(busy: str) -> None:
    """Whatever may be about to happen is the slow path's business."""
    _, _, ours, theirs = established(SECOND)
    packet = Packet(
        DATA,
        theirs.recv_id,
        1,
        echo(theirs),
        5000,
        ours.sender.next_seq - 2 & 0xFFFF,
        theirs.sender.next_seq - 1 & 0xFFFF,
        b"x",
    )
    if busy in ("written", "in flight"):
        theirs.write(b"news", now=SECOND)
    if busy == "in flight":
        theirs.sender.next_flight(SECOND, 1)
    if busy == "eof":
        theirs.write_eof(now=SECOND)
    if busy == "gap":
        theirs.receiver.on_data(theirs.receiver.next_seq + 1, b"ahead")
    if busy == "their fin":
        theirs.receiver.on_fin(theirs.receiver.next_seq)
    if busy == "paused":
        theirs.pause_reading()
    theirs.proof.echoes = 0 if busy == "unproven" else ECHOES_TO_PROVE
    theirs.ack_pending = busy == "unsaid"
    assert keepalive.take(theirs, encode_packet(packet), SECOND, SECOND) is None


# --- A question that comes back -------------------------------------------------------------------------------


def question(peer: Exchange) -> Packet:
    """Wait for the next one."""
    while not (sent := peer.wait(SECOND // 20)):
        assert not peer.lost
    return sent[0]


def bring_back(peer: Exchange, packet: Packet, *, timestamp: int = 0, seq_nr: int = 0) -> None:
    """The peer's host says that nobody listens there; or somebody who guesses does."""
    header = (0x01, 0, packet.connection_id, packet.timestamp + timestamp, 0, 0, packet.seq_nr + seq_nr, 0)
    quoted = ReturnedDatagram(peer.address, pack(">BBHIIIHH", *header), Obstacle.PORT_CLOSED, 0)
    peer.mux.receive_returned([quoted], now=peer.now)
    peer.collect()


@pytest.mark.parametrize(("interval", "seconds"), [(KEEPALIVE, 4), (1, 11)])
def test_killed(exchange: type[Exchange], interval: int, seconds: int) -> None:
    """
    Four questions that come back, a second apart, are enough, or a third of those that are not answered; silence takes
    half a minute.
    """
    peer = exchange(UTPConfig(keepalive=interval))
    peer.dial()
    asked = question(peer)
    begin = peer.now
    while not peer.lost:
        for _ in range(5):  # the same one again makes no difference
            bring_back(peer, asked)
        asked = next(iter(peer.wait(SECOND // 20)), asked)
    assert peer.lost == [ConnectionLost(LossReason.VANISHED)]
    assert seconds - 1.5 < (peer.now - begin) / SECOND < seconds + 0.5


def test_an_answer_undoes_it(exchange: type[Exchange]) -> None:
    """However often questions come back: who answers is there, and the next question comes when it is due."""
    peer = exchange()
    peer.dial()
    for _ in range(10):
        bring_back(peer, question(peer))
        question(peer)
        peer.state()
    begin = peer.now
    question(peer)
    assert not peer.lost and peer.now - begin > 28 * SECOND - SECOND // 20


@pytest.mark.parametrize("guess", [{"timestamp": 1}, {"timestamp": -1}, {"seq_nr": 1}])
def test_forged_returns(exchange: type[Exchange], guess: dict[str, int]) -> None:
    """A packet that is not the question changes nothing."""
    peer = exchange()
    peer.dial()
    asked = question(peer)
    begin = peer.now
    bring_back(peer, asked, **guess)
    question(peer)
    assert peer.now - begin > 2 * SECOND
    assert peer.mux.stats.icmp_ignored == 1
