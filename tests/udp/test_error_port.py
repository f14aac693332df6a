"""
Does a port that hears of ICMP messages live on, on each reactor, and does one peer's error leave the others alone?
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.test.reactormixins import ReactorBuilder

from twisted_utp.proto.values import Datagram, Obstacle, ReturnedDatagram, Transmit
from twisted_utp.udp import DatagramTooBig, listen_udp, train_port
from twisted_utp.udp.error_queue import MAX_PENDING
from twisted_utp.udp.offload import SWITCH

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has error queues")

REACTORS = [
    "twisted.internet.selectreactor.SelectReactor",
    "twisted.internet.pollreactor.PollReactor",
    "twisted.internet.epollreactor.EPollReactor",
    "twisted.internet.test.reactormixins.AsyncioSelectorReactor",
]


class Hearing(DatagramProtocol):
    """
    Remembers what it is told, and calls C{told} then.
    """

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.returned: list[ReturnedDatagram] = []
        self.told: Callable[[], None] = lambda: None

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """One datagram."""
        self.data.append(datagram)
        self.told()

    def datagrams_received(self, datagrams: list[Datagram]) -> None:
        """Several."""
        self.data += [datagram.data for datagram in datagrams]
        self.told()

    def datagrams_returned(self, returned: list[ReturnedDatagram]) -> None:
        """Some came back."""
        self.returned += returned
        self.told()

    def port_writable(self) -> None:
        """There is room again."""


def refuse(transmit: Transmit, error: Exception) -> None:
    """Nothing may fail for good here."""
    raise AssertionError(error)


def closed_port(host: str) -> tuple[str, int]:
    """Where nobody listens."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind((host, 0))
        return host, gone.getsockname()[1]


class ErrorTestsBuilder(ReactorBuilder):
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

    def exchange(self, host: str) -> None:
        """
        Datagrams to a closed port and to one that listens, in turns: all of the latter arrive, and some of the former
        are heard of, on a port that stays open.
        """
        reactor = self.buildReactor()
        hearing, listening = Hearing(), Hearing()
        port, other = (listen_udp(reactor, 0, protocol, host) for protocol in (hearing, listening))
        address, dead = (host, other.getHost().port), closed_port(host)
        trains = train_port(port)

        def told() -> None:
            if len(listening.data) == 20 and hearing.data and hearing.returned:
                reactor.stop()

        hearing.told = listening.told = told

        def start() -> None:
            for index in range(20):
                assert trains.send([Transmit(dead, b"dead", 4), Transmit(address, bytes([index]), 1)], refuse) == []
            # What the reactor finds now is a port with an error; this comes after it.
            reactor.callLater(0.01, other.write, b"later", (host, port.getHost().port))

        reactor.callWhenRunning(start)
        self.runReactor(reactor, timeout=20)
        assert listening.data == [bytes([index]) for index in range(20)]
        assert hearing.data == [b"later"]
        assert {(back.address, back.quoted, back.obstacle) for back in hearing.returned} == {
            (dead, b"dead", Obstacle.PORT_CLOSED)
        }

    def test_ipv4(self) -> None:
        """Over IPv4."""
        self.exchange("127.0.0.1")

    def test_ipv6(self) -> None:
        """Over IPv6."""
        self.exchange("::1")


class PlainTestsBuilder(ErrorTestsBuilder):
    """
    Without.
    """

    offload = "0"


globals().update(ErrorTestsBuilder.makeTestCaseClasses())
globals().update(PlainTestsBuilder.makeTestCaseClasses())


class Failing:
    """
    A call that fails as often as it is told to.
    """

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.calls = 0

    def __call__(self, *arguments: Any) -> int:
        """Fail, or be done."""
        self.calls += 1
        if self.codes:
            code = self.codes.pop(0)
            raise OSError(code, errno.errorcode[code])
        return 1


class FailingSocket:
    """
    Has calls that fail.
    """

    family = socket.AF_INET

    def __init__(self, call: Failing) -> None:
        self.sendto = self.sendmsg = call

    def setsockopt(self, *arguments: Any) -> None:
        """Taken."""


@pytest.mark.parametrize("code", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EMSGSIZE, errno.EPROTO])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("dont_fragment", [False, True])
def test_pending_errors_lose_nothing(code: int, count: int, dont_fragment: bool) -> None:
    """An error that belongs to an earlier datagram costs one more call, not the train."""
    from twisted_utp.udp.offload_port import OffloadUDPPort

    port = OffloadUDPPort(0, Hearing(), "127.0.0.1", 65_535, None)
    port.cuts_trains = True
    call = Failing(code, code)
    port.socket = FailingSocket(call)
    train = Transmit(("127.0.0.1", 9), b"x" * count, 1, count, dont_fragment and count == 1)
    assert port.send([train], refuse) == []
    assert (call.calls, port.writes, port._singly) == (3, 1, {})


def test_errors_of_the_call_itself() -> None:
    """One that does not go away is told, and a probe that is too long for the interface is told as such."""
    from twisted_utp.udp.offload_port import OffloadUDPPort

    told: list[Exception] = []
    for code in (errno.EHOSTUNREACH, errno.EMSGSIZE):
        port = OffloadUDPPort(0, Hearing(), "127.0.0.1", 65_535, None)
        port.socket = FailingSocket(Failing(*[code] * (MAX_PENDING + 1)))
        probe = Transmit(("127.0.0.1", 9), b"x", 1, 1, True)
        assert port.send([probe], lambda transmit, error: told.append(error)) == []
    assert [type(error) for error in told] == [OSError, DatagramTooBig]


def test_trains_on_a_path_that_has_become_narrower() -> None:
    """The kernel cuts no segments that it would have to fragment: they leave one by one; trains stay."""
    from twisted_utp.udp.offload_port import OffloadUDPPort

    port = OffloadUDPPort(0, Hearing(), "127.0.0.1", 65_535, None)
    port.cuts_trains = True
    port.socket = FailingSocket(call := Failing(*[errno.EMSGSIZE] * (MAX_PENDING + 1)))
    assert port.send([Transmit(("127.0.0.1", 9), b"xyz", 1, 3)], refuse) == []
    assert (call.calls, port.writes, port._singly) == (MAX_PENDING + 1 + 3, 3, {})
