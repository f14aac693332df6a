"""
The local address by which a peer knows us.

A socket on all addresses learns with each datagram where it arrived, and says with each that it sends where it shall
leave from (RFC 3542 (6); ip(7), IP_PKTINFO).  Left to itself the kernel answers from whatever address it prefers, and
the peer takes the answer for a stranger's.  Elsewhere than on Linux we have no such messages.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

from twisted_utp.proto.values import Address
from twisted_utp.udp.addresses import (
    IP_PKTINFO,
    IPV6_PKTINFO,
    ControlMessage,
    Sockaddr,
    host_of,
    local_host,
    sockaddr,
    source_message,
)
from twisted_utp.udp.offload import segment_size
from twisted_utp.udp.options import IP, IPV6, SOL_UDP, UDP_GRO
from twisted_utp.udp.routes import WILDCARDS

# <linux/in6.h>; the socket module has it only since Python 3.14.
_IPV6_RECVPKTINFO = 49

_PKTINFO = (IP_PKTINFO, IPV6_PKTINFO)

# Addresses, of ours and of peers, that are remembered.  Beyond that it begins anew: whoever makes us forget costs us
# the reading of a few bytes for each packet.
REMEMBERED = 4096


class LocalAddresses:
    """
    What the control messages of one socket mean.
    """

    __slots__ = ("_hosts",)

    def __init__(self) -> None:
        self._hosts: dict[ControlMessage, str] = {}

    def read(self, messages: Sequence[ControlMessage]) -> tuple[str, int]:
        """
        @return: where a datagram arrived, C{""} when nothing says so; and see L{segment_size}.
        """
        if len(messages) == 1:  # a single datagram: most are
            local = self._hosts.get(messages[0])
            if local is not None:
                return local, 0
        where, size = "", 0
        for message in messages:
            kind = message[1]
            if kind == UDP_GRO and message[0] == SOL_UDP:
                size = segment_size([message])
            elif kind in _PKTINFO:
                where = self._hosts.get(message) or self._new(message) or where
        return where, size

    def _new(self, message: ControlMessage) -> str:
        host = local_host(message)
        if host:
            if len(self._hosts) >= REMEMBERED:
                self._hosts.clear()
            self._hosts[message] = host
        return host


class Destinations:
    """
    What the socket module is to be told for the core's address values: control messages, and where to.

    @ivar known: those that were found.
    """

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[Address, tuple[list[ControlMessage], Sockaddr]] = {}

    def find(self, address: Address) -> tuple[list[ControlMessage], Sockaddr]:
        """
        For one of them.
        """
        found = self.known.get(address)
        if found is None:
            if len(self.known) >= REMEMBERED:
                self.known.clear()
            messages = [source_message(address[2])] if len(address) == 3 else []
            found = self.known[address] = messages, sockaddr(address[0], address[1])
        return found


def name_local_addresses(udp_socket: socket.socket) -> LocalAddresses | None:
    """
    Have the kernel tell where each datagram arrived, if the socket is bound to more than one address.

    @return: L{None} when it does not.
    """
    if not sys.platform.startswith("linux") or host_of(udp_socket.getsockname()) not in WILDCARDS:
        return None
    # A socket for both families gets the IPv6 message with IPv4 datagrams as well.
    option = (IP, IP_PKTINFO) if udp_socket.family == socket.AF_INET else (IPV6, _IPV6_RECVPKTINFO)
    try:
        udp_socket.setsockopt(*option, 1)
    except OSError:
        return None
    return LocalAddresses()
