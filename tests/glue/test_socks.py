"""
Do connections go through a SOCKS5 proxy, all of them and nowhere else, and does everybody hear of its end?
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.protocol import DatagramProtocol

from tests.glue.socks_proxy import Proxy
from twisted_utp import (
    SOCKS5Proxy,
    UTPClientEndpoint,
    UTPConfig,
    UTPProtocol,
    UTPProxyError,
    UTPProxyLost,
    UTPProxyTimedOut,
    UTPServerEndpoint,
)
from twisted_utp._causes import Kind, cause_of
from twisted_utp.proto.values import Datagram
from twisted_utp.testing import MILLISECOND, Link, Network, Simulator
from twisted_utp.testing.reactor import SimulatedReactor
from twisted_utp.testing.wire import DATA, SYN, Header, encode
from twisted_utp.udp.socks_header import header_for

CLIENT, SERVER, PROXY = "10.0.0.1", "10.0.0.2", "10.0.0.3"


class Through:
    """
    A client, a server and a proxy, and what passes directly between the former two: nothing should.
    """

    def __init__(self, machines: Any) -> None:
        self.Recording, self.Building = machines.Recording, machines.Building
        self.simulator = Simulator(seed=1)
        network = Network(self.simulator)
        hosts = [network.add_host(address) for address in (CLIENT, SERVER, PROXY)]
        links = {}
        for one, other in ((0, 2), (2, 1), (0, 1)):
            there, back = (Link(self.simulator, delay=5 * MILLISECOND) for _ in range(2))
            network.join(hosts[one], hosts[other], there=[there], back=[back])
            links[one, other] = there
        self.directly: list[Any] = []
        links[0, 1].taps.append(self.directly.append)
        self.to_proxy: list[Any] = []
        links[0, 2].taps.append(self.to_proxy.append)
        self.client, self.server, proxy_reactor = (SimulatedReactor(host) for host in hosts)
        self.client.nameResolver = self  # raises
        self.proxy = Proxy(self.client, proxy_reactor)
        self.proxy.names["far.example"] = SERVER
        self.settings = SOCKS5Proxy(PROXY, endpoint=self.proxy)

    def listen(self) -> Any:
        return self.client.wait_for(UTPServerEndpoint(self.server, 9000).listen(self.Building()))

    def dial(self, host: str = SERVER, **keywords: Any) -> Any:
        endpoint = UTPClientEndpoint(self.client, host, 9000, proxy=self.settings, **keywords)
        return endpoint.connect(self.Building())

    def connect(self, host: str = SERVER, **keywords: Any) -> Any:
        return self.client.wait_for(self.dial(host, **keywords))

    def failure(self, deferred: Any) -> Any:
        caught: list[Any] = []
        deferred.addErrback(caught.append)
        self.client.wait_for(deferred)
        return caught[0].value

    def assert_clean(self) -> None:
        """Nothing has gone past the proxy, and nothing of us is left."""
        assert not self.directly
        assert all(control.is_closed for control in self.proxy.controls)
        assert self.client.getReaders() == [] and self.client.getDelayedCalls() == []


@pytest.fixture
def through(machines: Any) -> Iterator[Through]:
    """All of it; at the end nothing is left."""
    made = Through(machines)
    yield made
    made.client.advance(200)
    made.assert_clean()


@pytest.mark.parametrize("host", [SERVER, "far.example", "FAR.example"])
def test_both_ways(through: Through, host: str) -> None:
    """Streams are whole; the server sees the proxy, and the client the server, by whatever name it dialled it."""
    port = through.listen()
    data = random.Random(1).randbytes(300_000)
    ours = through.connect(host)
    ours.transport.write(data)
    through.client.advance(20)
    theirs = port.factory.built[0]
    assert theirs.data == data
    theirs.transport.write(data[::-1])
    through.client.advance(20)
    assert ours.data == data[::-1]
    assert theirs.transport.getPeer().host == PROXY
    assert (ours.transport.getPeer().host, ours.transport.getPeer().port) == (SERVER, 9000)
    assert ours.transport.getHost().host == CLIENT
    ours.transport.loseConnection()
    through.client.advance(1)
    assert ours.reason.check(ConnectionDone) and theirs.reason.check(ConnectionDone)
    asked = {name for relay in through.proxy.relays for name in relay.asked}
    assert asked == ({SERVER, "far.example"} if "." in host and "x" in host else {SERVER})


def test_control_connections(through: Through) -> None:
    """Those who dial addresses share one, also while it opens; each name has its own.  All end with the last user."""
    through.listen()
    first = [through.dial(), through.dial()]
    protocols = [through.client.wait_for(one) for one in first] + [through.connect()]
    assert len(through.proxy.controls) == 1
    protocols += [through.connect("far.example"), through.connect("far.example")]
    assert len(through.proxy.controls) == 3
    for protocol in protocols:
        assert not protocol.calls.count("lost")
        protocol.transport.loseConnection()
    through.client.advance(100)
    assert all(control.is_closed for control in through.proxy.controls)
    protocol = through.connect()
    assert len(through.proxy.controls) == 4
    protocol.transport.loseConnection()


def test_the_end_of_the_proxy(through: Through) -> None:
    """All its connections are told at once, with the cause; who is dialling as well; who dials later begins anew."""
    through.listen()
    ours = [through.connect(), through.connect("far.example")]
    dialling = through.dial("10.0.0.99")
    through.client.advance(0.2)
    for control in through.proxy.controls:
        control.lose(ConnectionLost("the cable was cut"))
    assert isinstance(through.failure(dialling), UTPProxyError)
    through.client.advance(0.01)
    for protocol in ours:
        assert protocol.reason.check(UTPProxyLost) and protocol.reason.check(ConnectionLost)
        assert str(protocol.reason.value).startswith(f"SOCKS5 proxy {PROXY}:1080: ")
        assert "the cable was cut" in str(protocol.reason.value)
    sent = len(through.to_proxy)
    through.client.advance(5)
    assert len(through.to_proxy) == sent, "nothing leaves any more"
    again = through.connect()
    assert len(through.proxy.controls) == 3
    again.transport.loseConnection()


def test_a_refused_connect(through: Through) -> None:
    """That is still the peer's own answer, also under a name."""
    through.listen().protocol.accept_policy = lambda address, load: False
    for host in (SERVER, "far.example"):
        assert isinstance(through.failure(through.dial(host)), ConnectionRefusedError)


def test_refusals(through: Through) -> None:
    """They fail the connect at once, with the proxy's reason."""
    through.proxy.answers = [b"\5\0", b"\5\7\0\1" + bytes(6)]
    began = through.client.seconds()
    error = through.failure(through.dial())
    assert isinstance(error, UTPProxyError) and isinstance(error, ConnectError)
    assert (str(error), error.code) == (f"SOCKS5 proxy {PROXY}:1080: it does not relay UDP", 7)
    assert (error.proxy, error.reason) == (f"{PROXY}:1080", "it does not relay UDP")
    assert through.client.seconds() - began < 0.1
    cause = cause_of(error)
    assert (cause.kind, cause.what) == (Kind.PROXY, str(error))
    through.proxy.answers = [b"\5\xff"]
    assert "without a login" in str(through.failure(through.dial()))


def test_a_login(through: Through) -> None:
    """User and password are those of the settings; the password is in no text."""
    through.settings = SOCKS5Proxy(PROXY, 1080, "m\xfc", "secret", through.proxy)
    through.proxy.answers = [b"\5\2", b"\1\1"]
    error = through.failure(through.dial())
    assert error.reason == "it refused the user or the password"
    assert b"\1\3m\xc3\xbc\6secret" in through.proxy.controls[0].heard
    assert "secret" not in f"{error} {error!r} {through.settings!r} {through.settings}"


def test_a_proxy_that_cannot_be_reached(through: Through) -> None:
    """Its failure is the proxy's, not the peer's."""
    through.proxy.refuses = ConnectionRefusedError(111, "nobody there")
    error = through.failure(through.dial())
    assert isinstance(error, UTPProxyError) and not isinstance(error, ConnectionRefusedError)
    assert error.reason.startswith("cannot connect to it: ") and "nobody there" in error.reason


def test_a_proxy_that_hangs_up(through: Through) -> None:
    """In the middle of the negotiation."""
    through.proxy.answers = []
    dialling = through.dial()
    through.client.advance(0.05)
    through.proxy.controls[0].lose(ConnectionDone())
    assert through.failure(dialling).reason == "it closed the control connection"


@pytest.mark.parametrize("answers", [None, [], [b"\5\0"], [b"\5\0", b"\5\0\0\3\xff"]])
def test_silence_of_the_proxy(through: Through, answers: Any) -> None:
    """At any step it ends after the connect timeout."""
    through.proxy.is_silent = answers is None
    through.proxy.answers = answers or []
    began = through.client.seconds()
    error = through.failure(through.dial(timeout=3))
    assert isinstance(error, UTPProxyTimedOut) and isinstance(error, TimeoutError)
    assert through.client.seconds() - began == pytest.approx(3)
    assert str(error) == f"SOCKS5 proxy {PROXY}:1080: no answer in time" and cause_of(error).kind is Kind.PROXY


@pytest.mark.parametrize("host", [SERVER, "far.example", "nowhere.example"])
def test_silence_of_the_peer(through: Through, host: str) -> None:
    """The timeout is for the proxy and the peer together."""
    began = through.client.seconds()
    error = through.failure(through.dial(host, timeout=3))
    assert isinstance(error, TimeoutError) and not isinstance(error, UTPProxyError)
    assert through.client.seconds() - began == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("seconds", [0, 0.005, 0.015, 0.04, 0.5])
@pytest.mark.parametrize("host", [SERVER, "far.example"])
def test_cancelling(through: Through, host: str, seconds: float) -> None:
    """At any step: the connect fails, and what was for it alone ends."""
    dialling = through.dial(host)
    through.client.advance(seconds)
    dialling.cancel()
    assert isinstance(through.failure(dialling), ConnectingCancelledError)


def test_cancelling_one_of_two(through: Through) -> None:
    """The other goes on."""
    through.listen()
    one, other = through.dial(), through.dial()
    one.cancel()
    assert isinstance(through.failure(one), ConnectingCancelledError)
    through.client.wait_for(other).transport.loseConnection()


def test_the_relays_own_address(through: Through) -> None:
    """Zeros stand for the proxy's; another address is used as it is."""
    through.listen()
    through.proxy.bound = "::"
    through.connect().transport.loseConnection()
    through.client.advance(60)
    through.proxy.bound = PROXY
    through.connect().transport.loseConnection()
    through.client.advance(60)
    through.proxy.bound = "10.0.0.77"
    assert isinstance(through.failure(through.dial(timeout=1)), TimeoutError)


def test_strangers(through: Through) -> None:
    """What does not come from the relay is dropped and counted, also if it has a header."""
    port = through.listen()
    ours = through.connect()
    protocol = ours.transport._owner
    stranger = through.server.listenUDP(0, DatagramProtocol())
    for datagram in (header_for(SERVER, 9000) + b"x" * 20, b"y"):
        stranger.write(datagram, (CLIENT, protocol.getHost().port))
    through.client.advance(1)
    stats = protocol.stats()
    assert (stats.proxy_dropped, stats.malformed, stats.not_utp) == (2, 0, 0)
    assert port.stats().proxy_dropped == 0
    ours.transport.loseConnection()


@pytest.mark.parametrize("name", [b"a:b", b"\0", b"far.example"])
def test_datagrams_from_names(through: Through, name: bytes) -> None:
    """A proxy may say what it likes about where a datagram came from; what no answer could be sent to is dropped."""
    port = through.listen()
    ours = through.connect()
    protocol = ours.transport._owner
    written = bytes((0, 0, 0, 3, len(name))) + name + b"\x23\x28"
    for kind in (DATA, SYN):
        stray = written + encode(Header(kind, 77, 1, 1, 1000, 5, 1, payload=b"?" * (kind == DATA)))
        protocol._udp_port.datagrams_received([Datagram(stray, protocol._udp_port._relay)])
    through.client.advance(1)
    ours.transport.write(b"still there")
    through.client.advance(1)
    assert bytes(port.factory.built[0].data) == b"still there"
    stats = protocol.stats()
    assert (stats.proxy_dropped, stats.resets_sent) == ((0, 2) if name == b"far.example" else (2, 0))
    ours.transport.loseConnection()


def test_sizes(through: Through) -> None:
    """A size that was set is what leaves, header and all; without one the search finds what fits beside it."""
    port = through.listen()
    ours = through.connect(config=UTPConfig(mtu=1000))
    ours.transport.write(bytes(100_000))
    through.client.advance(5)
    assert len(port.factory.built[0].data) == 100_000
    assert max(len(packet.data) for packet in through.to_proxy) == 1000
    ours.transport.loseConnection()


def test_listenUDP(through: Through) -> None:
    """A UTPProtocol of one's own; names are not looked up for it, and nobody else has its port."""
    through.listen()
    protocol = UTPProtocol(through.client, closes_when_idle=True)
    protocol.share_with(DatagramProtocol())
    through.client.wait_for(through.settings.listenUDP(through.client, protocol))
    ours = through.client.wait_for(protocol.connect(through.Building(), SERVER, 9000))
    by_name = UTPClientEndpoint.overProtocol(protocol, "far.example", 9000)
    error = through.failure(by_name.connect(through.Building()))
    assert isinstance(error, ValueError) and "'far.example': expected an address" in str(error)
    for host in (SERVER, "::ffff:" + SERVER):
        endpoint = UTPClientEndpoint.overProtocol(protocol, host, 9000)
        through.client.wait_for(endpoint.connect(through.Building())).transport.loseConnection()
    ours.transport.loseConnection()
    through.client.advance(1)
    protocol.stop_sharing()


def test_listenUDP_cancelled(through: Through) -> None:
    """That is what it is told."""
    opening = through.settings.listenUDP(through.client, UTPProtocol(through.client))
    through.client.advance(0.015)
    opening.cancel()
    assert isinstance(through.failure(opening), CancelledError)


def test_our_own_end_is_taken(through: Through) -> None:
    """Errors of ours are told as ours."""
    error = through.failure(through.dial(bindAddress="10.9.9.9"))
    assert isinstance(error, Exception) and "10.9.9.9" in str(error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"proxy": "socks5://far"}, "proxy='socks5://far': expected a SOCKS5Proxy"),
        ({"bindAddress": ("", 9)}, "bindAddress=.*: expected no port with a proxy"),
        ({"host": "fe80::1%3"}, "host='fe80::1%3': expected no scope"),
        ({"host": "a" * 64 + ".example"}, "expected an address, or a name of at most 255"),
        ({"host": "a:b"}, "host='a:b': expected a name or an address"),
    ],
)
def test_arguments(arguments: dict[str, Any], message: str) -> None:
    """What cannot be is refused where it is given."""
    given = {"host": SERVER, "port": 9000, "proxy": SOCKS5Proxy(PROXY), **arguments}
    with pytest.raises((TypeError, ValueError), match=message):
        UTPClientEndpoint(None, **given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"host": ""}, "host='': expected a name or an address"),
        ({"port": 0}, "port=0: expected an integer from 1 to 65535"),
        ({"user": "me"}, "user and password: expected both, or neither"),
        ({"password": "secret"}, "user and password: expected both, or neither"),
        ({"user": "u" * 256, "password": "p"}, "user: expected 1 to 255 bytes"),
        ({"user": "u", "password": "p\xfc" * 86}, "password: expected 1 to 255 bytes"),
        ({"user": "u", "password": ""}, "password: expected 1 to 255 bytes"),
        ({"user": b"u", "password": b"p"}, "user: expected str"),
        ({"endpoint": "tcp:far:1080"}, "endpoint=.*: expected an IStreamClientEndpoint"),
    ],
)
def test_proxy_arguments(arguments: dict[str, Any], message: str) -> None:
    """Likewise; no message has the password."""
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        SOCKS5Proxy(**{"host": PROXY, **arguments})
    assert "secret" not in str(caught.value) and "p\xfc" not in str(caught.value)


def test_strings(tmp_path: Path) -> None:
    """The keys are understood, alone and with C{utps:}; the password is a file's first line."""
    (tmp_path / "password").write_bytes(b"pass:word=\xff \nmore\n")
    file = str(tmp_path / "password").replace(":", "\\:")
    string = f"utp:far.example:9000:socks=\\:\\:1:socksUser=me:socksPasswordFile={file}"
    endpoint = clientFromString(None, string)
    assert endpoint._proxy == SOCKS5Proxy("::1", 1080, "me", "pass:word=\udcff ")
    assert endpoint._proxy._login == (b"me", b"pass:word=\xff ")
    tls = clientFromString(None, "utps:far.example:9000:socks=proxy.example:socksPort=9050")
    assert tls._below._proxy == SOCKS5Proxy("proxy.example", 9050)
    with pytest.raises(ValueError, match="socks='192.0.2.1': no such key"):
        serverFromString(None, "utp:9000:socks=192.0.2.1")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("socksPort=1080", "socksPort='1080': expected the proxy's name or address as well"),
        ("socks=", "socks='': expected the proxy's name or address"),
        ("socks=a:socksPort=0", "socksPort='0': expected an integer from 1 to 65535"),
        ("socks=a:socksUser=me", "socksUser and socksPasswordFile: expected both, or neither"),
        ("socks=a:socksUser=me:socksPasswordFile=/nowhere", "socksPasswordFile='/nowhere': No such file"),
        ("socks=a:socksUser=me:socksPasswordFile=/dev/null", "socksPasswordFile: in its first line expected 1 to 255"),
        ("socks=a:bindPort=9", "bindAddress=.*: expected no port with a proxy"),
        ("socks=a:device=lo", "device='lo': not allowed with a proxy"),
        ("socks=a:socksPassword=secret", "socksPassword='secret': no such key"),
    ],
)
def test_wrong_strings(keys: str, message: str) -> None:
    """Each is told when it is parsed."""
    with pytest.raises(ValueError, match=message):
        clientFromString(None, f"utp:far.example:9000:{keys}")


def test_without_a_proxy_names_are_looked_up(machines: Any) -> None:
    """The leak test can fail: this is what it would look like."""
    through = Through(machines)
    endpoint = UTPClientEndpoint(through.client, "far.example", 9000)
    with pytest.raises(AttributeError, match="resolveHostName"):
        endpoint.connect(through.Building())
    through = Through(machines)
    dialling = UTPClientEndpoint(through.client, SERVER, 9000, timeout=0.5).connect(through.Building())
    assert isinstance(through.failure(dialling), (TimeoutError, DNSLookupError)) and through.directly


def test_the_last_word_is_relayed(through: Through) -> None:
    """
    A proxy drops what it has not relayed yet when the control connection ends.  So that comes after the last datagram,
    also when the reactor stops; and everybody who is still connected gets a goodbye.
    """
    port = through.listen()
    through.connect(), through.connect("far.example")
    through.client.advance(1)
    ended: list[float] = []
    for control in through.proxy.controls:
        control.on_close = lambda: ended.append(through.client.seconds())
    sent_at: list[float] = []
    through.proxy.on_relayed = lambda: sent_at.append(through.client.seconds())
    began = through.client.seconds()
    through.client.stop()
    through.client.advance(2)
    assert len(sent_at) >= 2 and len(ended) == 2
    assert min(ended) - max(sent_at) > 0.1 and 0.39 < max(ended) - began < 0.7
    assert all(protocol.reason.check(ConnectionLost) for protocol in port.factory.built)
