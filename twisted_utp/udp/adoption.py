"""
Makes a UDP port of a socket that somebody else has opened.
"""

from __future__ import annotations

import os
import socket
from typing import Any, cast

from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol

from twisted_utp.udp.offload_port import OffloadUDPPort
from twisted_utp.udp.opening import MAX_DATAGRAM, has_linux_sockets
from twisted_utp.udp.options import clear_options, is_connected

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def adopt_udp(reactor: Any, descriptor: int, protocol: DatagramProtocol) -> IListeningPort:
    """
    Listen on a bound UDP socket.  The descriptor is duplicated: the caller's stays open and is the caller's to close.
    Options that would harm us are cleared, see L{clear_options}.

    @raise ValueError: when it is no bound UDP socket, IPv4 or IPv6, or is connected to one peer.
    """
    family = _family(descriptor)
    if not has_linux_sockets(reactor):
        adopted = reactor.adoptDatagramPort(descriptor, family, protocol, maxPacketSize=MAX_DATAGRAM)
        return cast(IListeningPort, adopted)
    # What adoptDatagramPort does, for the ports that we open ourselves.
    port: Any = OffloadUDPPort._fromListeningDescriptor(reactor, descriptor, family, protocol, MAX_DATAGRAM)
    clear_options(port._preexistingSocket)
    port.startListening()
    port.read_waiting()
    return cast(IListeningPort, port)


def _family(descriptor: int) -> int:
    try:
        probe = socket.socket(fileno=os.dup(descriptor))
    except OSError as error:
        raise ValueError(f"descriptor={descriptor!r}: expected a socket: {error}") from None
    with probe:
        is_udp = probe.type == socket.SOCK_DGRAM and probe.proto in (0, socket.IPPROTO_UDP)
        if probe.family not in _FAMILIES or not is_udp or not probe.getsockname()[1]:
            raise ValueError(f"descriptor={descriptor!r}: expected a bound UDP socket, not {probe!r}")
        if is_connected(probe):
            raise ValueError(f"descriptor={descriptor!r}: expected a socket that is not connected, not {probe!r}")
        return probe.family
