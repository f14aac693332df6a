"""
Does one fault stay one fault, whoever shares the UDP port?
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.interfaces import IHalfCloseableProtocol, ILoggingContext
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from zope.interface import implementer

from twisted_utp import UTPClientEndpoint, UTPConfig, UTPConnectionReset, UTPProtocol, UTPServerEndpoint
from twisted_utp.proto.congestion import base
from twisted_utp.proto.congestion.ledbat import Ledbat
from twisted_utp.proto.values import Datagram, Obstacle, ReturnedDatagram, Transmit
from twisted_utp.testing.loss import RandomLoss

FAULTS = [ZeroDivisionError, SystemExit, KeyboardInterrupt]
PROGRAM = Path(__file__).parent / "faults.py"


class Innocents:
    """Two connections that share a client's UDP port with what a test does."""

    def __init__(self, machines: Any) -> None:
        self.machines = machines
        self.port = machines.listen()
        self.clients = [machines.connect(), machines.connect()]
        machines.advance(0.1)
        self.servers = list(self.port.factory.built)

    def assert_unharmed(self) -> None:
        """They still speak to each other, over the one port that there was; the next dial shares it."""
        self.clients.append(self.machines.connect())
        self.machines.advance(0.1)
        self.servers.append(self.port.factory.built[-1])
        for client, server in zip(self.clients, self.servers, strict=True):
            server.data = client.data = b""
            client.transport.write(b"there")
            server.transport.write(b"back")
        self.machines.advance(1)
        assert [(client.data, server.data) for client, server in zip(self.clients, self.servers, strict=True)] == [
            (b"back", b"there")
        ] * len(self.clients)
        assert len(self.machines.client.getReaders()) == 1


@pytest.fixture
def innocents(machines: Any) -> Innocents:
    """They are connected."""
    return Innocents(machines)


def bad(machines: Any, where: str, error: type[BaseException]) -> Any:
    """
    A protocol that raises in one place.
    """

    @implementer(IHalfCloseableProtocol, ILoggingContext)
    class Bad(machines.Recording):  # type: ignore[misc, name-defined]
        def _at(self, place: str) -> None:
            if place == where:
                raise error(place)

        def connectionMade(self) -> None:
            super().connectionMade()
            self._at("connectionMade")

        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            self._at("dataReceived")

        def connectionLost(self, reason: Any = None) -> None:
            super().connectionLost(reason)
            self._at("connectionLost")

        def readConnectionLost(self) -> None:
            self._at("readConnectionLost")

        def writeConnectionLost(self) -> None:
            self._at("writeConnectionLost")

        def logPrefix(self) -> str:
            self._at("logPrefix")
            return "bad"

        def pauseProducing(self) -> None:
            """Wait."""

        def resumeProducing(self) -> None:
            self._at("resumeProducing")

        def stopProducing(self) -> None:
            self._at("stopProducing")

    return Bad


@pytest.mark.parametrize("error", FAULTS)
@pytest.mark.parametrize("where", ["dataReceived", "readConnectionLost", "writeConnectionLost", "resumeProducing"])
def test_callback(machines: Any, innocents: Any, logged: Any, where: str, error: type[BaseException]) -> None:
    """What a callback raises, C{sys.exit} included, is logged, and ends its connection with that; no other."""
    culprit = machines.connect(bad(machines, where, error))
    machines.advance(0.1)
    peer = innocents.port.factory.built[-1]
    if where == "dataReceived":
        peer.transport.write(b"x")
    elif where == "readConnectionLost":
        peer.transport.loseConnection()
    elif where == "writeConnectionLost":
        culprit.transport.loseWriteConnection()
    else:
        culprit.transport.write(b"x")
        culprit.transport.registerProducer(culprit, True)
        culprit.transport.write(bytes(1_000_000))
    machines.advance(2)
    assert culprit.reason.check(error) and culprit.calls.count("lost") == 1
    assert [type(one) for one in logged] == [error]
    assert "lost" in peer.calls
    innocents.assert_unharmed()


@pytest.mark.parametrize("error", FAULTS)
def test_connection_made(machines: Any, innocents: Any, logged: Any, error: type[BaseException]) -> None:
    """A connect whose protocol raises in connectionMade fails with that."""
    factory = machines.Building(bad(machines, "connectionMade", error))
    found: list[Any] = []
    UTPClientEndpoint(machines.client, machines.SERVER, 9000).connect(factory).addErrback(found.append)
    machines.advance(1)
    assert found[0].check(error) and factory.built[0].reason.check(error) and factory.running == 0
    assert [type(one) for one in logged] == [error]
    innocents.assert_unharmed()


@pytest.mark.parametrize("error", FAULTS)
@pytest.mark.parametrize("where", ["connectionLost", "stopProducing"])
def test_last_words(machines: Any, innocents: Any, logged: Any, where: str, error: type[BaseException]) -> None:
    """What is raised when a connection ends is logged; the factory is stopped all the same."""
    factory = machines.Building(bad(machines, where, error))
    culprit = machines.result(UTPClientEndpoint(machines.client, machines.SERVER, 9000).connect(factory))
    culprit.transport.registerProducer(culprit, True)
    culprit.transport.abortConnection()
    machines.advance(1)
    assert [type(one) for one in logged] == [error]
    assert factory.running == 0 and culprit.calls.count("lost") == 1
    innocents.assert_unharmed()


@pytest.mark.parametrize("error", FAULTS)
def test_log_prefix(machines: Any, innocents: Any, logged: Any, error: type[BaseException]) -> None:
    """A protocol whose logPrefix raises is served, under the name that Twisted gives it."""
    culprit = machines.connect(bad(machines, "logPrefix", error))
    assert culprit.transport.logPrefix().startswith("(buggy logPrefix method),client,")
    culprit.transport.write(b"hello")
    machines.advance(1)
    assert innocents.port.factory.built[-1].data == b"hello"
    assert [type(one) for one in logged] == [error]
    innocents.assert_unharmed()


@pytest.mark.parametrize("error", FAULTS)
@pytest.mark.parametrize("where", ["doStart", "doStop", "buildProtocol"])
def test_dialling_factory(machines: Any, innocents: Any, logged: Any, where: str, error: type[BaseException]) -> None:
    """What a factory raises fails its own connect; when it is stopped, it is only logged."""
    factory = machines.Building()

    def fail(*_: Any) -> Any:
        raise error(where)

    setattr(factory, where, fail)
    connecting = UTPClientEndpoint(machines.client, machines.SERVER, 9000).connect(factory)
    found: list[Any] = []
    connecting.addBoth(found.append)
    machines.advance(1)
    if where == "doStop":
        found[0].transport.abortConnection()
        machines.advance(1)
        assert found[0].calls == ["made", "lost"] and [type(one) for one in logged] == [error]
    else:
        assert found[0].check(error) and logged == []
        assert factory.running == 0
    innocents.assert_unharmed()


@pytest.mark.parametrize("error", FAULTS)
@pytest.mark.parametrize("where", ["doStop", "buildProtocol"])
def test_listening_factory(machines: Any, logged: Any, where: str, error: type[BaseException]) -> None:
    """What a factory that listens raises costs its own clients; one that shares its port is served."""
    bad_port, good_port = machines.listen(), machines.listen(sharePort=True)

    def fail(*_: Any) -> Any:
        raise error(where)

    setattr(bad_port.factory, where, fail)
    found: list[Any] = []
    if where == "doStop":
        bad_port.stopListening().addErrback(found.append)
        assert not bad_port.listening and found.pop().check(error)
    client = machines.connect()
    machines.advance(0.1)
    client.transport.write(b"hello")
    machines.advance(1)
    assert good_port.factory.built[0].data == b"hello"
    assert [type(one) for one in logged] == [error] * (where == "buildProtocol")


def test_listening_factory_that_does_not_start(machines: Any) -> None:
    """What startFactory raises fails listen(), and leaves neither a factory nor an open port behind."""
    factory = machines.Building()
    factory.doStart = lambda: 1 / 0
    listening = UTPServerEndpoint(machines.server, 9000).listen(factory)
    assert isinstance(machines.failure(listening), ZeroDivisionError)
    machines.advance(1)
    machines.assert_clean()


@pytest.mark.parametrize("error", FAULTS)
def test_log_prefix_of_a_factory(machines: Any, logged: Any, error: type[BaseException]) -> None:
    """It listens all the same."""

    @implementer(ILoggingContext)
    class Odd(machines.Building):  # type: ignore[misc, name-defined]
        def logPrefix(self) -> str:
            raise error

    machines.listen()
    factory = Odd()
    again = UTPServerEndpoint(machines.server, 9000, sharePort=True)  # a second one, so the message names it
    machines.result(again.listen(factory))
    assert factory.running == 1 and [type(one) for one in logged] == [error]


@pytest.mark.parametrize("error", FAULTS)
def test_adapter(machines: Any, innocents: Any, logged: Any, error: type[BaseException]) -> None:
    """A protocol that cannot say whether it half closes ends with that."""

    class Odd(machines.Recording):  # type: ignore[misc, name-defined]
        def __conform__(self, interface: Any) -> Any:
            raise error

    culprit = machines.connect(Odd)
    machines.advance(0.1)
    innocents.port.factory.built[-1].transport.loseConnection()
    machines.advance(1)
    assert culprit.reason.check(error) and [type(one) for one in logged] == [error]
    innocents.assert_unharmed()


@pytest.mark.parametrize("error", FAULTS)
def test_tracer(machines: Any, innocents: Any, logged: Any, error: type[BaseException]) -> None:
    """A tracer that raises is told no more; the connections that it was told of live."""
    told: list[str] = []

    def tracer(now: int, address: Any, connection_id: int, event: str, **data: Any) -> None:
        told.append(event)
        if event == "packets_acked":
            raise error

    protocol = UTPProtocol(machines.client, tracer=tracer)
    machines.client.listenUDP(0, protocol)
    client = machines.result(protocol.connect(machines.Building(), machines.SERVER, 9000))
    client.transport.write(bytes(100_000))
    machines.advance(2)
    assert len(innocents.port.factory.built[-1].data) == 100_000
    assert told.count("packets_acked") == 1 and told[-1] == "packets_acked"
    assert [type(one) for one in logged] == [error]


@pytest.mark.parametrize("error", FAULTS)
@pytest.mark.parametrize("verdict", ["raises", None, "yes"])
def test_accept_policy(machines: Any, logged: Any, verdict: Any, error: type[BaseException]) -> None:
    """A policy that raises, or answers with something else than a verdict, leaves that SYN unanswered."""
    port = machines.listen()
    client = machines.connect()

    def policy(peer: Any, load: Any) -> Any:
        if verdict == "raises":
            raise error
        return verdict

    port.protocol.accept_policy = policy
    connecting = UTPClientEndpoint(machines.client, machines.SERVER, 9000, timeout=1).connect(machines.Building())
    assert "timeout" in str(machines.failure(connecting)).lower()
    assert {type(one) for one in logged} == {error if verdict == "raises" else TypeError}
    client.transport.write(b"hello")
    machines.advance(1)
    assert port.factory.built[0].data == b"hello"


@pytest.mark.parametrize("error", FAULTS)
@pytest.mark.parametrize("where", ["startProtocol", "datagramReceived", "stopProtocol"])
def test_datagram_protocol(machines: Any, logged: Any, where: str, error: type[BaseException]) -> None:
    """What the protocol beside us raises is its own affair."""

    class Other(DatagramProtocol):
        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            """Hear nothing."""

    def fail(*_: Any) -> Any:
        raise error(where)

    other = Other()
    setattr(other, where, fail)
    server = UTPProtocol(machines.server, other=other)
    listening = machines.server.listenUDP(9000, server)
    server.listen(machines.Building())
    client = machines.connect()
    server.datagramReceived(b"d1:ad2:id20:", ("10.0.0.9", 9))
    client.transport.write(b"hello")
    machines.advance(1)
    assert server._ports[0].factory.built[0].data == b"hello"  # type: ignore[attr-defined]
    listening.stopListening()
    machines.advance(1)
    assert client.calls[-1] == "lost"
    assert [type(one) for one in logged] == [error]


def test_sharing_with_one_that_does_not_start(machines: Any) -> None:
    """share_with() raises what startProtocol does, and the port is free for another."""
    port = machines.listen()
    failing, other = DatagramProtocol(), DatagramProtocol()
    failing.startProtocol = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(ZeroDivisionError):
        port.protocol.share_with(failing)
    port.protocol.share_with(other)
    assert port.protocol.other is other


# --- Congestion controllers ----------------------------------------------------------------------------------------


class Broken(Ledbat):
    """Raises in one place, once it is told to."""

    where, error = "", Exception

    def _at(self, place: str) -> None:
        if place == self.where:
            raise self.error(place)

    def __init__(self, *, mss: int, target_delay: int) -> None:
        self._at("__init__")
        super().__init__(mss=mss, target_delay=target_delay)

    def on_ack(self, *, now: int, sample: Any) -> None:
        self._at("on_ack")
        super().on_ack(now=now, sample=sample)

    def on_idle(self, *, now: int, timeouts: int) -> None:
        self._at("on_idle")
        super().on_idle(now=now, timeouts=timeouts)

    def on_timeout(self, *, now: int, bytes_in_flight: int) -> None:
        self._at("on_timeout")
        super().on_timeout(now=now, bytes_in_flight=bytes_in_flight)

    @property
    def in_slow_start(self) -> bool:
        self._at("in_slow_start")
        return super().in_slow_start


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A controller of that name, for this test."""
    monkeypatch.setattr(base, "_registry", dict(base._registry))

    class OfThisTest(Broken):
        pass

    base.register_congestion_controller("broken", OfThisTest)
    return OfThisTest


@pytest.mark.parametrize("error", FAULTS)
@pytest.mark.parametrize("where", ["__init__", "on_ack", "on_idle", "on_timeout", "in_slow_start"])
def test_controller(
    machines: Any, innocents: Any, logged: Any, broken: Any, where: str, error: type[BaseException]
) -> None:
    """What a congestion controller raises ends the connection that it serves, with that; the peer gets a RESET."""
    owner = innocents.clients[0].transport._owner
    config = UTPConfig(congestion="broken")
    if where == "__init__":
        broken.where, broken.error = where, error
        failure = machines.failure(owner.connect(machines.Building(), machines.SERVER, 9000, config))
        assert type(failure) is error
        innocents.assert_unharmed()
        return
    culprit = machines.result(owner.connect(machines.Building(), machines.SERVER, 9000, config))
    machines.advance(1)
    culprit.transport.write(bytes(20_000))
    machines.advance(30)
    peer = innocents.port.factory.built[-1]
    broken.where, broken.error = where, error
    if where == "on_timeout":
        machines.there.loss = RandomLoss(1.0)
    culprit.transport.write(bytes(20_000))
    machines.advance(5)
    machines.there.loss = None
    machines.advance(30)
    assert culprit.reason.check(error) and culprit.calls.count("lost") == 1
    assert [type(one) for one in logged] == [error]
    assert peer.calls.count("lost") == 1
    innocents.assert_unharmed()


@pytest.mark.parametrize("error", FAULTS)
def test_controller_of_accepted_connections(
    machines: Any, innocents: Any, logged: Any, broken: Any, error: type[BaseException]
) -> None:
    """One that cannot be made refuses the peers that come; the log says why, and not each time."""
    innocents.port.change_settings(congestion="broken")
    broken.where, broken.error = "__init__", error
    for _ in range(3):
        client = machines.connect()
        machines.advance(0.1)
        assert client.reason.check(UTPConnectionReset)
    assert [type(one) for one in logged] == [error]
    innocents.port.change_settings(congestion="ledbat")
    innocents.assert_unharmed()


# --- What belongs to no connection ---------------------------------------------------------------------------------


class Wire:
    """A UDP port by hand, which raises what a test wants."""

    max_segments, max_bytes = 64, 65_000

    def __init__(self) -> None:
        self.sent: list[Transmit] = []
        self.bad: Any = None

    def write(self, datagram: bytes, addr: Any = None) -> None:
        if self.bad is not None and addr == self.bad:
            raise OverflowError("sendto(): port must be 0-65535.")
        self.sent.append(Transmit(addr, datagram, len(datagram)))

    def getHost(self) -> Any:
        from twisted.internet.address import IPv4Address

        return IPv4Address("UDP", "10.0.0.1", 1)


def test_datagram_that_cannot_be_sent(machines: Any) -> None:
    """What the port raises for one datagram harms none of those that leave with it."""
    clock, wire = Clock(), Wire()
    clock.advance(1)
    protocol = UTPProtocol(clock, clock=lambda: int(clock.seconds() * 1e6))
    protocol.makeConnection(wire)
    wire.bad = ("10.0.0.2", 2)
    failed: list[Any] = []
    for number in range(1, 4):
        protocol.connect(machines.Building(), "10.0.0.2", number).addErrback(failed.append)
    clock.advance(0)
    assert {sent.address for sent in wire.sent} == {("10.0.0.2", 1), ("10.0.0.2", 3)}
    assert [failure.type for failure in failed] == [OverflowError]


@pytest.mark.parametrize("error", FAULTS)
@pytest.mark.parametrize("entry", ["datagrams_received", "datagrams_returned", "port_writable", "timer", "flush"])
def test_nothing_reaches_the_reactor(machines: Any, logged: Any, entry: str, error: type[BaseException]) -> None:
    """A clock that fails once, say, is logged, and the wheel is turned again a moment later."""
    clock, wire = Clock(), Wire()
    clock.advance(1)
    failing: list[BaseException] = []

    def now() -> int:
        if failing:
            raise failing.pop()
        return int(clock.seconds() * 1e6)

    protocol = UTPProtocol(clock, clock=now)
    protocol.makeConnection(wire)
    protocol.connect(machines.Building(), "10.0.0.2", 2)
    clock.advance(0)
    wire.sent.clear()
    if entry == "flush":
        protocol._request_flush()
    if entry == "port_writable":
        protocol._unsent = [Transmit(("10.0.0.2", 2), b"x", 1)]
    failing.append(error())
    if entry == "datagrams_received":
        protocol.datagrams_received([Datagram(b"\x21\x00", ("10.0.0.2", 2))])
    elif entry == "datagrams_returned":
        protocol.datagrams_returned([ReturnedDatagram(("10.0.0.2", 2), b"", Obstacle.TOO_BIG)])
    elif entry == "port_writable":
        protocol.port_writable()
    clock.pump([0.05] * 100)
    assert [type(one) for one in logged] == [error] and not failing
    assert wire.sent  # SYNs are repeated


def test_a_fault_that_repeats_is_not_repeated_in_the_log(machines: Any, logged: Any) -> None:
    """A clock that fails for ever costs ten turns a second, and neither the log nor the processor."""
    clock, wire = Clock(), Wire()
    calls: list[None] = []

    def now() -> int:
        calls.append(None)
        raise ZeroDivisionError

    protocol = UTPProtocol(clock, clock=lambda: 1_000_000)
    protocol.makeConnection(wire)
    protocol.clock = now
    protocol._request_flush()
    clock.pump([0.01] * 1000)
    assert 50 < len(calls) < 210 and len(logged) == 1


# --- On the machine's own reactors ---------------------------------------------------------------------------------


def outcome(start_python: Any, kind: str, reactor: str) -> Any:
    """What the program's connections were told."""
    return start_python(PROGRAM, kind, reactor).wait_for_event("outcome")["lost"]


@pytest.mark.parametrize("reactor", ["select", "poll", "epoll", "asyncio"])
def test_as_tcp(start_python: Any, reactor: str) -> None:
    """
    On every reactor what a callback raises ends the connection, and with the reason that TCP gives; the others live.

    Twisted's asyncio reactor lets C{SystemExit} in dataReceived pass, and TCP connections stay open, deaf: there, uTP
    does what TCP does on the others.
    """
    utp = outcome(start_python, "utp", reactor)
    assert utp == outcome(start_python, "tcp", "epoll" if reactor == "asyncio" else reactor)
    assert utp["dataReceived SystemExit"] == ["SystemExit"]
