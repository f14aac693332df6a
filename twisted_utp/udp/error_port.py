"""
A UDP port of Twisted's that hears of ICMP messages, without harm.

Asking the kernel for them has two side effects that Twisted's own port does not survive: system calls fail with errors
that belong to earlier datagrams, to whatever peer, and a socket with such an error is told to C{poll} and C{epoll}
reactors as one that has been hung up.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import udp
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.logger import LogLevel
from twisted.python import context, log
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp.udp.binding import bound_socket
from twisted_utp.udp.error_queue import read_errors, report_errors
from twisted_utp.udp.local import LocalAddresses, name_local_addresses
from twisted_utp.udp.settings import AS_IT_IS


def _context_for(protocol: Any) -> dict[Any, Any]:
    """
    The context in which Twisted logs that a port is there, or gone: of level debug where the protocol asks for it
    (C{is_for_dialling}), because its port is there for as long as its connections.
    """
    own = context.get(log.ILogContext)
    return {
        log.ILogContext: {**own, "log_level": LogLevel.debug} if getattr(protocol, "is_for_dialling", False) else own
    }


class _AsBefore:
    """
    A protocol that is stopped while Twisted's lines are details: what it logs itself keeps its level.  All else of it
    is as it was.
    """

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._context = context.get(log.ILogContext)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    def doStop(self) -> None:
        """
        Stop it.
        """
        context.call({log.ILogContext: self._context}, self._protocol.doStop)


@implementer(IHalfCloseableDescriptor)
class ErrorReportingPort(udp.Port):
    """
    A UDP port, for reactors that watch file descriptors, that tells its protocol of datagrams that came back
    (C{datagrams_returned}, see L{ITrainPort <twisted_utp.udp.interfaces.ITrainPort>}).

    @ivar ipv6_only: C{::} is for IPv6 alone.
    @ivar settings: what else the socket is to have.
    @ivar local_addresses: tells where datagrams arrive, on a port that is bound to all addresses.
    @ivar reports_errors: it can; only Linux has what it takes.
    @ivar truncated: what arrived incomplete and was dropped: datagrams, and ICMP messages.
    """

    ipv6_only = False
    settings = AS_IT_IS
    local_addresses: LocalAddresses | None = None
    reports_errors = False
    truncated = 0

    def startListening(self) -> None:
        """
        Bind a socket, or take an adopted one.
        """
        port: Any = self
        if port._preexistingSocket is None:
            port._preexistingSocket = bound_socket(
                self.interface, port.port, ipv6_only=self.ipv6_only, settings=self.settings
            )
        self.prepare(port._preexistingSocket)
        super().startListening()

    def _bindSocket(self) -> None:
        """
        Twisted's own, which logs that the port is there.
        """
        context.call(_context_for(self.protocol), super()._bindSocket)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        Twisted's own, which logs that the port is gone.
        """
        port: Any = self
        stopped = port.protocol
        port.protocol = _AsBefore(stopped)
        try:
            context.call(_context_for(stopped), super().connectionLost, reason)
        finally:
            port.protocol = stopped

    def close(self) -> None:
        """
        Close now.  C{stopListening} leaves the socket, and a delayed call, until the reactor's next turn: there is none
        if the reactor stops in this one, and listening there again fails.  This is how the reactor itself closes ports
        at its end.  Not to be called from inside C{send}.
        """
        if self.connected:
            self.connectionLost(Failure(ConnectionDone()))

    def prepare(self, udp_socket: socket.socket) -> None:
        """
        Make a bound socket what this kind of port needs.
        """
        self.reports_errors = report_errors(udp_socket)
        self.local_addresses = name_local_addresses(udp_socket)

    def read_errors(self) -> int:
        """
        Tell the protocol of the datagrams that came back.

        @return: see L{Errors.interface_size <twisted_utp.udp.error_queue.Errors>}.
        """
        errors = read_errors(self.socket, self.local_addresses)
        self.truncated += errors.truncated
        if errors.returned:
            self.protocol.datagrams_returned(errors.returned)
        return errors.interface_size

    # Half closed is what the reactor calls a descriptor that has an error and nothing to read: it has stopped reading
    # already.  For other descriptors that would be the end.

    def readConnectionLost(self, reason: Failure) -> None:
        """
        There is an error to be read.
        """
        if not self.reports_errors:
            self.connectionLost(reason)
            return
        self.startReading()
        self.read_errors()

    def writeConnectionLost(self, reason: Failure) -> None:
        """
        UDP has no such thing.
        """
