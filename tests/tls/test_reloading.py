"""
Does whoever connects after a renewal see the new certificate?

A server and a client over uTP in virtual time, with real TLS.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import endpoints
from twisted.internet.endpoints import clientFromString, quoteStringArgument, serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from twisted_utp._tls_reloading import LOOK_INTERVAL, ReloadingCredentials
from twisted_utp.testing import MILLISECOND, Link, Network, Simulator
from twisted_utp.testing.reactor import SimulatedReactor


class Greeting(Protocol):
    """Says hello and closes."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")
        self.transport.loseConnection()


class Reading(Protocol):
    """Remembers what it was told, and by whom."""

    def __init__(self) -> None:
        self.data = b""
        self.reason: Any = None
        self.serial: int | None = None

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        self.serial = transport.getPeerCertificate().get_serial_number()
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason


class Machines:
    """
    Two machines in virtual time.
    """

    def __init__(self) -> None:
        simulator = Simulator(seed=1)
        network = Network(simulator)
        client, server = network.add_host("10.0.0.1"), network.add_host("10.0.0.2")
        links = [Link(simulator, delay=5 * MILLISECOND) for _ in range(2)]
        network.join(client, server, there=links[:1], back=links[1:])
        self.client = SimulatedReactor(client, names={"localhost": ["10.0.0.2"], "other.test": ["10.0.0.2"]})
        self.server = SimulatedReactor(server)

    def serve(self, keys: str, protocol: type[Protocol] = Greeting) -> None:
        """
        Listen on port 443.
        """
        factory = Factory.forProtocol(protocol)
        self.client.wait_for(serverFromString(self.server, f"utps:443:{keys}").listen(factory))

    def dial(self, host: str, keys: str) -> Reading:
        """
        One connection from beginning to end.
        """
        endpoint = clientFromString(self.client, f"utps:{host}:443:{keys}")
        reading: Reading = self.client.wait_for(endpoint.connect(Factory.forProtocol(Reading)))
        self.client.advance(1)
        return reading


class Producing(Reading):
    """One that would like to go on writing."""

    stopped = False

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.registerProducer(self, True)
        transport.write(bytes(100_000))

    def pauseProducing(self) -> None:
        """Wait."""

    def resumeProducing(self) -> None:
        """Go on."""

    def stopProducing(self) -> None:
        """There is nobody to write to."""
        self.stopped = True


@pytest.fixture
def machines() -> Machines:
    """Two machines."""
    return Machines()


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged as a warning."""
    seen: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_level") is LogLevel.warn:
            seen.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def key(name: str, path: Path) -> str:
    """One key of an endpoint string."""
    return f"{name}={quoteStringArgument(str(path))}"


def test_verified(machines: Machines, localhost: Any) -> None:
    """A client that trusts the certificate gets the greeting."""
    machines.serve(key("privateKey", localhost.both))
    reading = machines.dial("localhost", key("trustRoots", localhost.certificate))
    assert (reading.data, reading.serial) == (b"hello", localhost.serial)


def test_not_trusted(machines: Machines, localhost: Any, issue: Any) -> None:
    """Without it, with another's, or for another name, nothing arrives, and the reason says why."""
    stranger = issue("stranger")
    machines.serve(key("privateKey", localhost.both))
    for host, keys in (
        ("localhost", "timeout=30"),
        ("localhost", key("trustRoots", stranger.certificate)),
        ("other.test", key("trustRoots", localhost.certificate)),
    ):
        reading = machines.dial(host, keys)
        assert reading.data == b""
        assert "verif" in repr(reading.reason.value).lower()


def test_failure_with_a_producer(machines: Machines, localhost: Any) -> None:
    """A handshake that fails ends the connection though producers are registered at both ends, which are told."""
    machines.serve(key("privateKey", localhost.both), Producing)
    endpoint = clientFromString(machines.client, "utps:localhost:443")
    producing: Any = machines.client.wait_for(endpoint.connect(Factory.forProtocol(Producing)))
    machines.client.advance(1)
    assert producing.stopped
    assert "certificate verify failed" in str(producing.reason.value)


@pytest.mark.parametrize("name", ["certKey", "certificate"])
def test_renewed_files(machines: Machines, issue: Any, name: str) -> None:
    """A renewed certificate is shown to whoever connects from then on."""
    first = issue("localhost")
    old = key("trustRoots", first.both)
    machines.serve(f"{key('privateKey', first.key)}:{key(name, first.certificate)}")
    assert machines.dial("localhost", old).serial == first.serial
    machines.client.advance(LOOK_INTERVAL)
    second = issue("localhost")  # in the same files
    renewed = key("trustRoots", second.certificate)
    assert machines.dial("localhost", renewed).serial == second.serial != first.serial


def test_broken_files(machines: Machines, issue: Any, warnings: list[str]) -> None:
    """A certificate that cannot be used leaves the old one in place, and is logged once."""
    first = issue("localhost")
    trust = f"trustRoots={quoteStringArgument(str(first.both.with_suffix('.root')))}"
    first.both.with_suffix(".root").write_bytes(first.certificate.read_bytes())
    machines.serve(f"{key('privateKey', first.key)}:{key('certKey', first.certificate)}")
    machines.client.advance(LOOK_INTERVAL)
    first.certificate.write_text("half a certif")
    for _ in range(3):
        assert machines.dial("localhost", trust).serial == first.serial
    assert len(warnings) == 1
    assert "certKey=" in warnings[0]


def test_a_flood_looks_once(localhost: Any) -> None:
    """However many connect, the files are looked at once a second."""
    looks: list[float] = []
    now = [100.0]

    def files() -> list[Path]:
        looks.append(now[0])
        return [localhost.key]

    credentials = ReloadingCredentials(lambda: lambda protocol: protocol, files, lambda: now[0])
    for _ in range(50):
        now[0] += LOOK_INTERVAL / 10
        credentials.serverConnectionForTLS(None)
    assert len(looks) <= 6  # five seconds, and the first look


@pytest.mark.skipif(not hasattr(endpoints, "wrapServerTLS"), reason="this Twisted has no tls: servers yet")
def test_directory(machines: Machines, issue: Any, tmp_path: Path) -> None:
    """With a directory the client gets the certificate of the name it asks for, a renewed or a new one too."""
    folder = tmp_path / "live"
    one, other = issue("localhost", folder=folder), None
    machines.serve(key("path", folder))
    assert machines.dial("localhost", key("trustRoots", one.certificate)).serial == one.serial
    machines.client.advance(LOOK_INTERVAL)
    one, other = issue("localhost", folder=folder), issue("other.test", folder=folder)
    assert machines.dial("localhost", key("trustRoots", one.certificate)).serial == one.serial
    assert machines.dial("other.test", key("trustRoots", other.certificate)).serial == other.serial
