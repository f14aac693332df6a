"""
Decides whether routers, or the kernel, may fragment a datagram.

Ordinary datagrams yes: their size is known to arrive, and if the path has become narrower, fragments are better than
nothing.  MTU probes never: a probe that arrives in fragments proves nothing.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# <linux/in.h> and <linux/in6.h>; the socket module has no names for them before Python 3.14.
_IP_MTU_DISCOVER = 10
_IPV6_MTU_DISCOVER = 23
_PMTUDISC_DONT = 0
_PMTUDISC_PROBE = 3  # don't fragment, and don't mind what the kernel believes about the path
# Fragment by the interface's MTU, and don't mind what the kernel believes about the path.  With DONT, IPv4's error
# queue is not told when a router finds a datagram too big (__udp4_lib_err); with OMIT it is.  IPv6 is the other way
# round (__udp6_lib_err), so there it stays DONT.
_PMTUDISC_OMIT = 5

_IS_LINUX = sys.platform.startswith("linux")


def allow_fragments(udp_socket: socket.socket) -> None:
    """
    Let what the socket sends be fragmented.  Linux's default is not to, and to refuse what it believes too long.
    """
    _set(udp_socket, _PMTUDISC_OMIT, _PMTUDISC_DONT)


@contextmanager
def no_fragments(udp_socket: socket.socket) -> Iterator[None]:
    """
    What is sent in this block has the don't-fragment bit (IPv4), or is not fragmented here (IPv6; routers never do).
    """
    _set(udp_socket, _PMTUDISC_PROBE, _PMTUDISC_PROBE)
    try:
        yield
    finally:
        allow_fragments(udp_socket)


def _set(udp_socket: socket.socket, ipv4: int, ipv6: int) -> None:
    """
    Elsewhere than on Linux nothing is changed: a probe may then arrive in fragments, and packets be fragmented.
    """
    if not _IS_LINUX:
        return
    if udp_socket.family == socket.AF_INET6:
        udp_socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, ipv6)
        # A socket that speaks IPv4 as well has both settings; one that does not, refuses this one.
        try:
            udp_socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, ipv4)
        except OSError:
            return
    else:
        udp_socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, ipv4)
