"""
How do addresses look to applications?
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address


def udp_address(host: str, port: int) -> IPv4Address | IPv6Address:
    """
    A numeric address as Twisted's applications expect it from C{getPeer}.
    """
    return IPv6Address("UDP", host, port) if ":" in host else IPv4Address("UDP", host, port)
