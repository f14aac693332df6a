"""
Can one datagram cost much more than another of its size?

Cost is counted in lines of the core that run, which no machine's speed changes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from tests.proto.conftest import Exchange
from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import EXTENSION_BITS_SIGNATURE, MAX_EXTENSIONS, MAX_SACK_RUNS, REBIND_INDEX_AGE
from twisted_utp.proto.packet import PacketType, encode_packet
from twisted_utp.proto.recovery import LossDetector
from twisted_utp.proto.values import Address, Datagram, Obstacle, ReturnedDatagram

pytestmark = pytest.mark.interpreted

STRANGER: Address = ("198.51.100.7", 4000)
SIZES = pytest.mark.parametrize("size", [1472, 65_507])


def lines(run: Callable[[], object]) -> int:
    """How many lines of the core run."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if "/proto/" not in frame.f_code.co_filename.replace("\\", "/"):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


def padded(packet: bytes, size: int, extensions: int) -> bytes:
    """The packet with so many extensions of two bytes, then payload up to C{size}."""
    if not extensions:
        return packet + bytes(size - len(packet))
    body = (bytes((127, 0)) * (extensions - 1) + bytes(2))[: size - 20]
    return packet[:1] + b"\x02" + packet[2:20] + body + bytes(size - 20 - len(body))


def cost_of(exchange: Exchange, data: bytes, address: Address) -> int:
    """Lines that a datagram takes."""
    return lines(lambda: exchange.mux.receive_datagrams([Datagram(data, address)], now=exchange.now))


@SIZES
@pytest.mark.parametrize("kind", [PacketType.SYN, PacketType.DATA, PacketType.STATE, PacketType.FIN, PacketType.RESET])
@pytest.mark.parametrize("extensions", [MAX_EXTENSIONS, 726, 32_743])
def test_extensions_of_a_stranger(exchange: type[Exchange], size: int, kind: PacketType, extensions: int) -> None:
    """726 extensions took 160 µs, 32,743 took 7 ms; now no chain costs five times a packet without."""
    costs = []
    for count in (0, extensions):
        one = exchange(UTPConfig(backlog=1))
        one.syn()  # from now on SYNs are answered with cookies
        costs.append(cost_of(one, padded(encode_packet(one.packet(kind)), size, count), STRANGER))
    assert costs[1] <= 5 * costs[0]


@SIZES
@pytest.mark.parametrize("extensions", [MAX_EXTENSIONS, 726, 32_743])
def test_extensions_of_a_peer(exchange: type[Exchange], size: int, extensions: int) -> None:
    """The same from somebody who has a connection."""
    costs = []
    for count in (0, extensions):
        one = exchange()
        one.accept()
        data = padded(encode_packet(one.packet(PacketType.STATE)), size, count)
        costs.append(cost_of(one, data, one.address))
    assert costs[1] <= 5 * costs[0]


def sieve(exchange: Exchange, packets: int) -> int:
    """
    A peer of our kind to which so many packets are on their way.

    @return: the seq_nr of the first.
    """
    connection = exchange.dial(bits=EXTENSION_BITS_SIGNATURE)
    connection.trace = connection.sender.trace = None
    connection.sender.congestion.cwnd = 1e9
    exchange.wnd = 1 << 30
    exchange.write(connection, bytes(100))
    exchange.ack = connection.sender.next_seq - 1 & 0xFFFF
    exchange.now += 20_000
    exchange.state()
    first = connection.sender.next_seq
    for _ in range(packets):
        connection.write(bytes(connection.sender.mss), now=exchange.now)
        exchange.now += 2000  # pacing has let it go by then
        exchange.flush()
    exchange.ack = first - 1 & 0xFFFF
    return first


def cost_of_ack(exchange: Exchange, **changes: Any) -> int:
    """Lines that an acknowledgement takes."""
    return cost_of(exchange, encode_packet(exchange.packet(PacketType.STATE, **changes)), exchange.address)


def test_holes_cost_what_they_change(exchange: type[Exchange], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With a thousand holes an acknowledgement that fills one more took 0.5 ms, since all were looked at.
    """
    monkeypatch.setattr(LossDetector, "reorder_window", lambda *arguments: 1 << 40)  # late, but not lost
    costs = []
    for holes in (10, 900):
        one = exchange()
        first = sieve(one, 2 * holes)
        board = one.only().sender.board
        named = [first + 2 * at + 1 for at in range(holes)]
        while board.sacked_packets < holes:  # some at a time
            one.state(sack=named)
        assert len(board.flights) == 2 * holes
        costs.append(cost_of_ack(one, sack=[*named, first + holes // 2 * 2]))
    assert costs[1] <= 1.2 * costs[0]


def test_lost_holes_cost_what_they_are(exchange: type[Exchange]) -> None:
    """Where they are lost and sent again, each costs as much among a thousand as among a hundred (97 ms at once)."""
    costs = []
    for holes in (100, 900):
        one = exchange()
        first = sieve(one, 2 * holes)
        connection = one.only()
        named = [first + 2 * at + 1 for at in range(holes)]
        total = 0
        while connection.sender.counters.retransmitted_packets < holes - 1:
            one.now += 1000
            total += cost_of_ack(one, sack=named)
            total += lines(one.flush)
        costs.append(total / holes)
    assert costs[1] <= 1.5 * costs[0]


def test_many_holes_at_once(exchange: type[Exchange], monkeypatch: pytest.MonkeyPatch) -> None:
    """A selective ack that names 900 packets, each alone, is put to use by and by: the next one says the same."""
    monkeypatch.setattr(LossDetector, "reorder_window", lambda *arguments: 1 << 40)
    one = exchange()
    first = sieve(one, 1802)
    plain = cost_of_ack(one, ack=first)
    board, worst, acks = one.only().sender.board, 0, 0
    while board.sacked_packets < 900:
        worst = max(worst, cost_of_ack(one, ack=first, sack=[first + 2 * at + 2 for at in range(900)]))
        acks += 1
    assert acks <= 900 // MAX_SACK_RUNS + 1
    assert worst <= 5 * plain


# --- Many connections -----------------------------------------------------------------------------------------


class Unwalked(dict[Any, Any]):
    """A table that finds things, and does not let anybody go through it."""

    def _refuse(self) -> Any:
        raise AssertionError("a walk through all connections")

    __iter__ = keys = values = items = _refuse


def crowded(exchange: type[Exchange], *, accepting: bool) -> Exchange:
    """A port with some connections, whose tables cannot be walked."""
    one = exchange(accepting=accepting)
    for number in range(20):
        one.mux.connect((f"192.0.2.{number}", 7000), now=one.now)
    one.collect()
    while one.mux.poll_transmits(now=one.now):
        pass
    table = one.mux.table
    table.by_key = one.mux._connections = Unwalked(table.by_key)
    table._other_ids = Unwalked(table._other_ids)
    table.dialling = Unwalked(table.dialling)
    return one


@pytest.mark.parametrize("accepting", [True, False])
@pytest.mark.parametrize("host", ["192.0.2.3", "198.51.100.9"])
def test_nothing_that_arrives_walks(exchange: type[Exchange], accepting: bool, host: str) -> None:
    """SYNs, resets, finds of ICMP and (but for one index a second) strays cost the same, however many there are."""
    one = crowded(exchange, accepting=accepting)
    one.mux.table._indexed_at = one.now
    kinds = [PacketType.SYN, PacketType.RESET, PacketType.STATE, PacketType.DATA, PacketType.FIN]
    for port in (7000, 7001):
        packets = [Datagram(encode_packet(one.packet(kind)), (host, port)) for kind in kinds]
        one.mux.receive_datagrams(packets, now=one.now)
        quoted = encode_packet(one.packet(PacketType.SYN))
        for obstacle in Obstacle:
            one.mux.receive_returned([ReturnedDatagram((host, port), quoted, obstacle, 0)], now=one.now)


def test_no_dial_walks(exchange: type[Exchange]) -> None:
    """A dial, its repeated SYNs, its answer and its end; and whoever asks whether the port can be closed."""
    one = crowded(exchange, accepting=False)
    one.mux.connect(("198.51.100.9", 1), now=one.now)
    connection = one.mux.connect(one.address, now=one.now)
    before = len(one.mux)
    while not one.mux.table._other_ids.get(connection):
        one.now = one.mux.poll_timeout() or 0
        one.mux.handle_timeout(now=one.now)
    assert len(one.mux) == before == 22
    one.mux.is_idle()
    connection.abort(now=one.now)
    assert len(one.mux) == before - 1 and one.mux.table._other_count == 21


@pytest.mark.parametrize("is_proven", [False, True])
def test_a_stray_with_an_id_that_many_have(exchange: type[Exchange], is_proven: bool) -> None:
    """A host may give all its connections one id: a stray with it from there was compared with each, 4 ms for 4000."""
    costs = []
    for count in (1, 300):
        one = exchange()
        for port in range(count):
            one.address = (STRANGER[0], 5000 + port)
            answers = one.syn()
            one.ack = answers[0].seq_nr - 1 & 0xFFFF
            one.now += 1000
            for _ in range(4 if is_proven else 1):
                one.state()
        one.now += REBIND_INDEX_AGE
        stray = encode_packet(one.packet(PacketType.DATA, b"x", ack=one.ack + 500, timestamp_difference=1, timestamp=1))
        cost_of(one, stray, STRANGER)  # makes the index
        costs.append(cost_of(one, stray, STRANGER))
    assert costs[1] <= 3 * costs[0]


def test_mixed_buffers(exchange: type[Exchange]) -> None:
    """
    A buffer in which the kernel merged packets of two connections cost eight times as much as one of each.
    """
    costs = {}
    for mixed in (False, True):
        one = exchange()
        streams = []
        for id in (700, 800):
            (answer,) = one.syn(id=id)
            one.ack = answer.seq_nr - 1 & 0xFFFF
            one.state()
            packets = [one.packet(PacketType.DATA, bytes(1000), seq=one.seq + at) for at in range(20)]
            streams.append([encode_packet(packet) for packet in packets])
        left, right = streams
        buffers = [[packet for pair in zip(left, right, strict=True) for packet in pair]] if mixed else [left, right]
        batch = [Datagram(b"".join(buffer), one.address, len(left[0])) for buffer in buffers]
        costs[mixed] = lines(lambda: one.mux.receive_datagrams(batch, now=one.now))  # noqa: B023
        assert one.mux.stats.trains_received == 2
    assert costs[True] <= 2 * costs[False]
