"""
Sends trains over a datagram transport that only knows single datagrams.

One by one, through C{write(datagram, address)}: this works on every reactor and on in-memory ports.  On Linux,
Twisted's own ports learn and say by which of our addresses a peer knows us (L{ControlMessageSocket}).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from errno import EAGAIN, EMSGSIZE, ENOBUFS, ENOMEM, EWOULDBLOCK
from typing import Any

from twisted.internet.error import ConnectionDone, MessageLengthError
from twisted.internet.interfaces import IAddress, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp.proto.values import Address, Transmit, host_and_port
from twisted_utp.udp.addresses import ANY_IPV6, canonical_host, mapped
from twisted_utp.udp.control_message_socket import ControlMessageSocket
from twisted_utp.udp.fragmentation import no_fragments
from twisted_utp.udp.interfaces import DatagramTooBig, IHoldingPort, SendFailed
from twisted_utp.udp.local import Destinations
from twisted_utp.udp.receive_times import ReceiveTimes, switch_receive_times
from twisted_utp.udp.routes import Routes, takes_ipv4

# The kernel, or the network card's queue, is full.  None of it is loss: nothing has left this machine.
_NO_ROOM = frozenset((EAGAIN, EWOULDBLOCK, ENOBUFS, ENOMEM))


@implementer(IHoldingPort)
class PlainTrainPort:
    """
    Trains over an L{IUDPTransport <twisted.internet.interfaces.IUDPTransport>}.

    @ivar max_segments: see L{ITrainPort}.
    @ivar max_bytes: see L{ITrainPort}.
    @ivar is_held: see L{IHoldingPort}.
    """

    is_held = False
    max_segments = 64
    max_bytes = 65_000

    def __init__(self, transport: Any, udp_socket: socket.socket | None = None) -> None:
        """
        @param udp_socket: the transport's, if it has one.
        """
        self._transport = transport
        self._socket = udp_socket
        self._telling = udp_socket if isinstance(udp_socket, ControlMessageSocket) else None
        # udp.Port strips the scope id from what it receives (Twisted #6826), so a link-local peer would seem to be
        # another one than the address we send to.  These are the scopes we know, by the stripped host.
        self._destinations = Destinations()
        self._routes = Routes()
        self._scopes: dict[str, str] = {}
        host = getattr(transport, "interface", "") or ""
        self._own_scope = host.partition("%")[2]

    def send(self, transmits: Sequence[Transmit], failed: SendFailed) -> list[Transmit]:
        """
        See L{ITrainPort.send}.
        """
        for index, transmit in enumerate(transmits):
            rest = self._send_train(transmit, failed)
            if rest is not None:
                return [rest, *transmits[index + 1 :]]
        return []

    def _send_train(self, transmit: Transmit, failed: SendFailed) -> Transmit | None:
        """
        @return: the part of the train that did not fit.
        """
        sent = 0
        try:
            if transmit.dont_fragment and self._socket is not None:
                with no_fragments(self._socket):
                    self._write(transmit.payload, transmit.address)
                return None
            for segment in transmit.segments():
                self._write(segment, transmit.address)
                sent += 1
        except OSError as error:
            if error.errno in _NO_ROOM:
                return _remainder(transmit, sent)
            self._routes.forget()
            failed(transmit, DatagramTooBig() if transmit.dont_fragment and error.errno == EMSGSIZE else error)
        except MessageLengthError as error:
            failed(transmit, DatagramTooBig() if transmit.dont_fragment else error)
        except ValueError as error:  # an address of the other family
            failed(transmit, error)
        return None

    def _write(self, datagram: bytes, address: Address) -> None:
        told = self._telling
        if told is not None and told.local_addresses is not None and len(address) == 3:
            messages, where = self._destinations.find(address)
            told.sendmsg((datagram,), messages, socket.MSG_DONTWAIT, where)
            return
        if "%" in address[0]:
            self._scopes[address[0].partition("%")[0]] = address[0]
        self._transport.write(datagram, host_and_port(address))

    def hold(self, clock: Callable[[], int]) -> bool:
        """
        See L{IHoldingPort.hold}.  It takes one of Twisted's own ports, on Linux.
        """
        told = self._telling
        if told is None:
            return False
        if told.times is None:
            if not switch_receive_times(told, on=True):
                return False
            told.times = ReceiveTimes(clock)
        self.is_held = True
        self._transport.stopReading()
        return True

    def release(self) -> None:
        """
        See L{IHoldingPort.release}.
        """
        self.is_held = False
        if self._transport.connected:
            self._transport.startReading()

    def forget_times(self) -> None:
        """
        See L{IHoldingPort.forget_times}.
        """
        told = self._telling
        if told is not None and told.times is not None:
            told.times = None
            switch_receive_times(told, on=False)

    def poll(self) -> bool:
        """
        See L{IHoldingPort.poll}.  The protocol gets the datagrams one by one.
        """
        told = self._telling
        if told is None:
            return False
        before = told.reads
        self._transport.doRead()
        return told.reads != before

    @property
    def received_at(self) -> int:
        """
        When the datagram arrived that the protocol is given, µs; 0 when that is not known.
        """
        return self._telling.received_at if self._telling is not None else 0

    @property
    def truncated(self) -> int:
        """
        What arrived incomplete and was dropped.
        """
        return self._telling.truncated if self._telling is not None else 0

    @property
    def takes_ipv4(self) -> bool:
        """
        See L{ITrainPort}.
        """
        if self._socket is not None:
            return takes_ipv4(self._socket)
        bound = self._transport.getHost().host
        return ":" not in bound or bound == ANY_IPV6

    @property
    def chooses_source(self) -> bool:
        """
        See L{ITrainPort}.
        """
        return self._telling is not None and self._telling.local_addresses is not None

    def path_to(self, host: str, port: int, source: str = "") -> Address:
        """
        See L{ITrainPort.path_to}.
        """
        if self._socket is not None:
            return self._routes.path_to(self._socket, host, port, source, names_source=self.chooses_source)
        # The network of such a transport has interfaces of its own.
        host, percent, scope = host.partition("%")
        host = canonical_host(host) + percent + scope
        if ":" in host:
            return host, port
        return (mapped(host) if self._transport.getHost().host == ANY_IPV6 else host), port

    def full_address(self, address: Address) -> Address:
        """
        See L{ITrainPort.full_address}.
        """
        if self._telling is not None:
            return self._telling.sender
        host = address[0]
        if host in self._scopes:
            return (self._scopes[host], address[1])
        if self._own_scope and host.startswith("fe80:"):
            return (f"{host}%{self._own_scope}", address[1])
        return address

    def getHost(self) -> IAddress:
        """
        See L{ITrainPort.getHost}.
        """
        host: IAddress = self._transport.getHost()
        return host

    def stopListening(self) -> object:
        """
        See L{ITrainPort.stopListening}.
        """
        transport = self._transport
        if not IReadDescriptor.providedBy(self._transport):
            return transport.stopListening()
        # udp.Port would leave the socket, and a delayed call, until the reactor's next turn: a test that looks then
        # finds them, and listening there again fails.  This is how the reactor itself closes ports at its end.
        transport.stopReading()
        transport.connectionLost(Failure(ConnectionDone()))
        return None


def _remainder(transmit: Transmit, sent: int) -> Transmit:
    if not sent:
        return transmit
    return Transmit(
        transmit.address,
        transmit.payload[sent * transmit.segment_size :],
        transmit.segment_size,
        transmit.count - sent,
        transmit.dont_fragment,
    )
