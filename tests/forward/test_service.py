"""
What does a forwarder do with its connections?
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import DatagramProtocol

from twisted_utp import UTPProtocol, UTPServerEndpoint
from twisted_utp.errors import UTPConnectionReset

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
    assert not between.service.passages
    assert logged[-1].startswith("#1 10.0.0.1:")
    assert logged[-1].endswith(f" s, {len(BIG)} bytes there, 6 bytes back")
    assert ": done after " in logged[-1]


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
    (passage,) = between.service.passages
    end = passage.near if from_client else passage.far
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
    assert not between.service.passages
    assert ": there: broken off by the peer after" in logged[-1]


def test_nobody_there(journey: Any, logged: list[str]) -> None:
    """Where nobody listens the client is cut off, and the log says why."""
    between = journey()
    between.server.listenUDP(90, UTPProtocol(between.server))
    client = between.dial(seconds=2)
    assert client.reason.check(UTPConnectionReset)
    assert ": not carried on: refused; is anybody listening there" in logged[-1]
    assert not between.service.passages


def test_connect_timeout(journey: Any, logged: list[str]) -> None:
    """A far side that does not answer is given up after the timeout."""
    between = journey(connect_timeout=3.0)
    between.service._connect._host = "10.0.0.99"
    client = between.dial(seconds=2)
    assert client.reason is None
    between.advance(2)
    assert client.reason.check(UTPConnectionReset)
    assert ": not carried on: no answer in time;" in logged[-1]


def test_client_that_leaves_early(journey: Any) -> None:
    """While the far side is being dialled the client may go away; nothing is left."""
    between = journey()
    between.service._connect._host = "10.0.0.99"
    client = between.dial(seconds=0.1)
    client.wire.abortConnection()
    between.advance(1)
    assert not between.service.passages


def test_max_connections(journey: Any, logged: list[str]) -> None:
    """One more than allowed is refused, and there is room again when one has ended."""
    between = journey(max_connections=2)
    between.serve()
    first, second = between.dial(), between.dial()
    assert (first.reason, second.reason) == (None, None)
    refused = between.dial()
    assert refused.reason.check(UTPConnectionReset)  # at once, as by a TCP server whose factory returns None
    assert any("refused: there are 2 connections" in line for line in logged)
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
    assert ": idle for 10 s after" in logged[-1]


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
    assert logged[-1] == f"stopped: 1 connections, 0 failed, 0 refused, {len(BIG)} bytes there, 0 bytes back"
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
    assert any("cut, the forwarder stops" in line for line in logged)


def test_port_in_use(journey: Any, capsys: Any) -> None:
    """It ends with one line that says what to do."""
    between = journey()
    between.middle.listenUDP(81, DatagramProtocol())
    between.service._listen = UTPServerEndpoint(between.middle, 81)
    with pytest.raises(SystemExit):
        between.service._start_listening()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("utp-forward: --listen utp:80: cannot listen on *:81: address already in use; end the")
