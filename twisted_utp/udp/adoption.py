"""
How does a socket that somebody else has opened become our UDP port?
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any, cast

from twisted.internet.interfaces import IListeningPort
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import DatagramProtocol

from twisted_utp.udp.error_port import PlainErrorReportingPort
from twisted_utp.udp.offload_port import OffloadUDPPort
from twisted_utp.udp.opening import MAX_DATAGRAM, can_offload

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def adopt_udp(reactor: Any, descriptor: int, protocol: DatagramProtocol) -> IListeningPort:
    """
    Listen on a bound UDP socket.  The descriptor is duplicated: the caller's stays open and is the caller's to close.

    @raise ValueError: when it is no bound UDP socket, IPv4 or IPv6.
    """
    family = _family(descriptor)
    kind = OffloadUDPPort if can_offload(reactor) else PlainErrorReportingPort
    if not isinstance(reactor, PosixReactorBase) or not sys.platform.startswith("linux"):
        adopted = reactor.adoptDatagramPort(descriptor, family, protocol, maxPacketSize=MAX_DATAGRAM)
        return cast(IListeningPort, adopted)
    # What adoptDatagramPort does, for the ports that we open ourselves.
    port: Any = kind._fromListeningDescriptor(reactor, descriptor, family, protocol, MAX_DATAGRAM)
    port._preexistingSocket = port.prepared(port._preexistingSocket)
    port.startListening()
    return cast(IListeningPort, port)


def _family(descriptor: int) -> int:
    try:
        probe = socket.socket(fileno=os.dup(descriptor))
    except OSError as error:
        raise ValueError(f"descriptor={descriptor!r}: expected a socket: {error}") from None
    with probe:
        if probe.family not in _FAMILIES or probe.type != socket.SOCK_DGRAM or not probe.getsockname()[1]:
            raise ValueError(f"descriptor={descriptor!r}: expected a bound UDP socket, not {probe!r}")
        probe.setblocking(False)  # of the open file, which the duplicates share
        return probe.family
