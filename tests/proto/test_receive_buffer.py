"""
Does any order of arrival give the bytes that were sent, and a true account of what is missing?
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_utp.proto.constants import MAX_REORDER
from twisted_utp.proto.receive_buffer import Arrival, ReceiveBuffer

FIRST = 65_530  # a few packets before the wire's wrap
CAPACITY = 100_000


class Model:
    """
    The same, packet by packet, with nothing clever about it.
    """

    def __init__(self, first: int) -> None:
        self.next_seq = first
        self.packets: dict[int, bytes] = {}
        self.stream = b""

    def arrive(self, seq: int, payload: bytes) -> Arrival:
        """One packet."""
        if seq < self.next_seq or seq in self.packets:
            return Arrival.OLD
        self.packets[seq] = payload
        arrival = Arrival.IN_ORDER if seq == self.next_seq else Arrival.AHEAD
        while self.next_seq in self.packets:
            self.stream += self.packets.pop(self.next_seq)
            self.next_seq += 1
        return arrival

    def mask(self) -> int:
        """BEP-29: bit i is ack_nr + 2 + i."""
        return sum(1 << seq - (self.next_seq - 1) - 2 for seq in self.packets)


def payload_of(seq: int) -> bytes:
    """What the packet of that number carries: 0 to 4 bytes."""
    return seq.to_bytes(4, "big")[: seq % 5]


@settings(max_examples=150)
@given(
    count=st.integers(1, 60),
    fin=st.booleans(),
    duplicates=st.lists(st.integers(0, 59), max_size=30),
    random=st.randoms(use_true_random=False),
    takes=st.integers(0, 3),
)
def test_any_order_of_arrival(count: int, fin: bool, duplicates: list[int], random: Random, takes: int) -> None:
    """
    Random orders with duplicates and a FIN anywhere among them: the stream, ack_nr, the selective ack, the window and
    the FIN are at every step those of a naive model.
    """
    buffer, model = ReceiveBuffer(FIRST, CAPACITY), Model(FIRST)
    last = FIRST + count - 1
    arrivals = [FIRST + at for at in range(count)] + [FIRST + at % count for at in duplicates]
    random.shuffle(arrivals)
    read, olds = b"", 0
    for seq in arrivals:
        is_fin = fin and seq == last
        expected = model.arrive(seq, b"" if is_fin else payload_of(seq))
        assert (buffer.on_fin(seq) if is_fin else buffer.on_data(seq, payload_of(seq))) is expected
        olds += expected is Arrival.OLD
        assert buffer.next_seq == model.next_seq
        assert buffer.has_gap is bool(model.packets)
        assert buffer.unread_bytes == len(model.stream) - len(read)
        assert buffer.window() == CAPACITY - buffer.unread_bytes
        selective = buffer.selective_ack(252)
        if selective is None:
            assert not model.packets
        else:
            assert selective[0] == model.mask()
            assert selective[1] % 4 == 0
            assert selective[1] * 8 - 32 < selective[0].bit_length() <= selective[1] * 8
        if takes and random.randrange(4) < takes:
            read += buffer.take()
    read += buffer.take()
    assert read == model.stream == b"".join(payload_of(FIRST + at) for at in range(count - fin))
    assert buffer.is_complete is fin
    assert buffer.fin_seq == (last if fin else None)
    assert buffer.duplicates == olds == len(duplicates)


def test_take_gives_everything_once() -> None:
    """What was taken is gone, and its room is free again; a lone payload is not copied."""
    buffer = ReceiveBuffer(FIRST, CAPACITY)
    data = b"x" * 1000
    buffer.on_data(FIRST, data)
    assert buffer.window() == CAPACITY - 1000
    assert buffer.take() is data
    assert buffer.take() == b""
    assert buffer.window() == CAPACITY


# --- The fast path --------------------------------------------------------------------------------------------


def test_train_equals_its_packets() -> None:
    """A train that is exactly what is expected leaves the buffer as its packets one by one would."""
    train, singles = ReceiveBuffer(FIRST, CAPACITY), ReceiveBuffer(FIRST, CAPACITY)
    payloads = [bytes([at]) * 50 for at in range(20)]
    assert train.on_run(FIRST, payloads, 1000)
    for at, payload in enumerate(payloads):
        assert singles.on_data(FIRST + at, payload) is Arrival.IN_ORDER
    assert train.next_seq == singles.next_seq == FIRST + 20
    assert train.window() == singles.window()
    assert train.take() == singles.take() == b"".join(payloads)


@pytest.mark.parametrize("ahead", [0, 1, 3, 30])
@pytest.mark.parametrize("here", [(), (2,), (5, 6, 9), (20,), (23, 40)])
def test_train_and_gaps(here: tuple[int, ...], ahead: int) -> None:
    """Ahead of a gap or closing one: taken as its packets one by one would be, or not at all."""
    train, singles = ReceiveBuffer(FIRST, CAPACITY), ReceiveBuffer(FIRST, CAPACITY)
    for buffer in (train, singles):
        for at in here:
            buffer.on_data(FIRST + at, b"%d" % at)
    payloads = [b"%d" % (ahead + at) for at in range(20)]
    overlaps = any(ahead <= at < ahead + 20 for at in here)
    assert train.on_run(FIRST + ahead, payloads, sum(map(len, payloads))) is not overlaps
    if overlaps:
        return
    for at, payload in enumerate(payloads):
        singles.on_data(FIRST + ahead + at, payload)
    assert (train.next_seq, train.window()) == (singles.next_seq, singles.window())
    assert train.selective_ack(252) == singles.selective_ack(252)
    for buffer in (train, singles):
        for at in range(64):
            buffer.on_data(FIRST + at, b"%d" % at)
    assert train.take() == singles.take() == b"".join(b"%d" % at for at in range(64))


@pytest.mark.parametrize("why", ["too far ahead", "old", "overlap", "fin", "window", "window ahead"])
def test_train_that_is_anything_else(why: str) -> None:
    """It is refused, and nothing has changed."""
    buffer = ReceiveBuffer(FIRST, 1000)
    first = FIRST
    if why == "too far ahead":
        first += MAX_REORDER - 1
    elif why == "window ahead":
        first += 1
    elif why == "old":
        first -= 1
    elif why == "overlap":
        buffer.on_data(FIRST + 1, b"later")
    elif why == "fin":
        buffer.on_fin(FIRST + 2)
    payloads = [b"x" * (501 if why.startswith("window") else 5)] * 2
    before = buffer.next_seq, buffer.unread_bytes, buffer.selective_ack(252), buffer.fin_seq
    assert not buffer.on_run(first, payloads, sum(map(len, payloads)))
    assert (buffer.next_seq, buffer.unread_bytes, buffer.selective_ack(252), buffer.fin_seq) == before


def test_train_that_just_fits() -> None:
    """The whole window may be used."""
    buffer = ReceiveBuffer(FIRST, 1000)
    assert buffer.on_run(FIRST, [b"x" * 500] * 2, 1000)
    assert buffer.window() == 0


# --- FIN ------------------------------------------------------------------------------------------------------


def test_fin_in_order() -> None:
    """The stream is complete when the FIN and all before it are here (BEP-29 ST_FIN)."""
    buffer = ReceiveBuffer(FIRST, CAPACITY)
    buffer.on_data(FIRST, b"a")
    assert not buffer.is_complete
    assert buffer.on_fin(FIRST + 1) is Arrival.IN_ORDER
    assert buffer.is_complete
    assert buffer.next_seq == FIRST + 2


def test_fin_ahead_is_remembered() -> None:
    """An out-of-order FIN waits for what is missing (protocol.md 6), and is reported as having arrived."""
    buffer = ReceiveBuffer(FIRST, CAPACITY)
    assert buffer.on_fin(FIRST + 2) is Arrival.AHEAD
    assert not buffer.is_complete
    assert buffer.selective_ack(252) == (0b10, 4)
    buffer.on_data(FIRST + 1, b"b")
    buffer.on_data(FIRST, b"a")
    assert buffer.is_complete
    assert buffer.take() == b"ab"


def test_nothing_past_the_fin() -> None:
    """Data and FINs past the first FIN are not valid (protocol.md 6), before and after it is complete."""
    buffer = ReceiveBuffer(FIRST, CAPACITY)
    buffer.on_fin(FIRST + 1)
    assert buffer.on_data(FIRST + 2, b"x") is Arrival.BEYOND_FIN
    assert buffer.on_fin(FIRST + 5) is Arrival.BEYOND_FIN
    buffer.on_data(FIRST, b"a")
    assert buffer.is_complete
    assert buffer.on_data(FIRST + 2, b"x") is Arrival.BEYOND_FIN
    assert buffer.on_fin(FIRST + 2) is Arrival.BEYOND_FIN
    assert buffer.take() == b"a"


@pytest.mark.parametrize("fin", [FIRST, FIRST + 2])
def test_fin_below_what_has_arrived(fin: int) -> None:
    """A FIN in front of data that is here already is a lie and changes nothing."""
    buffer = ReceiveBuffer(FIRST, CAPACITY)
    buffer.on_data(FIRST + 3, b"d")
    assert buffer.on_fin(fin) is Arrival.BEYOND_FIN
    assert buffer.fin_seq is None
    for at, payload in enumerate((b"a", b"b", b"c")):
        buffer.on_data(FIRST + at, payload)
    assert buffer.take() == b"abcd"


def test_another_fin_before_the_first() -> None:
    """Only the first FIN counts; one that would cut the stream shorter is refused."""
    buffer = ReceiveBuffer(FIRST, CAPACITY)
    buffer.on_fin(FIRST + 3)
    assert buffer.on_fin(FIRST + 1) is Arrival.BEYOND_FIN
    assert buffer.fin_seq == FIRST + 3


def test_old_fins() -> None:
    """A FIN repeated after it was taken is old, and so is one among what was received as data."""
    buffer = ReceiveBuffer(FIRST, CAPACITY)
    buffer.on_data(FIRST, b"a")
    assert buffer.on_fin(FIRST) is Arrival.OLD
    assert buffer.fin_seq is None
    buffer.on_data(FIRST + 3, b"d")
    assert buffer.on_fin(FIRST + 3) is Arrival.OLD
    assert buffer.fin_seq is None
    buffer.on_fin(FIRST + 4)
    assert buffer.on_fin(FIRST + 4) is Arrival.OLD
    assert buffer.on_fin(FIRST) is Arrival.OLD


def test_fin_too_far_ahead() -> None:
    """The reorder limit holds for FINs too."""
    buffer = ReceiveBuffer(FIRST, CAPACITY)
    assert buffer.on_fin(FIRST + MAX_REORDER) is Arrival.BEYOND_REORDER_LIMIT
    assert buffer.fin_seq is None


# --- Limits ---------------------------------------------------------------------------------------------------


def test_reorder_limit() -> None:
    """Tiny packets far ahead are bounded by number; the last allowed one is kept."""
    buffer = ReceiveBuffer(FIRST, CAPACITY)
    assert buffer.on_data(FIRST + MAX_REORDER, b"x") is Arrival.BEYOND_REORDER_LIMIT
    assert buffer.on_data(FIRST + MAX_REORDER - 1, b"x") is Arrival.AHEAD


def test_data_beyond_the_window_is_dropped() -> None:
    """Bytes beyond what was advertised are not held, in order or ahead; empty packets always fit."""
    buffer = ReceiveBuffer(FIRST, 100)
    assert buffer.on_data(FIRST + 1, b"x" * 60) is Arrival.AHEAD
    assert buffer.on_data(FIRST + 2, b"x" * 41) is Arrival.BEYOND_WINDOW
    assert buffer.on_data(FIRST + 2, b"x" * 40) is Arrival.AHEAD
    assert buffer.on_data(FIRST + 3, b"") is Arrival.AHEAD
    assert buffer.on_data(FIRST, b"x" * 101) is Arrival.BEYOND_WINDOW
    assert buffer.next_seq == FIRST


def test_what_closes_the_gap_is_always_taken() -> None:
    """With the window full of what waits ahead, the missing packet must get in, or nothing would ever move."""
    buffer = ReceiveBuffer(FIRST, 100)
    buffer.on_data(FIRST + 1, b"b" * 100)
    assert buffer.on_data(FIRST, b"a" * 50) is Arrival.IN_ORDER
    assert buffer.take() == b"a" * 50 + b"b" * 100
    assert buffer.window() == 100


def test_window_does_not_count_what_is_ahead() -> None:
    """
    wnd_size is room beyond ack_nr: what waits ahead of a gap lies within it, as in TCP, and lowers nothing.
    """
    buffer = ReceiveBuffer(FIRST, 1000)
    buffer.on_data(FIRST + 1, b"x" * 300)
    assert buffer.window() == 1000
    buffer.on_data(FIRST, b"x" * 300)
    assert buffer.window() == 400


@settings(max_examples=80)
@given(
    capacity=st.integers(50, 400),
    arrivals=st.lists(st.tuples(st.integers(-3, 40), st.integers(0, 120), st.booleans()), max_size=80),
)
def test_a_lying_peer_cannot_grow_memory(capacity: int, arrivals: list[tuple[int, int, bool]]) -> None:
    """
    Whatever arrives, the bytes held are bounded by the capacity: once for what is unread, once for what is ahead.
    """
    buffer = ReceiveBuffer(FIRST, capacity)
    for offset, size, is_train in arrivals:
        if is_train:
            buffer.on_run(buffer.next_seq + offset, [b"x" * size] * 2, 2 * size)
        else:
            buffer.on_data(buffer.next_seq + offset, b"x" * size)
        held = sum(map(len, (buffer._ahead or {}).values()))
        assert held == buffer._ahead_bytes <= capacity
        assert held + buffer.unread_bytes <= 2 * capacity
        assert buffer.window() >= 0


# --- What the peer is told ------------------------------------------------------------------------------------


def test_selective_ack_is_cut_to_its_limit() -> None:
    """Packets further ahead than the limit go unmentioned; the length stays a multiple of four."""
    buffer = ReceiveBuffer(FIRST, CAPACITY)
    for ahead in (1, 32, 33, 200):
        buffer.on_data(FIRST + ahead, b"x")
    assert buffer.selective_ack(252) == (1 | 1 << 31 | 1 << 32 | 1 << 199, 28)
    assert buffer.selective_ack(8) == (1 | 1 << 31 | 1 << 32, 8)
    assert buffer.selective_ack(4) == (1 | 1 << 31, 4)


def test_no_gap_no_selective_ack() -> None:
    """Nothing ahead, nothing to say."""
    buffer = ReceiveBuffer(FIRST, CAPACITY)
    assert buffer.selective_ack(252) is None
    buffer.on_data(FIRST, b"x")
    assert buffer.selective_ack(252) is None


MSS = 1000


def test_window_update_after_two_packets_worth() -> None:
    """RFC 9293 (3.8.6.2.2): not for every byte read, but when two full packets fit again."""
    buffer = ReceiveBuffer(FIRST, 10 * MSS)
    for at in range(5):
        buffer.on_data(FIRST + at, b"x" * MSS)
    assert buffer.advertise() == 5 * MSS
    assert not buffer.is_window_update_due(MSS)
    buffer.take()
    assert buffer.is_window_update_due(MSS)
    assert buffer.advertise() == 10 * MSS
    assert not buffer.is_window_update_due(MSS)


def test_no_window_update_for_little() -> None:
    """Less than two packets of news is no packet of its own while the peer can send."""
    buffer = ReceiveBuffer(FIRST, 10 * MSS)
    buffer.on_data(FIRST, b"x" * (2 * MSS - 1))
    buffer.advertise()
    buffer.take()
    assert not buffer.is_window_update_due(MSS)


def test_window_update_from_closed() -> None:
    """A peer that cannot send a full packet hears of any opening."""
    buffer = ReceiveBuffer(FIRST, 2 * MSS)
    buffer.on_data(FIRST, b"x" * (MSS + 1))
    buffer.advertise()
    assert not buffer.is_window_update_due(MSS)
    buffer.take()
    assert buffer.is_window_update_due(MSS)


def test_window_update_of_a_small_buffer() -> None:
    """Half of the buffer is news even when that is less than two packets (RFC 9293: the lesser of the two)."""
    buffer = ReceiveBuffer(FIRST, 3 * MSS)
    buffer.on_data(FIRST, b"x" * (MSS + 500))
    assert buffer.advertise() == MSS + 500
    buffer.take()
    assert buffer.is_window_update_due(MSS)


def test_clear() -> None:
    """Nothing is held any more."""
    buffer = ReceiveBuffer(FIRST, CAPACITY)
    buffer.on_data(FIRST, b"a")
    buffer.on_data(FIRST + 2, b"c")
    buffer.clear()
    assert buffer.take() == b""
    assert not buffer.has_gap
    assert buffer.window() == CAPACITY
