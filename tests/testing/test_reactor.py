"""
Is a simulated reactor reactor enough for a Twisted application?
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorCore,
    IReactorPluggableNameResolver,
    IReactorTime,
    IReactorUDP,
    IUDPTransport,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall, deferLater
from zope.interface.verify import verifyObject

from twisted_utp.testing.link import Link
from twisted_utp.testing.network import Network
from twisted_utp.testing.reactor import SimulatedReactor
from twisted_utp.testing.simulator import SimulationDidNotEnd, Simulator


class Echo(DatagramProtocol):
    """
    Sends everything back, and remembers.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, Any]] = []
        self.stopped = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.heard.append((datagram, addr))
        if datagram.startswith(b"?"):
            assert self.transport is not None
            self.transport.write(b"!" + datagram, addr)

    def stopProtocol(self) -> None:
        self.stopped += 1


def two_reactors(**link: Any) -> tuple[SimulatedReactor, SimulatedReactor]:
    """Two machines, joined."""
    simulator = Simulator()
    network = Network(simulator)
    one, other = network.add_host("10.0.0.1", "fd00::1"), network.add_host("10.0.0.2", "fd00::2")
    network.join(one, other, there=[Link(simulator, **link)], back=[Link(simulator, **link)])
    return SimulatedReactor(one, names={"peer.example": ("10.0.0.2", "fd00::2")}), SimulatedReactor(other)


def test_interfaces() -> None:
    """What it claims to provide, it provides."""
    reactor, _ = two_reactors()
    for interface in (IReactorCore, IReactorTime, IReactorUDP, IReactorPluggableNameResolver):
        assert verifyObject(interface, reactor)
    port = reactor.listenUDP(0, Echo())
    assert verifyObject(IListeningPort, port) and verifyObject(IUDPTransport, port)


def test_delayed_calls() -> None:
    """callLater in virtual seconds: in order, cancellable, movable both ways."""
    reactor, _ = two_reactors()
    start, seen = reactor.seconds(), []
    reactor.callLater(2, lambda: seen.append(("two", reactor.seconds() - start)))
    reactor.callLater(1, lambda: seen.append(("one", reactor.seconds() - start)))
    reactor.callLater(1.5, seen.append, "cancelled").cancel()
    later = reactor.callLater(1, lambda: seen.append(("later", reactor.seconds() - start)))
    later.delay(4)
    sooner = reactor.callLater(9, lambda: seen.append(("sooner", reactor.seconds() - start)))
    sooner.reset(3)
    assert len(reactor.getDelayedCalls()) == 4
    reactor.advance(10)
    assert seen == [("one", 1.0), ("two", 2.0), ("sooner", 3.0), ("later", 5.0)]
    assert reactor.getDelayedCalls() == [] and not later.active()
    with pytest.raises(ValueError, match="delay=-1"):
        reactor.callLater(-1, print)
    with pytest.raises(error.AlreadyCalled):
        later.cancel()


def test_delayed_calls_are_exact_to_the_microsecond() -> None:
    """A delay that went through floats is not a microsecond late: timers ring when they were set for."""
    reactor, _ = two_reactors()
    for microseconds in (1, 3, 999, 1_000_001, 123_456_789):
        due = reactor.microseconds() + microseconds
        rang: list[int] = []
        reactor.callLater(microseconds / 1e6, lambda: rang.append(reactor.microseconds()))  # noqa: B023
        reactor.advance(200)
        assert rang == [due]


def test_an_exception_in_a_delayed_call_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It stops nothing else."""
    from twisted.logger import globalLogPublisher

    logged: list[Any] = []
    globalLogPublisher.addObserver(logged.append)
    try:
        reactor, _ = two_reactors()
        seen: list[int] = []
        reactor.callLater(1, lambda: 1 / 0)
        reactor.callLater(2, seen.append, 2)
        reactor.advance(3)
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert seen == [2] and logged[-1]["log_failure"].check(ZeroDivisionError)


def test_udp_there_and_back() -> None:
    """Datagrams travel through the network, with the sources that a real reactor would show."""
    here, there = two_reactors(delay=20_000)
    client, server = Echo(), Echo()
    listening = there.listenUDP(5353, server)
    port = here.listenUDP(0, client)
    port.write(b"?hello", ("10.0.0.2", 5353))
    here.advance(0.04)
    assert server.heard == [(b"?hello", ("10.0.0.1", port.getHost().port))]
    assert client.heard == [(b"!?hello", ("10.0.0.2", 5353))]
    assert listening.getHost() == IPv4Address("UDP", "10.0.0.2", 5353)
    assert (port.sent, port.received) == (1, 1)


def test_ipv6() -> None:
    """Interface "::" is the host's IPv6 address."""
    here, there = two_reactors()
    client, server = Echo(), Echo()
    there.listenUDP(5353, server, interface="::")
    port = here.listenUDP(0, client, interface="fd00::1")
    port.write(b"?6", ("fd00::2", 5353))
    here.advance(1)
    assert client.heard == [(b"!?6", ("fd00::2", 5353))]
    assert port.getHost() == IPv6Address("UDP", "fd00::1", port.getHost().port)


def test_port_in_use_and_foreign_interfaces() -> None:
    """Both are CannotListenError."""
    reactor, _ = two_reactors()
    reactor.listenUDP(80, Echo())
    for wrong in ({"port": 80}, {"port": 81, "interface": "192.0.2.1"}):
        with pytest.raises(error.CannotListenError):
            reactor.listenUDP(protocol=Echo(), **wrong)  # type: ignore[arg-type]
    host = Network(Simulator()).add_host("10.0.0.1")
    with pytest.raises(error.CannotListenError, match="no IPv6 address"):
        SimulatedReactor(host).listenUDP(0, Echo(), interface="::")


def test_stop_listening() -> None:
    """The protocol stops in the next turn, the port can be bound again at once, and nothing is left."""
    reactor, _ = two_reactors()
    protocol = Echo()
    port = reactor.listenUDP(80, protocol)
    assert reactor.getReaders() == [port]
    reactor.wait_for(port.stopListening())
    reactor.listenUDP(80, Echo()).stopListening()
    assert reactor.getReaders() == []
    reactor.advance(0)
    assert protocol.stopped == 1 and protocol.transport is None
    port.write(b"x", ("10.0.0.2", 1))  # harmless
    port.stopListening()


def test_last_words() -> None:
    """As on a real port, what stopProtocol sends leaves, and what arrives after stopListening() is not heard."""
    reactor, there = two_reactors()
    peer, protocol = Echo(), Echo()
    there.listenUDP(5, peer)
    port = reactor.listenUDP(80, protocol)
    protocol.stopProtocol = lambda: port.write(b"goodbye", ("10.0.0.2", 5))  # type: ignore[method-assign]
    peer.transport.write(b"too late", ("10.0.0.1", 80))
    port.stopListening()
    reactor.advance(1)
    assert [data for data, _ in peer.heard] == [b"goodbye"] and protocol.heard == []


def test_what_write_refuses() -> None:
    """Names, too much at once, no address, another than the connected one."""
    reactor, there = two_reactors()
    port = reactor.listenUDP(0, Echo())
    with pytest.raises(error.InvalidAddressError):
        port.write(b"x", ("peer.example", 5))
    with pytest.raises(error.MessageLengthError):
        port.write(bytes(65_508), ("10.0.0.2", 5))
    with pytest.raises(ValueError, match="addr=None"):
        port.write(b"x")
    server = Echo()
    there.listenUDP(5, server)
    port.connect("10.0.0.2", 5)
    port.writeSequence([b"a", b"b"])
    reactor.advance(1)
    assert [data for data, _ in server.heard] == [b"ab"]
    with pytest.raises(ValueError, match="connected to"):
        port.write(b"x", ("10.0.0.2", 6))
    with pytest.raises(RuntimeError):
        port.connect("10.0.0.2", 6)
    port.setBroadcastAllowed(True)
    assert port.getBroadcastAllowed()


def test_max_packet_size_cuts() -> None:
    """As recvfrom would."""
    here, there = two_reactors()
    server = Echo()
    there.listenUDP(5, server, maxPacketSize=10)
    here.listenUDP(0, Echo()).write(bytes(100), ("10.0.0.2", 5))
    here.advance(1)
    assert [len(data) for data, _ in server.heard] == [10]


def test_an_exception_in_datagram_received_spares_the_next() -> None:
    """Logged, and the next datagram is delivered."""
    here, there = two_reactors()

    class Broken(Echo):
        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            super().datagramReceived(datagram, addr)
            raise RuntimeError(datagram)

    server = Broken()
    there.listenUDP(5, server)
    port = here.listenUDP(0, Echo())
    for _ in range(2):
        port.write(b"x", ("10.0.0.2", 5))
    here.advance(1)
    assert len(server.heard) == 2


class Resolved:
    """
    Collects what a resolver says.
    """

    def __init__(self) -> None:
        self.said: list[Any] = []

    def resolutionBegan(self, resolution: Any) -> None:
        self.resolution = resolution

    def addressResolved(self, address: Any) -> None:
        self.said.append(address)

    def resolutionComplete(self) -> None:
        self.said.append("complete")


@pytest.mark.parametrize(
    ("name", "types", "expected"),
    [
        ("10.9.9.9", None, [IPv4Address("TCP", "10.9.9.9", 7)]),
        ("::1", None, [IPv6Address("TCP", "::1", 7)]),
        ("peer.example", None, [IPv4Address("TCP", "10.0.0.2", 7), IPv6Address("TCP", "fd00::2", 7)]),
        ("peer.example", [IPv6Address], [IPv6Address("TCP", "fd00::2", 7)]),
        ("nowhere.example", None, []),
    ],
)
def test_names(name: str, types: Any, expected: list[Any]) -> None:
    """Literals resolve to themselves, names by the table, unknown ones to nothing."""
    reactor, _ = two_reactors()
    receiver = Resolved()
    reactor.nameResolver.resolveHostName(receiver, name, 7, types)
    assert receiver.said == []
    reactor.advance(0)
    assert receiver.said == [*expected, "complete"]


def test_resolution_can_be_cancelled_and_the_resolver_replaced() -> None:
    """A cancelled look-up says nothing."""
    reactor, _ = two_reactors()
    receiver = Resolved()
    reactor.nameResolver.resolveHostName(receiver, "peer.example").cancel()
    reactor.advance(1)
    receiver.resolution.cancel()
    assert receiver.said == []
    before = reactor.nameResolver
    assert reactor.installNameResolver(object()) is before  # type: ignore[arg-type]


def test_old_resolve() -> None:
    """IReactorCore.resolve gives the first address, or DNSLookupError."""
    reactor, _ = two_reactors()
    assert reactor.wait_for(reactor.resolve("peer.example")) == "10.0.0.2"
    with pytest.raises(error.DNSLookupError):
        reactor.wait_for(reactor.resolve("nowhere.example"))


def test_wait_for() -> None:
    """Runs the network until a Deferred fires: result, failure, or a loud end."""
    reactor, _ = two_reactors()
    start = reactor.seconds()
    assert reactor.wait_for(deferLater(reactor, 3.5, lambda: "done")) == "done"
    assert reactor.seconds() - start == 3.5
    assert reactor.wait_for(succeed(1)) == 1
    with pytest.raises(ZeroDivisionError):
        reactor.wait_for(deferLater(reactor, 1, lambda: 1 / 0))
    never: Deferred[None] = Deferred()
    with pytest.raises(SimulationDidNotEnd, match=r"^what is waited for has no result: idle after"):
        reactor.wait_for(never)
    reactor.callLater(90, lambda: None)
    with pytest.raises(SimulationDidNotEnd, match=r"^what is waited for has no result: 60000000 µs passed"):
        reactor.wait_for(never, limit=60)


def test_looping_call() -> None:
    """Twisted's own clocked classes run on it."""
    reactor, _ = two_reactors()
    seen: list[float] = []
    loop = LoopingCall(lambda: seen.append(reactor.seconds()))
    loop.clock = reactor
    loop.start(0.25)
    reactor.advance(1)
    loop.stop()
    assert [time - seen[0] for time in seen] == [0, 0.25, 0.5, 0.75, 1.0]


def test_run_and_stop() -> None:
    """run() goes on until stop(), which calls the shutdown triggers phase by phase."""
    reactor, _ = two_reactors()
    seen: list[str] = []
    reactor.callWhenRunning(seen.append, "running")
    reactor.addSystemEventTrigger("after", "shutdown", seen.append, "after")
    reactor.addSystemEventTrigger("before", "shutdown", seen.append, "before")
    removed = reactor.addSystemEventTrigger("during", "shutdown", seen.append, "removed")
    reactor.removeSystemEventTrigger(removed)
    reactor.addSystemEventTrigger("during", "shutdown", lambda: 1 / 0)
    reactor.callFromThread(seen.append, "from a thread")
    reactor.callLater(1, reactor.stop)
    reactor.callLater(2, seen.append, "too late")
    reactor.run()
    assert seen == ["running", "from a thread", "before", "after"] and not reactor.running
    with pytest.raises(error.ReactorNotRunning):
        reactor.stop()
    reactor.callLater(0, reactor.crash)
    reactor.run()
    reactor.iterate(5)
    assert seen[-1] == "too late"


def test_clock_of_the_host() -> None:
    """A reactor's seconds are its host's, drift included."""
    from twisted_utp.testing.clock import HostClock

    simulator = Simulator()
    host = Network(simulator).add_host("10.0.0.1", clock=HostClock(simulator, drift_ppm=100_000.0))
    reactor = SimulatedReactor(host)
    start, rang = simulator.now, []
    reactor.callLater(11, lambda: rang.append(simulator.now))
    reactor.advance(20)
    assert rang == [start + 10_000_000]
