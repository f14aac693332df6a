"""
What a user may want of a UDP socket, beside its address.

How its packets are marked, through which interface they go, and whether it may be bound to what the host does not have
yet, or what other processes have.  It holds for the socket, so for all connections on it, and is set before it is
bound: what cannot be had is told then.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from dataclasses import dataclass
from errno import EOPNOTSUPP

from twisted_utp.udp.options import IP, IPV6

# <asm-generic/socket.h>, <linux/in.h>, <linux/in6.h>; of those that other systems have, the socket module knows theirs.
_SO_REUSEPORT = 15
_SO_BINDTODEVICE = 25
_IP_FREEBIND = 15
_IPV6_FREEBIND = 78

_IS_LINUX = sys.platform.startswith("linux")


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSettings:
    """
    Checked by whoever makes it.

    @ivar dscp: the code point in each packet's header (RFC 2474); L{None} for what the system does, which is 0.
    @ivar device: name of the only interface through which packets leave and come; C{""} for any.  Linux.
    @ivar free_bind: the address need not be one of this machine's.  Linux.
    @ivar reuse_port: other processes of the same user may be bound there, too.  Linux.
    """

    dscp: int | None = None
    device: str = ""
    free_bind: bool = False
    reuse_port: bool = False

    def difference(self, others: SocketSettings) -> str:
        """
        The first setting that is another one there, for a message; nothing when none is.
        """
        return self._first_of(others, tuple(SETTING_NAMES))

    def missing(self, wanted: SocketSettings) -> str:
        """
        The first setting that somebody asks for and that is another one here, for a message; nothing when none is.
        """
        return self._first_of(wanted, tuple(name for name in SETTING_NAMES if wanted._asks_for(name)))

    def first(self) -> str:
        """
        The first setting that asks for something, as users know it; nothing when none does.
        """
        return next((SETTING_NAMES[name] for name in SETTING_NAMES if getattr(self, name)), "")

    def _asks_for(self, name: str) -> bool:
        return bool(getattr(self, name) != getattr(AS_IT_IS, name))

    def _first_of(self, others: SocketSettings, names: tuple[str, ...]) -> str:
        for name in names:
            here, there = self._value(name), others._value(name)
            if here != there:
                return f"{SETTING_NAMES[name]}={there!r}: expected {here!r}, with which the UDP port is open already"
        return ""

    def _value(self, name: str) -> object:
        value = getattr(self, name)
        return 0 if value is None else value


AS_IT_IS = SocketSettings()
"""Nothing is asked for."""

SETTING_NAMES = {"dscp": "dscp", "device": "device", "free_bind": "freeBind", "reuse_port": "reusePort"}
"""What users call each."""


def apply(udp_socket: socket.socket, wanted: SocketSettings) -> None:
    """
    To a socket that is not bound yet.

    @raise OSError: when the system does not know the setting, or does not allow it; C{EOPNOTSUPP} names it.
    """
    if not _IS_LINUX:
        for name in ("device", "free_bind", "reuse_port"):
            if getattr(wanted, name):
                raise not_here(SETTING_NAMES[name])
    if wanted.reuse_port:
        udp_socket.setsockopt(socket.SOL_SOCKET, _SO_REUSEPORT, 1)
    if wanted.free_bind:
        option = (IPV6, _IPV6_FREEBIND) if udp_socket.family == socket.AF_INET6 else (IP, _IP_FREEBIND)
        udp_socket.setsockopt(*option, 1)
    if wanted.device:
        udp_socket.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, wanted.device.encode() + b"\0")
    if wanted.dscp:
        _mark(udp_socket, wanted.dscp)


def not_here(name: str) -> OSError:
    """
    Why a setting cannot be had.
    """
    return OSError(EOPNOTSUPP, f"{name}: not supported by this system or this reactor")


def _mark(udp_socket: socket.socket, dscp: int) -> None:
    """
    The two bits for ECN stay 0, not capable: nobody here looks at them (RFC 3168 (5)).
    """
    if sys.platform == "win32":
        raise not_here("dscp")  # it takes the option and does nothing
    field = dscp << 2
    if udp_socket.family != socket.AF_INET6:
        udp_socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, field)
        return
    udp_socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, field)
    # What it sends to IPv4 peers has a header of its own; where it cannot, the system may refuse this.
    with contextlib.suppress(OSError):
        udp_socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, field)
