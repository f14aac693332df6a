"""
How does a UDP port of Twisted's hear of ICMP messages, without harm?

Asking the kernel for them has two side effects that Twisted's own port does not survive: system calls fail with errors
that belong to earlier datagrams, to whatever peer, and a socket with such an error is told to C{poll} and C{epoll}
reactors as one that has been hung up.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from errno import EAGAIN
from typing import Any, TypeVar

from twisted.internet import udp
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp.proto.values import ReturnedDatagram
from twisted_utp.udp.error_queue import MAX_PENDING, PENDING, read_errors, report_errors

_Result = TypeVar("_Result")


@implementer(IHalfCloseableDescriptor)
class ErrorReportingPort(udp.Port):
    """
    A UDP port, for reactors that watch file descriptors, that tells its protocol of datagrams that came back
    (C{datagrams_returned}, see L{ITrainPort <twisted_utp.udp.interfaces.ITrainPort>}).

    @ivar reports_errors: it can; only Linux has what it takes.
    """

    reports_errors = False

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
        if errors.returned:
            self.protocol.datagrams_returned([self._with_usual_address(returned) for returned in errors.returned])
        return errors.interface_size

    def _with_usual_address(self, returned: ReturnedDatagram) -> ReturnedDatagram:
        return returned

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


# Looked up once: they are called for each datagram.
_sendto, _recvfrom = socket.socket.sendto, socket.socket.recvfrom


class PatientSocket(socket.socket):
    """
    A UDP socket whose calls do not fail because of earlier datagrams.

    @ivar has_errors: some would have.
    @ivar received: datagrams received.
    """

    has_errors = False
    received = 0

    @classmethod
    def in_place_of(cls, created: socket.socket) -> PatientSocket:
        """
        Take a socket over that does not block.
        """
        patient = cls(created.family, created.type, created.proto, fileno=created.detach())
        patient.setblocking(False)
        return patient

    def sendto(self, *arguments: Any) -> int:
        """
        See C{socket.sendto}.
        """
        try:
            return _sendto(self, *arguments)
        except OSError as error:
            return self._again(error, _sendto, *arguments)

    def recvfrom(self, *arguments: Any) -> tuple[bytes, Any]:
        """
        See C{socket.recvfrom}.  There is nothing to read when only errors are.
        """
        try:
            try:
                got = _recvfrom(self, *arguments)
            except OSError as error:
                got = self._again(error, _recvfrom, *arguments)
        except OSError as error:
            if error.errno in PENDING:
                raise BlockingIOError(EAGAIN, "only errors") from None
            raise
        self.received += 1
        return got

    def _again(self, error: OSError, call: Callable[..., _Result], *arguments: Any) -> _Result:
        for _ in range(MAX_PENDING):
            if error.errno not in PENDING:
                break
            self.has_errors = True
            try:
                return call(self, *arguments)
            except OSError as again:
                error = again
        raise error


class PlainErrorReportingPort(ErrorReportingPort):
    """
    One that reads and sends single datagrams, as Twisted's own does.
    """

    def prepared(self, udp_socket: Any) -> Any:
        """
        A socket that Twisted's own methods can use.
        """
        prepared = super().prepared(udp_socket)
        return PatientSocket.in_place_of(prepared) if self.reports_errors else prepared

    def doRead(self) -> None:
        """
        Read what is there; and the errors, which some reactors take for something to read.
        """
        patient: Any = self.socket
        before = patient.received if self.reports_errors else 0
        super().doRead()
        if not self.reports_errors or not self.connected:
            return
        if patient.has_errors or patient.received == before:
            patient.has_errors = False
            self.read_errors()

    def _with_usual_address(self, returned: ReturnedDatagram) -> ReturnedDatagram:
        # Without the scope id, which Twisted's port drops from what it receives as well.
        host, port = returned.address
        return ReturnedDatagram((host.partition("%")[0], port), returned.quoted, returned.obstacle, returned.size)
