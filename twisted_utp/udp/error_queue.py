"""
Reads from the kernel's error queue which datagrams did not arrive, and why.

Linux keeps the ICMP error messages that answer a socket's datagrams in a queue of their own, if it is asked to
(C{IP_RECVERR}, C{IPV6_RECVERR}; ip(7), ipv6(7)).  Elsewhere there is none, and nothing here has any effect.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from dataclasses import dataclass, field
from typing import Any

from twisted_utp.proto.values import Obstacle, ReturnedDatagram
from twisted_utp.udp.addresses import host_of
from twisted_utp.udp.local import LocalAddresses
from twisted_utp.udp.offload import CONTROL_SPACE, CUT_OFF, DONT_WAIT

# <linux/in.h>, <linux/in6.h>, <linux/socket.h>; the socket module lacks names for them on most versions of Python, or
# on other systems.
_IPPROTO_IP = 0
_IPPROTO_IPV6 = 41
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_MSG_ERRQUEUE = 0x2000
_READ_ERRORS = _MSG_ERRQUEUE | DONT_WAIT

# <linux/errqueue.h>, struct sock_extended_err: errno, origin, type, code, padding, info, data.
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_ORIGIN_LOCAL, _ORIGIN_ICMP, _ORIGIN_ICMP6 = 1, 2, 3

# RFC 792, RFC 1122 (3.2.2.1), RFC 4443 (3.1, 3.2): types, and the codes that speak of the port or its protocol.
_ICMP_UNREACHABLE, _ICMP_PORT, _ICMP_PROTOCOL, _ICMP_TOO_BIG = 3, 3, 2, 4
_ICMP6_UNREACHABLE, _ICMP6_PORT, _ICMP6_TOO_BIG = 1, 4, 2

# IP and UDP headers without options: what an MTU leaves for the payload is less by that.
_IPV4_OVERHEAD, _IPV6_OVERHEAD = 28, 48

# Linux quotes 520 bytes over IPv4, 1184 over IPv6.  More than our header is of no use.
_QUOTED = 1500

# Messages that are read in one go; the kernel wakes us again for the others.
_MAX_READS = 64

# What icmp_err_convert and its IPv6 twin make of ICMP codes.
_PENDING = ("EACCES", "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "EMSGSIZE", "ENETUNREACH", "ENONET", "ENOPROTOOPT",
            "EOPNOTSUPP", "EPROTO")  # fmt: skip

PENDING = frozenset(getattr(errno, name) for name in _PENDING if hasattr(errno, name))
"""
What a system call may answer because of an ICMP message about an earlier datagram, perhaps to another peer.  It has
done nothing then, and the same call once more will do it (udp(7): "all fatal errors will be passed to the user").
"""

MAX_PENDING = 4
"""Such answers in a row to one call, after which it is the call itself that cannot be done."""


@dataclass(slots=True)
class Errors:
    """
    What was in the queue.

    @ivar returned: datagrams that came back.
    @ivar interface_size: the largest UDP payload that goes out unfragmented through the interface for which the last
        datagram was too big; 0 when none was.
    @ivar truncated: messages of which not everything found room; nothing is guessed from the rest.
    """

    returned: list[ReturnedDatagram] = field(default_factory=list)
    interface_size: int = 0
    truncated: int = 0


def report_errors(udp_socket: socket.socket) -> bool:
    """
    Have the kernel keep ICMP error messages for the socket.  System calls on it may then fail with L{PENDING}.

    @return: whether it does.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        if udp_socket.family == socket.AF_INET6:
            udp_socket.setsockopt(_IPPROTO_IPV6, _IPV6_RECVERR, 1)
        udp_socket.setsockopt(_IPPROTO_IP, _IP_RECVERR, 1)
    except OSError:
        return False
    return True


def read_errors(udp_socket: socket.socket, local_addresses: LocalAddresses | None = None) -> Errors:
    """
    Empty the queue, within reason.

    @param local_addresses: of a socket that tells where datagrams arrive.
    """
    errors = Errors()
    for _ in range(_MAX_READS):
        try:
            quoted, messages, flags, sent_to = udp_socket.recvmsg(_QUOTED, CONTROL_SPACE, _READ_ERRORS)
        except OSError:
            break
        if flags & CUT_OFF:
            errors.truncated += 1
            continue
        for level, kind, data in messages:
            if (level, kind) in _ERROR_MESSAGES and len(data) >= _EXTENDED_ERROR.size:
                # The messages arrived where the datagrams had left from.
                local = local_addresses.read(messages)[0] if local_addresses is not None else ""
                _take(errors, quoted, sent_to, data, local)
    # An error whose message found no room in the queue would wake us for ever.
    udp_socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return errors


_ERROR_MESSAGES = frozenset(((_IPPROTO_IP, _IP_RECVERR), (_IPPROTO_IPV6, _IPV6_RECVERR)))


def _take(errors: Errors, quoted: bytes, sent_to: Any, data: bytes, local: str = "") -> None:
    number, origin, kind, code, _padding, info, _data = _EXTENDED_ERROR.unpack_from(data)
    if not isinstance(sent_to, tuple) or len(sent_to) < 2:
        return
    overhead = _IPV6_OVERHEAD if ":" in sent_to[0] and not sent_to[0].startswith("::ffff:") else _IPV4_OVERHEAD
    size = max(info - overhead, 0)
    if origin == _ORIGIN_LOCAL and number == errno.EMSGSIZE:
        errors.interface_size = size
        return
    obstacle = obstacle_of(origin, kind, code)
    if obstacle is not None:
        size = size if obstacle is Obstacle.TOO_BIG else 0
        host, port = host_of(sent_to), sent_to[1]
        address = (host, port, local) if local else (host, port)
        errors.returned.append(ReturnedDatagram(address, quoted, obstacle, size))


def obstacle_of(origin: int, kind: int, code: int) -> Obstacle | None:
    """
    What an ICMP message is about; L{None} for those that are none of our business, like an expired time to live.

    @param origin: C{ee_origin}, ICMP or ICMPv6.
    """
    if origin == _ORIGIN_ICMP and kind == _ICMP_UNREACHABLE:
        if code == _ICMP_TOO_BIG:
            return Obstacle.TOO_BIG
        return Obstacle.PORT_CLOSED if code in (_ICMP_PORT, _ICMP_PROTOCOL) else Obstacle.UNREACHABLE
    if origin == _ORIGIN_ICMP6 and kind == _ICMP6_TOO_BIG:
        return Obstacle.TOO_BIG
    if origin == _ORIGIN_ICMP6 and kind == _ICMP6_UNREACHABLE:
        return Obstacle.PORT_CLOSED if code == _ICMP6_PORT else Obstacle.UNREACHABLE
    return None
