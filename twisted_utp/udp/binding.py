"""
Binds a new UDP socket to its address.

Twisted's own port loses the scope of a link-local address, and takes IPv4 with C{::} whether or not it is wanted.
"""

from __future__ import annotations

import socket

from twisted.internet.error import CannotListenError

from twisted_utp.udp.addresses import ANY_IPV4, canonical_host, sockaddr
from twisted_utp.udp.settings import AS_IT_IS, SocketSettings, apply


def bound_socket(
    interface: str, port: int, *, ipv6_only: bool = False, settings: SocketSettings = AS_IT_IS
) -> socket.socket:
    """
    A socket that does not block.

    @param interface: a numeric address, perhaps with a scope; C{""} for all IPv4 ones.
    @param ipv6_only: C{::} is for IPv6 alone.
    @param settings: what else it is to have.
    @raise CannotListenError: when the system says no.
    """
    try:
        name = sockaddr(canonical_host(interface or ANY_IPV4), port)
        made = socket.socket(socket.AF_INET6 if ":" in name[0] else socket.AF_INET, socket.SOCK_DGRAM)
    except OSError as error:
        raise CannotListenError(interface, port, error) from None
    made.setblocking(False)
    try:
        if ipv6_only and made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        apply(made, settings)
        made.bind(name)
    except OSError as error:
        made.close()
        raise CannotListenError(interface, port, error) from None
    return made
