"""
Counts connections: all of them, half-open ones, and those of each host.

Those that only linger to answer a peer's repeated packets are nobody's any more: they are not counted here.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address

from twisted_utp.proto.acceptance import PortLoad


@lru_cache(maxsize=4096)
def host_prefix(host: str) -> str:
    """
    Whom limits by host are about: an IPv4 address, or the first 64 bits of an IPv6 one, since whoever has one of these
    has all of them (RFC 6177).  Link-local addresses count one by one: neighbours share their prefix.

    @param host: a numeric address.
    """
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host)
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address.is_link_local:
        return host
    return str(IPv6Address(int(address) >> 64 << 64))


class ConnectionCounts:
    """
    Counts that cost no search.

    @ivar connections: see L{PortLoad}, as C{half_open}.
    """

    __slots__ = ("_by_host", "connections", "half_open")

    def __init__(self) -> None:
        self.connections = 0
        self.half_open = 0
        self._by_host: dict[str, int] = {}

    def enter(self, host: str) -> None:
        """
        A connection with that host begins.
        """
        self.connections += 1
        prefix = host_prefix(host)
        self._by_host[prefix] = self._by_host.get(prefix, 0) + 1

    def leave(self, host: str) -> None:
        """
        Its user has heard the last of it.
        """
        self.connections -= 1
        prefix = host_prefix(host)
        left = self._by_host[prefix] - 1
        if left:
            self._by_host[prefix] = left
        else:
            del self._by_host[prefix]

    def with_host(self, host: str) -> int:
        """
        Connections with one host, or one /64 of IPv6.
        """
        return self._by_host.get(host_prefix(host), 0)

    def load(self, host: str) -> PortLoad:
        """
        What an L{AcceptPolicy <twisted_utp.proto.acceptance.AcceptPolicy>} is shown.
        """
        return PortLoad(self.connections, self.half_open, self.with_host(host))
