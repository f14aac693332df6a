"""
Tells the service behind a forwarder who its client is (PROXY protocol).

By a header before everything else, which U{HAProxy's PROXY protocol
<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>} defines: version 1 is a line (2.1), version 2 is binary
(2.2).  A uTP connection is called a stream, which it is to the service; many receivers refuse anything else.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

VERSIONS = (1, 2)

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_VERSION_2_PROXY = 0x21
_UNKNOWN, _TCP4, _TCP6 = 0x00, 0x11, 0x21


def proxy_header(version: int, client: Any, host: Any) -> bytes:
    """
    The header for one connection.

    @param version: one of L{VERSIONS}.
    @param client: whence the connection came: an address of Twisted's.
    @param host: where it was accepted.
    @return: a header that says "unknown" where the addresses are not IP addresses, as of a UNIX socket.
    """
    pair = _same_family(_ip(client), _ip(host))
    if version == 1:
        return _version_1(pair, client, host)
    if pair is None:
        return _SIGNATURE + struct.pack("!BBH", _VERSION_2_PROXY, _UNKNOWN, 0)
    addresses: bytes = pair[0].packed + pair[1].packed + struct.pack("!HH", client.port, host.port)
    family = _TCP4 if pair[0].version == 4 else _TCP6
    return _SIGNATURE + struct.pack("!BBH", _VERSION_2_PROXY, family, len(addresses)) + addresses


def _version_1(pair: tuple[Any, Any] | None, client: Any, host: Any) -> bytes:
    if pair is None:
        return b"PROXY UNKNOWN\r\n"
    return f"PROXY TCP{pair[0].version} {pair[0]} {pair[1]} {client.port} {host.port}\r\n".encode("ascii")


def _ip(address: Any) -> IPv4Address | IPv6Address | None:
    """
    Without a scope, which means nothing to anybody else, and IPv4 as IPv4.
    """
    try:
        found = ip_address(str(getattr(address, "host", "")).partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _same_family(one: Any, another: Any) -> tuple[Any, Any] | None:
    """
    Both in the family of the header; IPv4 in an IPv6 header is mapped (RFC 4291 (2.5.5.2)).
    """
    if one is None or another is None:
        return None
    if one.version == another.version:
        return one, another
    return tuple(
        address if address.version == 6 else IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
        for address in (one, another)
    )  # type: ignore[return-value]
