"""
What does a forwarder do with its connections?
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

from twisted_utp import UTPClientEndpoint, UTPProtocol, UTPServerEndpoint
from twisted_utp.errors import UTPConnectionReset
from twisted_utp.forward.route import Route

BIG = bytes(range(256)) * 8192  # 2 MiB


def test_both_directions(journey: Any, logged: list[str]) -> None:
    """Bytes pass both ways, and one line tells how many."""
    between = journey()
    between.serve()
    client = between.dial()
    server = between.servers[0]
    client.wire.write(BIG)
    server.wire.write(b"answer")
    between.advance(5)
    assert (server.data, client.data) == (BIG, b"answer")
    client.wire.loseConnection()
    between.advance(1)
    server.wire.loseConnection()
    between.advance(1)
    assert server.finished and server.reason.check(ConnectionDone)
    assert not between.service.relays
    assert logged[-1].startswith("#1 10.0.0.1:")
    assert logged[-1].endswith(f" s, {len(BIG)} bytes sent, 6 bytes received)")
    assert ": closed (" in logged[-1]


def test_half_close(journey: Any) -> None:
    """The end of one direction travels on, and the other direction lives."""
    between = journey()
    between.serve()
    client = between.dial()
    client.wire.write(b"question")
    client.wire.loseWriteConnection()
    between.advance(0.5)
    server = between.servers[0]
    assert (server.data, server.finished, server.reason) == (b"question", True, None)
    server.wire.write(BIG)
    server.wire.loseConnection()
    between.advance(5)
    assert (client.data, client.finished) == (BIG, True)
    client.wire.loseConnection()
    assert client.reason.check(ConnectionDone)
    assert server.reason.check(ConnectionDone)


def test_what_comes_early_is_kept(journey: Any) -> None:
    """A client that talks before the far side is there, and closes its side, loses nothing."""
    between = journey()
    between.serve()
    client = between.dial(seconds=0)
    client.wire.write(b"early")
    client.wire.loseWriteConnection()
    between.advance(1)
    assert (between.servers[0].data, between.servers[0].finished) == (b"early", True)


@pytest.mark.parametrize("from_client", [True, False])
def test_backpressure(journey: Any, from_client: bool) -> None:
    """While the receiver reads nothing, the sender is stopped; the forwarder holds no more than its buffers."""
    between = journey()
    between.serve()
    client = between.dial()
    server = between.servers[0]
    sender, receiver = (client, server) if from_client else (server, client)
    receiver.wire.pauseProducing()
    sender.wire.write(bytes(20_000_000))
    between.advance(60)
    (relay,) = between.service.relays
    end = relay.near if from_client else relay.far
    assert end.received < 12_000_000  # what the receiver takes, and a send buffer
    receiver.wire.resumeProducing()
    between.advance(60)
    assert len(receiver.data) == 20_000_000


@pytest.mark.parametrize("from_client", [True, False])
def test_pause_of_half_an_hour(journey: Any, from_client: bool) -> None:
    """A reader that takes nothing for half an hour while much waits for him has it all when he goes on, as with TCP."""
    between = journey()
    between.serve()
    client = between.dial()
    server = between.servers[0]
    sender, receiver = (client, server) if from_client else (server, client)
    sender.wire.change_settings(stall_timeout=0)  # it is the forwarder's own patience that this is about
    receiver.wire.pauseProducing()
    sender.wire.write(bytes(20_000_000))
    between.advance(1800)
    receiver.wire.resumeProducing()
    between.advance(60)
    assert len(receiver.data) == 20_000_000


@pytest.mark.parametrize("gone", ["client", "server"])
def test_dead_peer(journey: Any, logged: list[str], gone: str) -> None:
    """A machine that is switched off is noticed within three minutes, on either side; the other is broken off."""
    between = journey()
    between.serve()
    client = between.dial()
    left = between.servers[0] if gone == "client" else client
    for port in getattr(between, gone).getReaders():
        port.protocol.transport = None
        port._port.close()
        port._is_closing = True
    between.advance(180)
    assert left.reason.check(UTPConnectionReset)
    assert "the peer stopped answering" in logged[-1]


def test_reset_travels_on(journey: Any, logged: list[str]) -> None:
    """A connection that is broken off here is broken off there: nobody takes what he has for the whole."""
    between = journey()
    between.serve()
    client = between.dial()
    server = between.servers[0]
    server.wire.write(b"first half")
    between.advance(0.2)
    server.wire.abortConnection()
    between.advance(1)
    assert client.data == b"first half"
    assert client.reason.check(UTPConnectionReset)
    assert not between.service.relays
    assert ": failed: service side: aborted by the peer (" in logged[-1]


ALERT = b"\x15\x03\x01\x00\x02\x02\x46"


@pytest.mark.parametrize(
    ("said", "answer", "cause"),
    [
        (b"SSH-2.0-", ALERT, "it answered with a TLS alert, so it is a utps: listener; connect with utps:"),
        (b"\x16\x03\x01", ALERT, ""),
        (b"SSH-2.0-", b"SSH-2.0-", ""),
    ],
)
def test_service_wants_tls(journey: Any, warnings: list[str], said: bytes, answer: bytes, cause: str) -> None:
    """A TLS alert to a client that spoke none is told as what it is; a client's own TLS is nobody's business."""
    between = journey()
    between.serve()
    client = between.dial()
    client.wire.write(said)
    between.advance(0.5)
    between.servers[0].wire.write(answer)
    between.servers[0].wire.loseConnection()
    between.advance(0.5)
    client.wire.loseConnection()
    between.advance(1)
    assert client.data == answer
    assert len(warnings) == bool(cause)
    assert not cause or f": failed: service side: {cause}" in warnings[0]


def test_service_that_sends_nothing(journey: Any, warnings: list[str]) -> None:
    """A utps: listener waits for TLS, and resets who says nothing: so do others, so this is only a hint."""
    between = journey()
    between.serve()
    between.dial()
    between.servers[0].wire.abortConnection()
    between.advance(1)
    assert "aborted by the peer, and sent nothing; if it is a utps: listener, connect with utps: (" in warnings[0]


def test_max_connections_of_several(journey: Any) -> None:
    """The limit is for all forwards together; each counts its own."""
    between = journey(max_connections=1)
    between.serve()
    second = Route(UTPServerEndpoint(between.middle, 81), between.route.connect, ("utp:81", "utp:server:90"))
    between.service.routes.append(second)
    between.service._start_listening_to(second)
    between.dial()
    endpoint = UTPClientEndpoint(between.client, "10.0.0.2", 81)
    between.client.wait_for(endpoint.connect(Factory.forProtocol(Protocol)))
    between.advance(0.2)
    assert (between.route.accepted, between.route.refused) == (1, 0)
    assert (second.accepted, second.refused) == (0, 1)


def test_nobody_there(journey: Any, logged: list[str]) -> None:
    """Where nobody listens the client is cut off, and the log says why."""
    between = journey()
    between.server.listenUDP(90, UTPProtocol(between.server))
    client = between.dial(seconds=2)
    assert client.reason.check(UTPConnectionReset)
    assert ": failed: cannot connect to utp:server:90: refused; check that a server listens on this port" in logged[-1]
    assert not between.service.relays


def test_connect_timeout(journey: Any, logged: list[str]) -> None:
    """A far side that does not answer is given up after the timeout."""
    between = journey(connect_timeout=3.0)
    between.route.connect._host = "10.0.0.99"
    client = between.dial(seconds=2)
    assert client.reason is None
    between.advance(2)
    assert client.reason.check(UTPConnectionReset)
    assert ": failed: cannot connect to utp:server:90: no answer in time;" in logged[-1]


def test_client_that_leaves_early(journey: Any) -> None:
    """While the far side is being dialled the client may go away; nothing is left."""
    between = journey()
    between.route.connect._host = "10.0.0.99"
    client = between.dial(seconds=0.1)
    client.wire.abortConnection()
    between.advance(1)
    assert not between.service.relays


def test_max_connections(journey: Any, logged: list[str]) -> None:
    """One more than allowed is refused, and there is room again when one has ended."""
    between = journey(max_connections=2)
    between.serve()
    first, second = between.dial(), between.dial()
    assert (first.reason, second.reason) == (None, None)
    refused = between.dial()
    assert refused.reason.check(UTPConnectionReset)  # at once, as by a TCP server whose factory returns None
    assert any("refused: 2 connections are open" in line for line in logged)
    first.wire.abortConnection()
    between.advance(1)
    fourth = between.dial()
    fourth.wire.write(b"room")
    between.advance(1)
    assert between.servers[-1].data == b"room"


def test_idle_timeout(journey: Any, logged: list[str]) -> None:
    """Silence is cut; a byte in either direction is none."""
    between = journey(idle_timeout=10.0)
    between.serve()
    client = between.dial()
    for _ in range(3):
        between.advance(6)
        between.servers[0].wire.write(b".")
    between.advance(9)
    assert client.reason is None
    between.advance(2)
    assert client.reason.check(UTPConnectionReset)
    assert ": failed: idle for 10 s (" in logged[-1]


def test_graceful_stop(journey: Any, logged: list[str]) -> None:
    """Connections may end by themselves; then it has stopped, with totals, and nothing is left in the reactor."""
    between = journey(grace=10.0)
    between.serve()
    client = between.dial()
    stopped: list[Any] = []
    between.service.stopService().addCallback(stopped.append)
    client.wire.write(BIG)
    between.advance(3)
    assert len(between.servers[0].data) == len(BIG)
    assert not stopped
    client.wire.loseConnection()
    between.advance(0.5)
    between.servers[0].wire.loseConnection()
    between.advance(1)
    assert stopped
    assert logged[-1] == f"stopped: 1 connections, 0 failed, 0 refused, {len(BIG)} bytes sent, 0 received"
    between.advance(5)
    assert between.middle.getReaders() == []


def test_stop_after_grace(journey: Any, logged: list[str]) -> None:
    """Those that have not ended are cut."""
    between = journey(grace=10.0)
    between.serve()
    client = between.dial()
    stopped: list[Any] = []
    between.service.stopService().addCallback(stopped.append)
    between.advance(9)
    assert not stopped and client.reason is None
    between.advance(2)
    assert stopped
    assert client.reason.check(UTPConnectionReset)
    assert any("failed: the forwarder was stopped (" in line for line in logged)


def test_port_in_use(journey: Any, capsys: Any) -> None:
    """It ends with one line that says what to do."""
    between = journey()
    between.middle.listenUDP(81, DatagramProtocol())
    between.route.listen = UTPServerEndpoint(between.middle, 81)
    with pytest.raises(SystemExit):
        between.service._start_listening()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("utp-forward: --listen utp:80: cannot listen on *:81: address already in use; stop the")
