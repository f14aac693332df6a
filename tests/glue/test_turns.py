"""
Do calls come in the order in which TCP's come, however much one batch brings?

What a protocol asks the reactor to call later, with no delay, comes before the next event of the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from twisted_utp import UTPClientEndpoint, UTPConnectionReset
from twisted_utp.testing.packet import Packet


class Marking(Protocol):
    """
    Has a call made after each event; C{on} is what else an event leads to.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.data = b""
        self.on: dict[str, Callable[[Marking], object]] = {}
        self.reason: Any = None

    def note(self, event: str) -> None:
        """It has come."""
        self.calls.append(event)
        if not event.startswith("after"):
            self.transport.reactor.callLater(0, self.note, f"after {event}")  # type: ignore[union-attr]
        self.on.get(event, lambda _: None)(self)

    def connectionMade(self) -> None:
        self.note("made")

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self.note("data")

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason
        self.note("lost")


@implementer(IHalfCloseableProtocol)
class HalfMarking(Marking):
    """
    One that lives on when one direction is closed.
    """

    def readConnectionLost(self) -> None:
        self.note("read lost")

    def writeConnectionLost(self) -> None:
        self.note("write lost")


ONE_BY_ONE = ["made", "after made", "data", "after data", "lost", "after lost"]


class Ends:
    """
    A client, and a server that reads late: what has come for it meanwhile comes in one batch.
    """

    def __init__(self, machines: Any, kind: Any = Marking) -> None:
        self.machines = machines
        self.port = machines.listen(kind)
        self.client: Protocol = machines.Recording()

    def dial(self) -> None:
        """The client's SYN has arrived; what C{connectionMade} sends has not."""
        factory = Factory()
        factory.buildProtocol = lambda addr: self.client  # type: ignore[method-assign,assignment]
        UTPClientEndpoint(self.machines.client, self.machines.SERVER, 9000).connect(factory)
        self.machines.advance(0.007)

    def batch(self) -> Any:
        """@return: the server's protocol, to which all has been told that came within 50 ms."""
        socket = self.port.protocol._port._transport._port
        waiting: list[Packet] = []
        receive, socket.receive = socket.receive, waiting.extend
        self.machines.advance(0.05)
        socket.receive = receive
        receive(waiting)
        self.machines.advance(0)
        return self.port.factory.built[-1]


@pytest.fixture
def ends(machines: Any) -> Ends:
    """One client and one server."""
    return Ends(machines)


def test_all_at_once(ends: Ends) -> None:
    """A batch may bring the connection itself, the first data and the end: they come in three turns."""

    def send() -> None:
        ends.client.transport.write(b"x")
        ends.client.transport.loseConnection()

    ends.client.on_made = send  # type: ignore[attr-defined]
    ends.dial()
    protocol = ends.batch()
    assert protocol.calls == ONE_BY_ONE
    assert protocol.data == b"x" and protocol.reason.check(ConnectionDone)


def test_beside_others(machines: Any) -> None:
    """What one connection asks for comes before its own next event, also if another's was to be told before that."""
    port = machines.listen(Marking)
    socket = port.protocol._port._transport._port
    clients = [machines.connect(port=9000) for _ in range(2)]
    machines.advance(0.1)
    waiting: list[Packet] = []
    receive, socket.receive = socket.receive, waiting.extend
    for client in clients:
        client.transport.write(b"x")
        client.transport.loseConnection()
    machines.advance(0.05)
    socket.receive = receive
    receive(waiting)
    machines.advance(0.05)
    assert [protocol.calls for protocol in port.factory.built] == [ONE_BY_ONE, ONE_BY_ONE]


def test_a_connection_in_each_turn(machines: Any) -> None:
    """What is to be sent leaves also if each turn brings another connection, with data."""
    port = machines.listen(Marking)
    factory = machines.Building(Marking)
    build = factory.buildProtocol

    def build_writing(addr: Any) -> Any:
        protocol = build(addr)
        protocol.on["made"] = lambda self: self.transport.write(b"x")
        return protocol

    factory.buildProtocol = build_writing
    for _ in range(6):
        UTPClientEndpoint(machines.client, machines.SERVER, 9000).connect(factory)
    machines.advance(0.007)
    socket = port.protocol._port._transport._port
    batches: dict[bytes, list[Packet]] = {}  # by connection id
    receive = socket.receive
    socket.receive = lambda came: [batches.setdefault(packet.data[2:4], []).append(packet) for packet in came]
    machines.advance(0.05)
    waiting, sent = list(batches.values()), []
    build_there = port.factory.buildProtocol

    def answer(protocol: Marking) -> None:
        protocol.transport.write(b"y")
        if waiting:
            receive(waiting.pop())

    def build_reading(addr: Any) -> Any:
        protocol = build_there(addr)
        protocol.on["made"] = lambda _: sent.append(port.protocol.stats().datagrams_sent)
        protocol.on["data"] = answer
        return protocol

    port.factory.buildProtocol = build_reading
    receive(waiting.pop())
    machines.advance(0)
    assert len(sent) == 6 and sent[-1] > sent[0]


def test_a_reset(ends: Ends) -> None:
    """The same with a reset at the end: what came before it is not lost."""
    ends.client.on_made = lambda: ends.client.transport.write(b"x")  # type: ignore[attr-defined]
    ends.dial()
    ends.machines.client.callLater(0.01, lambda: ends.client.transport.abortConnection())
    protocol = ends.batch()
    assert protocol.calls == ONE_BY_ONE
    assert protocol.data == b"x" and protocol.reason.check(UTPConnectionReset)


def test_data_and_the_end(ends: Ends) -> None:
    """The end of a connection that is there already comes in a turn of its own."""
    ends.dial()
    ends.machines.advance(0.1)
    ends.client.transport.write(b"x")
    ends.client.transport.loseConnection()
    assert ends.batch().calls == ONE_BY_ONE


@pytest.mark.parametrize("pauses", [False, True])
def test_paused(ends: Ends, pauses: bool) -> None:
    """What waits for its turn can still be paused for, and then waits until reading is resumed."""
    ends.client.on_made = lambda: ends.client.transport.write(b"x")  # type: ignore[attr-defined]
    build = ends.port.factory.buildProtocol

    def build_pausing(addr: Any) -> Any:
        protocol = build(addr)
        protocol.on["made"] = lambda self: self.transport.pauseProducing()
        if not pauses:
            protocol.on["after made"] = lambda self: self.transport.resumeProducing()
        return protocol

    ends.port.factory.buildProtocol = build_pausing
    ends.dial()
    protocol = ends.batch()
    assert protocol.calls == (ONE_BY_ONE[:2] if pauses else ONE_BY_ONE[:4])
    protocol.transport.resumeProducing()
    ends.machines.advance(0)
    assert protocol.calls == ONE_BY_ONE[:4]


def test_the_port_closes_meanwhile(ends: Ends) -> None:
    """There is no next turn: all is told, in order, before the reactor has stopped."""

    def send() -> None:
        ends.client.transport.write(b"x")
        ends.client.transport.loseConnection()

    ends.client.on_made = send  # type: ignore[attr-defined]
    build = ends.port.factory.buildProtocol

    def build_closing(addr: Any) -> Any:
        protocol = build(addr)
        protocol.on["after made"] = lambda self: ends.machines.server._stopped()
        return protocol

    ends.port.factory.buildProtocol = build_closing
    ends.dial()
    protocol = ends.batch()
    assert [call for call in protocol.calls if "after" not in call] == ["made", "data", "lost"]
    assert not ends.machines.server.getReaders() and not ends.machines.server.getDelayedCalls()


def test_half_closed(machines: Any) -> None:
    """The end of one direction comes in a turn of its own, too."""
    ends = Ends(machines, HalfMarking)
    ends.dial()
    machines.advance(0.1)
    ends.client.transport.write(b"x")
    ends.client.transport.loseWriteConnection()
    assert ends.batch().calls[2:] == ["data", "after data", "read lost", "after read lost"]


@pytest.mark.parametrize("close", ["loseConnection", "abortConnection"])
def test_our_own_end(machines: Any, close: str) -> None:
    """Who closes from inside dataReceived is told in another turn, also if nothing is on its way."""
    client, server, _ = machines.pair(server=Marking)
    server.on["data"] = lambda protocol: getattr(protocol.transport, close)()
    client.transport.write(b"x")
    machines.advance(1)
    assert server.calls == ONE_BY_ONE
    assert server.reason.check(ConnectionDone if close == "loseConnection" else ConnectionAborted)
    machines.advance(1)
    assert client.reason is not None


@pytest.mark.parametrize("closes", ["in writeConnectionLost", "before it is told"])
def test_half_closed_by_us(machines: Any, closes: str) -> None:
    """Who half closes in dataReceived is told of it in another turn, unless the rest is closed before that."""
    client, server, _ = machines.pair(server=HalfMarking)
    server.on["data"] = lambda protocol: protocol.transport.loseWriteConnection()
    event = "write lost" if closes == "in writeConnectionLost" else "after data"
    server.on[event] = lambda protocol: protocol.transport.loseConnection()
    client.transport.write(b"x")
    machines.advance(1)
    told = ["write lost", "after write lost"] if closes == "in writeConnectionLost" else []
    assert server.calls[2:] == ["data", "after data", *told, "lost", "after lost"]
    assert server.reason.check(ConnectionDone)


@pytest.mark.parametrize("closes", ["in readConnectionLost", "before it is told", "later"])
def test_both_half_closed(machines: Any, closes: str) -> None:
    """Who has closed half, and whose peer then closes, is told of the end once it has closed the rest, whenever."""
    ends = Ends(machines, HalfMarking)
    ends.client = machines.HalfCloseable()
    ends.dial()
    machines.advance(0.1)
    protocol = ends.port.factory.built[-1]
    if closes == "in readConnectionLost":
        protocol.on["read lost"] = lambda self: self.transport.loseConnection()
    elif closes == "before it is told":
        protocol.on["after data"] = lambda self: self.transport.loseConnection()
    protocol.transport.loseWriteConnection()
    machines.advance(0.1)
    ends.client.transport.write(b"x")
    ends.client.transport.loseConnection()
    ends.batch()
    machines.advance(0.1)
    if closes == "later":
        protocol.transport.loseConnection()
    machines.advance(0)
    order = {
        "in readConnectionLost": ["read lost", "lost", "after read lost", "after lost"],  # as TCP: from within
        "before it is told": ["lost", "after lost"],
        "later": ["read lost", "after read lost", "lost", "after lost"],
    }
    assert protocol.calls[2:] == ["write lost", "after write lost", "data", "after data", *order[closes]]
    assert protocol.reason.check(ConnectionDone)
