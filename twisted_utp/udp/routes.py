"""
The route that a datagram to some address takes, if there is any.

The kernel is asked with a socket that is connected and closed again: that looks the route up, and sends nothing.  So
what it would refuse is known before anything waits for an answer, in its own words; what C{0.0.0.0} means to it, and
which address of ours it prefers, is known as well.
"""

from __future__ import annotations

import socket
import sys
import time
from errno import EACCES, EADDRNOTAVAIL, EAFNOSUPPORT, ENETUNREACH
from ipaddress import ip_address
from os import strerror

from twisted_utp.proto.values import Address
from twisted_utp.udp.addresses import (
    ANY_IPV4,
    ANY_IPV6,
    ANY_MAPPED,
    Sockaddr,
    canonical_host,
    host_of,
    mapped,
    sockaddr,
    unmapped,
)

# <asm-generic/socket.h>: what of a socket decides about routes, beside its address.
_SO_BINDTODEVICE, _SO_MARK = 25, 36

# Seconds for which an answer holds.  Programs that dial dial often: asking takes more system calls than the rest of a
# connect.  Who loses a route, or an address of his own, within that time dials in vain until then, or until something
# cannot be sent; it costs him a SYN.
ROUTE_AGE = 1.0

# Hosts for which an answer is kept.
MAX_ROUTES = 256

WILDCARDS = frozenset((ANY_IPV4, ANY_IPV6, ANY_MAPPED))
"""Addresses that a socket is bound to when it has all of a family."""


def takes_ipv4(udp_socket: socket.socket) -> bool:
    """
    Can the socket send to IPv4 addresses?
    """
    if udp_socket.family == socket.AF_INET:
        return True
    if udp_socket.family != socket.AF_INET6 or udp_socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        return False
    bound: str = udp_socket.getsockname()[0]
    return bound == ANY_IPV6 or unmapped(bound) != bound


class Routes:
    """
    What a port has just been told.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[float, str, str]] = {}

    def path_to(
        self, udp_socket: socket.socket, host: str, port: int, source: str = "", *, names_source: bool = False
    ) -> Address:
        """
        See L{path_to}.  It is always the same socket.
        """
        now = time.monotonic()
        known = self._known.get((host, source))
        if known is not None and now < known[0]:
            return (known[1], port, known[2]) if names_source else (known[1], port)
        path = path_to(udp_socket, host, port, source, names_source=names_source)
        if len(self._known) >= MAX_ROUTES:
            self._known.clear()
        self._known[host, source] = now + ROUTE_AGE, path[0], path[2] if len(path) == 3 else ""
        return path

    def forget(self) -> None:
        """
        Something could not be sent: routes may have changed.
        """
        self._known.clear()


def path_to(
    udp_socket: socket.socket, host: str, port: int, source: str = "", *, names_source: bool = False
) -> Address:
    """
    The address value of a peer for that socket.

    @param host: a numeric address, in any spelling.
    @param source: the address of ours to send from; C{""} for what the socket is bound to, or else what the kernel
        prefers.
    @param names_source: the value says which one that is.
    @raise ValueError: when the host, or the source, is no numeric address.
    @raise OSError: why nothing could be sent there.
    """
    peer = _for_family(udp_socket, canonical_host(host))
    if ip_address(unmapped(peer)).is_multicast:
        raise OSError(ENETUNREACH, strerror(ENETUNREACH))  # what TCP says
    bound = host_of(udp_socket.getsockname())
    if source:
        source = _for_family(udp_socket, canonical_host(source))
    if bound not in WILDCARDS:
        if source and source != bound:
            raise OSError(EADDRNOTAVAIL, f"the socket is bound to {bound}")
        source = bound
    elif source in WILDCARDS:
        source = ""
    elif source and not names_source:
        raise OSError(EADDRNOTAVAIL, "a socket on all addresses cannot choose one here")
    name, local = _connected(udp_socket, sockaddr(peer, port), sockaddr(source, 0) if source else None)
    return (name, port, local) if names_source else (name, port)


def _for_family(udp_socket: socket.socket, host: str) -> str:
    if udp_socket.family == socket.AF_INET6:
        if ":" not in host and not takes_ipv4(udp_socket):
            raise OSError(EAFNOSUPPORT, "an IPv4 address, but the socket is for IPv6")
        return mapped(host)
    host = unmapped(host)
    if ":" in host:
        raise OSError(EAFNOSUPPORT, "an IPv6 address, but the socket is for IPv4")
    return host


def _connected(udp_socket: socket.socket, peer: Sockaddr, source: Sockaddr | None) -> tuple[str, str]:
    """
    @return: the addresses of both ends.
    """
    with socket.socket(udp_socket.family, socket.SOCK_DGRAM) as probe:
        _route_alike(udp_socket, probe)
        if source is not None:
            probe.bind(source)
        try:
            probe.connect(peer)
        except OSError as error:
            if error.errno == EACCES and _is_broadcast(probe, peer):
                raise OSError(ENETUNREACH, "a broadcast address") from None  # as TCP
            raise
        return host_of(probe.getpeername()), host_of(probe.getsockname())


def _is_broadcast(probe: socket.socket, peer: Sockaddr) -> bool:
    """
    Would the kernel send there if it was asked to send to everybody?
    """
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        probe.connect(peer)
    except OSError:
        return False
    return True


def _route_alike(udp_socket: socket.socket, probe: socket.socket) -> None:
    if udp_socket.family == socket.AF_INET6:
        v6_only = udp_socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
    if not sys.platform.startswith("linux"):
        return
    device = udp_socket.getsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, 16)
    mark = udp_socket.getsockopt(socket.SOL_SOCKET, _SO_MARK)
    if device.strip(b"\0"):
        probe.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, device)
    if mark:
        probe.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
