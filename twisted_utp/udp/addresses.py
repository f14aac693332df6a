"""
One spelling for each address.

As the kernel spells it: users may write C{2001:DB8::AB}, C{0:0:0:0:0:0:0:1}, C{fe80::5%eth0} or C{[::1]}, but answers
come from C{2001:db8::ab}, C{::1}, C{fe80::5%3}.  Scopes are numbers, and only link-local addresses have them (RFC 4007
(11)).
"""

from __future__ import annotations

import socket
import struct
from errno import ENODEV

from twisted_utp.udp.options import IP, IPV6

# <linux/in.h>, struct in_pktinfo: interface, address to answer from, destination; <linux/ipv6.h>, struct in6_pktinfo:
# destination, interface.  RFC 3542 (6.1, 6.2).
IP_PKTINFO = 8
IPV6_PKTINFO = 50
_IN_PKTINFO = struct.Struct("=I4s4s")
_IN6_PKTINFO = struct.Struct("=16sI")

ANY_IPV4, ANY_IPV6, ANY_MAPPED = "0.0.0.0", "::", "::ffff:0.0.0.0"
_LINK_LOCAL = frozenset(("fe8", "fe9", "fea", "feb"))
_MAPPED = "::ffff:"  # RFC 4291 (2.5.5.2)

Sockaddr = tuple[str, int] | tuple[str, int, int, int]
ControlMessage = tuple[int, int, bytes]


def canonical_host(text: str) -> str:
    """
    The one spelling of a numeric address.

    @raise ValueError: when it is none.
    @raise OSError: C{ENODEV} when its scope is no interface of this machine.
    """
    host, percent, scope = without_brackets(text).partition("%")
    try:
        if percent and (not scope or ":" not in host):
            raise OSError
        if ":" not in host:
            return socket.inet_ntop(socket.AF_INET, socket.inet_pton(socket.AF_INET, host))
        host = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host))
    except (OSError, ValueError):
        raise ValueError(f"{text!r}: expected an IPv4 or IPv6 address") from None
    return f"{host}%{_scope_number(scope)}" if scope and is_link_local(host) else host


def is_numeric(text: str) -> bool:
    """
    Is it an IPv4 or IPv6 address, perhaps with a scope, perhaps in brackets?
    """
    try:
        canonical_host(text)
    except ValueError:
        return False
    except OSError:
        return True
    return True


def without_brackets(text: str) -> str:
    """
    An address as it stands in a URL (RFC 3986 (3.2.2)), without what surrounds it there; anything else as it is.
    """
    return text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text


def is_ipv4(text: str) -> bool:
    """
    Is a numeric address one of IPv4, perhaps in its IPv6 form?
    """
    try:
        return ":" not in unmapped(canonical_host(text))
    except OSError:
        return False


def is_for_all(text: str) -> bool:
    """
    Is a numeric address C{::}, which stands for both families?
    """
    return not is_ipv4(text) and "%" not in text and canonical_host(text) == ANY_IPV6


def is_link_local(host: str) -> bool:
    """
    Is it an IPv6 address that exists once for each interface (RFC 4291 (2.5.6))?
    """
    return host[:3] in _LINK_LOCAL and host[3:4] != ":"


def mapped(host: str) -> str:
    """
    An IPv4 address as an IPv6 socket knows it; any other as it is.
    """
    return host if ":" in host else f"{_MAPPED}{host}"


def unmapped(host: str) -> str:
    """
    The other way round.
    """
    return host[len(_MAPPED) :] if host.startswith(_MAPPED) and "." in host else host


def sockaddr(host: str, port: int) -> Sockaddr:
    """
    What the socket module wants for a canonical address: it loses a scope that is written in it.
    """
    if "%" not in host:
        return host, port
    host, _, scope = host.partition("%")
    return host, port, 0, int(scope)


def host_of(name: Sockaddr) -> str:
    """
    The canonical address in what the socket module gives.
    """
    if len(name) == 4 and name[3] and "%" not in name[0]:
        return f"{name[0]}%{name[3]}"
    return name[0]


def local_host(message: ControlMessage) -> str:
    """
    Where a datagram arrived, by the control message that came with it; C{""} when it is another message, and for a
    datagram that was sent to many.
    """
    level, kind, data = message
    if (level, kind) == (IP, IP_PKTINFO) and len(data) == _IN_PKTINFO.size:
        _interface, answer_from, destination = _IN_PKTINFO.unpack(data)
        # The error queue has no address to answer from.
        return socket.inet_ntop(socket.AF_INET, answer_from if any(answer_from) else destination)
    if (level, kind) == (IPV6, IPV6_PKTINFO) and len(data) == _IN6_PKTINFO.size:
        destination, interface = _IN6_PKTINFO.unpack(data)
        host = socket.inet_ntop(socket.AF_INET6, destination)
        return f"{host}%{interface}" if is_link_local(host) else host
    return ""


def source_message(host: str) -> ControlMessage:
    """
    The control message that makes a datagram leave from a canonical address.
    """
    if ":" not in host:
        return IP, IP_PKTINFO, _IN_PKTINFO.pack(0, socket.inet_pton(socket.AF_INET, host), bytes(4))
    host, _, scope = host.partition("%")
    return IPV6, IPV6_PKTINFO, _IN6_PKTINFO.pack(socket.inet_pton(socket.AF_INET6, host), int(scope or 0))


def _scope_number(scope: str) -> int:
    if scope.isascii() and scope.isdigit():
        return int(scope)
    try:
        return socket.if_nametoindex(scope)
    except OSError:
        raise OSError(ENODEV, f"no interface {scope!r}") from None
