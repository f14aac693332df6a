"""
What a uTP connection and a uTP port offer beyond Twisted's interfaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

    settings = Attribute("The connection's L{UTPConfig <twisted_utp.proto.config.UTPConfig>}; never changed in place.")

    def stats() -> ConnectionStats:
        """
        A snapshot of the connection's counters and estimates, also after its end.
        """

    def change_settings(**changes: Any) -> None:
        """
        Change settings of this connection by name, all or none of them.  There is C{set_send_buffer},
        C{set_receive_buffer}, C{set_target_delay} and C{set_keepalive} as well.

        @raise ValueError: on a value out of range, or a setting that cannot change while connected.
        @raise TypeError: on a value of the wrong type, or when there is no such setting.
        """

    def set_close_reason(close_code: int) -> None:
        """
        Say why in our FIN or RESET, as libtorrent does; the peer's is the C{close_code} of what C{connectionLost} is
        told.  Stacks that know selective acks only (nim-eth) drop a FIN that has it.

        @param close_code: 16 bits, 0 for nothing.
        @raise ValueError: when it is out of range.
        """


class IUTPListeningPort(IListeningPort):
    """
    A factory that listens on a UDP port, which it may share with other factories and with outgoing connections.
    """

    factory = Attribute("The L{IProtocolFactory <twisted.internet.interfaces.IProtocolFactory>} that listens.")

    listening = Attribute("C{True} from C{startListening} to C{stopListening}.")

    def stats() -> PortStats:
        """
        A snapshot of what the UDP port has counted so far, all factories and connections on it together.
        """

    def change_settings(**changes: Any) -> None:
        """
        Change settings by name, all or none of them, for the connections to come on this UDP port: those that it
        accepts, and those that are dialled over it without settings of their own.

        @raise ValueError: on a value out of range.
        @raise TypeError: on a value of the wrong type, or when there is no such setting.
        """
