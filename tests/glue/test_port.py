"""
What happens to connections, sockets and delayed calls when an application stops to listen?
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import IListeningPort, ILoggingContext
from twisted.internet.protocol import DatagramProtocol
from twisted.python import log
from zope.interface.verify import verifyClass, verifyObject

from twisted_utp import (
    IUTPListeningPort,
    UTPClientEndpoint,
    UTPConnectionReset,
    UTPPort,
    UTPProtocol,
    UTPServerEndpoint,
)


def test_interfaces(machines: Any) -> None:
    """A port provides what it claims."""
    port = machines.listen()
    for interface in (IListeningPort, IUTPListeningPort, ILoggingContext):
        assert verifyClass(interface, UTPPort) and verifyObject(interface, port)
    assert "Building on 9000" in repr(port) and port.stats().datagrams_received == 0


def test_stop_listening_without_connections(machines: Any) -> None:
    """The socket is closed when the Deferred fires; the factory was started and stopped."""
    port = machines.listen()
    assert port.factory.running == 1
    machines.result(port.stopListening())
    machines.result(port.stopListening())
    assert port.factory.running == 0 and not port.listening
    machines.advance(0)
    machines.assert_clean()


def test_connections_outlive_stop_listening(machines: Any) -> None:
    """Established connections go on, new ones are refused, and the UDP port closes with the last of them."""
    client, server, port = machines.pair()
    fired: list[Any] = []
    port.stopListening().addCallback(fired.append)
    assert fired == [None]  # at once, or a service could not stop before its clients do
    refused = UTPClientEndpoint(machines.client, machines.SERVER, 9000).connect(machines.Building())
    assert "refused" in str(machines.failure(refused))
    client.transport.write(b"still there")
    machines.advance(1)
    assert server.data == b"still there" and len(machines.server.getReaders()) == 1
    server.transport.loseConnection()
    machines.result(server.lost)
    machines.advance(1)
    assert client.reason.check(ConnectionDone)
    machines.assert_clean()


def test_stop_listening_waits_for_last_words(machines: Any) -> None:
    """Connections that have ended for their applications are finished first: nothing is left when it fires."""
    client, server, port = machines.pair()
    client.transport.loseConnection()
    machines.result(server.lost)
    machines.result(port.stopListening())
    machines.advance(0.5)
    machines.assert_clean()


def test_listen_again_at_once(machines: Any) -> None:
    """The same port can be listened on again while old connections hold the socket; they are not disturbed."""
    client, server, port = machines.pair()
    port.stopListening()
    again = machines.listen()
    other = machines.connect()
    client.transport.write(b"old")
    other.transport.write(b"new")
    machines.advance(1)
    assert (server.data, again.factory.built[0].data) == (b"old", b"new")
    assert len(machines.server.getReaders()) == 1


def test_listen_again_as_the_last_connection_ends(machines: Any) -> None:
    """Neither connectionLost of the last connection nor the moment after it is too early to listen again."""
    client, server, port = machines.pair()
    port.stopListening()
    again: list[Any] = []
    endpoint = UTPServerEndpoint(machines.server, 9000)
    server.lost.addCallback(lambda _: endpoint.listen(machines.Building()).addCallback(again.append))
    client.transport.loseConnection()
    machines.advance(5)
    assert again and again[0].listening
    machines.connect()


def test_factories_are_asked_in_order(machines: Any, logged: Any) -> None:
    """The first factory that builds a protocol gets the connection; one that raises is skipped; None from all
    resets it: as with TCP, the client is connected for a moment."""
    protocol = UTPProtocol(machines.server)
    machines.server.listenUDP(9000, protocol)
    second = machines.Building()
    ports = [protocol.listen(machines.Building(lambda: 1 / 0)), protocol.listen(machines.Building(lambda: None))]
    ports.append(protocol.listen(second))
    machines.connect()
    machines.advance(0.1)
    assert len(second.built) == 1 and [type(error) for error in logged] == [ZeroDivisionError]
    ports[2].stopListening()
    rejected = machines.connect()
    machines.result(rejected.lost)
    assert rejected.reason.check(UTPConnectionReset)


def test_closing_the_udp_port(machines: Any) -> None:
    """When the application closes the UDP port itself everything on it ends, and peers are told."""
    protocol = UTPProtocol(machines.server)
    udp = machines.server.listenUDP(9000, protocol)
    port = protocol.listen(machines.Building())
    client = machines.connect()
    machines.advance(0.1)
    udp.stopListening()
    machines.advance(1)
    server = port.factory.built[0]
    assert server.calls == ["made", "lost"] and not port.listening and port.factory.running == 0
    assert machines.server.getDelayedCalls() == [] and "not listening" in repr(port)
    assert client is not None


def test_closing_a_udp_port_tells_every_peer(machines: Any) -> None:
    """Not only those whose RESETs fit what the core hands out at once."""
    server = UTPProtocol(machines.server)
    listening = machines.server.listenUDP(9000, server)
    server.listen(machines.Building())
    endpoint = UTPClientEndpoint(machines.client, machines.SERVER, 9000)
    clients = [machines.result(endpoint.connect(machines.Building())) for _ in range(200)]
    machines.advance(1)
    listening.stopListening()
    machines.advance(1)
    assert [client.reason.type for client in clients] == [UTPConnectionReset] * 200
    machines.assert_clean()


# --- Starting and stopping -----------------------------------------------------------------------------------------


def test_listen_again_after_stop(machines: Any) -> None:
    """startListening after stopListening binds the port again, as with TCP, also while a connection holds it."""
    port = machines.listen()
    machines.result(port.stopListening())
    machines.advance(1)
    machines.assert_clean()
    assert (port.connected, port.disconnected) == (False, True)
    port.startListening()
    port.startListening()
    assert (port.connected, port.disconnected) == (True, False) and port.getHost().port == 9000
    client = machines.connect()
    machines.advance(0.1)
    port.stopListening()
    port.startListening()
    other = machines.connect()
    machines.advance(0.1)
    assert port.factory.running == 1 and len(port.factory.built) == 2
    for one in (client, other):
        one.transport.loseConnection()
    machines.result(port.stopListening())
    machines.advance(1)
    machines.assert_clean()


def test_listen_again_elsewhere(machines: Any) -> None:
    """Port 0 is another port each time, as with TCP."""
    port = machines.listen(port=0)
    before = port.getHost().port
    machines.result(port.stopListening())
    port.startListening()
    assert port.getHost().port != before


def test_listen_again_on_a_taken_port(machines: Any) -> None:
    """What has been taken meanwhile is CannotListenError, and the factory is not started."""
    port = machines.listen()
    machines.result(port.stopListening())
    machines.server.listenUDP(9000, DatagramProtocol())
    with pytest.raises(CannotListenError):
        port.startListening()
    assert not port.listening and port.factory.running == 0


def test_exception_in_stop_factory(machines: Any, logged: Any) -> None:
    """It is the failure of stopListening's Deferred, and of nothing else; the port can start again."""
    port = machines.listen()
    stop = port.factory.doStop
    port.factory.doStop = lambda: 1 / 0
    assert isinstance(machines.failure(port.stopListening()), ZeroDivisionError)
    machines.advance(1)
    machines.assert_clean()
    port.factory.doStop = stop
    port.startListening()
    machines.connect()
    port.factory.doStop = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):  # also while a connection holds the UDP port open
        port.connectionLost()
    assert not logged and not port.listening
    port.connectionLost()


def test_log_messages(machines: Any) -> None:
    """Who starts to listen, and where, and that he stops, is in the log, once each, also on a port that is open."""
    messages: list[str] = []

    def observe(event: Any) -> None:
        messages.append(log.textFromEventDict(event) or "")

    log.addObserver(observe)
    try:
        port, other = machines.listen(), machines.Building()
        shared = port.protocol.listen(other)
        machines.result(shared.stopListening())
        machines.result(port.stopListening())
    finally:
        log.removeObserver(observe)
    own = [message for message in messages if "9000" in message]
    assert own == ["Building starting on 9000", "(uTP Port 9000 Closed)", "(uTP Port 9000 Closed)"]
