"""
What do a uTP connection and a uTP port offer beyond what Twisted's interfaces say?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IListeningPort, ITLSTransport
from zope.interface import Attribute

if TYPE_CHECKING:
    from twisted_utp.proto.stats import ConnectionStats, PortStats


class IUTPTransport(ITLSTransport):
    """
    A uTP connection.

    It does what Twisted's TCP transports do, C{startTLS} included: C{setTcpNoDelay} switches the coalescing of
    small writes, C{setTcpKeepAlive} the packets that hold a NAT's mapping open.
    """

    def stats() -> ConnectionStats:
        """
        A snapshot of the connection's counters and estimates, also after its end.
        """


class IUTPListeningPort(IListeningPort):
    """
    A factory that listens on a UDP port, which it may share with other factories and with outgoing connections.
    """

    factory = Attribute("The L{IProtocolFactory <twisted.internet.interfaces.IProtocolFactory>} that listens.")

    listening = Attribute("C{True} from C{startListening} to C{stopListening}.")

    def stats() -> PortStats:
        """
        What the UDP port has counted so far.
        """
