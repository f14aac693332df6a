"""
Do small messages leave at once, and is a peer that has gone noticed, where a forwarder's connection is TCP?
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.protocols.policies import ProtocolWrapper

from twisted_utp.forward.limits import Limits
from twisted_utp.forward.route import Route
from twisted_utp.forward.service import ForwardService
from twisted_utp.forward.tcp import prepare

MSS = 1448
DELAYED_ACK = 0.040  # Linux' and Windows' usual one
ACROSS = 0.0001  # seconds, one way, between a forwarder and the program beside it
PAUSE = 0.002  # between the two small writes of a message
ROUNDS = 10
ROUND_TRIP = 0.010  # between two machines of a Journey


class ModelledTCP:
    """
    A TCP transport in virtual time: Nagle's algorithm (RFC 896) on our side, delayed acknowledgements on the other.

    @ivar program: what the other side does with each piece; whoever returns L{True} has answered, and so acknowledged.
    @ivar obeys: it has C{setTcpNoDelay}; else the call does nothing, for comparison.
    """

    def __init__(self, reactor: Any, program: Callable[[bytes], bool], *, obeys: bool) -> None:
        self.reactor, self.program, self.obeys = reactor, program, obeys
        self.protocol: Any = None
        self.no_delay = False
        self.options: dict[int, int] = {}
        self._waiting = b""
        self._unacknowledged = 0
        self._owed = 0

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled and self.obeys

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """The peer of a model does not go away."""

    def getHandle(self) -> ModelledTCP:
        return self

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options[option] = value

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "10.0.0.2", 1)

    getPeer = getHost

    def write(self, data: bytes) -> None:
        self._waiting += data
        self._send()

    def _send(self) -> None:
        if self._waiting and (self.no_delay or not self._unacknowledged or len(self._waiting) >= MSS):
            data, self._waiting = self._waiting, b""
            self._unacknowledged += len(data)
            self.reactor.callLater(ACROSS, self._arrived, data)

    def _arrived(self, data: bytes) -> None:
        self._owed += len(data)
        if self.program(data):
            self._acknowledge()
        else:
            self.reactor.callLater(DELAYED_ACK, self._acknowledge)

    def _acknowledge(self) -> None:
        if self._owed:
            nbytes, self._owed = self._owed, 0
            self.reactor.callLater(ACROSS, self._acknowledged, nbytes)

    def _acknowledged(self, nbytes: int) -> None:
        self._unacknowledged -= nbytes
        self._send()

    def say(self, data: bytes) -> None:
        """What the other side's program writes, and its kernel does not hold up."""
        self.reactor.callLater(ACROSS, self.protocol.dataReceived, data)

    def pauseProducing(self) -> None:
        """Nothing here is so fast."""

    def unregisterProducer(self) -> None:
        """Likewise."""

    resumeProducing = loseConnection = loseWriteConnection = abortConnection = pauseProducing

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Likewise."""


class Connecting:
    """A client endpoint that has its connection at once."""

    def __init__(self, wire: ModelledTCP) -> None:
        self.wire = wire

    def connect(self, factory: Any) -> Deferred[Any]:
        self.wire.protocol = factory.buildProtocol(self.wire.getPeer())
        self.wire.protocol.makeConnection(self.wire)
        return succeed(self.wire.protocol)


class Listening:
    """A server endpoint that accepts when it is told to."""

    def listen(self, factory: Any) -> Deferred[Any]:
        self.factory = factory
        return succeed(self)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "10.0.0.2", 1)

    def accept(self, wire: ModelledTCP) -> None:
        wire.protocol = self.factory.buildProtocol(wire.getPeer())
        wire.protocol.makeConnection(wire)


def time_at_dialled(between: Any, *, obeys: bool) -> float:
    """Seconds for questions in two small writes to a service by TCP, which answers when it has both."""
    got = bytearray()

    def service(data: bytes) -> bool:
        got.extend(data)
        if len(got) < 8:
            return False
        got.clear()
        wire.say(b"answer")
        return True

    wire = ModelledTCP(between.middle, service, obeys=obeys)
    between.route.connect = Connecting(wire)
    client = between.dial()
    client.wire.setTcpNoDelay(True)  # uTP's own coalescing is not what this is about
    started = between.client.seconds()
    for number in range(ROUNDS):
        client.wire.write(b"head")
        between.client.callLater(PAUSE, client.wire.write, b"body")
        for _ in range(100):
            if len(client.data) < 6 * (number + 1):
                between.client.advance(0.001)
    assert len(client.data) == 6 * ROUNDS
    return float(between.client.seconds() - started)


def time_at_accepted(between: Any, *, obeys: bool) -> float:
    """Seconds for answers in two small writes to a client by TCP, which asks again when it has both."""
    between.serve()
    got = bytearray()
    rounds = 0

    def client(data: bytes) -> bool:
        nonlocal rounds
        got.extend(data)
        if len(got) < 8:
            return False
        got.clear()
        rounds += 1
        wire.say(b"question")
        return True

    listening = Listening()
    route = Route(listening, between.route.connect, ("tcp", "utp"))  # type: ignore[arg-type]
    service = ForwardService(between.middle, [route], Limits())
    service.privilegedStartService()
    wire = ModelledTCP(between.middle, client, obeys=obeys)
    listening.accept(wire)
    between.advance(0.2)
    wire.say(b"question")
    between.advance(0.1)
    server = between.servers[0]
    server.wire.setTcpNoDelay(True)
    started, answered = between.client.seconds(), 0
    for _ in range(ROUNDS * 100):
        if rounds == ROUNDS:
            break
        if len(server.data) >= 8 * (answered + 1):
            answered += 1
            server.wire.write(b"head")
            between.client.callLater(PAUSE, server.wire.write, b"body")
        between.client.advance(0.001)
    assert rounds == ROUNDS
    return float(between.client.seconds() - started)


@pytest.mark.parametrize("measure", [time_at_dialled, time_at_accepted])
def test_small_writes(journey: Any, measure: Callable[..., float]) -> None:
    """Messages in two small writes take the round trip and the pause, not a delayed acknowledgement in addition.

    Without the option, which is what the second figure shows, each takes that, too.
    """
    took = measure(journey(), obeys=True)
    assert took < ROUNDS * (ROUND_TRIP + PAUSE + 0.005)
    assert measure(journey(), obeys=False) > ROUNDS * (ROUND_TRIP + DELAYED_ACK - PAUSE)


WANTED = {
    "SO_KEEPALIVE": (1, socket.SOL_SOCKET),
    "TCP_NODELAY": (1, socket.IPPROTO_TCP),
    "TCP_KEEPIDLE": (60, socket.IPPROTO_TCP),
    "TCP_KEEPINTVL": (10, socket.IPPROTO_TCP),
    "TCP_KEEPCNT": (6, socket.IPPROTO_TCP),
}


def options_of(end: Any) -> dict[str, int]:
    """What the socket of an end has set."""
    wire = end.transport
    while isinstance(wire, ProtocolWrapper):
        wire = wire.transport
    handle = wire.getHandle()
    return {
        name: int(bool(got) if wanted == 1 else got)
        for name, (wanted, level) in WANTED.items()
        if hasattr(socket, name)
        for got in (handle.getsockopt(level, getattr(socket, name)),)
    }


@pytest.mark.parametrize("listen", ["tcp:0:interface=127.0.0.1", "haproxy:tcp:0:interface=127.0.0.1"])
@pytest_twisted.ensureDeferred
async def test_options_are_set(listen: str) -> None:
    """On the accepted and on the dialled connection, over real loopback, also below what wraps a connection."""
    target = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(Factory.forProtocol(Protocol))
    connect = clientFromString(reactor, f"tcp:127.0.0.1:{target.getHost().port}")
    route = Route(serverFromString(reactor, listen), connect, ("", ""))
    service = ForwardService(reactor, [route], Limits(grace=0))
    service.privilegedStartService()
    with socket.create_connection(("127.0.0.1", route.port.getHost().port)) as client:  # type: ignore[union-attr]
        client.sendall(b"PROXY UNKNOWN\r\n" if listen.startswith("haproxy") else b"")
        relay = await first_joined(service)
        expected = {name: wanted for name, (wanted, _) in WANTED.items() if hasattr(socket, name)}
        assert [options_of(end) for end in (relay.near, relay.far)] == [expected, expected]
    await service.stopService()
    await target.stopListening()


async def first_joined(service: ForwardService) -> Any:
    """The first connection, once both of its ends are there."""
    while True:
        for relay in service.relays:
            if relay.far.connected:
                return relay
        await deferLater(reactor, 0)


def test_other_sockets_are_left_alone() -> None:
    """A UNIX socket has the methods in Twisted, and would refuse; uTP has keys of its own in its string."""

    class Wire:
        def __init__(self, host: Any) -> None:
            self.getHost = lambda: host

        def setTcpNoDelay(self, enabled: bool) -> None:
            raise AssertionError("this is not TCP")

    for host in (UNIXAddress(b"/run/socket"), IPv4Address("UDP", "127.0.0.1", 1)):
        prepare(Wire(host))
