"""
Does a socket have what was asked for, and is it said when it cannot have it?
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator

import pytest
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.testing import MemoryReactor

from twisted_utp.udp import listen_udp
from twisted_utp.udp import settings as module
from twisted_utp.udp.binding import bound_socket
from twisted_utp.udp.routes import path_to
from twisted_utp.udp.settings import AS_IT_IS, SocketSettings, apply

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has these options")


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def new(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A socket of each family."""
    with socket.socket(request.param, socket.SOCK_DGRAM) as made:
        yield made


def test_marks(new: socket.socket) -> None:
    """In both kinds of headers that a socket for both families sends; the bits for ECN are 0."""
    apply(new, SocketSettings(dscp=1))
    assert new.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0b000001_00
    if new.family == socket.AF_INET6:
        assert new.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 0b000001_00


def test_nothing_asked_for(new: socket.socket) -> None:
    """Nothing is changed."""
    apply(new, AS_IT_IS)
    assert new.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0
    assert AS_IT_IS.first() == ""


@linux
def test_device(new: socket.socket) -> None:
    """It is the socket's, also when routes are looked up for it."""
    apply(new, SocketSettings(device="lo"))
    assert new.getsockopt(socket.SOL_SOCKET, 25, 16) == b"lo\0"
    new.bind(("", 0))
    here = "127.0.0.1" if new.family == socket.AF_INET else "::1"
    assert path_to(new, here, 9) == (here, 9)


@linux
def test_no_such_device() -> None:
    """It cannot listen, and the reason is the system's."""
    with pytest.raises(CannotListenError) as caught:
        bound_socket("127.0.0.1", 0, settings=SocketSettings(device="nosuch0"))
    reason = caught.value.socketError
    assert isinstance(reason, OSError) and reason.errno == errno.ENODEV


@linux
@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_free_bind(host: str) -> None:
    """An address that is not ours is one to listen on."""
    with pytest.raises(CannotListenError):
        bound_socket(host, 0)
    with bound_socket(host, 0, settings=SocketSettings(free_bind=True)) as made:
        assert made.getsockname()[0] == host


@pytest.mark.parametrize(
    ("setting", "name"),
    [({"device": "lo"}, "device"), ({"free_bind": True}, "freeBind"), ({"reuse_port": True}, "reusePort")],
)
def test_not_linux(monkeypatch: pytest.MonkeyPatch, setting: dict[str, object], name: str) -> None:
    """It cannot listen, and is told which setting is to blame."""
    monkeypatch.setattr(module, "_IS_LINUX", False)
    with pytest.raises(CannotListenError) as caught:
        bound_socket("127.0.0.1", 0, settings=SocketSettings(**setting))  # type: ignore[arg-type]
    reason = caught.value.socketError
    assert isinstance(reason, OSError) and reason.errno == errno.EOPNOTSUPP and f"{name}: " in str(reason)


def test_no_sockets() -> None:
    """A reactor in memory marks nothing; it says so."""
    with pytest.raises(CannotListenError, match=r"dscp: not supported by this system or this reactor"):
        listen_udp(MemoryReactor(), 9000, DatagramProtocol(), settings=SocketSettings(dscp=1))


def test_differences() -> None:
    """Who listens has the same; who dials has what he asks for."""
    marked, quiet = SocketSettings(dscp=1, device="lo"), SocketSettings(dscp=0)
    assert not marked.difference(marked) and not quiet.difference(AS_IT_IS) and not AS_IT_IS.difference(quiet)
    assert marked.difference(AS_IT_IS) == "dscp=0: expected 1, with which the UDP port is open already"
    assert not marked.missing(AS_IT_IS) and not marked.missing(SocketSettings(device="lo"))
    assert marked.missing(quiet) == "dscp=0: expected 1, with which the UDP port is open already"
    assert AS_IT_IS.missing(SocketSettings(device="lo")).startswith("device='lo': expected ''")
