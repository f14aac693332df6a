"""
Is a limit of the rate reached, held, and shared?
"""

from __future__ import annotations

from typing import Any

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.events import LossReason
from twisted_utp.proto.reconfiguration import reconfigure
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.pair import TO_CLIENT, TO_SERVER, Ends, Pair, Transfer
from twisted_utp.testing.raw_peer import RawPeer
from twisted_utp.testing.simulator import MILLISECOND, SECOND
from twisted_utp.testing.wire import DATA, STATE, decode

ENDLESS = 1 << 40
PACKET = 1452


class Wire:
    """
    The payload on a link, sent again or not.
    """

    def __init__(self, pair: Pair, direction: str) -> None:
        self.packets: list[tuple[int, int]] = []
        self.acks = 0
        self._pair = pair
        pair.link(direction).taps.append(self._note)
        pair.link(TO_CLIENT if direction == TO_SERVER else TO_SERVER).taps.append(self._count)

    def _note(self, packet: Packet) -> bool:
        header = decode(packet.data)
        if header.type == DATA:
            self.packets.append((self._pair.now, len(header.payload)))
        return False

    def _count(self, packet: Packet) -> bool:
        self.acks += packet.data[0] >> 4 == STATE
        return False

    def mean(self, start: int, end: int) -> float:
        """Bytes a second between two instants."""
        return sum(nbytes for at, nbytes in self.packets if start <= at < end) * SECOND / (end - start)

    def worst_second(self, start: int) -> int:
        """The most bytes of any second after that."""
        packets = [packet for packet in self.packets if packet[0] >= start]
        worst = total = first = 0
        for at, nbytes in packets:
            total += nbytes
            while packets[first][0] <= at - SECOND:
                total -= packets[first][1]
                first += 1
            worst = max(worst, total)
        return worst


def jain(shares: list[float]) -> float:
    """Jain's index: 1 for equal shares."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def limited(side: str, rtt: float, count: int = 1, *, link: dict[str, Any] | None = None, **settings: Any) -> Any:
    """
    Transfers from a client to a server, of which one has these settings.

    @return: the pair, what is on the wire, the connections, and the transfers.
    """
    with_limits, without = UTPConfig(**settings), UTPConfig()
    pair = Pair(
        seed=1,
        link={"delay": round(rtt * 500_000), **(link or {})},
        config=with_limits if side == "send" else without,
        server_config=without if side == "send" else with_limits,
        log=False,
    )
    wire = Wire(pair, TO_SERVER)
    ends = [pair.connect() for _ in range(count)]
    transfers = [pair.start_transfer(one, ENDLESS) for one in ends]
    return pair, wire, ends, transfers


def check(pair: Pair, wire: Wire, rate: int, seconds: float, *, after: float = 1) -> None:
    """
    After the first second the limit is held in each, and it is reached as soon as slow start is over.
    """
    first, start = pair.now + SECOND, pair.now + round(after * SECOND)
    pair.run_for(after + seconds)
    assert wire.mean(start, pair.now) >= 0.95 * rate
    assert wire.worst_second(first) <= 1.02 * rate + 1.5 * PACKET


@pytest.mark.parametrize("rtt", [0.001, 0.05, 0.2])
@pytest.mark.parametrize(("rate", "seconds"), [(20_000, 20), (300_000, 4), (3_000_000, 1.2)])
@pytest.mark.parametrize("side", ["send", "receive"])
def test_rates(side: str, rate: int, seconds: float, rtt: float) -> None:
    """On short and long paths."""
    pair, wire, ends, _ = limited(side, rtt, max_rate=rate)
    check(pair, wire, rate, seconds, after=2 if rate * rtt > 500_000 else 1)
    stats = ends[0].client.connection.stats()
    assert not stats.timeouts and not stats.packets_lost
    # The window is as large as the rate needs, and no larger for not being filled.
    assert stats.cwnd <= 3 * rate * rtt + 60_000
    assert wire.acks <= 2.2 * len(wire.packets) + 10


@pytest.mark.parametrize("side", ["send", "receive"])
def test_fast(side: str) -> None:
    """20 MB/s."""
    pair, wire, _, _ = limited(side, 0.05, max_rate=20_000_000)
    pair.run_for(1)
    start = pair.now
    pair.run_for(1.05)
    assert wire.mean(start, pair.now) >= 0.95 * 20_000_000
    assert wire.worst_second(start) <= 1.02 * 20_000_000 + 1.5 * PACKET


@pytest.mark.parametrize("count", [4, 50])
@pytest.mark.parametrize("side", ["send", "receive"])
def test_fair_shares(side: str, count: int) -> None:
    """Connections of one port share its limit equally, and nobody starves."""
    pair, wire, _, transfers = limited(side, 0.05, count, max_port_rate=300_000)
    check(pair, wire, 300_000, 5)
    assert jain([transfer.received for transfer in transfers]) >= 0.95


@pytest.mark.parametrize("side", ["send", "receive"])
def test_own_limits_leave_the_rest(side: str) -> None:
    """Of a port's limit, what one with a lower limit of its own does not take is for the others."""
    pair, wire, ends, transfers = limited(side, 0.02, 4, max_port_rate=200_000)
    slow = ends[0].client if side == "send" else ends[0].server
    reconfigure(slow.connection, {"max_rate": 10_000}, now=pair.now)
    pair.run_for(1)
    start, before = pair.now, [transfer.received for transfer in transfers]
    pair.run_for(10)
    rates = [(transfer.received - was) / 10 for transfer, was in zip(transfers, before, strict=True)]
    assert 9_000 <= rates[0] <= 10_500
    assert sum(rates) >= 0.95 * 200_000
    assert jain(rates[1:]) >= 0.95
    assert wire.worst_second(start) <= 1.02 * 200_000 + 3 * PACKET


@pytest.mark.parametrize("side", ["send", "receive"])
def test_slower_than_a_packet_a_second(side: str) -> None:
    """Nobody gives up, asks all the time, or repeats anything."""
    settings = {"max_rate": 400, "user_timeout": 5, "stall_timeout": 60}
    pair, wire, ends, transfers = limited(side, 0.1, **settings)
    pair.run_for(200)
    assert ends[0].client.lost is None and ends[0].server.lost is None
    assert 0.9 * 400 * 200 - PACKET <= transfers[0].received <= 400 * 200 + 2 * PACKET
    stats = ends[0].client.connection.stats()
    assert not stats.packets_retransmitted and not stats.timeouts
    assert wire.acks <= 6 * len(wire.packets)


@pytest.mark.parametrize("side", ["send", "receive"])
def test_lossy_path(side: str) -> None:
    """What is sent again counts; the rest of the limit is still used, and the stream is whole."""
    pair, wire, ends, transfers = limited(side, 0.05, max_rate=100_000, link={"loss": 0.03})
    start = pair.now + SECOND
    pair.run_for(20)
    assert wire.mean(start, pair.now) >= 0.93 * 100_000
    if side == "send":
        assert wire.worst_second(start) <= 1.02 * 100_000 + 2.5 * PACKET
    assert ends[0].client.lost is None and transfers[0].received > 0.9 * 100_000 * 19


def test_lost_packets_wait_for_the_limit() -> None:
    """After an outage everything is lost, and is repeated as slowly as the limit says; no timeout fires meanwhile."""
    pair, _, ends, transfers = limited("send", 0.05, max_send_rate=2_000, user_timeout=10)
    pair.run_for(5)
    dropped = pair.drop(TO_SERVER, lambda header: header.type == DATA, count=3)
    pair.run_for(60)
    assert dropped.taken and ends[0].client.lost is None
    assert transfers[0].received >= 0.9 * 2_000 * 60
    assert ends[0].client.connection.stats().timeouts <= len(dropped.taken)


@pytest.mark.parametrize("side", ["send", "receive"])
def test_the_end_arrives(side: str) -> None:
    """A FIN follows the last byte, however slowly that comes."""
    pair, _, ends, _ = limited(side, 0.05, 0, max_rate=5_000)
    both = pair.connect()
    start, transfer = pair.now, Transfer(pair.client, both.client, both.server, 20_000)
    pair.client.close(both.client)
    pair.drive(lambda: both.client.lost is not None, limit=30)
    assert not ends and transfer.received == 20_000 and both.server.eof
    assert both.client.reason is LossReason.DONE
    assert 3 <= (pair.now - start) / SECOND <= 5


def test_no_tick() -> None:
    """A port with a limit, and nothing to send, sleeps; one that waits wakes once a packet."""
    pair, wire, _, _ = limited("send", 0.05, 4, max_port_rate=20_000, keepalive=0)
    before, sent = pair.client.wakeups, len(wire.packets)
    pair.run_for(10)
    assert pair.client.wakeups - before <= 2.5 * (len(wire.packets) - sent) + 10
    idle, _, _, _ = limited("send", 0.05, 0, max_port_rate=20_000, keepalive=0)
    idle.connect()
    idle.run_for(5)
    before = idle.client.wakeups
    idle.run_for(100)
    assert idle.client.wakeups == before


@pytest.mark.parametrize("side", ["send", "receive"])
def test_changes_while_running(side: str) -> None:
    """Lower, higher, and none at all, at once."""
    pair, wire, ends, transfers = limited(side, 0.05)
    one = ends[0].client if side == "send" else ends[0].server
    node = pair.client if side == "send" else pair.server
    pair.run_for(0.3)
    assert one.connection.stats().max_send_rate == one.connection.stats().max_receive_rate == 0
    for rate in (100_000, 300_000):
        reconfigure(one.connection, {"max_rate": rate}, now=node.now())
        node.flush()
        pair.run_for(2.5)  # what was under way in excess of it is made up for
        start = pair.now
        pair.run_for(3)
        assert 0.95 * rate <= wire.mean(start, pair.now) <= 1.02 * rate + PACKET
        assert one.connection.stats().max_send_rate == one.connection.stats().max_receive_rate == rate
    before = transfers[0].received
    reconfigure(one.connection, {"max_rate": 0}, now=node.now())
    node.flush()
    pair.run_for(0.5)
    assert transfers[0].received - before > 3 * 300_000 / 2


@pytest.mark.parametrize("side", ["send", "receive"])
def test_port_changes_while_running(side: str) -> None:
    """The same for all connections of a port."""
    pair, wire, _, transfers = limited(side, 0.05, 3, max_port_rate=50_000)
    node = pair.client if side == "send" else pair.server
    pair.run_for(2)
    stats = node.multiplexer.snapshot()
    assert stats.max_send_rate == stats.max_receive_rate == 50_000
    assert 2 <= (stats.waiting_to_send if side == "send" else stats.waiting_to_receive) <= 3
    node.multiplexer.config = node.multiplexer.config.replace(max_port_rate=300_000)
    node.flush()
    pair.run_for(1)
    start = pair.now
    pair.run_for(2)
    assert 0.95 * 300_000 <= wire.mean(start, pair.now) <= 1.02 * 300_000 + PACKET
    before = sum(transfer.received for transfer in transfers)
    node.multiplexer.config = UTPConfig()
    node.flush()
    pair.run_for(0.5)
    assert sum(transfer.received for transfer in transfers) - before > 1_000_000


def test_connections_that_end_leave_their_turn() -> None:
    """Who waits for a turn and is gone takes nothing from those who stay."""
    pair, wire, ends, transfers = limited("send", 0.05, 3, max_port_send_rate=100_000)
    pair.run_for(2)
    pair.client.abort(ends[0].client)
    pair.server.abort(ends[1].server)
    pair.run_for(1)
    before, start = transfers[2].received, pair.now
    pair.run_for(5)
    assert transfers[2].received - before >= 0.95 * 100_000 * 5
    assert pair.client.multiplexer.snapshot().waiting_to_send == 1
    assert start and wire.worst_second(start) <= 1.02 * 100_000 + 1.5 * PACKET


def test_both_directions() -> None:
    """Each has the limit for itself."""
    pair, _, ends, there = limited("send", 0.05, max_rate=100_000)
    back = pair.start_transfer(ends[0], ENDLESS, direction=TO_CLIENT)
    pair.run_for(11)
    for transfer in (there[0], back):
        assert 0.95 * 100_000 * 10 <= transfer.received <= 1.02 * 100_000 * 11 + 30_000


@pytest.mark.parametrize("controller", ["scavenger", "ledbat", "ledbat++", "cubic"])
def test_below_the_path(controller: str) -> None:
    """With a limit below what the path carries nothing queues, so nothing is stepped back from, and nothing grows."""
    link = {"rate": 8_000_000}  # bits: 1 MB/s
    pair, wire, ends, _ = limited("send", 0.05, max_rate=300_000, congestion=controller, link=link)
    pair.run_for(3)
    start = pair.now
    sizes = []
    for _ in range(8):
        pair.run_for(0.5)
        sizes.append(ends[0].client.connection.stats().cwnd)
    assert wire.mean(start, pair.now) >= 0.95 * 300_000
    assert max(sizes) == min(sizes) <= 3 * 300_000 * 0.05 + 30_000
    assert ends[0].client.connection.stats().queuing_delay < 10 * MILLISECOND
    assert getattr(ends[0].client.connection.sender.congestion, "slowdowns", 0) <= 1


def test_above_the_path() -> None:
    """A limit that the path does not reach changes nothing."""
    rates = []
    for limit in (0, 2_000_000):
        pair, _, _, transfers = limited("send", 0.02, max_rate=limit, link={"rate": 4_000_000})
        pair.run_for(5)
        rates.append(transfers[0].received)
    assert 0.97 < rates[1] / rates[0] < 1.03


def test_keepalives_under_a_limit() -> None:
    """Nobody is taken for gone, and nothing is repeated, while a packet waits for longer than keepalives do."""
    pair, _, ends, transfers = limited("send", 0.05, max_rate=20, keepalive=5, user_timeout=10)
    pair.run_for(150)
    assert ends[0].client.lost is None and ends[0].server.lost is None
    assert transfers[0].received >= 2000
    assert not ends[0].client.connection.stats().packets_retransmitted


def test_questions_under_a_limit() -> None:
    """Small packets go at once where the limit is not reached."""
    pair, _, _, _ = limited("send", 0.05, 0, max_rate=50_000, no_delay=True)
    ends: Ends = pair.connect()
    pair.run_for(2)
    for _ in range(20):
        start, before = pair.now, ends.server.nbytes
        pair.client.write(ends.client, b"question")
        pair.drive(lambda was=before: ends.server.nbytes > was, limit=5)
        assert pair.now - start <= 26 * MILLISECOND


class ForeignSender:
    """
    A sender with another stack's idea of a window, and nothing to hold it back but that.

    @ivar sent: bytes so far.
    @ivar is_libutp: sends whole packets only, and tries again 15 s after a window was closed; libtorrent's sends what
        the window has room for, wakes at acknowledgements only, and never asks.
    """

    def __init__(self, peer: RawPeer, *, is_libutp: bool, size: int = 1382) -> None:
        self.peer, self.is_libutp, self.size = peer, is_libutp, size
        self.sent = 0
        self.window = 255 * 1435 if is_libutp else 1500
        self.zero_since: int | None = None
        self.rescues = 0
        self._sizes: list[int] = []
        self._first = peer.seq_nr
        self.lost_acks = 0
        peer.port.receive = self._receive

    def _receive(self, packets: list[Packet]) -> None:
        for packet in packets:
            header, now = decode(packet.data), self.peer.simulator.now
            self.peer.all.append((now, header))
            if self.lost_acks:
                self.lost_acks -= 1
                continue
            self.peer.timestamp_difference = (now - header.timestamp) & 0xFFFFFFFF
            count = header.ack_nr - self._first + 1 & 0xFFFF
            if count < 0x8000:
                del self._sizes[:count]
                self._first += count
            self.window = header.wnd_size
            self.zero_since = None if self.window else self.zero_since or now
        self.pump()

    def tick(self) -> None:
        """libutp's timer."""
        now = self.peer.simulator.now
        if self.is_libutp and self.zero_since is not None and now - self.zero_since >= 15 * SECOND:
            self.window, self.zero_since = self.size, None
            self.rescues += 1
            self.pump()

    def pump(self) -> None:
        """Send what the window lets."""
        while sum(self._sizes) + self.size <= self.window:
            self.peer.data(bytes(self.size))
            self._sizes.append(self.size)
            self.sent += self.size


def foreign(is_libutp: bool, seconds: float, delay: float, **settings: Any) -> tuple[RawPeer, ForeignSender]:
    """A foreign sender that has sent for so long."""
    peer = RawPeer.facing(config=UTPConfig(**settings), delay=round(delay * SECOND))
    peer.handshake()
    sender = ForeignSender(peer, is_libutp=is_libutp)
    sender.window = PACKET
    sender.pump()
    for _ in range(round(seconds * 2)):
        peer.run_for(0.5)
        sender.tick()
    return peer, sender


@pytest.mark.parametrize("is_libutp", [True, False])
@pytest.mark.parametrize(("rate", "seconds", "delay"), [(1_000, 60, 0.025), (20_000, 20, 0.0005), (200_000, 8, 0.1)])
def test_foreign_windows(is_libutp: bool, rate: int, seconds: float, delay: float) -> None:
    """Stacks that fill any window at once, with whole packets, are held to the rate, and reach it."""
    peer, sender = foreign(is_libutp, seconds, delay, max_receive_rate=rate)
    assert 0.95 * rate * seconds - 2 * PACKET <= peer.record.nbytes <= 1.02 * rate * seconds + 3 * PACKET
    assert not sender.rescues and peer.record.lost is None
    windows = [header.wnd_size for _, header in peer.all if header.type == STATE]
    assert not [window for window in windows if 0 < window < sender.size]


def test_a_lost_window_update_is_repeated() -> None:
    """libtorrent's never asks, so the acknowledgement that opens the window comes again."""
    peer, sender = foreign(False, 4, 0.025, max_receive_rate=2_000)
    peer.run_for(0.2)
    before = peer.record.nbytes
    sender.lost_acks = 2
    peer.run_for(10)
    assert not sender.lost_acks
    assert peer.record.nbytes - before >= 0.6 * 2_000 * 10


def test_who_ignores_the_window_is_not_cut_off() -> None:
    """All that comes is taken; but the window stays closed until it is made up for, or a second has passed."""
    peer = RawPeer.facing(config=UTPConfig(max_receive_rate=10_000))
    peer.handshake()
    for _ in range(100):
        peer.data(bytes(1000))
    peer.run_for(0.5)
    assert peer.record.nbytes == 100_000 and peer.record.lost is None
    assert peer.all[-1][1].wnd_size == 0
    peer.run_for(1)
    assert peer.all[-1][1].wnd_size >= PACKET
