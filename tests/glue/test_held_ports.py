"""
Do ports whose reading is moderated lose nothing on real sockets, on every reactor, with and without the kernel's help?
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.test.reactormixins import ReactorBuilder

from twisted_utp.proto.moderation import Moderator
from twisted_utp.protocol import UTPProtocol
from twisted_utp.udp import IHoldingPort, listen_udp
from twisted_utp.udp.offload import SWITCH

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells when datagrams arrived")

REACTORS = [
    "twisted.internet.selectreactor.SelectReactor",
    "twisted.internet.pollreactor.PollReactor",
    "twisted.internet.epollreactor.EPollReactor",
    "twisted.internet.test.reactormixins.AsyncioSelectorReactor",
]

NBYTES = 5_000_000


class Sending(Protocol):
    """Sends its bytes and closes."""

    def connectionMade(self) -> None:
        """All of them."""
        assert self.transport is not None
        self.transport.write(bytes(range(250)) * (NBYTES // 250))
        self.transport.loseConnection()


class Collecting(Protocol):
    """Fires with what it got."""

    def __init__(self, done: Deferred[bytes]) -> None:
        self.done = done
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        """A part."""
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        """All."""
        self.done.callback(self.data)


class HeldPortsTestsBuilder(ReactorBuilder):
    """
    Every batch is followed by a wait of 1.5 ms, whatever it is.
    """

    _reactors = REACTORS
    offload = ""
    hosts: ClassVar[list[str]] = ["127.0.0.1", "::1"]
    is_twisteds = False  # the reactor's own UDP port, not ours

    def setUp(self) -> None:
        """Loopback is too short for anything to wait."""
        self.batches = [0, 0]

        def on_batch(moderator: Moderator, parts: Any, clock_offset: int, now: int, **counts: int) -> int:
            late = [now - part.received_at for part in parts if part.received_at]
            assert all(0 <= wait < 5_000_000 for wait in late), late
            self.batches[0] += 1
            self.batches[1] += any(wait > 200 for wait in late)
            return 1500

        patch = pytest.MonkeyPatch()
        patch.setenv(SWITCH, self.offload)
        patch.setattr(Moderator, "on_batch", on_batch)
        self.addCleanup(patch.undo)

    def opened(self, reactor: Any, protocol: UTPProtocol, host: str) -> Any:
        """A port."""
        if self.is_twisteds:
            return reactor.listenUDP(0, protocol, interface=host)
        return listen_udp(reactor, 0, protocol, host)

    def transfer(self, host: str) -> None:
        """Every byte arrives, and what waited tells so."""
        reactor = self.buildReactor()
        server, client = UTPProtocol(reactor), UTPProtocol(reactor)
        done: Deferred[bytes] = Deferred()
        arrived: list[bytes] = []
        held: list[bool] = []

        def start() -> None:
            for protocol in (server, client):
                self.opened(reactor, protocol, host)
            server.listen(Factory.forProtocol(lambda: Collecting(done)))
            client.connect(Factory.forProtocol(Sending), host, server.getHost().port)
            look()

        def look() -> None:
            port = server._udp_port
            held.append(IHoldingPort.providedBy(port) and bool(port.is_held))
            if not arrived:
                reactor.callLater(0.0005, look)

        def end(data: bytes) -> None:
            arrived.append(data)
            reactor.callLater(0.05, reactor.stop)

        done.addCallback(end)
        reactor.callWhenRunning(start)
        self.runReactor(reactor, timeout=60)
        assert arrived == [bytes(range(250)) * (NBYTES // 250)]
        assert any(held) and self.batches[1] > 0

    def test_transfer(self) -> None:
        """Over IPv4 and IPv6."""
        for host in self.hosts:
            self.transfer(host)


class WithoutOffloadTestsBuilder(HeldPortsTestsBuilder):
    """
    Datagrams one by one.
    """

    offload = "0"


class TwistedsPortTestsBuilder(HeldPortsTestsBuilder):
    """
    The port that C{reactor.listenUDP} opens.
    """

    is_twisteds = True


globals().update(HeldPortsTestsBuilder.makeTestCaseClasses())
globals().update(WithoutOffloadTestsBuilder.makeTestCaseClasses())
globals().update(TwistedsPortTestsBuilder.makeTestCaseClasses())
