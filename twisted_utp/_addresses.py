"""
How do addresses look to applications, and to people?
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address


def udp_address(host: str, port: int) -> IPv4Address | IPv6Address:
    """
    A numeric address as Twisted's applications expect it from C{getPeer}.
    """
    return IPv6Address("UDP", host, port) if ":" in host else IPv4Address("UDP", host, port)


def spelled(address: object) -> str:
    """
    C{192.0.2.7:9000}, C{[2001:db8::7]:9000}, or what a UNIX socket is called.
    """
    host = getattr(address, "host", None)
    if host is None:
        name = getattr(address, "name", None)
        return name.decode(errors="replace") if isinstance(name, bytes) else str(name or "somebody")
    port = getattr(address, "port", "?")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
