"""
Which kind of UDP port a reactor gives us, and with which buffers.
"""

from __future__ import annotations

import socket
import sys
from typing import Any, cast

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port as UDPPort

from twisted_utp.udp.binding import bound_socket
from twisted_utp.udp.control_message_socket import ControlMessageSocket
from twisted_utp.udp.fragmentation import allow_fragments
from twisted_utp.udp.interfaces import ITrainPort
from twisted_utp.udp.offload_port import MAX_WAITING, OffloadUDPPort
from twisted_utp.udp.options import clear_options, is_connected, merges
from twisted_utp.udp.plain import PlainTrainPort
from twisted_utp.udp.settings import AS_IT_IS, SocketSettings, not_here

# With the kernel's default of 208 KiB a burst that arrives while Python is busy overflows the socket: libutp falls
# from 334 to 11 MB/s.  The kernel caps what we ask for (net.core.rmem_max, wmem_max).
SOCKET_BUFFER = 4 * 1024 * 1024

# UDP's own limit: a larger datagram cannot arrive, a smaller buffer would cut foreign ones off.
MAX_DATAGRAM = 65_535


def listen_udp(
    reactor: Any,
    port: int,
    protocol: DatagramProtocol,
    interface: str = "",
    *,
    ipv6_only: bool = False,
    settings: SocketSettings = AS_IT_IS,
) -> IListeningPort:
    """
    Bind a UDP port now.

    @param port: 0 for any.
    @param interface: an IPv4 or IPv6 address of this machine; C{""} for all IPv4 ones.
    @param ipv6_only: leave IPv4 to others, where the interface is C{"::"}.
    @param settings: what else the socket is to have.
    @raise CannotListenError: when it is taken, or not ours, or a setting cannot be had.
    """
    if has_linux_sockets(reactor):
        opened = OffloadUDPPort(port, protocol, interface, MAX_DATAGRAM, reactor)
        opened.ipv6_only, opened.settings = ipv6_only, settings
        opened.startListening()
        return cast(IListeningPort, opened)
    asked = settings.first()
    if asked and not isinstance(reactor, PosixReactorBase):
        raise CannotListenError(interface, port, not_here(asked))
    if ipv6_only or asked:
        with bound_socket(interface, port, ipv6_only=ipv6_only, settings=settings) as made:
            adopted = reactor.adoptDatagramPort(made.fileno(), made.family, protocol, maxPacketSize=MAX_DATAGRAM)
        return cast(IListeningPort, adopted)
    return cast(IListeningPort, reactor.listenUDP(port, protocol, interface=interface, maxPacketSize=MAX_DATAGRAM))


def has_linux_sockets(reactor: Any) -> bool:
    """
    Does the reactor watch real file descriptors, on Linux?  Reactors for tests provide C{IReactorFDSet} too, but have
    no sockets.
    """
    return isinstance(reactor, PosixReactorBase) and sys.platform.startswith("linux")


def train_port(transport: Any) -> ITrainPort:
    """
    The L{ITrainPort} for whatever datagram transport a reactor connected the protocol to.

    @raise ValueError: when its socket is connected to one peer.
    """
    udp_socket = socket_of(transport)
    if udp_socket is not None:
        enlarge_buffers(udp_socket)
        allow_fragments(udp_socket)
    if ITrainPort.providedBy(transport):
        return transport
    if udp_socket is not None:
        if is_connected(udp_socket):
            raise ValueError(f"{udp_socket!r}: expected a UDP socket that is not connected to one peer")
        was_merging = merges(udp_socket)
        clear_options(udp_socket)
        if was_merging:
            _drop_waiting(udp_socket)
        if isinstance(transport, UDPPort) and sys.platform.startswith("linux"):
            udp_socket = ControlMessageSocket.in_place_of(transport)
    return PlainTrainPort(transport, udp_socket)


def _drop_waiting(udp_socket: socket.socket) -> None:
    """
    Forget what has arrived: it may have been merged for an earlier owner, and Twisted's own port could not tell.
    """
    for _ in range(MAX_WAITING):
        try:
            udp_socket.recv(0, socket.MSG_DONTWAIT)
        except OSError:
            break


def socket_of(port: object) -> socket.socket | None:
    """
    The socket of a reactor's UDP port; L{None} for in-memory ports.
    """
    handle = getattr(port, "getHandle", None)
    udp_socket = handle() if handle is not None else None
    return udp_socket if isinstance(udp_socket, socket.socket) else None


def receive_room(port: object) -> int:
    """
    Bytes of payload that a port's socket holds before it drops any; 0 when that is not known.

    Linux says twice what it was asked for, as it counts its own records of each packet as well (socket(7)).
    """
    udp_socket = socket_of(port)
    if udp_socket is None:
        return int(getattr(port, "receive_room", 0))
    granted = udp_socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return granted // 2 if sys.platform.startswith("linux") else granted


def enlarge_buffers(udp_socket: socket.socket) -> None:
    """
    Ask the kernel for larger socket buffers.
    """
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        try:
            udp_socket.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
        except OSError:
            # macOS refuses what it cannot grant instead of capping it; the default will do.
            continue
