"""
Is what the kernel knows of undelivered datagrams read as it is meant, from real sockets on loopback?
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from twisted_utp.proto.values import Address, Obstacle
from twisted_utp.udp.error_queue import PENDING, Errors, _take, obstacle_of, read_errors, report_errors

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has error queues")

HOSTS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
ICMP, ICMP6 = 2, 3


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def reporting(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A bound socket of each family, which reports errors."""
    with socket.socket(request.param, socket.SOCK_DGRAM) as made:
        made.bind((HOSTS[request.param], 0))
        made.setblocking(False)
        assert report_errors(made)
        yield made


def closed_port(family: int) -> Address:
    """Where nobody listens."""
    with socket.socket(family, socket.SOCK_DGRAM) as gone:
        gone.bind((HOSTS[socket.AddressFamily(family)], 0))
        host, port = gone.getsockname()[:2]
        return host, port


def is_erroneous(udp_socket: socket.socket) -> bool:
    """Does the kernel wake us for errors?"""
    import select

    poll = select.poll()
    poll.register(udp_socket, select.POLLIN)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def test_a_closed_port(reporting: socket.socket) -> None:
    """The datagram's beginning, where it was sent, and why it came back."""
    address = closed_port(reporting.family)
    reporting.sendto(bytes(range(100)), address)
    (returned,) = read_errors(reporting).returned
    assert (returned.address, returned.quoted) == (address, bytes(range(100)))
    assert (returned.obstacle, returned.size) == (Obstacle.PORT_CLOSED, 0)


def test_nothing_is_left_after_reading(reporting: socket.socket) -> None:
    """Neither does the kernel wake us again, nor does the next call fail."""
    address = closed_port(reporting.family)
    for _ in range(5):
        try:
            reporting.sendto(b"x", address)
        except OSError as error:
            assert error.errno in PENDING
    assert is_erroneous(reporting)
    assert len(read_errors(reporting).returned) >= 2
    assert not is_erroneous(reporting)
    assert reporting.sendto(b"x", reporting.getsockname()) == 1
    assert reporting.recvfrom(10)[0] == b"x"
    assert read_errors(reporting) == Errors()


def test_reading_is_bounded(reporting: socket.socket) -> None:
    """However many messages wait, one reading takes so many; the others follow."""
    address = closed_port(reporting.family)
    for _ in range(200):
        try:
            reporting.sendto(b"x", address)
        except OSError:
            continue
    counts = []
    while count := len(read_errors(reporting).returned):
        counts.append(count)
    assert max(counts) <= 64
    assert not is_erroneous(reporting)


def test_ipv4_over_an_ipv6_socket() -> None:
    """A socket that speaks both hears of both; the address is as on datagrams that it receives."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as both:
        both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        both.bind(("::", 0))
        assert report_errors(both)
        host, port = closed_port(socket.AF_INET)
        both.sendto(b"x" * 30, (f"::ffff:{host}", port))
        (returned,) = read_errors(both).returned
        assert returned.address == (f"::ffff:{host}", port)


@pytest.mark.parametrize(
    ("origin", "kind", "code", "expected"),
    [
        (ICMP, 3, 0, Obstacle.UNREACHABLE),
        (ICMP, 3, 1, Obstacle.UNREACHABLE),
        (ICMP, 3, 2, Obstacle.PORT_CLOSED),
        (ICMP, 3, 3, Obstacle.PORT_CLOSED),
        (ICMP, 3, 4, Obstacle.TOO_BIG),
        (ICMP, 3, 13, Obstacle.UNREACHABLE),
        (ICMP, 11, 0, None),
        (ICMP, 4, 0, None),
        (ICMP, 2, 0, None),
        (ICMP6, 1, 0, Obstacle.UNREACHABLE),
        (ICMP6, 1, 4, Obstacle.PORT_CLOSED),
        (ICMP6, 2, 0, Obstacle.TOO_BIG),
        (ICMP6, 3, 0, None),
        (ICMP6, 4, 1, None),
        (1, 3, 3, None),
        (5, 1, 4, None),
    ],
)
def test_what_messages_are_about(origin: int, kind: int, code: int, expected: Obstacle | None) -> None:
    """RFC 792, RFC 4443: only destinations that cannot be reached, and packets too big."""
    assert obstacle_of(origin, kind, code) is expected


@pytest.mark.parametrize(
    ("name", "mtu", "size"),
    [
        (("192.0.2.1", 9), 1280, 1252),
        (("2001:db8::1", 9, 0, 0), 1280, 1232),
        (("::ffff:192.0.2.1", 9, 0, 0), 1280, 1252),
        (("192.0.2.1", 9), 0, 0),
        (("192.0.2.1", 9), 20, 0),
    ],
)
def test_an_mtu_is_more_than_the_payload(name: Any, mtu: int, size: int) -> None:
    """IP and UDP headers come off it; 0 is no MTU."""
    errors = Errors()
    kind = (ICMP6, 2, 0) if name[0].startswith("2001") else (ICMP, 3, 4)
    _take(errors, b"quoted", name, struct.pack("=IBBBBII", 90, *kind, 0, mtu, 0))
    assert [(returned.obstacle, returned.size) for returned in errors.returned] == [(Obstacle.TOO_BIG, size)]


def test_our_own_interface() -> None:
    """What the kernel itself refuses to send is no message of anybody's, but names a size."""
    errors = Errors()
    _take(errors, b"", ("192.0.2.1", 0), struct.pack("=IBBBBII", 90, 1, 0, 0, 0, 1400, 0))
    assert errors == Errors([], 1372)


@pytest.mark.parametrize("flag", [socket.MSG_CTRUNC, socket.MSG_TRUNC])
def test_truncated_messages(flag: int) -> None:
    """What found no room is counted, and nothing is read from the rest."""
    message = (0, 11, struct.pack("=IBBBBII", 111, 2, 3, 3, 0, 0, 0))
    answers = [(b"x", [message], flag, ("127.0.0.1", 9)), (b"y", [message], 0, ("127.0.0.1", 9))]

    class Queue:
        def recvmsg(self, *arguments: Any) -> Any:
            if not answers:
                raise BlockingIOError
            return answers.pop(0)

        def getsockopt(self, *arguments: Any) -> int:
            return 0

    errors = read_errors(Queue())  # type: ignore[arg-type]
    assert (errors.truncated, [returned.quoted for returned in errors.returned]) == (1, [b"y"])


@pytest.mark.parametrize("name", [None, "", ()])
def test_messages_without_an_address(name: Any) -> None:
    """Of a sort that we do not know: no use, no harm."""
    errors = Errors()
    _take(errors, b"", name, struct.pack("=IBBBBII", 90, 1, 0, 0, 0, 1400, 0))
    assert errors == Errors()


def test_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no such thing, nothing is asked of the socket."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not report_errors(object())  # type: ignore[arg-type]
