"""
Is a connect to a closed port refused at once, on real sockets, and does that leave other connections alone?
"""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import ConnectError, ConnectionRefusedError, NoRouteError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.python.failure import Failure

from twisted_utp import UTPClientEndpoint, UTPConfig
from twisted_utp._ports import ports_of
from twisted_utp.proto.values import Obstacle, ReturnedDatagram
from twisted_utp.protocol import UTPProtocol
from twisted_utp.udp import DatagramTooBig, listen_udp
from twisted_utp.udp.offload import SWITCH

only_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has error queues")

IP_RECVERR = 11

REACTORS = [
    "twisted.internet.selectreactor.SelectReactor",
    "twisted.internet.pollreactor.PollReactor",
    "twisted.internet.epollreactor.EPollReactor",
    "twisted.internet.test.reactormixins.AsyncioSelectorReactor",
]


def closed_port(host: str) -> int:
    """Where nobody listens."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind((host, 0))
        port: int = gone.getsockname()[1]
        return port


class Counting(Protocol):
    """
    Sends so many bytes, or fires C{done} when it has got them.
    """

    def __init__(self, nbytes: int, done: Deferred[None] | None = None) -> None:
        self.nbytes = nbytes
        self.done = done

    def connectionMade(self) -> None:
        """Send, if it is the sender."""
        assert self.transport is not None
        if self.done is None:
            self.transport.write(bytes(self.nbytes))

    def dataReceived(self, data: bytes) -> None:
        """Count."""
        self.nbytes -= len(data)
        if self.done is not None and self.nbytes == 0:
            self.done.callback(None)


class RefusalTestsBuilder(ReactorBuilder):
    """
    With the kernel's help.
    """

    _reactors = REACTORS
    offload = ""

    def setUp(self) -> None:
        """Switch it on or off."""
        patch = pytest.MonkeyPatch()
        patch.setenv(SWITCH, self.offload)
        self.addCleanup(patch.undo)

    def refused(self, host: str) -> None:
        """
        By the answer to the first SYN, not to a later one, and not by a timeout.
        """
        reactor = self.buildReactor()
        outcome: list[Any] = []
        endpoint = UTPClientEndpoint(reactor, host, closed_port(host))

        def start() -> None:
            connecting = endpoint.connect(Factory.forProtocol(Protocol))
            (port,) = ports_of(reactor)
            connecting.addBoth(lambda result: outcome.extend((result, port.stats().datagrams_sent)))
            connecting.addBoth(lambda _: reactor.stop())

        reactor.callWhenRunning(start)
        self.runReactor(reactor, timeout=20)
        reason, syns = outcome
        assert isinstance(reason, Failure) and reason.check(ConnectionRefusedError), reason
        assert syns == 1

    def test_ipv4(self) -> None:
        """Over IPv4."""
        self.refused("127.0.0.1")

    def test_ipv6(self) -> None:
        """Over IPv6."""
        self.refused("::1")

    def test_other_connections_on_the_port(self) -> None:
        """
        A transfer goes on unharmed while the same UDP port dials closed ones all the time: what belongs to those is
        neither lost data nor congestion of this one.
        """
        reactor = self.buildReactor()
        nbytes, refusals = 5_000_000, 0
        # Less than the kernel's smallest socket buffer, so that nothing is lost there; and on a busy machine nothing is
        # late.
        config = UTPConfig(receive_buffer=65_536, min_rto=10)
        server, client = UTPProtocol(reactor, config), UTPProtocol(reactor, config)
        dead = closed_port("127.0.0.1")
        finished: Deferred[None] = Deferred()
        outcome: list[Any] = []

        def dial() -> None:
            client.connect(Factory.forProtocol(Protocol), "127.0.0.1", dead).addErrback(was_refused)

        def was_refused(reason: Failure) -> None:
            nonlocal refusals
            reason.trap(ConnectionRefusedError)
            refusals += 1
            if not finished.called or refusals < 5:
                dial()

        @inlineCallbacks
        def run() -> Any:
            ports = [listen_udp(reactor, 0, protocol, "127.0.0.1") for protocol in (server, client)]
            server.listen(Factory.forProtocol(lambda: Counting(nbytes, finished)))  # type: ignore[arg-type]
            protocol = yield client.connect(
                Factory.forProtocol(lambda: Counting(nbytes)),  # type: ignore[arg-type]
                "127.0.0.1",
                server.getHost().port,
            )
            dial()
            yield finished
            stats = protocol.transport.stats()
            outcome.append((stats.packets_lost, stats.timeouts, stats.bytes_acked > 0))
            for port in ports:
                yield port.stopListening()

        def start() -> None:
            run().addErrback(outcome.append).addBoth(lambda _: reactor.stop())

        reactor.callWhenRunning(start)
        self.runReactor(reactor, timeout=60)
        assert outcome == [(0, 0, True)]
        assert refusals > 0


class PlainRefusalTestsBuilder(RefusalTestsBuilder):
    """
    Without.
    """

    offload = "0"


if sys.platform.startswith("linux"):
    globals().update(RefusalTestsBuilder.makeTestCaseClasses())
    globals().update(PlainRefusalTestsBuilder.makeTestCaseClasses())


class OrdinaryPortTestsBuilder(ReactorBuilder):
    """
    A port from C{reactor.listenUDP} is Twisted's own, which would not survive what we ask of ours.
    """

    _reactors = REACTORS

    def test_it_is_left_as_it_is(self) -> None:
        """
        No error queue, so ICMP messages have no effect.
        """
        reactor = self.buildReactor()
        port = reactor.listenUDP(0, UTPProtocol(reactor), interface="127.0.0.1")
        assert port.getHandle().getsockopt(socket.IPPROTO_IP, IP_RECVERR) == 0
        port.stopListening()
        reactor.callWhenRunning(reactor.callLater, 0, reactor.stop)
        self.runReactor(reactor, timeout=20)


if sys.platform.startswith("linux"):
    globals().update(OrdinaryPortTestsBuilder.makeTestCaseClasses())


# --- In virtual time ------------------------------------------------------------------------------------------


def given_back(protocol: UTPProtocol, obstacle: Obstacle) -> None:
    """Let the first datagram that is sent now come back."""
    transmits = protocol.multiplexer.poll_transmits(now=protocol.clock())
    returned = ReturnedDatagram(transmits[0].address, transmits[0].payload, obstacle)
    protocol.datagrams_returned([returned])


@pytest.mark.parametrize(
    ("obstacle", "expected"), [(Obstacle.PORT_CLOSED, ConnectionRefusedError), (Obstacle.UNREACHABLE, NoRouteError)]
)
def test_why_it_failed(machines: Any, obstacle: Obstacle, expected: type[ConnectError]) -> None:
    """The same exceptions as Twisted's TCP has for it."""
    protocol = UTPProtocol(machines.client)
    machines.client.listenUDP(0, protocol)
    connecting = protocol.connect(machines.Building(), machines.SERVER, 9000)
    given_back(protocol, obstacle)
    machines.client.advance(0)
    with pytest.raises(expected):
        machines.client.wait_for(connecting, limit=1)
    assert len(protocol.multiplexer) == 0


def test_probe_too_big_for_the_interface(machines: Any) -> None:
    """What the port would not send is told to the core at once, is no loss, and names the next size."""
    machines.listen()
    protocol = UTPProtocol(machines.client)
    machines.client.listenUDP(0, protocol)
    port, refused = protocol._port, []
    assert port is not None
    send = port.send

    def narrow(transmits: Any, failed: Any) -> Any:
        for transmit in transmits:
            if transmit.segment_size > 1372:
                refused.append(transmit)
                failed(transmit, DatagramTooBig(1372))
        return send([transmit for transmit in transmits if transmit not in refused], failed)

    port.send = narrow  # type: ignore[method-assign]
    connected = machines.client.wait_for(protocol.connect(machines.Building(), machines.SERVER, 9000))
    connected.transport.write(bytes(300_000))
    machines.client.advance(5)
    stats = connected.transport.stats()
    assert [(len(transmit.payload), transmit.dont_fragment) for transmit in refused] == [(1402, True)]
    assert (stats.mss, stats.packets_lost, stats.timeouts, stats.bytes_acked) == (1352, 0, 0, 300_000)
    assert protocol.multiplexer.stats.icmp_too_big == 1
