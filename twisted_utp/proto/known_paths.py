"""
What other connections with the same host have learnt about the path.

A connection starts with the size that every path carries and finds the real one by probes (L{twisted_utp.proto.mtu}).
The next one to that host need not search again: one probe shows that what was found holds for it, too.  A kernel that
keeps such knowledge for TCP (RFC 1191 (6.3)) uses it without a probe, but TCP can cut what it sends again.  Only
acknowledged probes make it grow, and a black hole makes it forget.
"""

from __future__ import annotations

from collections import OrderedDict

from twisted_utp.proto.constants import (
    BASE_MTU_IPV4,
    BASE_MTU_IPV6,
    MAX_KNOWN_PATHS,
    MAX_MTU_IPV4,
    MAX_MTU_IPV6,
    MTU_RAISE_INTERVAL,
)
from twisted_utp.proto.mtu import MtuDiscovery, PathMtu
from twisted_utp.proto.values import Address


class KnownPaths:
    """
    The hosts that one port has had connections with, L{MAX_KNOWN_PATHS} of them at most.
    """

    __slots__ = ("_by_host",)

    def __init__(self) -> None:
        self._by_host: OrderedDict[str, PathMtu] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_host)

    def discovery(self, address: Address, fixed: int | None, now: int) -> MtuDiscovery:
        """
        A search for the path to an address, which begins where earlier ones have come to.

        @param fixed: the size that was configured, which ends the search before it begins; L{None} for none.
        @param now: µs.
        """
        if fixed is not None:
            return MtuDiscovery(base=fixed, limit=fixed)
        host = address[0]
        path = self._by_host.pop(host, None)
        if path is None or now >= path.known_until:
            path = PathMtu(now + MTU_RAISE_INTERVAL)
            if len(self._by_host) >= MAX_KNOWN_PATHS:
                self._by_host.popitem(last=False)
        self._by_host[host] = path
        if ":" in host:
            return MtuDiscovery(base=BASE_MTU_IPV6, limit=MAX_MTU_IPV6, path=path)
        return MtuDiscovery(base=BASE_MTU_IPV4, limit=MAX_MTU_IPV4, path=path)
