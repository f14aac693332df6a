"""
Do MTU probes, and only they, carry the don't-fragment bit?
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from twisted_utp.udp.fragmentation import allow_fragments, no_fragments

# OMIT over IPv4, DONT over IPv6: routers, and the kernel, may fragment; the error queue hears of what is too big.
ALLOWED = {socket.AF_INET: 5, socket.AF_INET6: 0}
LEVELS = {socket.AF_INET: (socket.IPPROTO_IP, 10), socket.AF_INET6: (socket.IPPROTO_IPV6, 23)}

only_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the option is Linux's")


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def udp_socket(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """One of each family."""
    with socket.socket(request.param, socket.SOCK_DGRAM) as made:
        yield made


def setting(udp_socket: socket.socket) -> int:
    """What the kernel has noted."""
    return udp_socket.getsockopt(*LEVELS[udp_socket.family])


@only_linux
def test_probes_only(udp_socket: socket.socket) -> None:
    """Inside the block the kernel neither fragments nor minds its own idea of the path (PROBE, 3); else it may."""
    allow_fragments(udp_socket)
    assert setting(udp_socket) == ALLOWED[udp_socket.family]
    with no_fragments(udp_socket):
        assert setting(udp_socket) == 3
    assert setting(udp_socket) == ALLOWED[udp_socket.family]


@only_linux
def test_also_when_sending_fails(udp_socket: socket.socket) -> None:
    """A probe that is too long for the interface leaves the socket as it was."""
    with pytest.raises(OSError, match="too long"), no_fragments(udp_socket):
        raise OSError("message too long")
    assert setting(udp_socket) == ALLOWED[udp_socket.family]
