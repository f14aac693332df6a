"""
Do Twisted's own protocols run over C{utp:} strings, unchanged, in one process over loopback?
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.application.strports import service
from twisted.internet import endpoints
from twisted.internet import reactor as _reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    clientFromString,
    quoteStringArgument,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import IListeningPort, ISSLTransport
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate, optionsForClientTLS
from twisted.names import dns
from twisted.names.hosts import Resolver as HostsResolver
from twisted.names.server import DNSServerFactory
from twisted.protocols import amp
from twisted.protocols.basic import LineReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.spread import pb
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, readBody
from twisted.web.resource import Resource
from twisted.web.server import Site

pytestmark = pytest.mark.conformance

reactor: Any = _reactor

Ports = list[Any]


@pytest.fixture
def ports() -> Iterator[Ports]:
    """
    Ports to be closed after the test, when nothing may be left in the reactor.
    """
    opened: Ports = []
    before = udp_ports()
    yield opened
    for port in opened:
        pytest_twisted.blockon(port.stopListening())
    settled: Deferred[None] = Deferred()
    _wait_until(lambda: udp_ports() <= before, settled, 500)
    pytest_twisted.blockon(settled)


def udp_ports() -> set[Any]:
    """
    The sockets that the reactor reads, less its own.
    """
    return {reader for reader in reactor.getReaders() if IListeningPort.providedBy(reader)}


def _wait_until(condition: Any, settled: Deferred[None], turns: int) -> None:
    """
    The last acknowledgements may still be on their way over loopback.
    """
    if condition():
        settled.callback(None)
    elif not turns:
        settled.errback(AssertionError(f"left in the reactor: {udp_ports()}"))
    else:
        reactor.callLater(0.01, _wait_until, condition, settled, turns - 1)


async def listen(ports: Ports, factory: Any, description: str = "utp:0:interface=127.0.0.1") -> int:
    """
    Listen; @return: the UDP port.
    """
    ports.append(await serverFromString(reactor, description).listen(factory))
    number: int = ports[-1].getHost().port
    return number


def client_of(port: int) -> Any:
    """
    The client endpoint for it.
    """
    return clientFromString(reactor, f"utp:127.0.0.1:{port}")


# --- HTTP -----------------------------------------------------------------------------------------------------


class Echoing(Resource):
    """
    Answers with the method, the client's address and what was posted.
    """

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        assert isinstance(request.getClientAddress(), (IPv4Address, IPv6Address))
        return request.uri + b" " + request.getClientAddress().host.encode()  # type: ignore[no-any-return]

    def render_POST(self, request: Any) -> bytes:
        return request.content.read()  # type: ignore[no-any-return]


class OneEndpoint:
    """
    Sends an Agent to one endpoint whatever the URI says.
    """

    def __init__(self, endpoint: Any) -> None:
        self.endpoint = endpoint

    def endpointForURI(self, uri: Any) -> Any:
        return self.endpoint


@pytest.mark.parametrize("persistent", [False, True])
@pytest_twisted.ensureDeferred
async def test_web(ports: Ports, persistent: bool) -> None:
    """A Site answers an Agent: a short answer, and a megabyte posted by a producer and returned."""
    port = await listen(ports, Site(Echoing()))
    pool = HTTPConnectionPool(reactor, persistent=persistent)
    agent = Agent.usingEndpointFactory(reactor, OneEndpoint(client_of(port)), pool)
    response = await agent.request(b"GET", b"http://example.org/path")
    assert await readBody(response) == b"/path 127.0.0.1"
    body = bytes(range(256)) * 4096
    response = await agent.request(b"POST", b"http://example.org/", bodyProducer=FileBodyProducer(BytesIO(body)))
    assert await readBody(response) == body
    await pool.closeCachedConnections()


@pytest_twisted.ensureDeferred
async def test_haproxy(ports: Ports) -> None:
    """The haproxy: wrapper takes the client's address from the PROXY header, over uTP as over TCP."""
    site = Site(Echoing())
    port = await listen(ports, site, r"haproxy:utp:0:interface=127.0.0.1")
    asking = Asking(b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\nGET / HTTP/1.0\r\n\r\n")
    await client_of(port).connect(asking)
    assert b"/ 192.0.2.7" in await asking.answer


class Asking(Factory):
    """
    Sends something and collects what comes until the end.
    """

    noisy = False

    def __init__(self, question: bytes) -> None:
        self.question = question
        self.answer: Deferred[bytes] = Deferred()

    def buildProtocol(self, addr: Any) -> Any:
        return AskingProtocol(self)


class AskingProtocol(LineReceiver):
    """
    See L{Asking}.
    """

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.received = b""
        self.setRawMode()

    def connectionMade(self) -> None:
        self.transport.write(self.asking.question)

    def rawDataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        assert reason.check(ConnectionDone)
        self.asking.answer.callback(self.received)


@pytest_twisted.ensureDeferred
async def test_strports_service() -> None:
    """strports.service binds when it is started, refuses a taken port at once, and unbinds when it is stopped."""
    taken = reactor.listenUDP(0, DatagramProtocol(), interface="127.0.0.1")
    port = taken.getHost().port
    first = service(f"utp:{port}:interface=127.0.0.1", Site(Echoing()), reactor)
    with pytest.raises(CannotListenError):
        first.privilegedStartService()
    await taken.stopListening()
    second = service(f"utp:{port}:interface=127.0.0.1", Site(Echoing()), reactor)
    second.privilegedStartService()
    second.startService()
    await second.stopService()
    await (await serverFromString(reactor, f"utp:{port}:interface=127.0.0.1").listen(Site(Echoing()))).stopListening()


# --- Lines, AMP, Perspective Broker -------------------------------------------------------------------------------


class Reverse(LineReceiver):
    """
    Returns each line reversed.
    """

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line[::-1])
        if line == b"quit":
            self.transport.loseConnection()


@pytest_twisted.ensureDeferred
async def test_lines(ports: Ports) -> None:
    """A LineReceiver answers line by line and closes."""
    port = await listen(ports, Factory.forProtocol(Reverse))
    asking = Asking(b"one\r\ntwo\r\nquit\r\n")
    await client_of(port).connect(asking)
    assert await asking.answer == b"eno\r\nowt\r\ntiuq\r\n"


@pytest_twisted.ensureDeferred
async def test_ipv6_string(ports: Ports) -> None:
    """An escaped IPv6 literal works for both ends, and utp6: listens on all addresses."""
    for server in (r"utp:0:interface=\:\:1", "utp6:0"):
        port = await listen(ports, Factory.forProtocol(Reverse), server)
        asking = Asking(b"quit\r\n")
        await clientFromString(reactor, rf"utp:host=\:\:1:port={port}").connect(asking)
        assert await asking.answer == b"tiuq\r\n"


class Sum(amp.Command):
    """
    Adds.
    """

    arguments = [(b"a", amp.Integer()), (b"b", amp.Integer())]
    response = [(b"total", amp.Integer())]


class Adder(amp.AMP):
    """
    Adds when asked.
    """

    @Sum.responder
    def sum(self, a: int, b: int) -> dict[str, int]:
        return {"total": a + b}


class TLSAdder(Adder):
    """
    Speaks TLS when asked.
    """

    certificate: Any = None

    @amp.StartTLS.responder
    def startTLS(self) -> dict[str, Any]:
        return {"tls_localCertificate": self.certificate}


@pytest_twisted.ensureDeferred
async def test_amp(ports: Ports) -> None:
    """Many AMP commands at once get their answers."""
    port = await listen(ports, Factory.forProtocol(Adder))
    client = await client_of(port).connect(Factory.forProtocol(amp.AMP))
    calls = [client.callRemote(Sum, a=number, b=1) for number in range(100)]
    assert [(await call)["total"] for call in calls] == list(range(1, 101))
    await _closed(client)


@pytest_twisted.ensureDeferred
async def test_amp_starts_tls(ports: Ports, certificate: tuple[PrivateCertificate, Path]) -> None:
    """AMP upgrades to TLS in mid-stream; the transport it holds is a TLS transport from then on."""
    private, folder = certificate
    server = type("Server", (TLSAdder,), {"certificate": private})
    port = await listen(ports, Factory.forProtocol(server))
    client = await client_of(port).connect(Factory.forProtocol(amp.AMP))
    assert (await client.callRemote(Sum, a=1, b=2))["total"] == 3
    authority = Certificate.loadPEM((folder / "localhost.pem").read_bytes())
    await client.callRemote(amp.StartTLS, tls_verifyAuthorities=[authority])
    assert (await client.callRemote(Sum, a=3, b=4))["total"] == 7
    assert ISSLTransport.providedBy(client.transport) and client.transport.getPeerCertificate() is not None
    await _closed(client)


class Root(pb.Root):
    """
    Echoes.
    """

    def remote_echo(self, what: Any) -> Any:
        return what


@pytest_twisted.ensureDeferred
async def test_perspective_broker(ports: Ports) -> None:
    """A remote object answers."""
    port = await listen(ports, pb.PBServerFactory(Root()))
    factory = pb.PBClientFactory()
    await client_of(port).connect(factory)
    root = await factory.getRootObject()
    assert await root.callRemote("echo", ["a", {"b": 1}]) == ["a", {"b": 1}]
    lost: Deferred[None] = Deferred()
    root.broker.notifyOnDisconnect(lambda: lost.callback(None))
    factory.disconnect()
    await lost


@pytest_twisted.ensureDeferred
async def test_names(ports: Ports, tmp_path: Path) -> None:
    """DNS messages over a stream (RFC 1035 (4.2.2)): a server of twisted.names answers many questions at once."""
    hosts = {f"host{number}.test": f"192.0.2.{number}" for number in range(100)}
    table = tmp_path / "hosts"
    table.write_text("".join(f"{address} {name}\n" for name, address in hosts.items()))
    port = await listen(ports, DNSServerFactory(clients=[HostsResolver(str(table))]))
    opened: Deferred[None] = Deferred()
    controller = Controller(opened)
    client = await client_of(port).connect(Factory.forProtocol(lambda: dns.DNSProtocol(controller)))
    await opened
    asked = [client.query([dns.Query(name.encode(), dns.A, dns.IN)]) for name in hosts]
    answers = [(await message).answers[0].payload.dottedQuad() for message in asked]
    assert answers == list(hosts.values())
    await _closed(client)


class Controller:
    """
    What a C{DNSProtocol} reports to.
    """

    def __init__(self, opened: Deferred[None]) -> None:
        self.opened = opened

    def connectionMade(self, protocol: Any) -> None:
        """It is open."""
        self.opened.callback(None)

    def connectionLost(self, protocol: Any) -> None:
        """It is over."""


async def _closed(client: Any) -> None:
    lost: Deferred[None] = Deferred()
    before = client.connectionLost

    def connectionLost(reason: Any) -> None:
        before(reason)
        lost.callback(None)

    client.connectionLost = connectionLost
    client.transport.loseConnection()
    await lost


# --- TLS ----------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_wrapped_tls(ports: Ports, certificate: tuple[PrivateCertificate, Path]) -> None:
    """wrapServerTLS and wrapClientTLS work over our endpoints, and so does tls:...:endpoint=utp."""
    private, folder = certificate
    server, lines = serverFromString(reactor, "utp:0:interface=127.0.0.1"), Factory.forProtocol(Reverse)
    if hasattr(endpoints, "wrapServerTLS"):
        ports.append(await endpoints.wrapServerTLS(private.options(), server).listen(lines))
    else:  # before Twisted 25
        ports.append(await server.listen(TLSMemoryBIOFactory(private.options(), False, lines)))
    port = ports[-1].getHost().port
    trusted = optionsForClientTLS("localhost", Certificate.loadPEM((folder / "localhost.pem").read_bytes()))
    inner = quoteStringArgument(f"utp:127.0.0.1:{port}")
    string = f"tls:localhost:443:endpoint={inner}:trustRoots={quoteStringArgument(str(folder))}"
    for client in (wrapClientTLS(trusted, client_of(port)), clientFromString(reactor, string)):
        asking = Asking(b"one\r\nquit\r\n")
        await client.connect(asking)
        assert await asking.answer == b"eno\r\ntiuq\r\n"


class Upgrading(LineReceiver):
    """
    A server, or a client, that switches to TLS after the line C{STARTTLS}, like SMTP.
    """

    def __init__(self, context: Any, done: Deferred[list[bytes]] | None = None) -> None:
        self.context = context
        self.done = done
        self.lines: list[bytes] = []

    def connectionMade(self) -> None:
        self.plain = self.transport
        if self.done is not None:
            self.sendLine(b"STARTTLS")

    def lineReceived(self, line: bytes) -> None:
        self.lines.append(line)
        if self.done is None:
            self._serve(line)
        elif line == b"GO":
            self.transport.startTLS(self.context)
            self.sendLine(b"secret " * 2000)
        else:
            self.transport.loseConnection()

    def _serve(self, line: bytes) -> None:
        if line == b"STARTTLS":
            self.sendLine(b"GO")
            self.transport.startTLS(self.context)
        else:
            self.sendLine(line.upper())

    def connectionLost(self, reason: Any = None) -> None:
        assert self.transport is self.plain
        if self.done is not None:
            self.done.callback(self.lines)


@pytest_twisted.ensureDeferred
async def test_start_tls(ports: Ports, certificate: tuple[PrivateCertificate, Path]) -> None:
    """startTLS in the middle of a line protocol: the very transport that both sides hold speaks TLS."""
    private, folder = certificate
    servers: list[Upgrading] = []

    class Server(Factory):
        noisy = False

        def buildProtocol(self, addr: Any) -> Any:
            servers.append(Upgrading(CertificateOptions(private.privateKey.original, private.original)))
            return servers[-1]

    port = await listen(ports, Server())
    done: Deferred[list[bytes]] = Deferred()
    trusted = optionsForClientTLS("localhost", Certificate.loadPEM((folder / "localhost.pem").read_bytes()))
    factory = Factory()
    factory.buildProtocol = lambda addr: Upgrading(trusted, done)  # type: ignore[method-assign]
    await client_of(port).connect(factory)
    assert await done == [b"GO", b"SECRET " * 2000]
    assert servers[0].lines == [b"STARTTLS", b"secret " * 2000]
    assert ISSLTransport.providedBy(servers[0].transport)
