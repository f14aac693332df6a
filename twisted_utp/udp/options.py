"""
Socket options of an earlier owner that would harm us.

Options belong to the open socket, not to a program: what a parent or a supervisor has set holds for us.  Some of it
cuts or merges datagrams, some holds them back or keeps them from us, some adds control messages that push out those
which we need.  So what we need not is cleared; what we need is set by those who need it.  What says where packets go
and how they are marked (C{SO_MARK}, C{SO_BINDTODEVICE}, C{IP_TOS}, C{IP_TTL}) is the owner's to decide and stays.
"""

from __future__ import annotations

import socket
import sys

# <linux/udp.h>, <asm-generic/socket.h>, <linux/in.h>, <linux/in6.h>: the socket module lacks most of these names.
SOL_UDP = 17
UDP_SEGMENT = 103
UDP_GRO = 104
IP, IPV6 = 0, 41

_TIMEVAL = bytes(16)
_IN6_PKTINFO = bytes(20)

_Option = tuple[int, int, "int | bytes"]

_ANY_FAMILY: tuple[_Option, ...] = (
    (socket.SOL_SOCKET, 29, 0),  # SO_TIMESTAMP, and its kin: a control message with each datagram
    (socket.SOL_SOCKET, 35, 0),  # SO_TIMESTAMPNS
    (socket.SOL_SOCKET, 37, 0),  # SO_TIMESTAMPING; of what is sent, copies in the error queue as well
    (socket.SOL_SOCKET, 63, 0),  # the same three, as 32-bit programs ask for them
    (socket.SOL_SOCKET, 64, 0),
    (socket.SOL_SOCKET, 65, 0),
    (socket.SOL_SOCKET, 40, 0),  # SO_RXQ_OVFL
    (socket.SOL_SOCKET, 41, 0),  # SO_WIFI_STATUS
    (socket.SOL_SOCKET, 75, 0),  # SO_RCVMARK
    (socket.SOL_SOCKET, 82, 0),  # SO_RCVPRIORITY
    (socket.SOL_SOCKET, 20, _TIMEVAL),  # SO_RCVTIMEO
    (socket.SOL_SOCKET, 21, _TIMEVAL),  # SO_SNDTIMEO
    (socket.SOL_SOCKET, 5, 0),  # SO_DONTROUTE
    (socket.SOL_SOCKET, 6, 0),  # SO_BROADCAST: a mistaken address would be the whole net's
    (socket.SOL_SOCKET, 11, 0),  # SO_NO_CHECK: the checksum is all that our data has
    (socket.SOL_SOCKET, 27, 0),  # SO_DETACH_FILTER: a filter may shorten datagrams, and nothing says so
    (SOL_UDP, 1, 0),  # UDP_CORK: datagrams would be joined
    (SOL_UDP, 100, 0),  # UDP_ENCAP: they would be taken for IPsec's
    (SOL_UDP, 101, 0),  # UDP_NO_CHECK6_TX
    (SOL_UDP, 102, 0),  # UDP_NO_CHECK6_RX
    (SOL_UDP, UDP_SEGMENT, 0),  # everything that is sent would be cut
    (SOL_UDP, UDP_GRO, 0),
)
# What adds a control message to each datagram, less what all families have.  Those of RFC 2292 had other numbers.
_IPV4_MESSAGES = {
    "RECVOPTS": 6,
    "RETOPTS": 7,
    "PKTINFO": 8,
    "RECVTTL": 12,
    "RECVTOS": 13,
    "PASSSEC": 18,
    "RECVORIGDSTADDR": 20,
    "CHECKSUM": 23,
    "RECVFRAGSIZE": 25,
    "RECVERR_RFC4884": 26,
}
_IPV6_MESSAGES = {
    **{f"2292 {number}": number for number in (2, 3, 4, 5, 6, 8)},
    "FLOWINFO": 11,
    "RECVERR_RFC4884": 31,
    "RECVPKTINFO": 49,
    "RECVHOPLIMIT": 51,
    "RECVHOPOPTS": 53,
    "RECVRTHDR": 56,
    "RECVDSTOPTS": 58,
    "RECVPATHMTU": 60,
    "RECVTCLASS": 66,
    "RECVORIGDSTADDR": 74,
    "RECVFRAGSIZE": 77,
}
_IPV4: tuple[_Option, ...] = (
    (IP, 4, b""),  # IP_OPTIONS: a source route, say
    *((IP, option, 0) for option in _IPV4_MESSAGES.values()),
)
_IPV6_TOO: tuple[_Option, ...] = (
    *((IPV6, option, 0) for option in _IPV6_MESSAGES.values()),
    (IPV6, 50, _IN6_PKTINFO),  # IPV6_PKTINFO: everything would leave from one address
    *((IPV6, option, b"") for option in (54, 55, 57, 59)),  # extension headers on everything that leaves
    (IPV6, 62, 0),  # IPV6_DONTFRAG
)


def clear_options(udp_socket: socket.socket) -> None:
    """
    Take everything off a socket that an earlier owner may have set and that we do not need.  It does not block either.
    """
    udp_socket.setblocking(False)
    if not sys.platform.startswith("linux"):
        return
    for option in _ANY_FAMILY + _IPV4 + (_IPV6_TOO if udp_socket.family == socket.AF_INET6 else ()):
        try:
            udp_socket.setsockopt(*option)
        except OSError:
            # This kernel has no such option, or it takes more rights to change it than ours: then it took them to set
            # it.  What it adds to datagrams finds room, or they are dropped.
            continue


def merges(udp_socket: socket.socket) -> bool:
    """
    Does the kernel merge datagrams that it receives?
    """
    try:
        return sys.platform.startswith("linux") and bool(udp_socket.getsockopt(SOL_UDP, UDP_GRO))
    except OSError:
        return False


def is_connected(udp_socket: socket.socket) -> bool:
    """
    Does it take datagrams of one peer only?
    """
    try:
        udp_socket.getpeername()
    except OSError:
        return False
    return True
