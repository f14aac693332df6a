"""
A forwarder between two machines in virtual time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from twisted_utp import UTPClientEndpoint, UTPServerEndpoint
from twisted_utp.forward import Options
from twisted_utp.forward.limits import Limits
from twisted_utp.forward.route import Route
from twisted_utp.forward.service import ForwardService
from twisted_utp.testing import MILLISECOND, Link, Network, Simulator
from twisted_utp.testing.reactor import SimulatedReactor

CLIENT, MIDDLE, SERVER = "10.0.0.1", "10.0.0.2", "10.0.0.3"


@implementer(IHalfCloseableProtocol)
class Recording(Protocol):
    """
    Remembers what it was told.
    """

    def __init__(self) -> None:
        self.data = b""
        self.finished = False
        self.reason: Any = None
        self.wire: Any = None

    def connectionMade(self) -> None:
        self.wire = self.transport

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def readConnectionLost(self) -> None:
        self.finished = True

    def writeConnectionLost(self) -> None:
        """Nothing to do."""

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason


class Journey:
    """
    A client, a forwarder and a server on three machines.

    @ivar servers: the server's protocols.
    """

    def __init__(self, **limits: Any) -> None:
        simulator = Simulator(seed=1)
        network = Network(simulator)
        hosts = [network.add_host(address) for address in (CLIENT, MIDDLE, SERVER)]
        for one, another in (hosts[:2], hosts[1:]):
            links = [Link(simulator, delay=5 * MILLISECOND) for _ in range(2)]
            network.join(one, another, there=links[:1], back=links[1:])
        self.client, self.middle, self.server = (SimulatedReactor(host) for host in hosts)
        self.servers: list[Recording] = []
        options = Options()
        self.route = Route(
            serverFromString(self.middle, options.completed("utp:80")),
            clientFromString(self.middle, options.completed(f"utp:{SERVER}:90")),
            ("utp:80", "utp:server:90"),
        )
        self.service = ForwardService(self.middle, [self.route], Limits(**limits))
        self.service.privilegedStartService()
        self.service.startService()

    def serve(self) -> None:
        """
        Let the server listen.
        """
        factory = Factory()

        def build(addr: object) -> Recording:
            self.servers.append(Recording())
            return self.servers[-1]

        factory.buildProtocol = build  # type: ignore[method-assign, assignment]
        self.client.wait_for(UTPServerEndpoint(self.server, 90).listen(factory))

    def dial(self, seconds: float = 0.2) -> Recording:
        """
        A client's connection to the forwarder.
        """
        endpoint = UTPClientEndpoint(self.client, MIDDLE, 80)
        protocol: Recording = self.client.wait_for(endpoint.connect(Factory.forProtocol(Recording)))
        self.advance(seconds)
        return protocol

    def advance(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.client.advance(seconds)


@pytest.fixture
def journey() -> Any:
    """C{journey(max_connections=...)}."""
    return Journey


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What it logs as a warning."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace") == "utp-forward" and event["log_level"] is LogLevel.warn:
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What the forwarder logs."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace") == "utp-forward":
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)
