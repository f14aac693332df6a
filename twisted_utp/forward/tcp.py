"""
What a forwarder sets on its TCP connections.

To leave at once, and to be noticed when its peer has gone.  Both are options of the socket, off by default.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.protocols.policies import ProtocolWrapper

# Seconds of silence before the kernel asks the peer whether it is there, and between two questions; and how many may
# remain unanswered.  Linux waits two hours by itself.  A peer that has gone is noticed after two minutes, about as soon
# as uTP's keepalives notice one.  Less costs idle links packets and gives short outages no time to pass.
KEEPALIVE_IDLE = 60
KEEPALIVE_INTERVAL = 10
KEEPALIVE_COUNT = 6

_KEEPALIVE = (
    # macOS has the first under another name; what a system does not have stays as it is there.
    (("TCP_KEEPIDLE", "TCP_KEEPALIVE"), KEEPALIVE_IDLE),
    (("TCP_KEEPINTVL",), KEEPALIVE_INTERVAL),
    (("TCP_KEEPCNT",), KEEPALIVE_COUNT),
)


def prepare(wire: Any) -> None:
    """
    Set the options, if it is a TCP connection, or TLS over one.

      - No delay: with Nagle's algorithm (RFC 896) the second of two small writes waits for the acknowledgement of the
        first, which the other side's kernel delays by up to 40 ms (RFC 1122 (4.2.3.2)).  A forwarder writes what
        arrives, in whatever pieces, so it would add that wait where a program writes its messages whole.
      - Keepalive: who is silent because the machine was switched off holds a connection for ever otherwise.
    """
    while isinstance(wire, ProtocolWrapper):  # TLS, or what reads a PROXY header
        wire = wire.transport
    if not _is_tcp(wire):
        return
    # The peer may have reset it already, and then some systems refuse (macOS: EINVAL).  Its end is told in a moment.
    with contextlib.suppress(OSError):
        wire.setTcpNoDelay(True)
        wire.setTcpKeepAlive(True)
        handle = wire.getHandle()
        for names, value in _KEEPALIVE:
            option = next((getattr(socket, name) for name in names if hasattr(socket, name)), None)
            if option is not None:
                handle.setsockopt(socket.IPPROTO_TCP, option, value)


def _is_tcp(wire: Any) -> bool:
    """
    Not uTP, whose strings have keys for both, and not a UNIX socket, which Twisted gives the same methods.
    """
    host = wire.getHost()
    return isinstance(host, IPv4Address | IPv6Address) and host.type == "TCP" and hasattr(wire, "setTcpNoDelay")
