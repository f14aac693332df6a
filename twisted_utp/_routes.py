"""
The route from a UDP port to an address, and how both look to applications.
"""

from __future__ import annotations

from typing import NamedTuple

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectError, getConnectError

from twisted_utp._addresses import udp_address
from twisted_utp.proto.values import Address
from twisted_utp.udp import ITrainPort
from twisted_utp.udp.addresses import unmapped

NOT_OPEN = "the UDP port is not open; reactor.listenUDP(PORT, protocol) opens it"


class Route(NamedTuple):
    """
    A way to a peer.

    @ivar address: for the core.
    @ivar peer: for the application, which has asked for IPv4 or for IPv6; a port for both has IPv4 addresses in their
        IPv6 form (RFC 4291 (2.5.5.2)).
    """

    address: Address
    peer: IPv4Address | IPv6Address


def found_peer(
    udp_port: ITrainPort | None, address: Address, peer: IPv4Address | IPv6Address
) -> IPv4Address | IPv6Address:
    """
    The peer that was dialled, as an application should know it now that it has answered: that of a name which only a
    proxy knows has an address, if the proxy tells it.
    """
    reported = getattr(udp_port, "reported", None)
    return peer if reported is None else udp_address(*reported(address))


def route_to(udp_port: ITrainPort | None, host: str, port: int, source: str = "") -> Route | ConnectError:
    """
    The way to a peer, or why nothing can be sent there.

    @param udp_port: L{None} when it is not open.
    @param source: our address; C{""} for any.
    @raise ValueError: when an address is a name: it is not looked up here.
    """
    if udp_port is None:
        return ConnectError(string=NOT_OPEN)
    try:
        address = udp_port.path_to(host, port, source)
    except OSError as error:
        reason: ConnectError = getConnectError(error)
        return reason
    return Route(address, udp_address(address[0] if ":" in host else unmapped(address[0]), address[1]))
