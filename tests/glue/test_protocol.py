"""
How do the core, the reactor and the UDP port work together?
"""

from __future__ import annotations

import re
from errno import EACCES, EAGAIN, ENETUNREACH, ENOBUFS
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectError, NoRouteError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher

from twisted_utp import UTPProtocol
from twisted_utp._addresses import udp_address
from twisted_utp._steady import monotonic_us
from twisted_utp.proto.values import Datagram


class Wire:
    """A UDP port by hand: remembers what is written; C{errors} are raised, one a write, before that."""

    def __init__(self, host: str, port: int) -> None:
        self.host = IPv4Address("UDP", host, port)
        self.sent: list[tuple[bytes, Any]] = []
        self.errors: list[Exception] = []
        self.stopped = 0

    def write(self, datagram: bytes, addr: Any = None) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append((datagram, addr))

    def getHost(self) -> IPv4Address:
        return self.host

    def stopListening(self) -> None:
        self.stopped += 1


class Two:
    """Two protocols on one clock, with the test as their network."""

    def __init__(self, **keywords: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1)
        self.a, self.b = (
            UTPProtocol(self.clock, clock=lambda: int(self.clock.seconds() * 1e6), **keywords) for _ in "ab"
        )
        self.wires = Wire("10.0.0.1", 1), Wire("10.0.0.2", 2)
        self.a.makeConnection(self.wires[0])
        self.b.makeConnection(self.wires[1])

    def run(self, turns: int = 20) -> None:
        """Let datagrams pass, a millisecond each way."""
        for _ in range(turns):
            for wire, other, source in ((self.wires[0], self.b, "10.0.0.1"), (self.wires[1], self.a, "10.0.0.2")):
                sent, wire.sent = wire.sent, []
                for data, _addr in sent:
                    other.datagramReceived(data, (source, wire.host.port))
            self.clock.advance(0.001)

    def connect(self, machines: Any) -> Any:
        """@return: both protocols."""
        factory = machines.Building()
        self.b.listen(factory)
        connected: list[Any] = []
        self.a.connect(machines.Building(), "10.0.0.2", 2).addCallback(connected.append)
        self.run()
        return connected[0], factory.built[0]


def test_one_timer_and_one_flush(machines: Any) -> None:
    """However many connections there are, a port has one delayed call for its deadline and one for its flush."""
    two = Two()
    factory = machines.Building()
    two.b.listen(factory)
    connected: list[Any] = []
    for _ in range(50):
        two.a.connect(machines.Building(), "10.0.0.2", 2).addCallback(connected.append)
    two.run()
    assert len(connected) == 50
    for client in connected:
        client.transport.write(b"x")
        client.transport.write(b"y")
    assert len(two.clock.getDelayedCalls()) <= 3
    two.run()
    assert {server.data for server in factory.built} == {b"xy"}


def test_connect_before_the_port_is_open(machines: Any) -> None:
    """connect() and punch() fail at once, instead of waiting for what may never happen."""
    protocol = UTPProtocol(Clock())
    for connect in (protocol.connect, protocol.punch):
        error = machines.failure(connect(machines.Building(), "10.0.0.2", 2))
        assert isinstance(error, ConnectError) and "the UDP port is not open; reactor.listenUDP(" in str(error)


@pytest.mark.parametrize("name", ["localhost", "example.org", "", "127.0.0", "1.2.3.4.5", ":::1", "fe80::1%", "::1]"])
def test_names_are_no_addresses(machines: Any, name: str) -> None:
    """connect() and punch() look no names up: that is an error at once, which names the argument."""
    protocol = UTPProtocol(Clock())
    for connect in (protocol.connect, protocol.punch):
        with pytest.raises(ValueError, match=f"host={re.escape(repr(name))}: expected an IPv4"):
            connect(machines.Building(), name, 2)
    with pytest.raises(ValueError, match="bindAddress='eth0': expected an IPv4"):
        protocol.connect(machines.Building(), "10.0.0.2", 2, bindAddress="eth0")


@pytest.mark.parametrize("errno", [EAGAIN, ENOBUFS])
def test_full_socket_is_not_loss(machines: Any, errno: int) -> None:
    """What the kernel has no room for is kept and sent in a moment; nothing counts as lost or retransmitted."""
    two = Two()
    client, server = two.connect(machines)
    two.wires[0].errors = [OSError(errno, "full")] * 3
    client.transport.write(b"z" * 2000)
    two.run(30)
    assert server.data == b"z" * 2000 and not two.wires[0].errors
    assert client.transport.stats().packets_retransmitted == 0


def test_full_socket_keeps_the_rest_of_the_train() -> None:
    """A train that was interrupted goes on where it stopped."""
    from twisted_utp.proto.values import Transmit
    from twisted_utp.udp import PlainTrainPort

    wire = Wire("10.0.0.1", 1)
    port = PlainTrainPort(wire)
    train = Transmit(("10.0.0.2", 2), b"aaabbbcc", 3, 3)
    after = Transmit(("10.0.0.3", 3), b"d", 1)
    wire.write = _stop_after(wire, 1)  # type: ignore[method-assign]
    rest = port.send([train, after], lambda transmit, error: None)
    assert [(item.payload, item.count) for item in rest] == [(b"bbbcc", 2), (b"d", 1)]
    del wire.write
    assert port.send(rest, lambda transmit, error: None) == []
    assert [data for data, _ in wire.sent] == [b"aaa", b"bbb", b"cc", b"d"]


def _stop_after(wire: Wire, count: int) -> Any:
    def write(datagram: bytes, addr: Any = None) -> None:
        if len(wire.sent) >= count:
            raise BlockingIOError(EAGAIN, "full")
        wire.sent.append((datagram, addr))

    return write


def test_other_errors_are_logged_once_a_minute(machines: Any) -> None:
    """A firewall's EPERM and the like are loss; the log is not flooded."""
    messages: list[Any] = []
    two = Two()
    client, _ = two.connect(machines)
    globalLogPublisher.addObserver(messages.append)
    try:
        for _ in range(10):
            two.wires[0].errors.append(OSError(EACCES, "forbidden"))
            client.transport.write(b"x" * 3000)
            two.run(5)
    finally:
        globalLogPublisher.removeObserver(messages.append)
    texts = [formatEvent(message) for message in messages if message["log_namespace"] == "twisted_utp.protocol"]
    assert len([text for text in texts if "cannot send" in text]) == 1


def test_unreachable_address_fails_the_connect(machines: Any) -> None:
    """A connect to where no route leads need not wait for its timeout."""
    two = Two()
    two.wires[0].errors = [OSError(ENETUNREACH, "no route")]
    failures: list[Any] = []
    two.a.connect(machines.Building(), "10.9.9.9", 2).addErrback(failures.append)
    two.clock.advance(0)
    assert failures and failures[0].check(NoRouteError)


class Other(DatagramProtocol):
    """The second protocol on a port."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.stopped = False

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received.append((datagram, addr))
        if datagram == b"boom":
            raise ZeroDivisionError

    def stopProtocol(self) -> None:
        self.stopped = True


def test_what_is_not_utp_goes_to_the_other_protocol(logged: Any) -> None:
    """A DHT's datagrams go to the protocol beside us, which may write and whose exceptions stay its own."""
    other = Other()
    clock = Clock()
    protocol = UTPProtocol(clock, clock=lambda: int(clock.seconds() * 1e6) + 1, other=other)
    wire: Any = Wire("10.0.0.1", 1)
    protocol.makeConnection(wire)
    assert other.transport is wire
    protocol.datagramReceived(b"d1:ad2:id20:", ("10.0.0.9", 9))
    protocol.datagramReceived(b"boom", ("10.0.0.9", 9))
    clock.advance(0)
    assert [data for data, _ in other.received] == [b"d1:ad2:id20:", b"boom"]
    protocol.datagrams_received([Datagram(b"dAdBd", ("10.0.0.9", 9), 2)])
    assert [data for data, _ in other.received[2:]] == [b"dA", b"dB", b"d"]
    assert [type(error) for error in logged] == [ZeroDivisionError]
    protocol.doStop()
    assert other.stopped


def test_stop_protocol(machines: Any) -> None:
    """When the port goes, everything on it ends, and no delayed call is left."""
    two = Two()
    client, _ = two.connect(machines)
    pending: list[Any] = []
    two.a.connect(machines.Building(), "10.0.0.3", 3).addErrback(pending.append)
    two.a.doStop()
    two.b.doStop()
    assert client.calls[-1] == "lost" and len(pending) == 1
    two.clock.advance(0)
    assert two.clock.getDelayedCalls() == [] and not two.a.is_open


def test_connection_refused_is_ignored(machines: Any) -> None:
    """ICMP can be forged: it ends nothing."""
    two = Two()
    client, _ = two.connect(machines)
    two.a.connectionRefused()
    two.run()
    assert "lost" not in client.calls


def test_link_local_scope(machines: Any) -> None:
    """A link-local peer's datagrams, from which the reactor drops the scope id, find their connection."""
    two = Two()
    factory = machines.Building()
    connected: list[Any] = []
    two.a.connect(factory, "fe80::2%eth0", 2).addCallback(connected.append)
    two.b.listen(machines.Building())
    two.clock.advance(0)
    for data, address in two.wires[0].sent:
        assert address == ("fe80::2%eth0", 2)
        two.b.datagramReceived(data, ("fe80::1", 1))
    two.clock.advance(0)
    for data, _ in two.wires[1].sent:
        two.a.datagramReceived(data, ("fe80::2", 2))
    two.clock.advance(0)
    assert connected[0].transport.getPeer().host == "fe80::2%eth0"


def test_udp_address() -> None:
    """Addresses have their family's type."""
    assert udp_address("1.2.3.4", 5) == IPv4Address("UDP", "1.2.3.4", 5)
    assert udp_address("::1", 5) == IPv6Address("UDP", "::1", 5)


def test_clock_is_monotonic() -> None:
    """The default clock is in µs and does not go back."""
    first = UTPProtocol(Clock()).clock()
    assert 0 < first <= monotonic_us()
