"""
Do whole Twisted applications run over the simulated network, without knowing it?
"""

from __future__ import annotations

import time
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.web.client import Agent, readBody
from twisted.web.resource import Resource
from twisted.web.server import Site

from twisted_utp.endpoints import UTPClientEndpoint, UTPServerEndpoint
from twisted_utp.protocol import UTPProtocol
from twisted_utp.testing.link import Link
from twisted_utp.testing.network import Network
from twisted_utp.testing.packet_log import PacketLog
from twisted_utp.testing.pattern import Pattern
from twisted_utp.testing.reactor import SimulatedReactor
from twisted_utp.testing.simulator import Simulator

MEGABYTE = 1_000_000


class Machines:
    """
    A client's and a server's reactor, and the links between them.
    """

    def __init__(self, seed: int = 0, **link: Any) -> None:
        self.simulator = Simulator(seed)
        network = Network(self.simulator)
        one, other = network.add_host("10.0.0.1"), network.add_host("10.0.0.2")
        settings = {"delay": 20_000, **link}
        self.up, self.down = Link(self.simulator, **settings), Link(self.simulator, **settings)
        network.join(one, other, there=[self.up], back=[self.down])
        self.client = SimulatedReactor(one, names={"server.example": ("10.0.0.2",)})
        self.server = SimulatedReactor(other)
        self.log = PacketLog()
        self.log.watch(self.up, "client")
        self.log.watch(self.down, "server")

    def assert_clean(self) -> None:
        """Nothing is left in either reactor."""
        self.client.advance(60)
        for reactor in (self.client, self.server):
            assert reactor.getReaders() == [] and reactor.getDelayedCalls() == []


class Echo(Protocol):
    """
    Sends everything back until the other side ends.
    """

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Sender(Protocol):
    """
    Writes, counts what comes back right, and says when it is all.
    """

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.checked = Pattern()
        self.echoed: Deferred[int] = Deferred()
        self.ended: Deferred[Any] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(Pattern().read(self.nbytes))

    def dataReceived(self, data: bytes) -> None:
        self.checked.check(data)
        if self.checked.position == self.nbytes:
            self.echoed.callback(self.nbytes)

    def connectionLost(self, reason: Any = None) -> None:
        self.ended.callback(reason.type)


def echo_over(machines: Machines, nbytes: int) -> Sender:
    """An echo through the endpoints, by name, over whatever lies between."""
    port = machines.server.wait_for(UTPServerEndpoint(machines.server, 9000).listen(Factory.forProtocol(Echo)))
    sender = Sender(nbytes)
    factory = Factory.forProtocol(lambda: sender)  # type: ignore[arg-type]
    machines.client.wait_for(UTPClientEndpoint(machines.client, "server.example", 9000).connect(factory))
    machines.client.wait_for(sender.echoed, limit=300)
    assert sender.transport is not None
    sender.transport.loseConnection()
    assert machines.client.wait_for(sender.ended) is ConnectionDone
    machines.server.wait_for(port.stopListening())
    return sender


def test_echo_through_endpoints() -> None:
    """Listening, connecting by name, half a megabyte there and back, closing: in virtual time, nothing left over."""
    machines = Machines(rate=20_000_000)
    echo_over(machines, MEGABYTE // 2)
    machines.assert_clean()


def test_echo_in_bad_weather() -> None:
    """The same with loss, reordering and duplication."""
    machines = Machines(seed=1, rate=20_000_000, loss=0.03, reorder=0.05, reorder_delay=5_000, duplicate=0.02)
    echo_over(machines, MEGABYTE // 2)
    machines.assert_clean()
    assert machines.up.counters.lost > 5


def test_refused_and_nobody_there() -> None:
    """Errors come as the exceptions that applications know."""
    machines = Machines()
    machines.server.listenUDP(9000, UTPProtocol(machines.server))
    failures: list[Any] = []
    factory = Factory.forProtocol(Echo)
    refused = UTPClientEndpoint(machines.client, "10.0.0.2", 9000).connect(factory)
    machines.client.wait_for(refused.addErrback(lambda failure: failures.append(failure.type)))
    assert failures == [ConnectionRefusedError]


def test_http() -> None:
    """An unmodified HTTP download: twisted.web's Site and Agent, an hour of patience, a second of real time."""

    class Large(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            return Pattern(7).read(2 * MEGABYTE)

    class OverUTP:
        """
        Agent's idea of where to connect.
        """

        def __init__(self, reactor: Any) -> None:
            self.reactor = reactor

        def endpointForURI(self, uri: Any) -> UTPClientEndpoint:
            return UTPClientEndpoint(self.reactor, uri.host.decode(), uri.port)

    machines = Machines(rate=10_000_000, delay=50_000)
    site = Site(Large(), reactor=machines.server)
    machines.server.wait_for(UTPServerEndpoint(machines.server, 80).listen(site))
    agent = Agent.usingEndpointFactory(machines.client, OverUTP(machines.client))  # type: ignore[arg-type]
    began, started = time.monotonic(), machines.client.seconds()
    response = machines.client.wait_for(agent.request(b"GET", b"http://server.example/large"))
    body = machines.client.wait_for(readBody(response))
    assert body == Pattern(7).read(2 * MEGABYTE)
    assert machines.client.seconds() - started > 1.6  # 2 MB at 10 Mb/s
    assert time.monotonic() - began < 30


def test_endpoint_strings_get_a_real_reactor_only_when_asked() -> None:
    """serverFromString works with the simulated reactor, too, when the plugin is installed."""
    machines = Machines()
    port = machines.server.wait_for(serverFromString(machines.server, "utp:9000").listen(Factory.forProtocol(Echo)))
    assert port.getHost().port == 9000
    machines.server.wait_for(port.stopListening())
    machines.assert_clean()


def test_same_seed_same_application() -> None:
    """Two runs of an application with one seed send the same packets at the same microseconds."""

    def run(seed: int) -> list[Any]:
        machines = Machines(seed, loss=0.02, rate=10_000_000)
        server = UTPProtocol(machines.server, rng=Random(1))
        client = UTPProtocol(machines.client, rng=Random(2))
        machines.server.listenUDP(9000, server)
        machines.client.listenUDP(0, client)
        server.listen(Factory.forProtocol(Echo))
        sender = Sender(100_000)
        client.connect(Factory.forProtocol(lambda: sender), "10.0.0.2", 9000)  # type: ignore[arg-type]
        machines.client.wait_for(sender.echoed)
        return machines.log.entries

    assert run(3) == run(3) != run(4)


def test_same_seed_same_endpoints() -> None:
    """The same through endpoint strings, where nobody passes any randomness: byte for byte."""

    def run(seed: int) -> list[Any]:
        machines = Machines(seed, loss=0.02, rate=10_000_000)
        machines.server.wait_for(serverFromString(machines.server, "utp:9000").listen(Factory.forProtocol(Echo)))
        sender = Sender(100_000)
        endpoint = clientFromString(machines.client, "utp:10.0.0.2:9000")
        endpoint.connect(Factory.forProtocol(lambda: sender))  # type: ignore[arg-type]
        machines.client.wait_for(sender.echoed)
        return machines.log.entries

    assert run(3) == run(3) != run(4)
