"""
Does a connection get through the weather?

Two of ours over a simulated network, with fixed seeds: content is compared byte by byte, and what a scenario may
cost in time and in packets is bounded.
"""

from __future__ import annotations

from typing import Any

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.events import EndOfStream, LossReason
from twisted_utp.testing.jitter import NormalJitter, UniformJitter
from twisted_utp.testing.loss import GilbertElliott
from twisted_utp.testing.packet_log import PacketLog
from twisted_utp.testing.pair import TO_CLIENT, TO_SERVER, Ends, Pair
from twisted_utp.testing.queues import CoDel, DropTail
from twisted_utp.testing.wire import DATA, FIN, RESET, STATE, SYN

MEGABYTE = 1_000_000


def assert_polite(log: PacketLog) -> None:
    """Nothing was sent that a deployed stack would choke on."""
    for entry in log.entries:
        header = entry.header
        assert header is not None, entry
        if header.type == DATA:
            assert header.payload, "empty DATA"
        else:
            assert not header.payload, f"payload in {header}"
        if header.extensions:
            assert header.extensions[0][0] in (1, 2), header
        for kind, body in header.extensions:
            assert kind != 1 or (body and len(body) % 4 == 0), header


def assert_at_rest(pair: Pair) -> None:
    """Nothing is left on either side."""
    for node in (pair.client, pair.server):
        assert len(node.multiplexer) == 0
        assert node.multiplexer.is_idle()


def close_both(pair: Pair, ends: Ends) -> None:
    """The client closes, the server follows, and both end well."""
    pair.client.close(ends.client)
    pair.drive(lambda: ends.server.eof or ends.server.lost is not None, limit=120)
    pair.server.close(ends.server)
    pair.drive_bounded(limit=120)
    assert ends.client.reason is LossReason.DONE and ends.server.reason is LossReason.DONE
    assert_at_rest(pair)


@pytest.mark.parametrize("gro", [False, True], ids=["single", "merged"])
@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT], ids=["upload", "download"])
def test_perfect_network(gro: bool, direction: str) -> None:
    """A megabyte each way, nothing repeated, a clean end."""
    pair = Pair(gro=gro)
    ends = pair.connect()
    # A round trip for who dials; who accepts hears of it with the packet that follows.
    assert pair.now - pair.log.entries[0].time == 30_000
    transfer = pair.transfer(ends, MEGABYTE, direction=direction)
    assert transfer.received == MEGABYTE
    sender = ends.client if direction == TO_SERVER else ends.server
    stats = sender.connection.stats()
    assert stats.packets_retransmitted == 0 and stats.packets_lost == 0 and stats.bytes_sent == MEGABYTE
    close_both(pair, ends)
    assert_polite(pair.log)
    assert RESET not in [header.type for header in pair.log.select()]


@pytest.mark.parametrize(
    "weather",
    [
        {"loss": 0.01},
        {"loss": 0.05},
        {"reorder": 0.1, "reorder_delay": 5_000},
        {"duplicate": 0.2},
        {"jitter": UniformJitter(5_000)},
        {"jitter": NormalJitter(3_000, keeps_order=True)},
        {"loss": 0.02, "reorder": 0.05, "reorder_delay": 8_000, "duplicate": 0.05, "jitter": UniformJitter(2_000)},
    ],
    ids=["loss 1%", "loss 5%", "reordering", "duplication", "jitter", "ordered jitter", "all of it"],
)
@pytest.mark.parametrize("gro", [False, True], ids=["single", "merged"])
def test_weather(weather: dict[str, Any], gro: bool) -> None:
    """A megabyte each way at the same time arrives as written, and both ends close."""
    pair = Pair(seed=1, link={"rate": 50_000_000, **weather}, gro=gro)
    ends = pair.connect()
    there = pair.start_transfer(ends, MEGABYTE, direction=TO_SERVER, seed=1)
    back = pair.start_transfer(ends, MEGABYTE, direction=TO_CLIENT, seed=2)
    pair.drive(lambda: there.done and back.done, limit=120)
    close_both(pair, ends)
    assert_polite(pair.log)


def test_burst_loss() -> None:
    """Bursts of five lost packets on the way there, three on the way back."""
    pair = Pair(
        seed=4,
        up={"rate": 20_000_000, "loss": GilbertElliott(0.005, 0.2)},
        down={"rate": 20_000_000, "loss": GilbertElliott(0.005, 0.33)},
    )
    ends = pair.connect()
    pair.transfer(ends, MEGABYTE, limit=120)
    assert pair.up.counters.lost >= 10
    close_both(pair, ends)


@pytest.mark.parametrize("gro", [False, True], ids=["single", "merged"])
def test_duplication_costs_no_retransmission(gro: bool) -> None:
    """Every packet twice: no loss is seen where there is none."""
    pair = Pair(link={"rate": 50_000_000, "duplicate": 1.0}, gro=gro)
    ends = pair.connect()
    pair.transfer(ends, MEGABYTE)
    assert ends.client.connection.stats().packets_retransmitted == 0


def test_small_reordering_costs_no_window() -> None:
    """Packets that swap places within a millisecond: at most a few spurious repeats, no standing loss of rate."""
    plain = Pair(seed=5, link={"rate": 50_000_000})
    swapped = Pair(seed=5, link={"rate": 50_000_000, "reorder": 0.05, "reorder_delay": 1_000})
    rates = [pair.transfer(pair.connect(), 4 * MEGABYTE).rate for pair in (plain, swapped)]
    assert rates[1] > 0.8 * rates[0]


@pytest.mark.parametrize("queue", [lambda: DropTail(milliseconds=200), lambda: DropTail(nbytes=15_000), CoDel])
def test_bottleneck_queues(queue: Any) -> None:
    """A bottleneck with a deep buffer, a shallow one and CoDel: the link is used, the bytes are right."""
    pair = Pair(up={"rate": 10_000_000, "queue": queue(), "delay": 25_000}, down={"delay": 25_000}, log=False)
    transfer = pair.transfer(pair.connect(), 4 * MEGABYTE)
    assert transfer.rate > 0.6 * 10_000_000 / 8


def test_lost_syn() -> None:
    """The first SYN is lost: connected after one retry."""
    pair = Pair()
    pair.drop(TO_SERVER, lambda header: header.type == SYN)
    started = pair.now
    pair.connect()
    assert pair.now - started <= 1_100_000


def test_lost_syn_ack() -> None:
    """The first SYN-ACK is lost: connected after one retry, and there is one connection (libutp: never)."""
    pair = Pair()
    pair.drop(TO_CLIENT, lambda header: header.type == STATE)
    started = pair.now
    ends = pair.connect()
    assert pair.now - started <= 1_100_000
    assert len(pair.server.records) == 1
    pair.transfer(ends, 10_000)


def test_acceptor_speaks_although_its_syn_ack_was_lost() -> None:
    """The acceptor writes at once, and its SYN-ACK is lost: the retry brings everything."""
    pair = Pair()
    pair.server.on_connected = lambda record: record.connection.write(b"220 hello", now=pair.server.now())
    pair.drop(TO_CLIENT, lambda header: header.type == STATE)
    client = pair.start_connect()
    pair.drive(lambda: bytes(client.data) == b"220 hello", limit=10)


def test_half_of_all_packets_lost_while_connecting() -> None:
    """50 % loss both ways: most connect within 15 s, and each ends with one answer."""
    connected = 0
    for seed in range(40):
        pair = Pair(seed=seed, link={"loss": 0.5}, config=UTPConfig(connect_timeout=60.0), log=False)
        client = pair.start_connect()
        pair.run_for(15)
        connected += client.connected
        pair.drive(lambda: client.connected or client.lost is not None, limit=60)  # noqa: B023
    assert connected >= 24


def test_lost_confirmation() -> None:
    """The initiator's first packets after its SYN are lost: the acceptor's data comes late, not never."""
    pair = Pair()
    pair.server.on_connected = lambda record: record.connection.write(b"banner", now=pair.server.now())
    pair.drop(TO_SERVER, lambda header: header.type != SYN, count=2)
    client = pair.start_connect()
    pair.drive(lambda: bytes(client.data) == b"banner", limit=10)


@pytest.mark.parametrize("position", ["first", "middle", "last"])
def test_one_lost_packet_of_a_short_transfer(position: str) -> None:
    """20 kB at 50 ms with one packet lost: at most three round trips more (libutp: 1.3 s for the last one)."""

    def seconds(lose: bool) -> float:
        pair = Pair(link={"delay": 25_000})
        ends = pair.connect()
        pair.run_for(1)
        data = (20_000 - 1) // ends.client.connection.stats().mss + 1
        number = {"first": 1, "middle": data // 2, "last": data}[position]
        if lose:
            pair.drop(TO_SERVER, lambda header: header.type == DATA, first=number)
        transfer = pair.transfer(ends, 20_000)
        return (transfer.finished - transfer.started) / 1e6

    assert seconds(True) <= seconds(False) + 3 * 0.05


def test_lost_fin() -> None:
    """FIN lost once in each direction: repeated, acknowledged, clean."""
    pair = Pair()
    ends = pair.connect()
    pair.drop(TO_SERVER, lambda header: header.type == FIN)
    pair.drop(TO_CLIENT, lambda header: header.type == FIN)
    pair.transfer(ends, 10_000)
    close_both(pair, ends)


def test_lost_last_ack() -> None:
    """The acknowledgement of the last FIN is lost: the one that waits for it is still answered."""
    pair = Pair()
    ends = pair.connect()
    pair.client.close(ends.client)
    pair.run_for(1)
    pair.drop(TO_SERVER, lambda header: header.type == STATE)
    pair.server.close(ends.server)
    pair.drive_bounded(limit=60)
    assert ends.server.reason is LossReason.DONE and ends.client.reason is LossReason.DONE
    assert RESET not in [header.type for header in pair.log.select()]


@pytest.mark.parametrize("seconds", [0.3, 1.5, 10.0])
def test_outage(seconds: float) -> None:
    """Nothing passes for a while: the transfer goes on soon after."""
    pair = Pair(link={"rate": 20_000_000})
    ends = pair.connect()
    transfer = pair.start_transfer(ends, 8 * MEGABYTE)
    pair.run_for(1)
    pair.up.down_for(round(seconds * 1e6))
    pair.down.down_for(round(seconds * 1e6))
    pair.run_for(seconds)
    before = transfer.received
    pair.drive(lambda: transfer.received > before + 100_000, limit=max(3.0, 1.5 * seconds))
    pair.drive(lambda: transfer.done, limit=60)


def test_outage_for_good() -> None:
    """The network never comes back: both sides notice, say so once, and are gone."""
    pair = Pair(config=UTPConfig(user_timeout=10.0), link={"rate": 20_000_000})
    ends = pair.connect()
    transfer = pair.start_transfer(ends, 8 * MEGABYTE)
    pair.run_for(0.2)
    pair.up.down_for(10**9)
    pair.drive(lambda: ends.client.lost is not None, limit=60)
    assert ends.client.reason is LossReason.TIMED_OUT and not transfer.done


def test_one_way_outage_of_acks() -> None:
    """Only the acknowledgements are lost: what arrived twice is delivered once."""
    pair = Pair(link={"rate": 20_000_000})
    ends = pair.connect()
    transfer = pair.start_transfer(ends, 2 * MEGABYTE)
    pair.run_for(0.2)
    pair.down.down_for(2_000_000)
    pair.drive(lambda: transfer.done, limit=60)


def test_slow_reader_closes_the_window_and_opens_it() -> None:
    """A paused reader holds at most its buffer; when it drains, the flow goes on at once."""
    config = UTPConfig(receive_buffer=64 * 1024)
    pair = Pair(config=config)
    ends = pair.connect()
    transfer = pair.start_transfer(ends, MEGABYTE)
    pair.server.pause_reading(ends.server)
    pair.run_for(5)
    held = ends.server.connection.receiver.unread_bytes
    assert transfer.received <= 64 * 1024 and 32 * 1024 < held <= 64 * 1024
    assert ends.client.connection.unsent_bytes <= config.send_buffer + 65_536
    received = transfer.received
    pair.server.resume_reading(ends.server)
    pair.run_for(0.05)
    assert transfer.received > received + held
    pair.drive(lambda: transfer.done, limit=60)


def test_reader_that_stutters() -> None:
    """A reader that pauses and resumes all the time gets every byte in order."""
    pair = Pair(seed=7, config=UTPConfig(receive_buffer=32 * 1024), link={"rate": 20_000_000, "loss": 0.01})
    ends = pair.connect()
    transfer = pair.start_transfer(ends, MEGABYTE)
    while not transfer.done:
        pair.server.pause_reading(ends.server)
        pair.run_for(0.03)
        pair.server.resume_reading(ends.server)
        pair.run_for(0.01)
        assert pair.now - transfer.started < 120_000_000
    close_both(pair, ends)


def test_window_update_lost() -> None:
    """The STATE that opens the window again is lost: the zero-window probe finds out."""
    pair = Pair(config=UTPConfig(receive_buffer=32 * 1024))
    ends = pair.connect()
    transfer = pair.start_transfer(ends, 300_000)
    pair.server.pause_reading(ends.server)
    pair.run_for(3)
    lost = pair.drop(TO_CLIENT, lambda header: header.type == STATE and header.wnd_size > 0)
    pair.server.resume_reading(ends.server)
    pair.drive(lambda: transfer.done, limit=60)
    assert len(lost.taken) == 1


def test_idle_keepalive() -> None:
    """The initiator asks every 29 s, the acceptor answers and need not ask; all works afterwards."""
    pair = Pair()
    ends = pair.connect()
    pair.transfer(ends, 10_000)
    pair.run_for(5)
    since = pair.now
    pair.run_for(300)
    for direction, kind in ((TO_SERVER, DATA), (TO_CLIENT, STATE)):
        kept = pair.log.select(direction, since=since)
        assert {header.type for header in kept} == {kind} and len(kept) == 10
    assert ends.client.connection.stats().packets_lost == 0
    pair.transfer(ends, 10_000, seed=1)


def test_writable_after_full() -> None:
    """The producer is told to go on when the buffer has drained to half, once for each time it was full."""
    pair = Pair(config=UTPConfig(send_buffer=64 * 1024))
    ends = pair.connect()
    pair.client.write(ends.client, bytes(300_000))
    assert ends.client.connection.is_write_full() and ends.client.writable == 0
    pair.drive(lambda: ends.client.writable > 0, limit=10)
    assert ends.client.connection.unsent_bytes <= 32 * 1024
    pair.drive(lambda: ends.server.nbytes == 300_000, limit=10)
    assert ends.client.writable == 1


def test_half_close_both_ways() -> None:
    """Each side ends its writing by itself; reading goes on until the other does."""
    pair = Pair()
    ends = pair.connect()
    pair.client.write(ends.client, b"request")
    pair.client.write_eof(ends.client)
    pair.run_for(1)
    assert bytes(ends.server.data) == b"request" and ends.server.eof and not ends.client.eof
    pair.transfer(ends, MEGABYTE, direction=TO_CLIENT)
    pair.server.write_eof(ends.server)
    pair.drive_bounded()
    assert ends.client.events[-2] == EndOfStream()
    assert ends.client.reason is LossReason.DONE and ends.server.reason is LossReason.DONE
    assert_at_rest(pair)


def test_close_with_much_unsent() -> None:
    """close() right after write(): all of it arrives, then the end."""
    pair = Pair(seed=2, link={"loss": 0.02})
    ends = pair.connect()
    pair.client.write(ends.client, bytes(500_000))
    pair.client.close(ends.client)
    pair.drive(lambda: ends.server.eof, limit=60)
    assert ends.server.nbytes == 500_000


def test_abort_resets_the_peer() -> None:
    """One RESET, and both sides know."""
    pair = Pair()
    ends = pair.connect()
    pair.run_for(1)
    since = pair.now
    pair.client.abort(ends.client)
    pair.run_for(1)
    assert ends.client.reason is LossReason.ABORTED and ends.server.reason is LossReason.RESET
    assert [header.type for header in pair.log.select(since=since)] == [RESET]
    assert_at_rest(pair)


def test_refused() -> None:
    """Nobody accepts: refused in one round trip."""
    pair = Pair()
    pair.server.multiplexer.accepting = False
    client = pair.start_connect()
    pair.run_for(0.021)
    assert client.reason is LossReason.REFUSED and not client.connected
    assert_at_rest(pair)


def test_many_connections_at_once() -> None:
    """Thirty connections between two ports share a lossy bottleneck; nobody's bytes get mixed up."""
    pair = Pair(seed=4, link={"rate": 50_000_000, "loss": 0.01})
    ends = [pair.connect() for _ in range(30)]
    transfers = [pair.start_transfer(one, 100_000, seed=number) for number, one in enumerate(ends)]
    pair.drive(lambda: all(transfer.done for transfer in transfers), limit=120)
    for one in ends:
        pair.client.close(one.client)
        pair.server.close(one.server)
    pair.drive_bounded(limit=120)
    assert_at_rest(pair)


def test_small_writes_do_not_wait() -> None:
    """A keystroke echoed is there after one round trip, each time."""
    pair = Pair(link={"delay": 50_000})
    ends = pair.connect()
    ends.server.on_data = lambda data: ends.server.connection.write(data, now=pair.server.now())
    pair.run_for(1)
    for number in range(1, 20):
        started = pair.now
        pair.client.write(ends.client, b"k")
        pair.drive(lambda: ends.client.nbytes == number, limit=1)  # noqa: B023
        assert pair.now - started == 100_000
        pair.run_for(0.017)


def test_asymmetric_clocks() -> None:
    """Clocks that differ by an hour and run 200 ppm apart make no difference to the bytes or the rate."""
    rates = []
    for clock in ({}, {"offset": 3_600_000_000, "drift_ppm": 200.0}):
        pair = Pair(link={"rate": 20_000_000}, server_clock=clock, log=False)
        rates.append(pair.transfer(pair.connect(), 8 * MEGABYTE).rate)
    assert rates[1] > 0.9 * rates[0]


@pytest.mark.parametrize("seed", range(3))
def test_same_seed_same_packets(seed: int) -> None:
    """Two runs with one seed are the same, packet for packet and byte for byte; another seed differs."""

    def run(seed: int) -> list[Any]:
        pair = Pair(seed=seed, link={"rate": 20_000_000, "loss": 0.02, "jitter": UniformJitter(3_000)})
        ends = pair.connect()
        pair.transfer(ends, 300_000)
        close_both(pair, ends)
        return pair.log.entries

    assert run(seed) == run(seed) != run(seed + 100)


def test_corrupted_packets_never_hurt_more_than_the_bytes() -> None:
    """A flipped bit that no checksum caught may spoil payload, never the state machines of the port."""
    pair = Pair(seed=6, link={"corrupt": 0.05})
    client = pair.start_connect()
    pair.run_for(5)
    for record in pair.server.records:
        record.on_data = len
    if client.connected and client.lost is None:
        pair.client.write(client, bytes(200_000))
    pair.run_for(60)
    assert len(pair.client.multiplexer) <= 1
