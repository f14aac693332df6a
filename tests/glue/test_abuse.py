"""
What tests/proto/test_abuse.py shows in virtual time, on the machine's own sockets (docs/security.rst).

An L{Attacker} is a bare UDP socket: nothing of what it sends is checked by anybody but the port under attack.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.protocols.wire import Echo

from twisted_utp import UTPClientEndpoint, UTPConfig, UTPConnectionTimedOut, UTPServerEndpoint
from twisted_utp.proto.packet import Packet, PacketType, decode_packet, encode_packet

reactor: Any = _reactor
DATA, FIN, STATE, RESET, SYN = PacketType.DATA, PacketType.FIN, PacketType.STATE, PacketType.RESET, PacketType.SYN


class Attacker:
    """
    A UDP socket without manners.

    @ivar bytes_sent: what it has sent; C{bytes_received} what it got for it.
    """

    def __init__(self, number: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.target = ("127.0.0.1", number)
        self.bytes_sent = self.bytes_received = 0

    def send(
        self, kind: PacketType, connection_id: int, seq: int, ack: int, payload: bytes = b"", wnd: int = 0
    ) -> None:
        data = encode_packet(Packet(kind, connection_id & 0xFFFF, 1, 1, wnd, seq & 0xFFFF, ack & 0xFFFF, payload))
        self.bytes_sent += len(data)
        self.socket.sendto(data, self.target)

    def received(self) -> list[Packet]:
        """What has come."""
        packets = []
        while True:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return packets
            self.bytes_received += len(data)
            packets.append(decode_packet(data))


class Recording(Protocol):
    """Has what it was told."""

    def __init__(self) -> None:
        self.data = b""
        self.reason: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason


class Talkative(Recording):
    """Speaks first, at length."""

    def connectionMade(self) -> None:
        self.transport.write(bytes(300_000))


class Site:
    """A port under attack, and what attacks it."""

    def __init__(self) -> None:
        self.attackers: list[Attacker] = []
        self.built: list[Any] = []
        self.port: Any = None

    async def listen(self, kind: Any = Echo, **settings: Any) -> None:
        def build() -> Any:
            self.built.append(kind())
            return self.built[-1]

        config = UTPConfig(**settings)
        self.port = await UTPServerEndpoint(reactor, 0, interface="127.0.0.1", config=config).listen(
            Factory.forProtocol(build)
        )

    def attacker(self) -> Attacker:
        self.attackers.append(Attacker(self.port.getHost().port))
        return self.attackers[-1]

    async def connect(self) -> Any:
        number = self.port.getHost().port
        endpoint = UTPClientEndpoint(reactor, "127.0.0.1", number)
        client: Any = await endpoint.connect(Factory.forProtocol(Recording))
        return client

    async def break_in(self) -> tuple[Attacker, Any]:
        """An attacker with a connection.  @return: it, and the protocol that serves it."""
        attacker = self.attacker()
        attacker.send(SYN, 500, 1000, 0)
        answers: list[Packet] = []
        await until(lambda: answers.extend(attacker.received()) or answers)
        before = len(self.built)
        attacker.send(STATE, 501, 1001, answers[0].seq_nr - 1, wnd=1 << 20)
        await until(lambda: len(self.built) > before)
        return attacker, self.built[-1]

    async def close(self) -> None:
        for attacker in self.attackers:
            attacker.socket.close()
        for transport in list(self.port.protocol._transports):
            transport.abortConnection()
        await self.port.stopListening()
        await until(lambda: not self.port.protocol._transports)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something, ten seconds at the most."""
    for _ in range(1000):
        if condition():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError("it did not come true")


@pytest.fixture
def site() -> Iterator[Site]:
    """Not listening yet."""
    made = Site()
    yield made
    pytest_twisted.blockon(Deferred.fromCoroutine(made.close()))


def asynchronous(test: Callable[..., Awaitable[None]]) -> Any:
    """Run a test on the reactor."""
    return pytest_twisted.ensureDeferred(test)


@asynchronous
async def test_syn_flood(site: Site) -> None:
    """2,000 SYNs from 20 sources reach no application and open no connection, and a real peer is served at once."""
    await site.listen(backlog=16)
    rng = Random(1)
    for _ in range(20):
        attacker = site.attacker()
        for _ in range(100):
            attacker.send(SYN, rng.getrandbits(16), rng.getrandbits(16), 0)
        await deferLater(reactor, 0)
    await until(lambda: site.port.stats().syns_received > 1900)
    assert (site.port.stats().half_open, site.port.stats().connections, len(site.built)) == (16, 0, 0)
    client = await site.connect()
    client.transport.write(b"a real peer")
    await until(lambda: client.data == b"a real peer")
    assert site.port.stats().cookies_proven == 1
    for attacker in site.attackers:
        attacker.received()
        assert attacker.bytes_received <= attacker.bytes_sent


@asynchronous
async def test_no_amplification(site: Site) -> None:
    """A server that would talk says nothing to who has not confirmed his address; to who has, it does."""
    await site.listen(Talkative, keepalive=0.2)
    stranger = site.attacker()
    for connection_id in range(100, 150, 2):
        stranger.send(SYN, connection_id, 1, 0)
        stranger.send(DATA, connection_id + 500, 1, 1, b"?")
    await until(lambda: site.port.stats().half_open == 25)
    await deferLater(reactor, 0.5)
    stranger.received()
    assert 0 < stranger.bytes_received <= stranger.bytes_sent
    peer, _ = await site.break_in()
    await until(lambda: any(packet.type is DATA for packet in peer.received()))


@asynchronous
async def test_forgeries(site: Site) -> None:
    """RESET, FIN, DATA and acknowledgements from another port, even with the right id, do nothing to a connection."""
    await site.listen(Echo)
    client = await site.connect()
    client.transport.write(b"before")
    await until(lambda: client.data == b"before")
    connection = next(iter(site.port.protocol._transports))._connection
    await until(lambda: connection.stats().bytes_in_flight == 0)  # the echo is acknowledged
    before, rng = connection.stats(), Random(2)
    off_path = site.attacker()
    for number in range(400):
        kind = (RESET, FIN, DATA, STATE)[number % 4]
        off_path.send(kind, connection.recv_id, rng.getrandbits(16), rng.getrandbits(16), b"evil" * (kind is DATA))
    stats = site.port.stats()
    await until(lambda: site.port.stats().datagrams_received >= stats.datagrams_received + 400)
    assert connection.stats() == before and client.reason is None
    client.transport.write(b" and after")
    await until(lambda: client.data == b"before and after")


@asynchronous
async def test_resets_are_limited(site: Site) -> None:
    """Strays get a few RESETs per source, and none is longer than what it answers."""
    await site.listen()
    sources = [site.attacker() for _ in range(3)]
    for number in range(50):
        for source in sources:
            source.send(STATE, number * 7, number, number)
    await until(lambda: site.port.stats().no_connection == 150)
    for source in sources:
        answers = source.received()
        assert 0 < len(answers) <= 4 and {packet.type for packet in answers} == {RESET}
        assert source.bytes_received <= 20 * len(answers)


@pytest.mark.parametrize("how", ["never reads", "never acks", "acks garbage"])
@asynchronous
async def test_useless_peer_ends(site: Site, how: str) -> None:
    """It gets little, and its connection ends."""
    await site.listen(Recording, min_rto=0.02, user_timeout=1, stall_timeout=1.5)
    attacker, server = await site.break_in()
    connection = next(iter(site.port.protocol._transports))._connection
    ack, rng = connection.sender.board.una - 1, Random(3)
    if how == "never reads":
        attacker.send(STATE, 501, 1001, ack, wnd=0)
        await until(lambda: connection.stats().peer_window == 0)
    server.transport.write(bytes(100_000))

    def answer() -> bool:
        for packet in attacker.received():
            if packet.type is DATA and how == "never reads":
                attacker.send(STATE, 501, 1001, ack, wnd=0)
            elif packet.type is DATA and how == "acks garbage":
                attacker.send(STATE, 501, 1001, ack + rng.randrange(1000, 60_000), wnd=1 << 20)
        return server.reason is not None

    await until(answer)
    assert server.reason.check(UTPConnectionTimedOut)
    assert attacker.bytes_received < 100_000 and site.port.stats().connections == 0
