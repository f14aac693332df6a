"""
Does a connection behave as Twisted's TCP does?
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    ILoggingContext,
    IPushProducer,
    ITCPTransport,
    ITLSTransport,
    ITransport,
)
from zope.interface.verify import verifyClass, verifyObject

from twisted_utp import (
    IUTPTransport,
    UTPConfig,
    UTPConnectionDone,
    UTPConnectionReset,
    UTPConnectionTimedOut,
    UTPTransport,
)

ALL = (ITransport, IConsumer, IPushProducer, ITCPTransport, ITLSTransport, ILoggingContext, IUTPTransport)


class PushProducer:
    """Writes a block each time it is told to go on, until it is told to pause."""

    def __init__(self, consumer: Any, blocks: int, size: int = 65_536) -> None:
        self.consumer, self.left, self.size = consumer, blocks, size
        self.calls: list[str] = []
        self.most = 0
        self.paused = False

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        self.paused = False
        self.produce()

    def produce(self) -> None:
        while self.left and not self.paused:
            self.left -= 1
            self.consumer.write(b"x" * self.size)
            self.most = max(self.most, self.consumer.stats().bytes_unsent)
        if not self.left:
            self.consumer.unregisterProducer()

    def pauseProducing(self) -> None:
        self.calls.append("pause")
        self.paused = True

    def stopProducing(self) -> None:
        self.calls.append("stop")


class PullProducer(PushProducer):
    """Writes one block each time it is asked."""

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        if self.left:
            self.left -= 1
            self.consumer.write(b"x" * self.size)
        else:
            self.consumer.unregisterProducer()


@pytest.mark.parametrize("interface", ALL)
def test_interfaces(machines: Any, interface: Any) -> None:
    """The class and its objects provide what they claim."""
    client, _, _ = machines.pair()
    assert verifyClass(interface, UTPTransport)
    assert verifyObject(interface, client.transport)


def test_data_both_ways(machines: Any) -> None:
    """What is written at one end comes out at the other."""
    client, server, _ = machines.pair()
    client.transport.write(b"ping")
    server.transport.writeSequence(iter([b"po", b"ng"]))
    machines.advance(1)
    assert (client.data, server.data) == (b"pong", b"ping")


def test_addresses(machines: Any) -> None:
    """Both ends know both addresses, as UDP addresses that twisted.web accepts."""
    client, server, port = machines.pair()
    assert client.transport.getPeer() == IPv4Address("UDP", machines.SERVER, 9000) == port.getHost()
    assert server.transport.getPeer() == client.transport.getHost()
    assert server.transport.getHost() == port.getHost()


@pytest.mark.parametrize("wrong", ["text", bytearray(b"x"), memoryview(b"x"), None])
def test_only_bytes(machines: Any, wrong: Any) -> None:
    """Anything but bytes is a TypeError, for write and writeSequence."""
    client, _, _ = machines.pair()
    with pytest.raises(TypeError, match="Data must be bytes"):
        client.transport.write(wrong)
    with pytest.raises(TypeError, match="Data must be bytes"):
        client.transport.writeSequence([b"fine", wrong])


def test_writes_of_one_turn_share_packets(machines: Any) -> None:
    """Fifty small writes in one turn of the reactor make one packet."""
    client, server, _ = machines.pair()
    before = client.transport.stats().packets_sent
    for _ in range(50):
        client.transport.write(b"0123456789")
    machines.advance(1)
    assert client.transport.stats().packets_sent - before == 1
    assert len(server.data) == 500


def test_lose_connection_delivers_everything(machines: Any) -> None:
    """A megabyte written before loseConnection arrives; connectionLost comes once, clean, at both ends."""
    client, server, port = machines.pair()
    client.transport.write(b"x" * 1_000_000)
    client.transport.loseConnection()
    client.transport.loseConnection()
    assert client.transport.disconnecting and client.transport.connected
    machines.result(client.lost)
    machines.advance(1)
    assert len(server.data) == 1_000_000
    for protocol in (client, server):
        assert protocol.calls.count("lost") == 1 and protocol.calls[-1] == "lost"
        assert protocol.reason.check(ConnectionDone)
        assert protocol.transport.disconnected and not protocol.transport.connected
    port.stopListening()
    machines.advance(1)
    machines.assert_clean()


def test_everything_is_ignored_after_the_end(machines: Any) -> None:
    """Whatever an application still calls on a lost connection does nothing."""
    client, _server, _ = machines.pair()
    transport = client.transport
    transport.loseConnection()
    machines.result(client.lost)
    producer = PushProducer(transport, 1)
    transport.write(b"x")
    transport.writeSequence([b"x"])
    transport.loseConnection()
    transport.loseWriteConnection()
    transport.abortConnection()
    transport.pauseProducing()
    transport.resumeProducing()
    transport.unregisterProducer()
    transport.setTcpNoDelay(True)
    transport.setTcpKeepAlive(False)
    transport.registerProducer(producer, True)
    machines.advance(1)
    assert producer.calls == ["stop"]
    assert transport.stats().bytes_sent == 0 and client.calls.count("lost") == 1 and transport.protocol is None


def test_abort(machines: Any) -> None:
    """abortConnection ends it with ConnectionAborted here and a reset there, and not in the middle of a call."""
    client, server, _ = machines.pair()
    client.transport.abortConnection()
    client.transport.abortConnection()
    assert "lost" not in client.calls
    machines.advance(1)
    assert client.reason.check(ConnectionAborted)
    assert server.reason.check(UTPConnectionReset) and server.reason.check(ConnectionLost)


def test_peer_that_vanishes(machines: Any) -> None:
    """When nobody answers any more the connection ends with UTPConnectionTimedOut."""
    client, _, _ = machines.pair(config=UTPConfig(user_timeout=5))
    machines.there.route = lambda packet: []
    client.transport.write(b"anyone?")
    machines.result(client.lost)
    assert client.reason.check(UTPConnectionTimedOut) and client.reason.check(ConnectionLost)


# --- Half close ---------------------------------------------------------------------------------------------------


def test_half_close_by_the_client(machines: Any) -> None:
    """After loseWriteConnection the other direction lives on until the server closes."""
    client, server, _ = machines.pair(machines.HalfCloseable, machines.HalfCloseable)
    client.transport.write(b"question")
    client.transport.loseWriteConnection()
    machines.advance(1)
    client.transport.write(b"ignored")
    assert (server.data, server.calls[-1], client.calls[-1]) == (b"question", "read lost", "write lost")
    server.transport.write(b"answer")
    server.transport.loseConnection()
    machines.result(server.lost)
    machines.advance(1)
    assert client.calls[-1] == "read lost"
    client.transport.loseConnection()
    assert client.calls[-1] == "lost"  # from within, as with TCP: there is nothing to wait for
    assert client.data == b"answer" and server.data == b"question"
    assert client.calls == ["made", "write lost", "data", "read lost", "lost"]
    assert client.reason.check(ConnectionDone)
    assert server.calls.count("read lost") == 1 and server.reason.check(ConnectionDone)


def test_half_close_by_both(machines: Any) -> None:
    """When both sides have half closed, each connection ends when its application says so, however late."""
    client, server, port = machines.pair(machines.HalfCloseable, machines.HalfCloseable)
    client.transport.loseWriteConnection()
    server.transport.loseWriteConnection()
    machines.advance(60)
    for protocol in (client, server):
        assert sorted(protocol.calls[1:]) == ["read lost", "write lost"]
        assert protocol.transport.connected and not protocol.transport.disconnecting
    client.transport.loseConnection()
    assert client.calls[3:] == ["lost"] and client.reason.check(ConnectionDone)
    server.transport.abortConnection()
    machines.advance(0)
    assert server.calls[3:] == ["lost"] and server.reason.check(ConnectionAborted)
    port.stopListening()
    machines.advance(1)
    machines.assert_clean()


def test_close_with_nothing_on_its_way(machines: Any) -> None:
    """The application is told when our FIN leaves, before the peer's is told of it, as with TCP; the FIN is repeated
    all the same, and the peer hears of the end."""
    client, server, port = machines.pair()
    client.transport.write(b"all of it")
    machines.advance(1)
    machines.there.route = lambda packet: []
    client.transport.loseConnection()
    assert client.reason is None  # not from within
    machines.advance(0)
    assert client.reason.check(ConnectionDone) and server.reason is None
    machines.there.route = None
    machines.result(server.lost)
    assert server.reason.check(ConnectionDone) and server.data == b"all of it"
    port.stopListening()
    machines.advance(1)
    machines.assert_clean()


def test_close_after_the_peer(machines: Any) -> None:
    """The same once the peer has finished."""
    client, server, _ = machines.pair(machines.HalfCloseable, machines.HalfCloseable)
    client.transport.loseWriteConnection()
    machines.advance(1)
    server.transport.loseConnection()
    machines.advance(0)  # half a round trip before the acknowledgement
    assert server.calls[-2:] == ["read lost", "lost"] and server.reason.check(ConnectionDone)
    machines.advance(1)
    assert client.calls[-1] == "read lost"


@pytest.mark.parametrize("is_peer_first", [False, True])
def test_done_means_arrived(machines: Any, is_peer_first: bool) -> None:
    """ConnectionDone after loseConnection says that all has arrived, whenever the peer finishes: unlike TCP's kernel,
    nobody would see to it after the end of the process."""
    client, server, _ = machines.pair(machines.HalfCloseable)
    machines.back.rate = 8_000_000
    if not is_peer_first:
        server.transport.write(b"x" * 500_000)
        server.transport.loseConnection()
    client.transport.loseWriteConnection()
    if is_peer_first:
        server.on_data = lambda data: server.transport.write(b"x" * 500_000) or server.transport.loseConnection()
        client.transport.write(b"now")
    machines.result(server.lost)
    assert server.reason.check(ConnectionDone) and server.transport.stats().bytes_acked == 500_000


def test_lost_from_within_write_connection_lost(machines: Any) -> None:
    """loseConnection in writeConnectionLost, and not before it, as FileDescriptor says."""

    class Closing(machines.HalfCloseable):
        def writeConnectionLost(self) -> None:
            super().writeConnectionLost()
            self.transport.loseConnection()

    client, server, _ = machines.pair(Closing)
    client.transport.write(b"all of it")
    client.transport.loseWriteConnection()
    machines.advance(1)
    assert client.calls == ["made", "write lost", "lost"] and client.reason.check(ConnectionDone)
    assert server.data == b"all of it" and server.reason.check(ConnectionDone)


def test_no_write_connection_lost_after_lose_connection(machines: Any) -> None:
    """loseConnection right after loseWriteConnection takes its place."""
    client, _, _ = machines.pair(machines.HalfCloseable)
    client.transport.loseWriteConnection()
    client.transport.loseConnection()
    machines.result(client.lost)
    assert client.calls == ["made", "lost"]


def test_end_of_stream_without_half_close(machines: Any) -> None:
    """A protocol that knows no half close is done at the peer's FIN; what it wrote is delivered all the same."""
    client, server, _ = machines.pair(machines.HalfCloseable)
    server.on_data = lambda data: server.transport.write(b"y" * 300_000)
    client.transport.write(b"give me")
    client.transport.loseWriteConnection()
    machines.result(server.lost)
    machines.advance(1)
    assert len(client.data) == 300_000 and client.calls[-1] == "read lost"
    client.transport.loseConnection()
    assert server.reason.check(ConnectionDone) and client.reason.check(ConnectionDone)


def test_half_close_waits_for_the_producer(machines: Any) -> None:
    """loseWriteConnection closes once the producer is unregistered."""
    client, server, _ = machines.pair(machines.HalfCloseable, machines.HalfCloseable)
    producer = PullProducer(client.transport, 20)
    client.transport.registerProducer(producer, False)
    client.transport.loseWriteConnection()
    machines.advance(5)
    assert len(server.data) == 20 * 65_536 and server.calls[-1] == "read lost"


# --- Producers ----------------------------------------------------------------------------------------------------


def test_push_producer(machines: Any) -> None:
    """A push producer is paused when the send buffer is full, and resumed as it drains; memory stays bounded."""
    client, server, _ = machines.pair(config=UTPConfig(send_buffer=100_000))
    producer = PushProducer(client.transport, 100)
    client.transport.registerProducer(producer, True)
    with pytest.raises(RuntimeError, match="never unregistered"):
        client.transport.registerProducer(producer, True)
    producer.produce()
    client.transport.loseConnection()
    machines.result(client.lost)
    assert len(server.data) == 100 * 65_536
    # The last write may have paused it once more, before it unregistered itself.
    assert producer.calls.count("pause") - producer.calls.count("resume") in (0, 1)
    assert producer.calls.count("resume") > 5
    assert producer.most <= 100_000 + 65_536 and "stop" not in producer.calls


def test_pull_producer(machines: Any) -> None:
    """A pull producer is asked for each piece, never paused, and its connection closes after it is done."""
    client, server, _ = machines.pair(config=UTPConfig(send_buffer=100_000))
    producer = PullProducer(client.transport, 100)
    client.transport.registerProducer(producer, False)
    assert producer.calls == ["resume"]
    client.transport.loseConnection()
    machines.result(client.lost)
    assert len(server.data) == 100 * 65_536
    assert producer.calls == ["resume"] * 101


def test_producer_is_stopped_with_the_connection(machines: Any) -> None:
    """A producer hears of the end, before the protocol does."""
    client, server, _ = machines.pair()
    producer = PushProducer(client.transport, 1)
    client.transport.registerProducer(producer, True)
    server.transport.abortConnection()
    machines.result(client.lost)
    assert producer.calls == ["stop"] and client.transport.producer is None


def test_peer_leaves_while_a_producer_writes(machines: Any) -> None:
    """A producer that never ends does not outlive a peer that has closed, even after loseConnection."""
    client, server, _ = machines.pair()
    machines.there.rate = 8_000_000  # or virtual time would let it write gigabytes
    producer = PullProducer(client.transport, 10**9)
    client.transport.registerProducer(producer, False)
    client.transport.loseConnection()
    machines.advance(0.5)
    assert client.calls == ["made"]
    server.transport.loseConnection()
    machines.result(client.lost)
    assert producer.calls[-1] == "stop"


def test_close_with_a_streaming_producer(machines: Any) -> None:
    """A push producer that is not paused does not hold the end up: all that is written when the buffer is empty goes,
    and then our FIN.  So FileDescriptor.doWrite has it, and relays rely on it."""
    client, server, _ = machines.pair(config=UTPConfig(send_buffer=50_000))
    producer = PushProducer(client.transport, 1)
    client.transport.registerProducer(producer, True)
    client.transport.write(b"x" * 200_000)
    client.transport.loseConnection()
    client.transport.write(b"last words")
    assert producer.calls == ["pause", "pause"]
    producer.calls.clear()
    producer.resumeProducing = lambda: client.transport.write(b"; no, these")
    machines.result(client.lost)
    client.transport.write(b"too late")
    machines.advance(1)
    assert server.data.endswith(b"xlast words; no, these") and len(server.data) == 200_000 + 21
    assert producer.calls == ["stop"]
    assert client.reason.check(ConnectionDone) and server.reason.check(ConnectionDone)


def test_close_with_a_streaming_producer_and_nothing_to_send(machines: Any) -> None:
    """The same with an empty buffer, and for a half close."""
    client, server, _ = machines.pair(machines.HalfCloseable, machines.HalfCloseable)
    client.transport.registerProducer(PushProducer(client.transport, 1), True)
    server.transport.registerProducer(PushProducer(server.transport, 1), True)
    client.transport.loseWriteConnection()
    machines.advance(1)
    assert client.calls[-1] == "write lost" and server.calls[-1] == "read lost"
    server.transport.loseConnection()
    machines.result(server.lost)


def test_close_waits_for_a_paused_producer(machines: Any) -> None:
    """A producer that is paused when the application closes is told to go on, and has the next word."""
    client, server, _ = machines.pair(config=UTPConfig(send_buffer=50_000))
    producer = PushProducer(client.transport, 0)
    producer.produce = lambda: None
    client.transport.registerProducer(producer, True)
    client.transport.write(b"x" * 60_000)
    client.transport.loseConnection()
    machines.advance(30)
    assert producer.calls == ["pause", "resume"] and client.calls == ["made"]
    client.transport.write(b"end")
    machines.result(client.lost)
    assert server.data[60_000:] == b"end" and producer.calls[-1] == "stop"


def test_producer_registered_after_closing(machines: Any) -> None:
    """As with TCP, a producer may still come between loseConnection and the end, and has it wait."""
    client, server, _ = machines.pair()
    client.transport.loseConnection()
    producer = PullProducer(client.transport, 3)
    client.transport.registerProducer(producer, False)
    machines.result(client.lost)
    assert len(server.data) == 3 * 65_536 and producer.calls == ["resume"] * 4


def test_writes_after_closing(machines: Any) -> None:
    """What is written before the buffer was empty is sent, though loseConnection has been called, as with TCP."""
    client, server, _ = machines.pair()
    client.transport.loseConnection()
    client.transport.write(b"goodbye")
    machines.result(client.lost)
    assert server.data == b"goodbye" and client.reason.check(ConnectionDone)


def test_pause_is_asked_for_at_each_write(machines: Any) -> None:
    """A push producer that somebody else resumes is paused again by its next write, as by FileDescriptor."""
    client, _, _ = machines.pair(config=UTPConfig(send_buffer=50_000))
    producer = PushProducer(client.transport, 0)
    client.transport.registerProducer(producer, True)
    for _ in range(3):
        client.transport.write(b"x" * 60_000)
    assert producer.calls == ["pause"] * 3


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("nbytes", [0, 10_000, 1_000_000])
def test_two_transports_feed_each_other(machines: Any, first: int, nbytes: int) -> None:
    """Two transports, each the other's producer, as in magic-wormhole's transit relay: when one peer leaves, whatever
    is on its way, the relay closes the other, and nothing hangs."""
    ends: list[Any] = []

    class Relayed(machines.Recording):
        buddy: Any = None

        def on_made(self) -> None:
            ends.append(self)
            if len(ends) == 2:
                for one, other in (ends, reversed(ends)):
                    one.buddy = other
                    one.transport.registerProducer(other.transport, True)

        def on_data(self, data: bytes) -> None:
            self.buddy.transport.write(data)

        def connectionLost(self, reason: Any = None) -> None:
            super().connectionLost(reason)
            self.buddy.transport.loseConnection()

    machines.listen(Relayed)
    machines.there.rate = machines.back.rate = 100_000_000
    clients = [machines.connect(), machines.connect()]
    machines.advance(1)
    clients[first].transport.write(bytes(nbytes))
    clients[first].transport.loseConnection()
    for client in clients:
        machines.result(client.lost)
    machines.advance(10)
    assert len(clients[1 - first].data) == nbytes
    assert [end.calls.count("lost") for end in ends] == [1, 1]


def test_feeder_that_is_gone(machines: Any) -> None:
    """A transport that was paused as a producer when it lost its connection does not hold the other one up."""
    client, server, _ = machines.pair(config=UTPConfig(send_buffer=50_000))
    other = machines.connect()
    client.transport.registerProducer(other.transport, True)
    client.transport.write(b"x" * 60_000)  # pauses it
    other.transport.abortConnection()
    client.transport.loseConnection()
    machines.result(client.lost)
    assert len(server.data) == 60_000


def test_half_closed_peer_gets_everything(machines: Any) -> None:
    """The peer's half close does not cut what a pull producer has to say after loseConnection, as with TCP."""
    client, server, _ = machines.pair(machines.HalfCloseable)
    producer = PullProducer(server.transport, 100)
    server.transport.registerProducer(producer, False)
    server.transport.loseConnection()
    client.transport.loseWriteConnection()
    machines.result(server.lost)
    machines.advance(1)
    assert len(client.data) == 100 * 65_536 and client.calls[-1] == "read lost"
    assert server.reason.check(ConnectionDone) and "stop" not in producer.calls


def test_pause_after_closing(machines: Any) -> None:
    """pauseProducing after loseConnection, by a consumer that we feed say, holds nothing up."""
    client, server, _ = machines.pair()
    producer = PullProducer(client.transport, 20)
    client.transport.registerProducer(producer, False)
    client.transport.loseConnection()
    client.transport.pauseProducing()
    server.transport.write(b"unwanted")
    machines.result(client.lost)
    assert len(server.data) == 20 * 65_536 and client.data == b""


def test_own_buffer_size(machines: Any) -> None:
    """bufferSize, which TCP transports have, replaces the setting."""
    client, _, _ = machines.pair()
    producer = PushProducer(client.transport, 0)
    client.transport.registerProducer(producer, True)
    client.transport.bufferSize = 500
    producer.left, producer.size = 1, 100
    client.transport.write(b"x" * 1000)
    assert producer.calls == ["pause"]
    machines.advance(1)
    assert producer.calls == ["pause", "resume"]


# --- Reading ------------------------------------------------------------------------------------------------------


def test_pause_holds_a_fast_sender_up(machines: Any) -> None:
    """A paused reader's memory stays bounded, the sender's producer waits, and all arrives after resuming."""
    config = UTPConfig(receive_buffer=100_000, send_buffer=50_000)
    client, server, _ = machines.pair(config=config)
    server.transport.pauseProducing()
    producer = PushProducer(client.transport, 50)
    client.transport.registerProducer(producer, True)
    producer.produce()
    machines.advance(5)
    assert producer.paused and server.data == b""
    assert client.transport.stats().bytes_acked <= 100_000
    server.transport.resumeProducing()
    client.transport.loseConnection()
    machines.result(server.lost)
    assert len(server.data) == 50 * 65_536


def test_pause_inside_data_received(machines: Any) -> None:
    """pauseProducing in dataReceived takes effect at once: nothing, not even the end, is told before resuming."""
    client, server, _ = machines.pair()
    server.on_data = lambda data: server.transport.pauseProducing()
    client.transport.write(b"x" * 50_000)
    client.transport.loseConnection()
    machines.advance(3)
    assert server.calls == ["made", "data"]
    while "lost" not in server.calls:
        seen = len(server.calls)
        server.transport.resumeProducing()
        assert len(server.calls) == seen  # not from within
        machines.advance(1)
        assert len(server.calls) > seen
    assert len(server.data) == 50_000 and server.reason.check(ConnectionDone)


def test_abort_while_paused(machines: Any) -> None:
    """A paused reader that aborts is told of the end, even when the end had come and was held back."""
    client, server, _ = machines.pair()
    server.transport.pauseProducing()
    client.transport.write(b"unread")
    client.transport.loseConnection()
    machines.advance(1)
    server.transport.abortConnection()
    machines.advance(1)
    assert server.calls == ["made", "lost"]


def test_lose_connection_while_paused(machines: Any) -> None:
    """A paused reader that closes throws away what it did not want to read."""
    client, server, _ = machines.pair()
    server.transport.pauseProducing()
    client.transport.write(b"unread")
    machines.advance(1)
    server.transport.loseConnection()
    machines.advance(1)
    assert server.calls == ["made", "lost"] and client.reason.check(ConnectionDone)


# --- Exceptions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["on_data", "on_made"])
def test_exception_ends_this_connection_only(machines: Any, logged: Any, where: str) -> None:
    """What a protocol raises is logged, becomes its reason, resets its connection, and touches no other."""
    client, server, port = machines.pair()

    class Raising(machines.Recording):
        def on_made(self) -> None:
            if where == "on_made":
                raise ZeroDivisionError(where)

        def on_data(self, data: bytes) -> None:
            raise ZeroDivisionError(where)

    port.factory.kind = Raising
    other = machines.connect()
    other.transport.write(b"boom")
    machines.result(other.lost)
    assert other.reason.check(UTPConnectionReset)
    raising = port.factory.built[-1]
    assert raising.reason.check(ZeroDivisionError) and raising.calls.count("lost") == 1
    assert [type(error) for error in logged] == [ZeroDivisionError]
    client.transport.write(b"fine")
    machines.advance(1)
    assert server.data == b"fine"


def test_exception_in_connection_lost(machines: Any, logged: Any) -> None:
    """What connectionLost raises is logged."""
    client, _, _ = machines.pair()
    client.lost.callback(None)  # a second callback raises AlreadyCalledError
    client.transport.abortConnection()
    machines.advance(1)
    assert len(logged) == 1 and client.transport.disconnected


def test_exception_in_producer(machines: Any, logged: Any) -> None:
    """What a producer raises ends the connection with that."""
    client, _, _ = machines.pair()
    producer = PullProducer(client.transport, 2)
    client.transport.registerProducer(producer, False)
    producer.resumeProducing = lambda: 1 / 0
    machines.result(client.lost)
    assert client.reason.check(ZeroDivisionError) and [type(error) for error in logged] == [ZeroDivisionError]


# --- The rest -----------------------------------------------------------------------------------------------------


def test_replaced_protocol(machines: Any) -> None:
    """An application may put another protocol in place, in the middle of a stream, as WebSocket upgrades do."""
    client, server, _ = machines.pair()
    successor = machines.Recording()

    def upgrade(data: bytes) -> None:
        successor.transport = server.transport
        server.transport.protocol = successor

    server.on_data = upgrade
    client.transport.write(b"upgrade")
    machines.advance(1)
    client.transport.write(b"frame")
    client.transport.loseConnection()
    machines.result(successor.lost)
    assert (server.data, successor.data) == (b"upgrade", b"frame")
    assert "lost" not in server.calls


def test_calls_from_data_received(machines: Any) -> None:
    """write, loseConnection and abortConnection may be called from dataReceived."""
    client, server, _ = machines.pair()

    def answer(data: bytes) -> None:
        server.transport.write(b"answer")
        server.transport.loseConnection()

    server.on_data = answer
    client.transport.write(b"question")
    machines.result(client.lost)
    assert client.data == b"answer" and client.reason.check(ConnectionDone)


def test_no_delay_and_keepalive(machines: Any) -> None:
    """The TCP options show the settings, and change them."""
    client, _, _ = machines.pair(config=UTPConfig(keepalive=0))
    transport = client.transport
    assert (transport.getTcpNoDelay(), transport.getTcpKeepAlive()) == (False, False)
    machines.advance(10)  # the initiator confirms the handshake more than once
    sent = machines.there.counters.sent
    machines.advance(100)
    assert machines.there.counters.sent == sent
    transport.setTcpNoDelay(1)
    transport.setTcpKeepAlive(1)
    assert (transport.getTcpNoDelay(), transport.getTcpKeepAlive()) == (True, True)
    machines.advance(100)
    assert machines.there.counters.sent == sent + 3


def test_log_prefix(machines: Any) -> None:
    """Messages bear the protocol's name."""
    client, server, _ = machines.pair()
    assert client.transport.logPrefix().startswith("Recording,client,10.0.0.2")
    assert server.transport.logPrefix().startswith("Recording,10.0.0.1")
    assert "Recording" in repr(client.transport)


# --- Close reasons ------------------------------------------------------------------------------------------------


def test_close_reason_with_fin(machines: Any) -> None:
    """libtorrent's close reason goes with FIN and is on what connectionLost is told, a kind of ConnectionDone."""
    client, server, _ = machines.pair()
    client.transport.set_close_reason(261)
    client.transport.loseConnection()
    machines.result(server.lost)
    assert server.reason.check(UTPConnectionDone) and server.reason.value.close_code == 261
    assert server.reason.check(ConnectionDone) and "261" in str(server.reason.value)
    machines.result(client.lost)
    assert client.reason.type is ConnectionDone  # the server gave none


def test_close_reason_with_reset(machines: Any) -> None:
    """The same with RESET."""
    client, server, _ = machines.pair()
    server.transport.set_close_reason(7)
    server.transport.abortConnection()
    machines.result(client.lost)
    assert client.reason.check(UTPConnectionReset) and client.reason.value.close_code == 7


@pytest.mark.parametrize("code", [-1, 65536])
def test_close_reason_out_of_range(machines: Any, code: int) -> None:
    """Sixteen bits."""
    client, _, _ = machines.pair()
    with pytest.raises(ValueError, match=f"close_code={code}: expected 0 to 65535"):
        client.transport.set_close_reason(code)


def test_linger_time(machines: Any) -> None:
    """A peer that stopped reading holds a closed connection for no longer than the linger time."""
    client, server, _ = machines.pair(config=UTPConfig(linger=5, receive_buffer=20_000))
    server.transport.pauseProducing()
    client.transport.write(bytes(100_000))
    client.transport.loseConnection()
    machines.advance(4)
    assert client.reason is None
    machines.advance(1.5)
    assert client.reason.check(UTPConnectionTimedOut) and server.reason.check(UTPConnectionReset)
