"""
Does a TLS handshake that never finishes end, on either side, and no other?

In virtual time, with real TLS; who does not speak it is plain uTP.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, quoteStringArgument, serverFromString
from twisted.internet.error import ConnectionLost
from twisted.internet.error import TimeoutError as TwistedTimeout
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate, optionsForClientTLS, trustRootFromCertificates

from twisted_utp import UTPConnectionReset, UTPHandshakeTimedOut
from twisted_utp._causes import Kind, cause_of
from twisted_utp._tls_endpoints import TLSClientEndpoint, TLSServerEndpoint
from twisted_utp.testing import MILLISECOND, Link, Network, Simulator
from twisted_utp.testing.reactor import SimulatedReactor


class Party(Protocol):
    """
    Remembers what it is told; may say something at once.
    """

    says = b""

    def __init__(self) -> None:
        self.data = b""
        self.reason: Any = None
        self.lost_at = 0.0

    def connectionMade(self) -> None:
        assert self.transport is not None
        if self.says:
            self.transport.write(self.says)

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason
        self.lost_at = self.factory.reactor.seconds()  # type: ignore[union-attr, attr-defined]


class Parties(Factory):
    """
    Builds them.
    """

    noisy = False

    def __init__(self, reactor: Any, says: bytes = b"") -> None:
        self.reactor = reactor
        self.says = says
        self.built: list[Party] = []

    def buildProtocol(self, addr: Any) -> Party:
        party = Party()
        party.factory, party.says = self, self.says
        self.built.append(party)
        return party


class Machines:
    """
    Two of them in virtual time, a server's factory, and the keys of its string.
    """

    def __init__(self, keys: str) -> None:
        simulator = Simulator(seed=1)
        network = Network(simulator)
        client, server = network.add_host("10.0.0.1"), network.add_host("10.0.0.2")
        links = [Link(simulator, delay=5 * MILLISECOND) for _ in range(2)]
        network.join(client, server, there=links[:1], back=links[1:])
        self.client = SimulatedReactor(client, names={"localhost": ["10.0.0.2"]})
        self.server = SimulatedReactor(server)
        self.serving = Parties(self.server)
        self.keys = keys

    def listen(self, text: str) -> Any:
        """By a string."""
        return self.client.wait_for(serverFromString(self.server, text).listen(self.serving))

    def dial(self, text: str, says: bytes = b"") -> Any:
        """By a string; the time is what the client is told then."""
        endpoint = clientFromString(self.client, text)
        party = self.client.wait_for(endpoint.connect(Parties(self.client, says)))
        self.began = self.client.seconds()
        return party


@pytest.fixture
def machines(localhost: Any) -> Machines:
    """With a certificate for localhost."""
    machines = Machines(f"privateKey={quoteStringArgument(str(localhost.both))}")
    machines.trust = f"trustRoots={quoteStringArgument(str(localhost.certificate))}"  # type: ignore[attr-defined]
    return machines


@pytest.mark.parametrize("says", [b"\x16", b"\x16\x03\x01\x02\x00\x01"])
@pytest.mark.parametrize(("key", "seconds"), [("", 30), (":handshakeTimeout=2.5", 2.5)])
def test_server(machines: Any, key: str, seconds: float, says: bytes) -> None:
    """A client that sends the beginning of a ClientHello, and nothing more, is reset when its time is over."""
    machines.listen(f"utps:443:{machines.keys}{key}")
    client = machines.dial("utp:10.0.0.2:443", says)
    machines.client.advance(seconds - 0.1)
    (serving,) = machines.serving.built
    assert serving.reason is None and client.reason is None
    machines.client.advance(0.2)
    assert serving.reason.check(UTPHandshakeTimedOut)
    assert f"no TLS handshake within {seconds:g} seconds" in str(serving.reason.value)
    assert client.reason.check(UTPConnectionReset)
    machines.client.advance(1)
    assert machines.server.getDelayedCalls() == []


@pytest.mark.parametrize(("key", "seconds"), [("", 30), (":handshakeTimeout=2.5", 2.5)])
def test_client(machines: Any, key: str, seconds: float) -> None:
    """A server that accepts, and never says anything, is given up when its time is over."""
    machines.listen("utp:443")
    client = machines.dial(f"utps:localhost:443{key}")
    machines.client.advance(seconds + 1)
    assert client.reason.check(UTPHandshakeTimedOut)
    assert abs(client.lost_at - machines.began - seconds) < 0.1
    assert machines.client.getDelayedCalls() == [] and machines.client.getReaders() == []


def test_no_limit(machines: Any) -> None:
    """With 0 it lasts as long as the connection."""
    machines.listen(f"utps:443:{machines.keys}:handshakeTimeout=0")
    client = machines.dial("utp:10.0.0.2:443", b"\x16")
    machines.client.advance(300)
    assert client.reason is None and machines.serving.built[0].reason is None


def test_handshake_that_ends(machines: Any) -> None:
    """Nothing happens to a connection that speaks TLS, silent as it may be, and nothing waits for it any more."""
    machines.listen(f"utps:443:{machines.keys}:handshakeTimeout=2")
    client = machines.dial(f"utps:localhost:443:{machines.trust}:handshakeTimeout=2")
    machines.client.advance(60)
    assert client.reason is None
    client.transport.write(b"hello")
    machines.client.advance(1)
    assert machines.serving.built[0].data == b"hello"
    client.transport.loseConnection()
    machines.client.advance(10)
    assert client.reason is not None and machines.client.getDelayedCalls() == []


def test_connection_that_ends_first(machines: Any) -> None:
    """Who hangs up in the middle of the handshake leaves no timer behind."""
    port = machines.listen(f"utps:443:{machines.keys}")
    client = machines.dial("utp:10.0.0.2:443", b"\x16")
    machines.client.advance(1)
    client.transport.abortConnection()
    machines.client.advance(1)
    assert machines.serving.built[0].reason.check(ConnectionLost)
    machines.client.wait_for(port.stopListening())
    machines.client.advance(1)
    assert machines.server.getDelayedCalls() == []


@pytest.mark.parametrize("is_server", [True, False])
def test_start_tls(machines: Any, localhost: Any, is_server: bool) -> None:
    """An upgrade in the middle of a stream has 30 seconds, too."""
    machines.listen("utp:443")
    client = machines.dial("utp:10.0.0.2:443")
    machines.client.advance(1)
    if is_server:
        upgrading = machines.serving.built[0]
        upgrading.transport.startTLS(PrivateCertificate.loadPEM(localhost.both.read_bytes()).options())
    else:
        upgrading = client
        upgrading.transport.startTLS(optionsForClientTLS("localhost", trustRootFromCertificates([])))
    machines.client.advance(29.9)
    assert upgrading.reason is None
    machines.client.advance(0.2)
    assert upgrading.reason.check(UTPHandshakeTimedOut)


@pytest.mark.parametrize("value", ["-1", "3601", "soon", "", "nan"])
def test_wrong_key(machines: Any, value: str) -> None:
    """It is refused, with its name, for servers and clients alike."""
    for parse, text in (
        (serverFromString, f"utps:443:{machines.keys}:handshakeTimeout={value}"),
        (clientFromString, f"utps:localhost:443:handshakeTimeout={value}"),
    ):
        with pytest.raises(ValueError, match=f"^handshakeTimeout='{value}': expected 0 to 3600 seconds"):
            parse(machines.client, text)


@pytest.mark.parametrize(
    ("value", "error"), [("30", TypeError), (None, TypeError), (-1, ValueError), (True, TypeError)]
)
def test_wrong_argument(machines: Any, value: Any, error: Any) -> None:
    """The same in code."""
    for kind in (TLSServerEndpoint, TLSClientEndpoint):
        endpoint: Any = kind
        with pytest.raises(error, match=f"^handshakeTimeout={value!r}: expected 0 to 3600"):
            endpoint(machines.client, None, None, handshakeTimeout=value)


def test_error() -> None:
    """It is what applications check for, and says what is wrong."""
    assert issubclass(UTPHandshakeTimedOut, ConnectionLost) and issubclass(UTPHandshakeTimedOut, TwistedTimeout)
    cause = cause_of(UTPHandshakeTimedOut(30))
    assert cause.kind is Kind.TLS and "handshake" in str(cause)
