"""
Does the kernel tell us at once what it would not send, and by which way the rest goes?
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from twisted_utp.udp import routes
from twisted_utp.udp.routes import MAX_ROUTES, ROUTE_AGE, Routes, path_to, takes_ipv4

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what 127.0.0.2 is depends on the system")


def bound(host: str) -> socket.socket:
    """A UDP socket."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, 0))
    return made


@pytest.fixture
def four() -> Iterator[socket.socket]:
    """On all IPv4 addresses."""
    with bound("0.0.0.0") as made:
        yield made


@pytest.fixture
def both() -> Iterator[socket.socket]:
    """On all addresses."""
    with bound("::") as made:
        yield made


def test_ipv4(four: socket.socket) -> None:
    """With the address of ours that the kernel prefers, or the one that we do."""
    assert path_to(four, "127.0.0.1", 9) == ("127.0.0.1", 9)
    assert path_to(four, "127.0.0.1", 9, names_source=True) == ("127.0.0.1", 9, "127.0.0.1")
    assert path_to(four, "127.0.0.1", 9, "127.0.0.7", names_source=True) == ("127.0.0.1", 9, "127.0.0.7")
    assert path_to(four, "127.0.0.1", 9, "0.0.0.0", names_source=True) == ("127.0.0.1", 9, "127.0.0.1")
    assert path_to(four, "::FFFF:127.0.0.1", 9) == ("127.0.0.1", 9)


def test_both_families(both: socket.socket) -> None:
    """IPv4 in its IPv6 form, as the socket receives it."""
    assert path_to(both, "0:0::1", 9, names_source=True) == ("::1", 9, "::1")
    assert path_to(both, "127.0.0.1", 9, names_source=True) == ("::ffff:127.0.0.1", 9, "::ffff:127.0.0.1")
    assert path_to(both, "127.0.0.1", 9, "127.0.0.7", names_source=True)[2:] == ("::ffff:127.0.0.7",)


def test_nowhere_is_here(four: socket.socket, both: socket.socket) -> None:
    """As to TCP on Linux, which takes it for the address that it would come from."""
    assert path_to(four, "0.0.0.0", 9)[0] == "127.0.0.1"
    assert path_to(both, "::", 9)[0] == "::1"
    assert path_to(both, "0.0.0.0", 9)[0] == "::ffff:127.0.0.1"
    with bound("127.0.0.5") as one:
        assert path_to(one, "0.0.0.0", 9)[0] == "127.0.0.5"


def test_one_address() -> None:
    """Who is bound to it sends from it, and from no other."""
    with bound("127.0.0.5") as one:
        assert path_to(one, "127.0.0.1", 9) == path_to(one, "127.0.0.1", 9, "127.0.0.5") == ("127.0.0.1", 9)
        with pytest.raises(OSError, match="bound to 127.0.0.5") as caught:
            path_to(one, "127.0.0.1", 9, "127.0.0.6")
        assert caught.value.errno == errno.EADDRNOTAVAIL


def test_what_cannot_be_chosen(four: socket.socket) -> None:
    """A source that the socket cannot name, and one that is not ours."""
    with pytest.raises(OSError, match="cannot choose"):
        path_to(four, "127.0.0.1", 9, "127.0.0.7")
    with pytest.raises(OSError, match=".") as caught:
        path_to(four, "127.0.0.1", 9, "192.0.2.1", names_source=True)
    assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize(
    ("host", "code"),
    [("224.0.0.1", errno.ENETUNREACH), ("127.255.255.255", errno.ENETUNREACH), ("::1", errno.EAFNOSUPPORT)],
)
def test_not_from_ipv4(four: socket.socket, host: str, code: int) -> None:
    """To many, as TCP would say; the other family."""
    with pytest.raises(OSError, match=".") as caught:
        path_to(four, host, 9)
    assert caught.value.errno == code


@pytest.mark.parametrize(
    ("host", "code"),
    [("fe80::1", errno.EINVAL), ("fe80::1%nosuch0", errno.ENODEV), ("ff02::1", errno.ENETUNREACH)],
)
def test_not_from_ipv6(both: socket.socket, host: str, code: int) -> None:
    """Link-local without a scope, with one that is not there; to many."""
    with pytest.raises(OSError, match=".") as caught:
        path_to(both, host, 9)
    assert caught.value.errno == code


def test_ipv6_only() -> None:
    """It leaves IPv4 alone."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.bind(("::", 0))
        assert not takes_ipv4(six)
        with pytest.raises(OSError, match="for IPv6") as caught:
            path_to(six, "127.0.0.1", 9)
        assert caught.value.errno == errno.EAFNOSUPPORT
    with bound("::1") as one:
        assert not takes_ipv4(one)


def test_a_name_is_no_address(four: socket.socket) -> None:
    """It is not looked up."""
    with pytest.raises(ValueError, match="'localhost': expected an IPv4 or IPv6 address"):
        path_to(four, "localhost", 9)


class Asked:
    """
    Counts what the kernel is asked, at a time that stands still.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 5.0
        self.count = 0
        monkeypatch.setattr("twisted_utp.udp.routes.time.monotonic", lambda: self.now)
        monkeypatch.setattr(routes, "path_to", self._path_to)

    def _path_to(self, *arguments: Any, **named: Any) -> Any:
        self.count += 1
        return path_to(*arguments, **named)


def test_the_next_dial_need_not_ask(four: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven system calls are more than the rest of a connect takes; any port of the host is there by the same way."""
    asked, known = Asked(monkeypatch), Routes()
    assert known.path_to(four, "127.0.0.1", 9, names_source=True) == ("127.0.0.1", 9, "127.0.0.1")
    assert known.path_to(four, "127.0.0.1", 10, names_source=True) == ("127.0.0.1", 10, "127.0.0.1")
    assert asked.count == 1
    assert known.path_to(four, "127.0.0.1", 9, "127.0.0.7", names_source=True)[2:] == ("127.0.0.7",)
    assert known.path_to(four, "127.0.0.2", 9, names_source=True)[0] == "127.0.0.2"
    assert asked.count == 3


def test_a_route_is_not_believed_for_long(four: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor after something could not be sent."""
    asked, known = Asked(monkeypatch), Routes()
    for passed, expected in [(0, 1), (ROUTE_AGE / 2, 1), (ROUTE_AGE, 2), (0, 2)]:
        asked.now += passed
        known.path_to(four, "127.0.0.1", 9)
        assert asked.count == expected
    known.forget()
    known.path_to(four, "127.0.0.1", 9)
    assert asked.count == 3


def test_refusals_are_asked_for_again(four: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interface may come up in any moment."""
    asked, known = Asked(monkeypatch), Routes()
    for expected in (1, 2):
        with pytest.raises(OSError):
            known.path_to(four, "::1", 9)
        assert asked.count == expected


def test_few_routes_are_kept(four: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who dials the whole world does not fill memory with it."""
    Asked(monkeypatch)
    known = Routes()
    for number in range(2 * MAX_ROUTES):
        known.path_to(four, f"127.0.{number // 250}.{number % 250 + 1}", 9)
    assert len(known._known) <= MAX_ROUTES
