"""
How does a UDP port of Twisted's hear of ICMP messages, without harm?

Asking the kernel for them has two side effects that Twisted's own port does not survive: system calls fail with errors
that belong to earlier datagrams, to whatever peer, and a socket with such an error is told to C{poll} and C{epoll}
reactors as one that has been hung up.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import udp
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp.udp.error_queue import read_errors, report_errors


@implementer(IHalfCloseableDescriptor)
class ErrorReportingPort(udp.Port):
    """
    A UDP port, for reactors that watch file descriptors, that tells its protocol of datagrams that came back
    (C{datagrams_returned}, see L{ITrainPort <twisted_utp.udp.interfaces.ITrainPort>}).

    @ivar reports_errors: it can; only Linux has what it takes.
    @ivar truncated: what arrived incomplete and was dropped: datagrams, and ICMP messages.
    """

    reports_errors = False
    truncated = 0

    def createInternetSocket(self) -> Any:
        """
        A socket for which the kernel keeps ICMP messages.
        """
        return self.prepared(super().createInternetSocket())

    def prepared(self, udp_socket: Any) -> Any:
        """
        Make a socket, new or adopted, what this kind of port needs.
        """
        self.reports_errors = report_errors(udp_socket)
        return udp_socket

    def read_errors(self) -> int:
        """
        Tell the protocol of the datagrams that came back.

        @return: see L{Errors.interface_size <twisted_utp.udp.error_queue.Errors>}.
        """
        errors = read_errors(self.socket)
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
