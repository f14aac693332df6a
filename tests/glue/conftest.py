"""
Two machines in virtual time, for the glue's tests: everything above the UDP socket is real.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.python import log
from zope.interface import implementer

from twisted_utp import UTPClientEndpoint, UTPServerEndpoint
from twisted_utp.testing import MILLISECOND, Link, Network, Simulator
from twisted_utp.testing.reactor import SimulatedReactor

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"


class Recording(Protocol):
    """
    Remembers, in order, what it was told; C{on_data} and so on may be set to do more.
    """

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.data = b""
        self.reason: Any = None
        self.lost: Deferred[Any] = Deferred()

    def connectionMade(self) -> None:
        self.calls.append("made")
        self.on_made()

    def dataReceived(self, data: bytes) -> None:
        self.calls.append("data")
        self.data += data
        self.on_data(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.calls.append("lost")
        self.reason = reason
        self.lost.callback(None)

    def on_made(self) -> None:
        """Nothing more."""

    def on_data(self, data: bytes) -> None:
        """Nothing more."""


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Recording):
    """
    One that lives on when one direction is closed.
    """

    def readConnectionLost(self) -> None:
        self.calls.append("read lost")

    def writeConnectionLost(self) -> None:
        self.calls.append("write lost")


class Building(Factory):
    """
    Builds recording protocols, and counts its own starts and stops.
    """

    noisy = False

    def __init__(self, kind: Any = Recording) -> None:
        self.kind = kind
        self.built: list[Any] = []
        self.addresses: list[Any] = []
        self.running = 0

    def doStart(self) -> None:
        self.running += 1

    def doStop(self) -> None:
        self.running -= 1

    def buildProtocol(self, addr: Any) -> Any:
        self.addresses.append(addr)
        protocol = self.kind()
        if protocol is not None:
            self.built.append(protocol)
        return protocol


class Machines:
    """
    A client and a server.

    @ivar client: the client's reactor; C{server} the server's.
    """

    Recording, HalfCloseable, Building = Recording, HalfCloseable, Building
    CLIENT, SERVER = CLIENT, SERVER

    def __init__(self) -> None:
        self.simulator = Simulator(seed=1)
        network = Network(self.simulator)
        client_host = network.add_host(CLIENT, "fd00::1")
        server_host = network.add_host(SERVER, "fd00::2")
        self.there = Link(self.simulator, delay=5 * MILLISECOND)
        self.back = Link(self.simulator, delay=5 * MILLISECOND)
        network.join(client_host, server_host, there=[self.there], back=[self.back])
        names = {"server.test": [SERVER], "both.test": ["fd00::2", SERVER], "dead.test": ["fd00::9", SERVER]}
        self.client = SimulatedReactor(client_host, names=names)
        self.server = SimulatedReactor(server_host)

    def listen(self, kind: Any = Recording, port: int = 9000, **keywords: Any) -> Any:
        """
        @return: the port.
        """
        return self.result(UTPServerEndpoint(self.server, port, **keywords).listen(Building(kind)))

    def connect(self, kind: Any = Recording, port: int = 9000, **keywords: Any) -> Any:
        """
        @return: the client's protocol; the server has its own, too.
        """
        protocol = self.result(UTPClientEndpoint(self.client, SERVER, port, **keywords).connect(Building(kind)))
        self.advance(0.011)  # what the client sends next shows the server that it is there
        return protocol

    def pair(self, client: Any = Recording, server: Any = Recording, **keywords: Any) -> Any:
        """
        @return: the client's and the server's protocol, and the port.
        """
        port = self.listen(server, **keywords)
        protocol = self.connect(client, **keywords)
        self.advance(0.1)
        return protocol, port.factory.built[-1], port

    def result(self, deferred: Any) -> Any:
        """
        Let time pass until it fires.
        """
        return self.client.wait_for(deferred)

    def failure(self, deferred: Any) -> BaseException:
        """
        Let time pass until it fails.
        """
        caught: list[Any] = []
        deferred.addErrback(caught.append)
        self.client.wait_for(deferred)
        assert caught, "it did not fail"
        value: BaseException = caught[0].value
        return value

    def advance(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.client.advance(seconds)

    def assert_clean(self) -> None:
        """
        Nothing is left in either reactor.
        """
        for reactor in (self.client, self.server):
            assert reactor.getReaders() == []
            assert reactor.getDelayedCalls() == []


@pytest.fixture
def machines() -> Machines:
    """
    Two machines, ten milliseconds apart.
    """
    return Machines()


@pytest.fixture
def logged() -> Any:
    """
    The exceptions that were logged.
    """
    errors: list[BaseException] = []

    def observe(event: Any) -> None:
        if event.get("isError") and "failure" in event:
            errors.append(event["failure"].value)

    log.addObserver(observe)
    yield errors
    log.removeObserver(observe)
