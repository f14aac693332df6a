"""
Accept policies: who decides whether a SYN may open a connection, and by what.

An L{AcceptPolicy} is asked before anything is kept of the peer, as libutp's C{UTP_ON_FIREWALL} is, after the limits
that the settings have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from twisted_utp.proto.values import Address


class Verdict(Enum):
    """
    What becomes of a SYN.
    """

    ACCEPT = "it opens a connection"
    RESET = "it is refused, and its sender told so"
    SILENCE = "it is refused, and its sender left to wonder"


@dataclass(frozen=True, slots=True)
class PortLoad:
    """
    What a port has at the moment when a SYN arrives.

    @ivar connections: those that somebody uses, dialled or accepted; not those that only linger.
    @ivar half_open: SYNs that were answered and whose senders have not yet shown that they are where they say; no
        connections yet.
    @ivar from_host: connections with the host that sent the SYN (with its /64, for IPv6), whatever its port.
    """

    connections: int
    half_open: int
    from_host: int


AcceptPolicy = Callable[[Address, PortLoad], Verdict | bool]
"""
Called with the SYN's source and the load; C{True} accepts, C{False} refuses as C{refuse_silently} says.

It must not raise.  It is asked once for each SYN that is not known, and while more connections are half open than the
backlog allows, once more when the peer has confirmed its address.
"""
