"""
The header of a datagram that a SOCKS5 proxy is to relay.

By a header in front of it (RFC 1928 (7)): two reserved bytes, the fragment number, the kind of address, the address,
the port.  On the way to the proxy it says where the datagram is to go, on the way back where it came from.
"""

from __future__ import annotations

import re
import socket
import struct

from twisted_utp.udp.addresses import unmapped

IPV4_KIND, NAME_KIND, IPV6_KIND = 1, 3, 4
"""The kinds of address that there are (RFC 1928 (5), C{ATYP})."""

MAX_NAME = 255
"""Bytes of a name: its length is told in one."""

# Printable ASCII, without what separates a host from its port.
_NAME = re.compile(rb"[!-9;-~]+")

# Reserved, fragment number, kind.
_BEGINNING = struct.Struct(">HBB")
_PORT = struct.Struct(">H")

MAX_HEADER = _BEGINNING.size + 1 + MAX_NAME + _PORT.size
"""Bytes of the longest header, 262; one with an IPv4 address has 10, one with an IPv6 address 22."""

_BYTES = {IPV4_KIND: 4, IPV6_KIND: 16}
_FAMILIES = {4: socket.AF_INET, 16: socket.AF_INET6}


def packed_address(host: str, port: int) -> bytes:
    """
    An address as SOCKS5 writes it: kind, address, port (RFC 1928 (5)).

    @param host: a canonical address, or a name in ASCII.
    @raise ValueError: when it is neither.
    """
    host = unmapped(host)
    for kind, family in ((IPV4_KIND, socket.AF_INET), (IPV6_KIND, socket.AF_INET6)):
        try:
            return bytes((kind,)) + socket.inet_pton(family, host) + _PORT.pack(port)
        except (OSError, ValueError):  # a NUL is a ValueError
            continue
    name = host.encode("utf-8", "surrogatepass")  # nothing beyond ASCII passes
    if len(name) > MAX_NAME or not _is_name(name):
        raise ValueError(f"{host!r}: expected an address, or a name of 1 to {MAX_NAME} ASCII characters")
    return bytes((NAME_KIND, len(name))) + name + _PORT.pack(port)


def _is_name(name: bytes) -> bool:
    """
    Can a host be called so?  Whatever a proxy says is read by the rules by which it is written: what answers a datagram
    from elsewhere would fail.
    """
    return _NAME.fullmatch(name) is not None


def unpacked_address(data: bytes, start: int) -> tuple[str, int, int] | None:
    """
    The address that is written at C{start}.

    @return: host, port, and where it ends; L{None} when there is none, or not all of it.
    """
    kind = data[start] if start < len(data) else 0
    start += 1
    if kind == NAME_KIND:
        if start >= len(data):
            return None
        size = data[start]
        start += 1
    else:
        size = _BYTES.get(kind, 0)
    end = start + size + _PORT.size
    if not size or len(data) < end:
        return None
    address = data[start : start + size]
    if kind == NAME_KIND:
        if not _is_name(address):
            return None
        host = address.decode("ascii").lower()
    else:
        host = unmapped(socket.inet_ntop(_FAMILIES[size], address))
    return host, _PORT.unpack_from(data, start + size)[0], end


def header_for(host: str, port: int) -> bytes:
    """
    What stands before a datagram to that address.

    @param host: see L{packed_address}.
    @raise ValueError: see L{packed_address}.
    """
    return _BEGINNING.pack(0, 0, 0)[:-1] + packed_address(host, port)


def read_header(datagram: bytes) -> tuple[str, int, int] | None:
    """
    What stands before a datagram.

    Fragments are refused: who does not put them together must drop them (RFC 1928 (7)), and no proxy makes any.

    @return: host, port, and where the payload begins; L{None} when it is to be dropped.
    """
    if len(datagram) < _BEGINNING.size or datagram[2]:
        return None
    return unpacked_address(datagram, _BEGINNING.size - 1)
