"""
Do the peers of a crowd send whole trains, all of them as much, and does nobody wait in vain?
"""

from __future__ import annotations

import pytest

from tests.proto.test_receive_budget import busy_sink
from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.constants import (
    BUDGET_PERSISTS,
    DEFAULT_RECEIVE_BUFFER,
    HEADER_SIZE,
    MAX_MTU_IPV4,
    MAX_TURN_TRAINS,
    MIN_SHARE,
    RECEIVE_TURN,
    TURN_PATIENCE,
    UNREAD_WHEN_BEHIND,
)
from twisted_utp.proto.receive_turns import ReceiveTurns
from twisted_utp.proto.timers import NEVER
from twisted_utp.testing import Ends, Link, Network, Node, Pair, Simulator
from twisted_utp.testing.socket_buffer import SocketBuffer

ROOM = 10 * RECEIVE_TURN
NOW = 7_000_000


def established(count: int) -> list[Connection]:
    """The receiving ends of so many connections."""
    pair = Pair(seed=3, link={"delay": 50}, config=UTPConfig(max_per_host=10_000), log=False)
    made = []
    for _ in range(count):
        ends = pair.connect()
        pair.simulator.run_until(pair.now + 1_000_000)
        made.append(ends.server.connection)
    return made


def receive(connection: Connection, nbytes: int) -> None:
    """Let so much have arrived in order."""
    receiver = connection.receiver
    if nbytes:
        assert receiver.on_run(receiver.next_seq, [bytes(1000)] * (nbytes // 1000), nbytes)
    receiver.take()
    connection.ack_pending = True


class Reader:
    """A port that reads what some connections were sent, and lets turns decide who acknowledges."""

    def __init__(self) -> None:
        self.turns = ReceiveTurns()
        self.now = NOW
        self.read(0)

    def read(self, nbytes: int, *connections: Connection, size: int = 0) -> list[Connection]:
        """
        Each of them was sent so much.

        @param size: of the read, when it brought more.
        @return: who may acknowledge.
        """
        for connection in connections:
            receive(connection, nbytes)
        ready = dict.fromkeys(connections)
        size = size or nbytes * len(connections)
        self.turns.on_batch(size, connections, ready, ROOM, RECEIVE_TURN, self.now)
        return list(ready)

    def wait(self) -> list[Connection]:
        """Nothing comes until somebody's patience ends."""
        self.now = self.turns.next_at
        ready: dict[Connection, None] = {}
        self.turns.on_timer(ready, ROOM, RECEIVE_TURN, self.now)
        return list(ready)


@pytest.fixture
def reader() -> Reader:
    """One that knows what is under way."""
    made = Reader()
    made.turns.on_batch(2 * ROOM, (), {}, ROOM, RECEIVE_TURN, NOW)
    return made


def test_a_crowd_sends_whole_trains() -> None:
    """
    A hundred connections, with 15 kB of room for each, had 11 packets a train and an acknowledgement for each.  Now
    they have as many as one alone, more than a train to an acknowledgement, and nothing is lost.
    """
    socket, ends = busy_sink(100, 2 << 20, 1_000_000)
    acks = sum(each.server.connection.stats().acks_sent for each in ends)
    full = 100 * 1_000_000 / (MAX_MTU_IPV4 - HEADER_SIZE)
    assert socket.dropped == 0
    assert full / acks > 60
    sums = [each.client.connection.stats() for each in ends]
    assert sum(stats.packets_retransmitted + stats.timeouts + stats.window_cuts for stats in sums) == 0


def crowded(count: int, nbytes: int) -> tuple[Pair, list[Ends]]:
    """So many connections that begin to send at once, over loopback, to a program that is not as fast."""
    pair = Pair(seed=5, link={"delay": 50}, config=UTPConfig(max_per_host=10_000), log=False)
    SocketBuffer(pair.server.port, capacity=2 << 20, cost=3)
    pair.server.multiplexer.receive_room = 2 << 20
    ends = [pair.connect() for _ in range(count)]
    for each in ends:
        each.client.connection.write(bytes(nbytes), now=pair.now)
    pair.client.flush()
    return pair, ends


def test_turns_are_fair() -> None:
    """Whenever one looks, nobody is more than two turns ahead of anybody."""
    pair, ends = crowded(60, 1_000_000)
    for part in (20, 40):
        pair.simulator.run(lambda part=part: sum(each.server.nbytes for each in ends) >= part * 1_000_000)  # type: ignore[misc]
        counts = sorted(each.server.nbytes for each in ends)
        assert counts[-1] - counts[0] <= 2 * MAX_TURN_TRAINS * RECEIVE_TURN


def test_windows_are_whole_again() -> None:
    """A second after the crowd has gone, those that stay are offered what they were before."""
    pair, ends = crowded(60, 300_000)
    pair.simulator.run(lambda: sum(each.server.nbytes for each in ends) == 60 * 300_000)
    client, server = ends[0].client.connection, ends[0].server.connection
    assert server.receiver.window() <= MAX_TURN_TRAINS * RECEIVE_TURN
    pair.simulator.run_until(pair.now + 2 * BUDGET_PERSISTS)
    client.write(bytes(10_000), now=pair.now)
    pair.client.flush()
    pair.simulator.run(lambda: ends[0].server.nbytes == 310_000)
    assert server.receiver.window() == DEFAULT_RECEIVE_BUFFER


def test_so_many_turns_as_there_is_room_for(reader: Reader) -> None:
    """Who has grown to whole turns waits until one of the ten before him is over."""
    crowd = established(12)
    assert reader.read(RECEIVE_TURN, *crowd) == crowd
    assert reader.read(RECEIVE_TURN, *crowd) == crowd[:10]
    assert crowd[0].receiver.turn == RECEIVE_TURN
    assert reader.read(RECEIVE_TURN, crowd[3]) == [crowd[10]]
    assert reader.read(RECEIVE_TURN, crowd[10]) == [crowd[11]]
    assert reader.read(RECEIVE_TURN, crowd[11]) == [crowd[3]]


def test_what_is_in_the_socket_before_counts() -> None:
    """When turns begin, as much as there is room for may wait to be read: no more is offered than is taken out."""
    crowd = established(12)
    reader, offered = Reader(), 0
    for first in range(0, 10, 2):
        granted = reader.read(28_000, *crowd[first : first + 2])
        offered += sum(connection.receiver.turn for connection in granted)
        assert offered <= (first + 2) * 28_000 + 2 * MIN_SHARE


def test_a_peer_in_slow_start_is_not_offered_what_it_cannot_use(reader: Reader) -> None:
    """It doubles what it sends; others may have the rest."""
    (one,) = established(1)
    offered = []
    for nbytes in (10_000, 20_000, 28_000):
        assert reader.read(nbytes, one) == [one]
        offered.append(one.receiver.turn)
    assert offered == [2 * MIN_SHARE, 40_000, 56_000]


def all_wait(reader: Reader) -> list[Connection]:
    """Twelve connections, of which the last two wait."""
    crowd = established(12)
    reader.read(RECEIVE_TURN, *crowd)
    assert reader.read(RECEIVE_TURN, *crowd) == crowd[:10]
    return crowd


def test_what_says_more_does_not_wait(reader: Reader) -> None:
    """Data of our own, or a gap: neither can wait, and it is not offered a turn that is another's."""
    crowd = all_wait(reader)
    crowd[10].sender.buffer.write(b"answer")
    assert reader.read(3000, crowd[10]) == [crowd[10]]
    assert crowd[10].receiver.turn == 3000
    receiver = crowd[11].receiver
    assert receiver.on_run(receiver.next_seq + 5, [bytes(1000)] * 3, 3000)
    assert reader.read(0, crowd[11]) == [crowd[11]]


def test_who_loses_patience_is_answered(reader: Reader) -> None:
    """
    A packet that is repeated has its answer: it has arrived, and the next are to wait.  Once it is its turn the peer
    hears of that.
    """
    crowd = all_wait(reader)
    late = crowd[10]
    late.peer_is_ours = True
    assert reader.read(0, late) == [late] and late.receiver.turn == 0
    late.ack_pending = False
    assert reader.read(RECEIVE_TURN, crowd[0]) == [late]
    assert late.ack_pending and late.receiver.turn == RECEIVE_TURN


def test_a_question_is_not_told_to_wait(reader: Reader) -> None:
    """A few bytes are no turn.  The answer to them had a window of nothing, so the next question waited for a turn."""
    late = all_wait(reader)[10]
    late.peer_is_ours = True
    assert late.receiver.on_run(late.receiver.next_seq, [b"?"], 1)
    assert reader.read(0, late) == [late] and late.receiver.turn >= MAX_MTU_IPV4 - HEADER_SIZE


def test_a_stranger_is_never_told_to_wait(reader: Reader) -> None:
    """libtorrent does not ask whether a window has opened again: it may always send a packet."""
    late = all_wait(reader)[10]
    late.peer_is_ours = False
    assert reader.read(0, late) == [late] and late.receiver.turn >= MAX_MTU_IPV4 - HEADER_SIZE


def test_nobody_waits_for_those_that_have_nothing_to_send(reader: Reader) -> None:
    """Some milliseconds after the last read the next ones have their turn, and then nobody is waited for."""
    crowd = all_wait(reader)
    assert reader.turns.next_at == NOW + TURN_PATIENCE
    assert reader.wait() == crowd[10:]
    assert reader.turns.next_at == NEVER


def test_who_is_late_with_its_turn_is_offered_as_much_again(reader: Reader) -> None:
    """A sender may be busy for longer than anybody waits.  Then a thousand had half a train each, for good."""
    crowd = all_wait(reader)
    reader.wait()
    assert reader.read(RECEIVE_TURN, crowd[0]) == [crowd[0]]
    assert crowd[0].receiver.turn == RECEIVE_TURN


def test_nobody_waits_for_the_silent_while_others_talk(reader: Reader) -> None:
    """
    Those who have their turn have vanished.  Somebody who only acknowledges what we send, or is far away, is read every
    millisecond: those that wait are served in time all the same.
    """
    crowd, (upload, far) = all_wait(reader), established(2)
    far.receiver.is_near = False
    served: list[Connection] = []
    for _ in range(TURN_PATIENCE // 1000 + 1):
        reader.now += 1000
        upload.ack_pending = False
        ready: dict[Connection, None] = {upload: None}
        reader.turns.on_batch(100, (upload,), ready, ROOM, RECEIVE_TURN, reader.now)
        assert reader.read(1000, far) == [far]
        if reader.turns.next_at <= reader.now:
            served += reader.wait()
    assert served == crowd[10:]


def test_who_only_acknowledges_holds_no_turn(reader: Reader) -> None:
    """Ten that take what we send have no need of the room: others have all of it."""
    crowd, uploads = established(12), established(10)
    for upload in uploads:
        upload.ack_pending = False
    reader.turns.on_batch(300, uploads, dict.fromkeys(uploads), ROOM, RECEIVE_TURN, NOW)
    reader.read(RECEIVE_TURN, *crowd)
    assert reader.read(RECEIVE_TURN, *crowd) == crowd[:10]


def test_who_is_far_away_does_not_wait(reader: Reader) -> None:
    """It has its equal share; the turns are for the others."""
    crowd, (far,) = all_wait(reader), established(1)
    far.receiver.is_near = False
    assert reader.read(3000, far) == [far] and far.receiver.turn == MIN_SHARE
    assert crowd[10].receiver.is_near


@pytest.mark.parametrize(("delay", "is_near"), [(50, True), (2_000, True), (5_000, False), (50_000, False)])
def test_a_receiver_knows_who_is_near(delay: int, is_near: bool) -> None:
    """Also who sends nothing: both sides say what they measured one way."""
    pair = Pair(seed=3, link={"delay": delay}, log=False, server_clock={"offset": 12_345_678})
    ends = pair.connect()
    ends.client.connection.write(bytes(100_000), now=pair.now)
    pair.client.flush()
    pair.simulator.run(lambda: ends.server.nbytes == 100_000)
    assert ends.server.connection.receiver.is_near is is_near


def test_who_moves_may_be_far_away() -> None:
    """A peer whose address changes has to show once more that it is near."""
    (connection,) = established(1)
    connection.receiver.is_near = True
    connection.move_to(("198.51.100.9", 9))
    assert not connection.receiver.is_near


def test_a_crowd_that_is_far_away() -> None:
    """
    A small socket, a program that is busy now and then, peers 10 to 160 ms away on lines of their own.  Turns would
    last as long as round trips: there were 36 timeouts.
    """
    simulator = Simulator(7)
    network, config = Network(simulator), UTPConfig(max_per_host=1000)
    host = network.add_host("10.0.0.1")
    server = Node(host, 9000, config=config, accepting=True)
    server.multiplexer.receive_room = 212_992
    budget, dials = server.multiplexer.port_queues.budget, []

    def fall_behind() -> None:
        budget.on_batch(UNREAD_WHEN_BEHIND, (), simulator.now)
        simulator.call_later(BUDGET_PERSISTS // 2, fall_behind)

    fall_behind()
    for number in range(1, 51):
        peer, delay = network.add_host(f"10.1.0.{number}"), 5_000 + number * 1_500
        network.join(peer, host, there=[Link(simulator, delay=delay)], back=[Link(simulator, delay=delay)])
        node = Node(peer, config=config)
        dials.append(node.connect(server.address))
        dials[-1].connection.write(bytes(100_000), now=node.now())
        node.flush()
    simulator.run(lambda: sum(record.nbytes for record in server.records) == 50 * 100_000)
    assert budget.is_on
    assert sum(dial.connection.stats().timeouts for dial in dials) == 0


def test_what_a_read_cuts_in_two_is_one_turn(reader: Reader) -> None:
    """The rest of it may be in the next read, or not: then the turn is over."""
    one, other = established(2)
    for _ in range(2):
        reader.read(RECEIVE_TURN, one, other)
    assert reader.read(30_000, other, one, size=UNREAD_WHEN_BEHIND) == [other]
    assert reader.read(RECEIVE_TURN - 30_000, one) == [one]
    assert reader.read(30_000, one, size=UNREAD_WHEN_BEHIND) == []
    assert set(reader.read(RECEIVE_TURN, other)) == {one, other}


def test_the_end(reader: Reader) -> None:
    """All that wait are answered; who is closed is forgotten."""
    crowd = all_wait(reader)
    reader.turns.forget(crowd[11])
    ready: dict[Connection, None] = {}
    crowd[10].ack_pending = False
    reader.turns.end(ready)
    assert list(ready) == [crowd[10]] and crowd[10].ack_pending


def test_a_read_in_a_closed_turn(reader: Reader) -> None:
    """Who was closed in his turn does not hold it."""
    crowd = all_wait(reader)
    reader.turns.forget(crowd[0])
    assert reader.read(0, crowd[1]) == [crowd[1], crowd[10]]


def test_no_more_is_offered_than_there_is_room_for() -> None:
    """Also when turns begin with a read that is larger than the room, as with the kernel's default socket buffer."""
    reader, crowd = Reader(), established(24)
    reader.turns = ReceiveTurns()
    granted = reader.read(RECEIVE_TURN, *crowd)
    assert sum(connection.receiver.turn for connection in granted) <= ROOM + RECEIVE_TURN


def test_nobody_waits_for_one_that_talks_and_ends_no_turn(reader: Reader) -> None:
    """A connection with data of its own never waits, and so frees no room, but each packet of it put off the timer."""
    crowd = all_wait(reader)
    talker, late = crowd[0], crowd[10]
    talker.sender.buffer.write(b"answer")
    until = reader.now + 2 * TURN_PATIENCE
    while reader.now < until and reader.turns.next_at > reader.now:
        reader.now += 1000
        assert reader.read(RECEIVE_TURN, talker) == [talker]
    assert reader.turns.next_at <= reader.now
    assert late in reader.wait()


def test_who_has_sent_everything_has_no_turn(reader: Reader) -> None:
    """Ten that have ended leave room for ten others."""
    crowd = established(20)
    reader.read(RECEIVE_TURN, *crowd[:10])
    for connection in crowd[:10]:
        connection.receiver.on_fin(connection.receiver.next_seq)
    assert reader.read(0, *crowd[:10]) == crowd[:10]
    assert reader.read(RECEIVE_TURN, *crowd[10:]) == crowd[10:]
    assert reader.read(RECEIVE_TURN, *crowd[10:]) == crowd[10:]


def test_an_acceptor_is_not_kept_waiting(reader: Reader) -> None:
    """An initiator's first packet shows that it is there: the acceptor may send only then."""
    crowd = all_wait(reader)
    late = crowd[10]
    late.handshake.confirmations = 1
    assert reader.read(3000, late) == [late]


def test_the_end_of_turns_opens_windows(reader: Reader) -> None:
    """Who was told to wait is not offered 0 when the port is crowded again."""
    late = all_wait(reader)[10]
    late.peer_is_ours = True
    assert reader.read(0, late) == [late] and late.receiver.turn == 0
    reader.turns.end({})
    assert late.receiver.turn == MIN_SHARE
