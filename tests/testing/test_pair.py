"""
Do the pair, the raw peer and their instruments show what happens, and only that?
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.events import Connected, ConnectionLost, EndOfStream, LossReason, Writable
from twisted_utp.proto.values import Datagram
from twisted_utp.testing.jitter import UniformJitter
from twisted_utp.testing.node import Record
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.pair import TO_CLIENT, TO_SERVER, Pair
from twisted_utp.testing.pattern import BLOCK, Pattern, WrongBytes
from twisted_utp.testing.raw_peer import RawPeer
from twisted_utp.testing.simulator import SimulationDidNotEnd
from twisted_utp.testing.wire import DATA, FIN, RESET, STATE, SYN, Header, decode, decode_or_none, encode


def test_connect_takes_a_round_trip_and_a_half() -> None:
    """The log shows the handshake, with times; the server hears of it with the client's next packet."""
    pair = Pair(link={"delay": 7_000})
    start = pair.now
    ends = pair.connect()
    assert ends.client.events == [Connected(incoming=False)] and ends.server.events == [Connected(incoming=True)]
    timed = [(time - start, header.type) for time, header in pair.log.timed()]
    assert timed[:3] == [(0, SYN), (7_000, STATE), (14_000, STATE)]
    assert pair.now - start == 21_000


def test_log_selects() -> None:
    """By direction, by type and by time."""
    pair = Pair()
    ends = pair.connect()
    since = pair.now + 1
    pair.run_for(1)
    pair.client.write(ends.client, b"hello")
    pair.run_for(1)
    assert [header.payload for header in pair.log.select(TO_SERVER, DATA)] == [b"hello"]
    assert pair.log.select(TO_CLIENT, DATA) == []
    assert {header.type for header in pair.log.select(since=since)} == {DATA, STATE}
    assert "client DATA" in str(pair.log)
    pair.log.enabled = False
    before = len(pair.log.entries)
    pair.transfer(ends, 1000)
    assert len(pair.log.entries) == before


def test_transfer_reports_rate_and_checks_content() -> None:
    """A link of 8 Mb/s carries a little less than a megabyte a second."""
    pair = Pair(link={"rate": 8_000_000}, log=False)
    transfer = pair.transfer(pair.connect(), 1_000_000)
    assert transfer.done and transfer.received == 1_000_000
    assert 0.7e6 < transfer.rate < 1e6


def test_transfer_finds_wrong_bytes() -> None:
    """A payload byte changed on the way is found, with its place in the stream."""
    pair = Pair(config=UTPConfig(mtu=1402))
    ends = pair.connect()

    def spoil(packet: Packet) -> list[tuple[int, Packet]]:
        if len(packet.data) > 1000:
            packet.data = packet.data[:100] + bytes([packet.data[100] ^ 1]) + packet.data[101:]
        return [(0, packet)]

    pair.up.route = spoil
    with pytest.raises(WrongBytes, match="byte 80 of the stream"):
        pair.transfer(ends, 100_000)


def test_transfer_over_a_dead_connection_fails() -> None:
    """A transfer that can never finish says how far it came and why it ended."""
    pair = Pair(config=UTPConfig(user_timeout=2.0))
    ends = pair.connect()
    pair.up.down_for(10**12)
    with pytest.raises(AssertionError, match=r"0 of 1000 bytes, then ConnectionLost.*TIMED_OUT"):
        pair.transfer(ends, 1000)


def test_transfer_begins_where_it_begins() -> None:
    """What arrived before is in the record; the transfer is about what comes after."""
    pair = Pair()
    ends = pair.connect()
    pair.client.write(ends.client, b"before")
    pair.run_for(1)
    assert pair.transfer(ends, 100_000).received == 100_000
    assert bytes(ends.server.data) == b"before"


def test_connect_returns_both_ends_of_one_connection() -> None:
    """Also when an earlier SYN, whose answer was lost, has left something half open at the server."""
    pair = Pair()
    pair.drop(TO_CLIENT, lambda header: header.type == STATE, count=2)
    ends = pair.connect()
    assert pair.server.multiplexer.snapshot().half_open == 1
    pair.transfer(ends, 10_000)


def test_drive_bounded_knows_rest() -> None:
    """A pair whose connections are idle but for keepalives is at rest; one that transfers is not."""
    pair = Pair(link={"rate": 1_000_000})
    ends = pair.connect()
    transfer = pair.start_transfer(ends, 200_000)
    pair.drive_bounded(limit=30)
    assert transfer.done
    assert pair.drive_bounded() == 0.0


def test_drive_bounded_fails_when_it_never_rests() -> None:
    """An application that never stops writing is found out."""
    pair = Pair()
    ends = pair.connect()
    ends.server.on_data = lambda data: ends.server.connection.write(data, now=pair.server.now())
    ends.client.on_data = lambda data: ends.client.connection.write(data, now=pair.client.now())
    pair.client.write(ends.client, b"ping")
    with pytest.raises(SimulationDidNotEnd):
        pair.drive_bounded(limit=10)


def test_step_is_one_event() -> None:
    """step() jumps to the next thing that happens."""
    pair = Pair()
    client = pair.start_connect()
    while not client.connected:
        assert pair.step()
    assert pair.simulator.events_run < 20


def test_failed_connect_is_loud() -> None:
    """connect() of a pair whose server refuses is an assertion with the reason."""
    pair = Pair()
    pair.server.multiplexer.accepting = False
    with pytest.raises(AssertionError, match="REFUSED"):
        pair.connect()


def test_drop_and_capture() -> None:
    """The n-th packet that matches is dropped, or held and let go later."""
    pair = Pair()
    ends = pair.connect()
    pair.run_for(1)
    dropped = pair.drop(TO_SERVER, lambda header: header.type == DATA, first=2)
    for word in (b"a", b"b", b"c"):
        pair.client.write(ends.client, word)
        pair.run_for(0.001)
    pair.run_for(1)
    assert bytes(ends.server.data) == b"abc" and [decode(packet.data).payload for packet in dropped.taken] == [b"b"]
    assert dropped.seen >= 3
    held = pair.capture(TO_SERVER, lambda header: header.type == DATA, count=None)
    pair.client.write(ends.client, b"d")
    pair.run_for(3)
    assert bytes(ends.server.data) == b"abc" and len(held.taken) > 1
    held.release()
    held.release()
    pair.run_for(0.1)
    assert bytes(ends.server.data) == b"abcd" and not held.taken


def test_filters_do_not_see_what_is_not_utp() -> None:
    """A datagram of another protocol is nobody's match, and is recorded as foreign by the node."""
    pair = Pair()
    pair.drop(TO_SERVER, lambda header: True, count=None)
    pair.client.port.send(b"d1:q4:ping", pair.server.address)
    pair.run_for(1)
    assert [datagram.data for datagram in pair.server.foreign] == [b"d1:q4:ping"]
    assert pair.log.entries[0].header is None and "6431" in str(pair.log)


@pytest.mark.interpreted
def test_trains_become_single_datagrams_and_merge_again() -> None:
    """On the link every datagram is by itself; with gro the receiver gets trains."""
    for gro in (False, True):
        pair = Pair(gro=gro, log=False)
        sizes: set[bool] = set()
        receive = pair.server.multiplexer.receive_datagrams

        def spy(datagrams: Sequence[Datagram], *, now: int) -> list[Datagram]:
            sizes.update(bool(datagram.segment_size) for datagram in datagrams)  # noqa: B023
            return receive(datagrams, now=now)  # noqa: B023

        pair.server.multiplexer.receive_datagrams = spy  # type: ignore[method-assign]
        pair.transfer(pair.connect(), 1_000_000)
        assert pair.up.counters.sent == pair.client.multiplexer.stats.datagrams_sent
        assert pair.server.multiplexer.stats.datagrams_received == pair.up.counters.delivered
        assert sizes == ({False, True} if gro else {False})


def test_coalesced_packets_keep_their_arrival_times() -> None:
    """Interrupt coalescing delays wake-ups, not measurements: the round trip of a lone ack stays honest."""
    pair = Pair(link={"delay": 10_000, "coalesce": 1_000})
    ends = pair.connect()
    pair.transfer(ends, 100_000)
    stats = ends.client.connection.stats()
    assert stats.min_rtt <= 21_000


def test_clocks_are_the_hosts() -> None:
    """Each side's timestamps are its own clock's, with the connection's offset."""
    pair = Pair(server_clock={"offset": 77_000_000})
    ends = pair.connect()
    there, back = ends.client.connection.writer.clock_offset, ends.server.connection.writer.clock_offset
    first = {entry.direction: (entry.time, entry.header) for entry in reversed(pair.log.entries)}
    for direction, offset in ((TO_SERVER, there), (TO_CLIENT, 77_000_000 + back)):
        time, header = first[direction]
        assert header is not None and header.timestamp == (time + offset) & 0xFFFFFFFF


def test_same_seed_same_log() -> None:
    """Byte for byte."""

    def log(seed: int) -> list[object]:
        pair = Pair(seed=seed, link={"rate": 10_000_000, "loss": 0.03, "jitter": UniformJitter(1000)})
        pair.transfer(pair.connect(), 200_000)
        return list(pair.log.entries)

    assert log(9) == log(9) != log(10)


def test_record_refuses_events_out_of_order() -> None:
    """The promises of the event API are checked whenever a node is used."""

    def events(*sequence: object) -> Record:
        record = Record(None)  # type: ignore[arg-type]
        for event in sequence:
            record.note(event)  # type: ignore[arg-type]
        return record

    connected, lost = Connected(incoming=True), ConnectionLost(LossReason.DONE)
    record = events(connected, b"x", Writable(), EndOfStream(), lost)
    assert (bytes(record.data), record.nbytes, record.eof, record.writable, record.reason) == (
        b"x",
        1,
        True,
        1,
        LossReason.DONE,
    )
    for wrong in (
        (b"x",),
        (connected, connected),
        (connected, EndOfStream(), b"x"),
        (connected, EndOfStream(), EndOfStream()),
        (connected, lost, lost),
        (connected, b""),
    ):
        with pytest.raises(AssertionError):
            events(*wrong)


def test_pattern_is_seeded_and_checks_itself() -> None:
    """Any split of the stream is the same stream; the first difference is named."""
    whole = Pattern(1).read(3 * BLOCK + 17)
    pieces = Pattern(1)
    assert b"".join(pieces.read(size) for size in (1, BLOCK - 1, BLOCK + 17, BLOCK)) == whole
    assert Pattern(2).read(100) != whole[:100] and Pattern(1).read(0) == b""
    checked = Pattern(1)
    checked.check(whole[: BLOCK + 5])
    checked.check(whole[BLOCK + 5 :])
    assert checked.position == len(whole)
    with pytest.raises(WrongBytes, match="byte 3 of the stream"):
        Pattern(1).check(whole[:3] + bytes([whole[3] ^ 1]) + whole[4:9])


def test_wire_codec() -> None:
    """Extensions in order, whatever they are; broken chains are errors."""
    header = Header(DATA, 1, 2, 3, 4, 5, 6, ((1, b"abcd"), (77, b"")), b"payload")
    data = encode(header)
    assert decode(data) == header and header.extension(77) == b"" and header.extension(2) is None
    assert data[20:22] == bytes([77, 4]) and "ext1=61626364" in str(header) and header.name == "DATA"
    for wrong in (b"", data[:19], data[:23], data[:20], b"\x00" + data[1:], b"\x51" + data[1:]):
        assert decode_or_none(wrong) is None


def test_raw_peer_as_initiator() -> None:
    """handshake() leaves an established connection; expect() follows the order of what arrives."""
    peer = RawPeer.facing()
    answer = peer.handshake(700)
    assert (answer.type, answer.connection_id, peer.record.connected) == (STATE, 700, True)
    peer.node.write(peer.record, b"hello")
    assert peer.expect(DATA).payload == b"hello"
    peer.fin()
    state = peer.expect(STATE)
    assert state.ack_nr == peer.seq_nr - 1 and peer.record.eof


def test_raw_peer_as_acceptor() -> None:
    """accept() answers the node's SYN."""
    peer = RawPeer.facing()
    assert peer.accept().type == SYN
    assert peer.record.connected and not peer.record.connection.incoming


def test_raw_peer_is_strict() -> None:
    """What was not expected fails, with everything that arrived."""
    peer = RawPeer.facing()
    peer.syn()
    with pytest.raises(AssertionError, match=r"expected FIN, got STATE(.|\n)*STATE id=500"):
        peer.expect(FIN)
    with pytest.raises(AssertionError, match=r"expected DATA, nothing came in 0\.1 s"):
        peer.expect(DATA, within=0.1)
    with pytest.raises(AssertionError, match="expected RESET within"):
        peer.expect_until(RESET, within=0.1)
    peer.data(connection_id=9)
    with pytest.raises(AssertionError, match="expected nothing, got RESET"):
        peer.expect_nothing()


def test_raw_peer_that_acknowledges() -> None:
    """A peer that acks by itself takes a whole stream."""
    peer = RawPeer.facing()
    peer.handshake()
    peer.acknowledges = True
    peer.node.write(peer.record, bytes(100_000))
    peer.run_for(2)
    assert peer.record.connection.stats().bytes_acked == 100_000


def test_inject_goes_around_the_network() -> None:
    """Any source address, at once."""
    peer = RawPeer.facing()
    assert peer.node.inject(b"not utp", ("192.0.2.1", 5))[0].address == ("192.0.2.1", 5)
    peer.node.inject(encode(Header(SYN, 5, 0, 0, 0, 1, 0)), ("192.0.2.1", 5))
    assert peer.node.multiplexer.table.half_open.get(("192.0.2.1", 5), 6) is not None
