"""
Does nothing wait but streams, and these no longer than they should?
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twisted_utp.proto.constants import (
    CHANCE_IN_A_ROW,
    HOLD_BESIDE,
    HOLD_GAP_ROUNDS,
    HOLD_LOSSY_WORTH,
    HOLD_MAX,
    HOLD_PAUSE,
    HOLD_QUEUE_MAX,
    HOLD_QUIET,
    HOLD_STREAM_PACKETS,
    HOLD_STREAMS,
    HOLD_YOUNG_QUIET,
    TIMESTAMP_MASK,
)
from twisted_utp.proto.moderation import Moderator
from twisted_utp.proto.packet import Packet, PacketType, encode_packet
from twisted_utp.proto.runs import runs_of
from twisted_utp.proto.values import Address, Datagram

ADDRESS: Address = ("192.0.2.1", 1)
OFFSET = 3_000_000_000
FULL = bytes(1400)


class Line:
    """
    A port that reads what a peer sends over a path with this round trip.

    @ivar hold: for how long the next read may wait, after the last one.
    """

    def __init__(self, rtt: int = 100_000) -> None:
        self.moderator = Moderator()
        self.now = 7_000_000_000
        self.rtt = rtt
        self.hold = 0
        self.connections = 1
        self._seq = {1: 65_500, 2: 9}

    def packet(self, type: PacketType = PacketType.DATA, payload: bytes = FULL, cid: int = 1, sack: int = 0) -> bytes:
        """The next one."""
        if type is PacketType.DATA:
            self._seq[cid] = self._seq.get(cid, 0) + 1 & 0xFFFF
        theirs = self.now - 123_456_789  # whatever their clock says
        packet = Packet(
            type,
            cid,
            seq_nr=self._seq.get(cid, 0),
            timestamp=theirs - self.rtt // 2 & TIMESTAMP_MASK,
            timestamp_difference=theirs - (self.now - self.rtt // 2 + OFFSET) & TIMESTAMP_MASK,
            payload=payload if type is PacketType.DATA else b"",
            sack=sack or None,
            sack_length=4 * bool(sack),
        )
        return encode_packet(packet)

    def read(self, *packets: bytes) -> int:
        """One batch."""
        parts, superseded = runs_of([Datagram(packet, ADDRESS) for packet in packets])
        self.hold = self.moderator.on_batch(
            parts, OFFSET, self.now, superseded=superseded, connections=self.connections
        )
        return self.hold

    def flow(self, interval: int, seconds: float, make: Callable[[], bytes] | None = None) -> int:
        """
        A steady stream, read when the moderator says.

        @return: batches.
        """
        make = make or self.packet
        waiting: list[bytes] = []
        until, batches, due = self.now + int(seconds * 1e6), 0, 0
        while self.now < until:
            self.now += interval
            waiting.append(make())
            if self.now >= due:
                due = self.now + self.read(*waiting)
                waiting = []
                batches += 1
        if waiting:
            self.read(*waiting)
        return batches

    def state(self) -> bytes:
        """An acknowledgement."""
        return self.packet(PacketType.STATE)


@pytest.fixture(params=["data", "states"])
def steady(request: pytest.FixtureRequest) -> tuple[Line, Callable[[], bytes]]:
    """A line on which one or the other flows at 20 Mb/s, and what flows."""
    line = Line()
    make = line.packet if request.param == "data" else line.state
    line.flow(600, 1, make)
    return line, make


def test_streams_are_read_in_batches(steady: tuple[Line, Callable[[], bytes]]) -> None:
    """As many as 8 ms bring: 120 batches a second instead of 1667 at 20 Mb/s."""
    line, make = steady
    assert line.hold == 8000
    assert line.flow(600, 1, make) < 130


@pytest.mark.parametrize(
    ("interval", "rtt", "hold"),
    [
        (3000, 60_000, 5000),  # a twelfth of it
        (750, 90_000, 7500),
        (2000, 110_000, HOLD_MAX),
        (90, 110_000, HOLD_MAX),
        (79, 110_000, 0),  # so many come in a read anyhow
    ],
)
def test_how_long(interval: int, rtt: int, hold: int) -> None:
    """It depends on rate and round trip."""
    line = Line(rtt)
    line.flow(interval, 1)
    assert line.hold == pytest.approx(hold, rel=0.03)


@pytest.mark.parametrize(
    ("interval", "queue", "hold"),
    [
        (3000, 10_000, 5000),  # a twelfth of the round trip
        (3000, 30_000, 10_000),  # a third of the queue
        (3000, 500_000, HOLD_QUEUE_MAX),
        (2300, 60_000, 18_400),  # 8 packets
        (600, 60_000, 16_000),
        (300, 60_000, 9600),  # 32 packets
        (120, 60_000, 8000),
    ],
)
def test_a_queue_hides_longer_holds(interval: int, queue: int, hold: int) -> None:
    """Where round trips have grown, reads may wait for a third of that, at 4 Mb/s 20 ms."""
    line = Line(50_000)
    line.flow(interval, 0.5)
    line.rtt += queue
    line.flow(interval, 6)
    assert line.hold == pytest.approx(hold, rel=0.12)


def test_an_old_round_trip_is_forgotten() -> None:
    """Where the path has become longer, what it took before is no queue after a few minutes."""
    line = Line(10_000)
    line.flow(2500, 0.5)
    line.rtt = 48_000
    line.flow(2500, 10)
    assert line.hold > 7000
    line.flow(2500, 200)
    assert line.hold == pytest.approx(4000, rel=0.1)


def test_others_on_the_port_wait_less(steady: tuple[Line, Callable[[], bytes]]) -> None:
    """One that streams nothing may ask something: reads wait for 3 ms while it is there, and for 8 once it streams."""
    line, make = steady
    line.connections = 2
    line.flow(600, 0.5, make)
    assert line.hold == HOLD_BESIDE
    turn = iter(range(1 << 30))
    line.flow(600, 1, lambda: line.packet(PacketType.STATE, cid=2) if next(turn) % 2 else make())
    assert line.hold == 8000


@pytest.mark.parametrize(("rtt", "hold"), [(500_000, HOLD_MAX), (24_000, 2000), (5_000, 0)])
def test_the_round_trip_bounds_it(rtt: int, hold: int) -> None:
    """Never more than a twelfth of it, nor 8 ms; below 6 ms nothing.  Who only receives knows it, too."""
    line = Line(rtt)
    line.flow(1100, 3)
    assert line.hold == hold


def test_slow_lines_gather_nothing() -> None:
    """Where fewer than one and a half packets would come, each is read at once."""
    line = Line()
    line.flow(6000, 2)
    assert line.hold == 0


@pytest.mark.parametrize("difference", [0, 0x7FFFFFFF])
def test_an_unknown_round_trip(difference: int) -> None:
    """A peer that has not measured our way to it yet: nothing waits."""
    line = Line()
    for _ in range(1000):
        line.now += 600
        packet = line.packet()
        assert line.read(packet[:8] + difference.to_bytes(4, "big") + packet[12:]) == 0


def test_the_nearest_peer_counts() -> None:
    """Beside a stream from far away, one from next door is not delayed by more than its own round trip allows."""
    line = Line(100_000)
    line.flow(600, 1)
    assert line.hold > 4000
    near = iter(range(1 << 30))

    def both() -> bytes:
        line.rtt = 100_000 if next(near) % 2 else 3000
        return line.packet(cid=1 + (line.rtt == 3000))

    line.flow(600, 1, both)
    assert line.hold == 0


Odd = Callable[[Line], bytes]
TALK: dict[str, Odd] = {
    "a question": lambda line: line.packet(payload=b"?", cid=2),
    "the end of a message": lambda line: line.packet(payload=b"x" * 470, cid=2),
    "FIN": lambda line: line.packet(PacketType.FIN),
    "SYN": lambda line: line.packet(PacketType.SYN),
    "RESET": lambda line: line.packet(PacketType.RESET),
    "another protocol's": lambda line: b"d1:ad2:id20:abcdefghij0123456789e",
    "next to nothing": lambda line: b"\x21",
    "nothing": lambda line: b"",
}


@pytest.mark.parametrize("odd", TALK)
def test_talk_never_waits(steady: tuple[Line, Callable[[], bytes]], odd: str) -> None:
    """After anything that is no stream every packet is read at once for a second."""
    line, make = steady
    packet = TALK[odd](line)
    assert line.read(packet, make()) == 0
    talked = line.now
    while line.now < talked + HOLD_QUIET - 700:
        line.now += 600
        assert line.read(make()) == 0
    line.flow(600, 0.25, make)
    assert line.hold > 0


def test_a_young_connection_never_waits(steady: tuple[Line, Callable[[], bytes]]) -> None:
    """Its packets may be an answer; beside a stream, they are read at once, and what follows within 250 ms."""
    line, make = steady
    for _ in range(HOLD_STREAM_PACKETS - 1):
        line.now += 600
        assert line.read(line.packet(cid=77)) == 0
    talked = line.now
    while line.now < talked + HOLD_YOUNG_QUIET - 700:
        line.now += 600
        assert line.read(make()) == 0
    line.flow(600, 0.25, make)
    assert line.hold > 0


def test_questions_and_answers_never_wait() -> None:
    """One after another, with answers of a packet and of ten kilobytes: nothing ever waits, on any path."""
    for rtt in (10_000, 60_000, 400_000):
        for size in (1, 10_000):
            line = Line(rtt)
            for _ in range(100):
                line.now += rtt
                left = size
                while left > 0:
                    line.now += 600
                    assert line.read(line.packet(payload=FULL[:left])) == 0
                    left -= len(FULL)


@pytest.mark.parametrize("last", [1, 600, 1399])
def test_answers_end_with_a_shorter_packet(last: int) -> None:
    """So they are no stream, however soon each is followed by the next."""
    line = Line()
    for _ in range(100):
        line.now += line.rtt // 2
        for payload in (*[FULL] * 9, FULL[:last]):
            line.now += 600
            assert line.read(line.packet(payload=payload)) == 0


def test_many_share_a_line() -> None:
    """
    Of fifty connections each has a packet in 30 ms, or three in a round trip of 90: together they are as good as one.
    """
    line = Line(90_000)
    line.connections = 50
    turn = iter(range(1 << 30))

    def make() -> bytes:
        return line.packet(cid=next(turn) // 3 % 50)

    line.flow(600, 3, make)
    assert line.flow(600, 1, make) < 140


def test_what_the_fast_path_took_is_talk(steady: tuple[Line, Callable[[], bytes]]) -> None:
    """The port tells of packets that it did not show."""
    line, make = steady
    line.moderator.on_talk(line.now)
    line.now += 600
    assert line.read(make()) == 0


def test_slow_start_never_waits(steady: tuple[Line, Callable[[], bytes]]) -> None:
    """While each round trip brings a quarter more than the one before, every packet is read at once."""
    line, make = steady
    line.now += 2 * HOLD_PAUSE
    interval = 6000.0
    for _ in range(6):
        began = line.now
        while line.now < began + line.rtt:
            line.now += int(interval)
            assert line.read(make()) == 0
        interval /= 1.5
    line.flow(int(interval), 0.5, make)
    assert line.hold > 0


def grow_queue(line: Line, make: Callable[[], bytes]) -> None:
    """A queue of 30 ms."""
    line.rtt += 30_000
    line.flow(600, 5, make)


def test_gaps_in_a_queue_never_wait(steady: tuple[Line, Callable[[], bytes]]) -> None:
    """Where a queue overflows, here or on the way to the peer, all is read at once for four round trips."""
    line, make = steady
    grow_queue(line, make)
    make()  # is lost
    missing = line.packet(PacketType.STATE, sack=1) if make == line.state else make()
    assert line.read(missing) == 0
    missed = line.now
    while line.now < missed + HOLD_GAP_ROUNDS * 0.95 * line.rtt:
        line.now += 600
        assert line.read(make()) == 0
    line.flow(600, 0.25, make)
    assert line.hold > 0


@pytest.mark.parametrize("kind", ["data", "states"])
def test_gaps_by_chance_wait(kind: str) -> None:
    """
    Where packets are lost and no queue stands, a read waits for a quarter of the round trip, 8 ms at the most.

    Unless fewer than six packets would come.
    """
    few = int(5000 / HOLD_LOSSY_WORTH) + 10
    for rtt, interval, hold in ((20_000, 300, 5000), (100_000, 300, HOLD_MAX), (20_000, few, 0)):
        line = Line(rtt)
        make = line.packet if kind == "data" else line.state
        line.flow(interval, 1, make)
        if kind == "data":
            make()  # is lost
        line.now += interval
        missing = make() if kind == "data" else line.packet(PacketType.STATE, sack=1)
        assert line.read(missing) == hold


@pytest.mark.parametrize("kind", ["data", "states"])
def test_several_missing_in_a_row_are_no_chance(kind: str) -> None:
    """A short queue loses the ends of bursts: nothing waits, though hardly anything is queued."""
    line = Line()
    make = line.packet if kind == "data" else line.state
    line.flow(300, 1, make)
    for _ in range(CHANCE_IN_A_ROW + 1):
        make()  # is lost
    line.now += 300
    assert line.read(make() if kind == "data" else line.packet(PacketType.STATE, sack=0b100)) == 0
    assert line.flow(300, HOLD_GAP_ROUNDS * line.rtt / 1e6 - 0.01, make) > 1000


@pytest.mark.parametrize("kind", ["data", "states"])
def test_chance_may_take_three_in_a_row(kind: str) -> None:
    """Where single packets are always missing, the few that once were in a row do not count for ever."""
    line = Line()

    def flow(rounds: int) -> None:
        for _ in range(rounds):
            if kind == "data":
                line.packet()  # is lost
            else:
                line.now += 300
                line.read(line.packet(PacketType.STATE, sack=1))
            line.flow(300, line.rtt / 1e6, line.packet if kind == "data" else line.state)

    flow(12)
    assert line.hold > 0
    if kind == "data":
        for _ in range(CHANCE_IN_A_ROW):
            line.packet()  # are lost, with the next one
    else:
        line.read(line.packet(PacketType.STATE, sack=0b100))
    flow(1)
    assert line.hold == 0
    flow(2 * HOLD_GAP_ROUNDS)
    assert line.hold > 0


def test_a_number_far_ahead_that_somebody_else_sends() -> None:
    """The stream's next packet is none that is repeated: the stream goes on at its own number."""
    line = Line()
    line.flow(300, 1)
    seq, line._seq[1] = line._seq[1], line._seq[1] + 30_000 & 0xFFFF
    line.read(line.packet())
    line._seq[1] = seq
    line.flow(300, 2 * HOLD_GAP_ROUNDS * line.rtt / 1e6)
    assert line.hold > 0
    grow_queue(line, line.packet)
    assert line.hold > 0


def test_a_packet_that_is_repeated_is_no_gap() -> None:
    """It comes in the middle of others, which go on where they were."""
    line = Line()
    line.flow(300, 1)
    repeated = line.packet()
    for _ in range(30):
        line.now += 300
        line.read(line.packet())
    line.now += 300
    assert line.read(repeated) > 0
    line.now += 300
    assert line.read(line.packet()) > 0


def test_a_selective_ack_that_rides_on_data() -> None:
    """It tells of a gap as well."""
    line = Line()
    line.flow(600, 1)
    grow_queue(line, line.packet)
    assert line.hold > 0
    assert line.read(line.packet(sack=1)) == 0


@pytest.mark.parametrize("together", [False, True])
def test_a_stream_that_had_nothing_more_for_a_moment(together: bool) -> None:
    """
    Who writes it was slower than the line: a short packet in the middle of a stream is no gap, and no message's end
    unless silence follows.
    """
    line = Line()
    line.flow(600, 1)
    line.now += 8000
    full = [line.packet()] if together else []
    assert line.read(*full, line.packet(payload=b"x" * 100)) == 0
    ended = line.now
    while line.now < ended + HOLD_YOUNG_QUIET:
        line.now += 600
        assert line.read(line.packet()) == 0
    line.flow(600, 0.1)
    assert line.hold > 0


def test_a_path_that_has_become_narrower() -> None:
    """Shorter packets are as full as the longer ones before them were: their stream is one as well."""
    line = Line()
    line.flow(600, 1)
    line.flow(600, 1, lambda: line.packet(payload=bytes(1200)))
    assert line.hold > 0


def test_silence_begins_anew(steady: tuple[Line, Callable[[], bytes]]) -> None:
    """What follows a pause may be slow start again."""
    line, make = steady
    line.now += HOLD_PAUSE + 1
    assert line.read(make()) == 0
    paused = line.now
    while line.now < paused + line.rtt:
        line.now += 600
        assert line.read(make()) == 0


def test_merged_buffers_count_by_packet() -> None:
    """What the kernel has merged is as many packets as it was."""
    line = Line()
    for _ in range(500):
        line.now += 1200
        data = line.packet() + line.packet()
        parts, _ = runs_of([Datagram(data, ADDRESS, len(data) // 2)])
        line.hold = line.moderator.on_batch(parts, OFFSET, line.now)
    assert line.hold == 8000


def test_memory_is_bounded() -> None:
    """A peer that opens thousands of connections, or pretends to, does not make us remember them."""
    line = Line()
    for cid in range(10 * HOLD_STREAMS):
        line.now += 600
        line.read(line.packet(cid=cid))
    assert len(line.moderator._streams) <= HOLD_STREAMS
    for cid in range(10 * HOLD_STREAMS):
        line.read(line.packet(PacketType.STATE, cid=cid))
    assert len(line.moderator._streaming) <= HOLD_STREAMS


def test_a_liar_gets_twenty_milliseconds() -> None:
    """Whatever a peer says of its clock, nothing waits longer."""
    line = Line()
    for lie in range(0, 1 << 32, 77_777_777):
        for _ in range(20):
            line.now += 1100
            packet = line.packet(PacketType.STATE)
            assert line.read(packet[:8] + lie.to_bytes(4, "big") + packet[12:]) <= HOLD_QUEUE_MAX


def test_acknowledgements_of_batches_do_not_wait() -> None:
    """A peer that moderates its own reading sends one each 8 ms: there is nothing to gather."""
    line = Line(120_000)
    line.flow(8000, 2, line.state)
    assert line.hold == 0
    line.flow(1900, 2, line.state)
    assert line.hold == HOLD_MAX
    line.rtt += 60_000
    line.flow(8000, 6, line.state)
    assert line.hold == 0, "nor where a queue would hide it: what four of them let out at once empties a send buffer"
