"""
Do all who name the same UDP port share its socket?
"""

from __future__ import annotations

import gc
import weakref
from errno import EADDRINUSE
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

from twisted_utp import UTPClientEndpoint, UTPConfig, UTPProtocol
from twisted_utp.errors import UTPConnectionReset
from twisted_utp.proto.packet import STUN_MAGIC_COOKIE


class Node(DatagramProtocol):
    """A second protocol on a port: answers what it gets."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.received: list[Any] = []

    def startProtocol(self) -> None:
        self.calls.append("start")

    def stopProtocol(self) -> None:
        self.calls.append("stop")

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received.append((datagram, addr))
        if datagram.startswith(b"ping"):
            self.transport.write(b"pong" + datagram[4:], addr)


def listen(machines: Any, text: str, factory: Any = None) -> Any:
    """@return: the port."""
    return machines.result(serverFromString(machines.server, text).listen(factory or machines.Building()))


def test_a_second_listener(machines: Any) -> None:
    """As with TCP, a port on which this process listens is in use, unless it is to be shared; later it is free."""
    first = listen(machines, "utp:9000")
    error = machines.failure(serverFromString(machines.server, "utp:9000").listen(machines.Building()))
    assert isinstance(error, CannotListenError) and isinstance(error.socketError, OSError)
    assert error.socketError.errno == EADDRINUSE
    first.stopListening()
    listen(machines, "utp:9000")


@pytest.mark.parametrize("again", ["utp:9000", r"utp:9000:interface=0.0.0.0", "utp:port=9000:backlog=1024"])
def test_two_listening_strings_share(machines: Any, again: str) -> None:
    """They have one socket; the first gets the connections, and the second once the first has stopped."""
    first, second = listen(machines, "utp:9000"), listen(machines, f"{again}:sharePort=1")
    assert len(machines.server.getReaders()) == 1 and first.protocol is second.protocol
    machines.connect()
    assert (len(first.factory.built), len(second.factory.built)) == (1, 0)
    first.stopListening()
    machines.connect()
    assert (len(first.factory.built), len(second.factory.built)) == (1, 1)


def test_first_that_builds_a_protocol(machines: Any) -> None:
    """A factory that returns None passes the connection on; when all do, it is reset."""
    choosy, other = machines.Building(lambda: None), machines.Building()
    listen(machines, "utp:9000", choosy)
    port = listen(machines, "utp:9000:sharePort=1", other)
    machines.connect()
    assert len(choosy.addresses) == len(other.built) == 1
    port.stopListening()
    rejected = machines.connect()
    machines.result(rejected.lost)
    assert rejected.reason.check(UTPConnectionReset)
    assert len(choosy.addresses) == 2


def test_other_settings_do_not_share(machines: Any) -> None:
    """Who listens on a port has one set of settings: another is an error that names the setting."""
    listen(machines, "utp:9000")
    error = machines.failure(
        serverFromString(machines.server, "utp:9000:sharePort=1:noDelay=1").listen(machines.Building())
    )
    assert isinstance(error, CannotListenError) and "no_delay=True: expected False" in str(error.socketError)


def test_dialling_string_shares(machines: Any) -> None:
    """bindPort= dials from a port on which this process listens, with settings of its own."""
    machines.listen()
    own = machines.result(serverFromString(machines.client, "utp:7000").listen(machines.Building()))
    dial = clientFromString(machines.client, f"utp:{machines.SERVER}:9000:bindPort=7000:noDelay=1")
    client = machines.result(dial.connect(machines.Building()))
    assert client.transport.getHost().port == 7000 and client.transport.getTcpNoDelay()
    assert len(machines.client.getReaders()) == 1 and own.listening


def test_dials_share_an_ephemeral_port(machines: Any) -> None:
    """One socket for all that dial with the same settings, as long as one of them is connected."""
    machines.listen()
    first, second, other = machines.connect(), machines.connect(), machines.connect(config=UTPConfig(no_delay=True))
    ports = [protocol.transport.getHost().port for protocol in (first, second, other)]
    assert ports[0] == ports[1] != ports[2]
    assert len(machines.client.getReaders()) == 2
    for protocol in (first, second, other):
        protocol.transport.loseConnection()
    machines.advance(60)
    assert machines.client.getReaders() == []
    assert machines.connect().transport.getHost().port != ports[0]


def test_dials_one_after_the_other(machines: Any) -> None:
    """Who dials when a connection is lost, or in the next turn, dials from the same socket; then that is closed."""
    port = machines.listen()
    ports = []

    class Once(Protocol):
        def connectionMade(self) -> None:
            ports.append(self.transport.getHost().port)
            self.transport.write(b"x")
            self.transport.loseConnection()

        def connectionLost(self, reason: Any) -> None:
            if len(ports) < 20:
                machines.client.callLater(0, dial)

    def dial() -> None:
        clientFromString(machines.client, f"utp:{machines.SERVER}:9000").connect(Factory.forProtocol(Once))

    dial()
    machines.advance(60)
    assert len(ports) == len(port.factory.built) == 20
    assert len(set(ports)) == 1
    assert machines.client.getReaders() == machines.client.getDelayedCalls() == []


def test_an_endpoint_keeps_no_closed_port(machines: Any) -> None:
    """An endpoint that is kept does not keep the port that it last dialled from."""
    machines.listen()
    endpoint = clientFromString(machines.client, f"utp:{machines.SERVER}:9000")
    dialled: list[Any] = []
    endpoint.connect(Factory.forProtocol(Protocol)).addCallback(dialled.append)
    machines.advance(1)
    port = weakref.ref(endpoint._dialled_from())
    dialled.pop().transport.abortConnection()
    machines.advance(60)
    gc.collect()
    assert port() is None


def test_who_gives_up_a_dial_leaves_nothing(machines: Any) -> None:
    """
    Nobody dials again at once when none of the port's connections has ended.  trial lets the reactor turn twice after a
    test, and what is there then is an error.
    """
    dial = UTPClientEndpoint(machines.client, machines.SERVER, 9000).connect(machines.Building())
    dial.addErrback(lambda _: None)
    machines.advance(0)
    assert machines.client.getReaders()
    dial.cancel()
    calls = machines.client.getDelayedCalls()
    machines.client.simulator.step()
    assert machines.client.getReaders() == [], calls


def test_full_ports_are_not_dialled_from(machines: Any) -> None:
    """maxConnections= is a limit of each port; dialling goes on from another."""
    machines.listen()
    config = UTPConfig(max_connections=1)
    first, second = machines.connect(config=config), machines.connect(config=config)
    assert first.transport.getHost().port != second.transport.getHost().port


def test_second_protocol_from_the_start(machines: Any) -> None:
    """It is started and stopped with the port, answers over it, and keeps it open."""
    node, asking = Node(), Node()
    protocol = UTPProtocol(machines.server, other=node, closes_when_idle=True)
    machines.server.listenUDP(9000, protocol)
    port = protocol.listen(machines.Building())
    mine = machines.client.listenUDP(7000, asking)
    mine.write(b"ping 1", (machines.SERVER, 9000))
    machines.connect()
    assert asking.received == [(b"pong 1", (machines.SERVER, 9000))]
    port.factory.built[0].transport.abortConnection()
    machines.advance(1)
    machines.result(port.stopListening())
    mine.write(b"ping 2", (machines.SERVER, 9000))
    machines.advance(1)
    assert asking.received[1:] == [(b"pong 2", (machines.SERVER, 9000))] and node.calls == ["start"]
    protocol.stop_sharing()
    machines.advance(1)
    assert node.calls == ["start", "stop"] and machines.server.getReaders() == []


def test_second_protocol_joins_later(machines: Any) -> None:
    """A port that an endpoint string opened can be shared, once; the second protocol then stops with it."""
    port = listen(machines, "utp:9000")
    node, asking = Node(), Node()
    port.protocol.share_with(node)
    with pytest.raises(RuntimeError, match="shared with"):
        port.protocol.share_with(asking)
    machines.client.listenUDP(7000, asking).write(b"ping", (machines.SERVER, 9000))
    machines.advance(1)
    assert len(asking.received) == 1 and node.calls == ["start"]
    machines.server.getReaders()[0].stopListening()
    machines.advance(1)
    assert node.calls == ["start", "stop"]


def test_stun_answers_are_not_utp(machines: Any) -> None:
    """A STUN response starts as a uTP packet does; its magic cookie tells them apart, and no RESET answers it."""
    port = listen(machines, "utp:9000")
    node, server = Node(), Node()
    port.protocol.share_with(node)
    response = bytes.fromhex("0101000c") + STUN_MAGIC_COOKIE + bytes(24)
    machines.client.listenUDP(3478, server).write(response, (machines.SERVER, 9000))
    machines.advance(1)
    assert [data for data, _ in node.received] == [response] and server.received == []


def test_closing_while_sharing(machines: Any) -> None:
    """stop_sharing() before the port was opened, and without anybody to stop, does nothing."""
    protocol = UTPProtocol(machines.server, other=Node())
    protocol.stop_sharing()
    protocol.stop_sharing()
    assert protocol.other is None
