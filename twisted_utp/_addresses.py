"""
Addresses as applications and people see them.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address

from twisted_utp.proto.values import Address
from twisted_utp.udp.addresses import unmapped


def udp_address(host: str, port: int) -> IPv4Address | IPv6Address:
    """
    A numeric address as Twisted's applications expect it from C{getPeer}.
    """
    return IPv6Address("UDP", host, port) if ":" in host else IPv4Address("UDP", host, port)


def peer_of(address: Address) -> IPv4Address | IPv6Address:
    """
    The peer in the core's address value.
    """
    return udp_address(address[0], address[1])


def local_of(
    address: Address, peer: IPv4Address | IPv6Address, bound: IPv4Address | IPv6Address
) -> IPv4Address | IPv6Address:
    """
    Our own half of it.

    @param peer: as the application knows it; our address is of the same family.
    @param bound: what the UDP port is bound to.
    """
    if len(address) == 2:
        return bound
    host = address[2]
    return udp_address(host if isinstance(peer, IPv6Address) else unmapped(host), bound.port)


def format_address(address: object) -> str:
    """
    C{192.0.2.7:9000}, C{[2001:db8::7]:9000}, or what a UNIX socket is called.
    """
    host = getattr(address, "host", None)
    if host is None:
        name = getattr(address, "name", None)
        return name.decode(errors="replace") if isinstance(name, bytes) else str(name or "somebody")
    port = getattr(address, "port", "?")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
