"""
Does a reactor that stops let closed connections deliver what they promised, and no longer than that?
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.python.reflect import namedAny

from tests.glue.test_socks import Through
from twisted_utp import UTPConfig, UTPConnectionReset
from twisted_utp._socks_association import PARTING
from twisted_utp.testing import SECOND

KINDS = {"select": "SelectReactor", "poll": "PollReactor", "epoll": "EPollReactor"}


@pytest.fixture
def stop(machines: Any) -> Any:
    """C{stop()} stops the server's reactor; @return: how many seconds that took."""

    def run() -> float:
        machines.back.rate = 8_000_000  # bits a second
        before = machines.simulator.now
        machines.server.stop()
        machines.simulator.run(lambda: not machines.server.running, limit=100 * SECOND)
        assert machines.server.getReaders() == [] and not any(machines.server._triggers.values())
        return float(machines.simulator.now - before) / SECOND

    return run


def test_closed_connections_deliver(machines: Any, stop: Any) -> None:
    """Half a megabyte that was written before loseConnection arrives; both ends are told that all is well."""
    client, server, _ = machines.pair()
    server.transport.write(bytes(500_000))
    server.transport.loseConnection()
    assert 0.4 < stop() < 1
    assert server.reason.check(ConnectionDone)
    machines.advance(1)
    assert len(client.data) == 500_000 and client.reason.check(ConnectionDone)


def test_nothing_on_its_way(machines: Any, stop: Any) -> None:
    """A connection that nobody has closed does not delay the stop; it is lost, and its peer is told."""
    client, server, _ = machines.pair()
    server.transport.write(b"delivered")
    machines.advance(1)
    server.transport.write(bytes(500_000))
    assert stop() == 0
    assert server.reason.type is ConnectionLost
    machines.advance(1)
    assert client.reason.check(UTPConnectionReset)


def test_a_peer_that_goes_on_sending(machines: Any, stop: Any) -> None:
    """It has our FIN, and nobody hears what it sends: it is told, as by a kernel, and does not wait half a minute."""
    client, server, _ = machines.pair(machines.HalfCloseable)
    machines.there.rate = 8_000_000
    client.transport.write(bytes(5_000_000))
    machines.advance(0.1)
    server.transport.loseConnection()
    machines.advance(0.2)
    assert server.reason.check(ConnectionDone) and client.reason is None
    assert stop() == 0
    machines.advance(1)
    assert client.reason.check(UTPConnectionReset)


def test_no_connections(machines: Any, stop: Any) -> None:
    """A port that only listens does not delay the stop either, and its factory is stopped."""
    port = machines.listen()
    assert stop() == 0
    assert port.factory.running == 0


@pytest.mark.parametrize("seconds", [0, 0.5, 2])
def test_bounded(machines: Any, stop: Any, seconds: float) -> None:
    """A peer that is gone holds the stop up for the time of the setting.  What was not even sent is lost."""
    _, server, _ = machines.pair(config=UTPConfig(shutdown_timeout=seconds))
    machines.back.route = lambda packet: []
    server.transport.write(bytes(500_000))
    server.transport.loseConnection()
    assert seconds <= stop() < seconds + 0.02
    assert server.reason.type is ConnectionLost


def test_fin_has_left(machines: Any, stop: Any) -> None:
    """Whose FIN has left is told ConnectionDone, whether or not it has arrived in time, as with TCP."""
    _, server, _ = machines.pair()
    machines.back.route = lambda packet: []
    server.transport.write(b"short")
    server.transport.loseConnection()
    assert stop() >= 2
    assert server.reason.check(ConnectionDone)


def test_repeated_in_time(machines: Any, stop: Any) -> None:
    """What is lost on the way is repeated while the reactor waits."""
    client, server, _ = machines.pair()
    machines.back.route = lambda packet: []
    server.transport.write(b"x" * 1000)
    server.transport.loseConnection()
    machines.advance(0)
    machines.back.route = None
    assert 0 < stop() < 2
    assert len(client.data) == 1000 and server.reason.check(ConnectionDone)


@pytest.mark.parametrize("phase", ["before", "during the wait of another"])
def test_closed_by_a_service_that_stops(machines: Any, stop: Any, phase: str) -> None:
    """twist and twistd stop their services in the same phase: what they close then counts as well."""
    client, server, port = machines.pair()
    other = machines.connect()
    machines.advance(0.1)

    def stop_service() -> Deferred[Any]:
        server.transport.write(bytes(300_000))
        server.transport.loseConnection()
        if phase != "before":
            last = port.factory.built[-1].transport
            machines.server.callLater(0.1, lambda: last.write(bytes(300_000)) or last.loseConnection())
        return port.stopListening()  # type: ignore[no-any-return]

    machines.server.addSystemEventTrigger("before", "shutdown", stop_service)
    assert stop() > 0.2
    machines.advance(1)
    assert len(client.data) == 300_000 and client.reason.check(ConnectionDone)
    assert len(other.data) == (0 if phase == "before" else 300_000)


def test_several_ports(machines: Any, stop: Any) -> None:
    """All UDP ports of the reactor are waited for; one that closes meanwhile is no obstacle."""
    pairs = [machines.pair(port=9000 + number) for number in range(3)]
    for _, server, port in pairs:
        server.transport.write(bytes(100_000))
        server.transport.loseConnection()
        port.stopListening()
    assert stop() > 0.2
    machines.advance(1)
    assert [len(client.data) for client, _, _ in pairs] == [100_000] * 3
    assert all(client.reason.check(ConnectionDone) for client, _, _ in pairs)


def test_told_early(machines: Any, stop: Any) -> None:
    """A protocol that was told at the peer's half close, while its answer is on the way, is waited for as well."""
    client, server, _ = machines.pair(machines.HalfCloseable)
    server.on_data = lambda data: server.transport.write(bytes(300_000))
    client.transport.write(b"question")
    client.transport.loseWriteConnection()
    machines.back.rate = 8_000_000
    machines.result(server.lost)
    assert stop() > 0.2
    machines.advance(1)
    assert len(client.data) == 300_000 and client.calls[-1] == "read lost"


def test_pull_producer_is_awaited(machines: Any, stop: Any) -> None:
    """So is a pull producer that loseConnection waits for."""
    client, server, _ = machines.pair(config=UTPConfig(shutdown_timeout=30))

    class Pieces:
        left = 10

        def resumeProducing(self) -> None:
            self.left -= 1
            server.transport.write(bytes(50_000))
            if not self.left:
                server.transport.unregisterProducer()

    server.transport.registerProducer(Pieces(), False)
    server.transport.loseConnection()
    assert stop() > 0.4
    machines.advance(1)
    assert len(client.data) == 500_000


def test_no_trigger_is_left(machines: Any) -> None:
    """The reactor keeps nothing of ports that have been closed."""
    for _ in range(2):
        ports = [machines.listen(), machines.listen(port=9001)]
        assert len(machines.server._triggers["before", "shutdown"]) == 1
        for port in ports:
            machines.result(port.stopListening())
        machines.advance(1)
        assert machines.server._triggers["before", "shutdown"] == []


def test_a_port_that_begins_to_close(machines: Any, stop: Any) -> None:
    """In the very turn in which nothing is found to wait for: the reactor stops when it has closed, not before."""
    port = machines.listen()
    stopped = port.stopListening()
    assert stop() < 0.02
    assert not port.protocol.is_open and stopped.called
    assert machines.server.getDelayedCalls() == []


def test_an_association_that_ends(machines: Any) -> None:
    """A proxy has its moment to relay what was sent last, also when the connection's end is why the reactor stops."""
    through = Through(machines)
    through.listen()
    client = through.connect()
    client.transport.loseConnection()
    through.client.wait_for(client.lost)
    through.client.advance(0.02)
    before = through.simulator.now
    through.client.stop()
    through.simulator.run(lambda: not through.client.running, limit=10 * SECOND)
    assert through.simulator.now - before > (PARTING - 0.03) * SECOND
    assert client.reason.check(ConnectionDone)
    assert through.client.getDelayedCalls() == [] and through.client.getReaders() == []


def test_an_association_that_does_not_end(machines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control connection that the proxy does not let go does not hold the stop up."""
    port = machines.listen()
    monkeypatch.setattr(port.protocol._port, "stopListening", Deferred)
    port.stopListening()
    machines.server.stop()
    machines.advance(0.9)
    assert machines.server.running
    machines.advance(0.2)
    assert not machines.server.running


@pytest.mark.parametrize("kind", KINDS)
def test_real_reactors(kind: str) -> None:
    """Nothing is left in them either, of a port that begins to close at the last moment."""
    reactor = namedAny(f"twisted.internet.{kind}reactor.{KINDS[kind]}")()
    ports: list[Any] = []
    # Before the trigger of ours, which is there once a port is.
    reactor.addSystemEventTrigger("before", "shutdown", lambda: ports[0].stopListening() and None)
    serverFromString(reactor, "utp:0:interface=127.0.0.1").listen(Factory()).addCallback(ports.append)
    reactor.callWhenRunning(reactor.stop)
    reactor.run(installSignalHandlers=False)
    assert not ports[0].protocol.is_open
    assert reactor.getDelayedCalls() == [] and reactor.removeAll() == []
