"""
The addresses of a name, in the order in which they are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from twisted_utp.udp.addresses import is_numeric


class NoAddress(DNSLookupError):
    """
    A name has addresses, but none of the family that was asked for.
    """

    def __init__(self, host: str, version: int | None) -> None:
        super().__init__(f"{host} has no IPv{version} address")


def resolve(reactor: Any, host: str, port: int, version: int | None = None) -> Deferred[list[str]]:
    """
    Look a name up with the reactor's resolver.

    @param version: 4 or 6, when only addresses of IPv4 or of IPv6 will do.
    @return: numeric hosts, in the order to be tried; at least one, or fails with C{DNSLookupError}.
    """
    if is_numeric(host):
        return succeed([host])
    receiver = _Receiver()
    reactor.nameResolver.resolveHostName(receiver, host, portNumber=port, transportSemantics="UDP")

    def ordered(addresses: list[IAddress]) -> list[str]:
        found = [_host(address) for address in addresses if isinstance(address, (IPv4Address, IPv6Address))]
        hosts = interleave([host for host in found if version is None or (":" in host) is (version == 6)])
        if not hosts:
            raise NoAddress(host, version) if found else DNSLookupError(f"no results for hostname lookup: {host}")
        return hosts

    return receiver.resolved.addCallback(ordered)


def interleave(hosts: Sequence[str]) -> list[str]:
    """
    Alternate between the address families, first the one that the system prefers (RFC 8305 (4)).
    """
    unique = list(dict.fromkeys(hosts))
    if not unique:
        return []
    first_is_ipv6 = ":" in unique[0]
    preferred = [host for host in unique if (":" in host) is first_is_ipv6]
    others = [host for host in unique if (":" in host) is not first_is_ipv6]
    mixed: list[str] = []
    for index in range(max(len(preferred), len(others))):
        mixed += preferred[index : index + 1] + others[index : index + 1]
    return mixed


def _host(address: IPv4Address | IPv6Address) -> str:
    host: str = address.host
    scope = getattr(address, "scopeID", 0)
    if isinstance(scope, int) and scope and "%" not in host:
        return f"{host}%{scope}"
    return host


@implementer(IResolutionReceiver)
class _Receiver:
    """
    Collects what the resolver finds.
    """

    def __init__(self) -> None:
        self.resolved: Deferred[list[IAddress]] = Deferred()
        self._addresses: list[IAddress] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """
        It cannot be cancelled yet (Twisted #8888), so there is nothing to keep.
        """

    def addressResolved(self, address: IAddress) -> None:
        """
        One more.
        """
        self._addresses.append(address)

    def resolutionComplete(self) -> None:
        """
        That was all.
        """
        if not self.resolved.called:
            self.resolved.callback(self._addresses)
