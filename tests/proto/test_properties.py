"""
What holds whatever arrives, and whatever the network does?

Two promises.  Nothing that arrives raises out of the core, or makes it hold more than its configuration allows.
And any schedule of loss, reordering and duplication delivers exactly the bytes that were written, or an error: never
other bytes.  Examples are derandomized: the same ones in each run.  With C{TWISTED_UTP_FUZZ=N} in the environment there
are N times as many, and other ones in each run.
"""

from __future__ import annotations

import os
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import RESET_SOURCES_REMEMBERED
from twisted_utp.proto.events import LossReason
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.values import Datagram
from twisted_utp.testing.node import Record
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.pair import TO_CLIENT, TO_SERVER, Pair
from twisted_utp.testing.pattern import Pattern
from twisted_utp.testing.raw_peer import RawPeer
from twisted_utp.testing.wire import DATA, FIN, RESET, STATE, SYN, Header, encode

FUZZ = int(os.environ.get("TWISTED_UTP_FUZZ", "1"))
ADDRESS = ("192.0.2.1", 6881)
CONFIG = UTPConfig(receive_buffer=16_384, send_buffer=8_192, backlog=8, max_connections=16)


def bounded(examples: int) -> settings:
    """So many examples."""
    return settings(
        max_examples=examples * FUZZ,
        derandomize=FUZZ == 1,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def assert_bounded(multiplexer: Multiplexer) -> None:
    """It holds no more than its configuration allows."""
    config = multiplexer.config
    assert len(multiplexer) <= config.max_connections
    assert len(multiplexer.acceptor._reset_limiter._sources) <= RESET_SOURCES_REMEMBERED
    assert len(multiplexer.port_queues.deadlines.heap) <= 64 + 3 * config.max_connections
    assert len(multiplexer.port_queues.outbox) <= 4096
    for connection in set(multiplexer._connections.values()):
        receiver = connection.receiver
        assert receiver.unread_bytes + receiver._ahead_bytes <= 2 * connection.config.receive_buffer
        assert len(receiver._ahead or ()) <= 16_384
        assert receiver._mask.bit_length() <= 16_384


# --- Anything may arrive --------------------------------------------------------------------------------------

anything = st.binary(max_size=120)
utp_like = st.builds(
    lambda first, rest: bytes([first << 4 | 1]) + rest, st.integers(0, 5), st.binary(min_size=19, max_size=80)
)


@st.composite
def plausible(draw: Any) -> Header:
    """A packet whose numbers are near those of a live connection, so that it gets past the first checks."""
    near = st.integers(-4, 12)
    return Header(
        draw(st.sampled_from([DATA, DATA, DATA, FIN, STATE, STATE, RESET, SYN])),
        500 + draw(st.integers(-1, 2)),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.one_of(st.integers(0, 100_000), st.integers(0, 2**32 - 1))),
        draw(st.one_of(st.sampled_from([0, 1, 100, 1500, 1 << 20, 2**32 - 1]))),
        1001 + draw(near) & 0xFFFF,
        draw(st.one_of(near, st.integers(-32_768, 32_767))),
        tuple(
            draw(
                st.lists(
                    st.tuples(st.sampled_from([1, 1, 2, 3, 9]), st.binary(max_size=20)),
                    max_size=3,
                )
            )
        ),
        draw(st.binary(max_size=600)),
    )


@bounded(300)
@given(st.lists(st.tuples(st.one_of(anything, utp_like), st.integers(0, 200)), max_size=30), st.booleans())
def test_random_bytes_never_raise(datagrams: list[tuple[bytes, int]], accepting: bool) -> None:
    """Bytes of any kind, merged or not, from one source or many, at any pace."""
    multiplexer = Multiplexer(CONFIG, rng=Random(0))
    multiplexer.accepting = accepting
    now = 1_000_000
    for data, number in datagrams:
        segment_size = number if number % 3 == 0 else 0
        source = (ADDRESS[0], ADDRESS[1] + number % 5)
        foreign = multiplexer.receive_datagrams([Datagram(data, source, segment_size)], now=now)
        assert all(isinstance(datagram, Datagram) for datagram in foreign)
        multiplexer.poll_events()
        multiplexer.poll_transmits(now=now)
        now += number * 10_000
        multiplexer.handle_timeout(now=now)
    assert_bounded(multiplexer)


@bounded(250)
@given(st.data())
def test_plausible_packets_never_raise(data: st.DataObject) -> None:
    """Packets that a live connection takes seriously, while its application writes, pauses, resumes and closes."""
    peer = RawPeer.facing(config=CONFIG)
    first = peer.handshake().seq_nr
    node, record = peer.node, peer.record
    node.write(record, bytes(5000))
    for _ in range(data.draw(st.integers(1, 25))):
        header = data.draw(plausible())
        header = header._replace(ack_nr=first + header.ack_nr & 0xFFFF)
        node.inject(encode(header), peer.address)
        act = data.draw(st.integers(0, 12))
        if act == 0:
            node.write(record, bytes(3000))
        elif act == 1:
            node.pause_reading(record)
        elif act == 2:
            node.resume_reading(record)
        elif act == 3:
            peer.run_for(0.5)
        elif act == 4 and data.draw(st.booleans()):
            node.close(record)
        elif act == 5 and data.draw(st.booleans()):
            node.write_eof(record)
        assert_bounded(node.multiplexer)
    node.abort(record)
    peer.run_for(300)
    assert record.lost is not None
    assert len([one for one in node.records if one.lost is None]) <= len(node.multiplexer)


@bounded(250)
@given(st.integers(0, 10**9), st.sampled_from([0.02, 0.2, 0.6]))
def test_mutated_packets_never_raise(seed: int, share: float) -> None:
    """A real exchange in which packets are cut short, lengthened, or have bytes overwritten."""
    pair = Pair(seed=seed, config=CONFIG.replace(user_timeout=5.0, connect_timeout=10.0), log=False)
    random = Random(seed)

    def mutate(packet: Packet) -> list[tuple[int, Packet]]:
        if random.random() < share:
            data = bytearray(packet.data)
            for _ in range(random.randrange(1, 4)):
                data[random.randrange(min(len(data), 40))] = random.randrange(256)
            kind = random.randrange(4)
            if kind == 0:
                del data[random.randrange(len(data) + 1) :]
            elif kind == 1:
                data += random.randbytes(random.randrange(300))
            packet.data = bytes(data)
        return [(0, packet)]

    pair.up.route = pair.down.route = mutate
    client = pair.start_connect()
    pair.run_for(1)
    pair.client.write(client, bytes(50_000))
    for record in list(pair.server.records):
        pair.server.write(record, bytes(20_000))
    pair.run_for(20)
    assert_bounded(pair.client.multiplexer)
    assert_bounded(pair.server.multiplexer)
    pair.client.abort(client)
    pair.run_for(200)
    assert client.lost is not None and len(pair.client.multiplexer) == 0


@bounded(15)
@given(st.integers(0, 10**9))
def test_syn_flood_is_bounded(seed: int) -> None:
    """Ten thousand SYNs from as many sources: a backlog's worth of connections, and few answers."""
    random = Random(seed)
    multiplexer = Multiplexer(CONFIG, rng=Random(1))
    multiplexer.accepting = True
    sent = 0
    for number in range(2_000):
        syn = encode(Header(SYN, random.randrange(65_536), 1, 0, 0, random.randrange(65_536), 0))
        source = (f"192.0.2.{random.randrange(256)}", random.randrange(1024, 65_536))
        multiplexer.receive_datagrams([Datagram(syn, source)], now=1_000_000 + number)
        multiplexer.poll_events()
        sent += sum(len(transmit.payload) for transmit in multiplexer.poll_transmits(now=1_000_000 + number))
    assert len(multiplexer) <= CONFIG.backlog
    assert sent <= 2_000 * 20  # no amplification, in total
    assert_bounded(multiplexer)


@bounded(200)
@given(st.integers(0, 65_535), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 1200)), max_size=200))
def test_memory_of_a_receiver_is_bounded(first: int, packets: list[tuple[int, int]]) -> None:
    """Whatever order and sizes a sender that respects nothing chooses, a paused reader holds its buffer at most."""
    peer = RawPeer.facing(config=CONFIG)
    peer.handshake(seq_nr=first)
    peer.node.pause_reading(peer.record)
    receiver = peer.record.connection.receiver
    for ahead, size in packets:
        peer.node.inject(
            encode(
                Header(
                    DATA,
                    peer.send_id,
                    1,
                    0,
                    1 << 20,
                    peer.seq_nr + ahead & 0xFFFF,
                    peer.ack_nr & 0xFFFF,
                    (),
                    bytes(size),
                )
            ),
            peer.address,
        )
        # Twice: what waits ahead of a gap may fill the buffer, and the gap's own packets must still get in.
        assert receiver.unread_bytes + receiver._ahead_bytes <= 2 * CONFIG.receive_buffer
        assert receiver.unread_bytes <= CONFIG.receive_buffer


# --- Any weather ----------------------------------------------------------------------------------------------

schedules = st.lists(
    st.sampled_from(["pass"] * 8 + ["drop", "drop", "twice", "late", "very late"]), min_size=1, max_size=60
)


def follow(pair: Pair, direction: str, schedule: list[str]) -> None:
    """Let the fate of each packet of one direction follow a schedule, over and over, until 150 packets were sent."""
    link = pair.link(direction)
    sent = 0

    def route(packet: Packet) -> list[tuple[int, Packet]] | None:
        nonlocal sent
        fate = schedule[sent % len(schedule)] if sent < 150 else "pass"
        sent += 1
        if fate == "drop":
            return None
        if fate == "twice":
            return [(0, packet), (3_000, packet.copy())]
        return [({"late": 15_000, "very late": 300_000}.get(fate, 0), packet)]

    link.route = route


@bounded(600)
@given(schedules, schedules, st.integers(0, 80_000), st.integers(0, 30_000), st.booleans(), st.booleans())
def test_any_schedule_delivers_the_bytes_or_an_error(
    there: list[str], back: list[str], upload: int, download: int, gro: bool, small: bool
) -> None:
    """Loss, reordering and duplication in any pattern: both streams arrive exactly as written, up to their ends,
    unless an error was reported; and then what did arrive is a beginning of what was written."""
    config = UTPConfig(user_timeout=20.0, **({"mtu": 300} if small else {}))
    pair = Pair(config=config, gro=gro, log=False)
    follow(pair, TO_SERVER, there)
    follow(pair, TO_CLIENT, back)
    up, down = Pattern(1).read(upload), Pattern(2).read(download)
    pair.server.on_connected = lambda record: (
        record.connection.write(down, now=pair.server.now()),
        record.connection.write_eof(now=pair.server.now()),
    )
    client = pair.start_connect()
    client.connection.write(up, now=pair.client.now())
    client.connection.write_eof(now=pair.client.now())
    # A side whose RESETs are all lost keeps the other waiting, but not longer than its keepalives go unanswered.
    for _ in range(20):
        pair.run_for(400)
        if not (len(pair.client.multiplexer) or len(pair.server.multiplexer)):
            break
    assert len(pair.client.multiplexer) == len(pair.server.multiplexer) == 0
    assert client.lost is not None and all(record.lost is not None for record in pair.server.records)
    assert_right(client, down)
    for record in pair.server.records:
        assert_right(record, up)


def assert_right(record: Record, written: bytes) -> None:
    """All that was written, or a beginning of it and an error."""
    assert written.startswith(bytes(record.data))
    if record.eof:
        assert bytes(record.data) == written
    if record.reason is LossReason.DONE:
        assert record.eof


@bounded(250)
@given(
    st.integers(0, 10**9),
    st.sampled_from([0.0, 0.01, 0.1]),
    st.sampled_from([0, 2_000, 30_000]),
    st.sampled_from([None, 2_000_000, 30_000_000]),
    st.lists(st.integers(1, 4_000), min_size=1, max_size=40),
)
def test_any_pattern_of_writes_and_pauses(
    seed: int, loss: float, late: int, rate: int | None, writes: list[int]
) -> None:
    """Writes of any size, at any time, to a reader that pauses at random: one stream, in order, complete."""
    pair = Pair(
        seed=seed,
        link={"rate": rate, "loss": loss, "reorder": 0.1 if late else 0.0, "reorder_delay": late},
        config=UTPConfig(receive_buffer=16_384),
        log=False,
    )
    ends = pair.connect(limit=60)
    written, read = Pattern(seed), Pattern(seed)
    ends.server.on_data = read.check
    random = Random(seed)
    for size in writes:
        pair.client.write(ends.client, written.read(size))
        if random.random() < 0.3:
            pair.server.pause_reading(ends.server)
        pair.run_for(random.random() * 0.05)
        pair.server.resume_reading(ends.server)
    pair.client.close(ends.client)
    pair.drive(lambda: ends.server.eof, limit=300)
    assert read.position == written.position == sum(writes)
