"""
A command that serves a connection.

Its standard input is what the peer sends, and its standard output goes to the peer, as inetd does it; its standard
error is ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone, ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPushProducer, ISSLTransport
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp._addresses import format_address
from twisted_utp._causes import cause_of
from twisted_utp.ucat.account import Account
from twisted_utp.ucat.exits import Exit, exit_for
from twisted_utp.ucat.messages import Messages

SHELL = "/bin/sh"

# Seconds for which a peer may go on sending once the command has ended.  What it sends is for nobody; but a peer that
# is cut off at once may lose what the command has told it.
PEER_TIMEOUT = 5.0


@implementer(IHalfCloseableProtocol)
class Execution(Protocol):
    """
    A connection that is served by a command.

    @ivar account: what is known about it.
    @ivar is_connected: it has begun, and is not over.
    """

    def __init__(
        self, account: Account, messages: Messages, ended: Callable[[Execution], None], reactor: Any, command: str
    ) -> None:
        """
        @param ended: called when both the connection and the command are over.
        @param command: for the shell.
        """
        self.account = account
        self.is_connected = False
        self._messages = messages
        self._ended = ended
        self._reactor = reactor
        self._command = command
        self._process = _Process(self)
        self._peer_over = self._write_closed = False
        self._wait: IDelayedCall | None = None

    @property
    def _wire(self) -> Any:
        return self.transport

    def break_off(self) -> None:
        """
        End both.
        """
        if self.is_connected:
            self._wire.abortConnection()
        self._process.hang_up()

    # --- From the transport ------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """
        Start the command.
        """
        self.is_connected = True
        peer = self._wire.getPeer()
        self.account.connected(self._wire, format_address(peer))
        self._messages.began(self.account)
        host, port = getattr(peer, "host", ""), getattr(peer, "port", "")
        environment = {**os.environ, "UCAT_PEER_HOST": str(host), "UCAT_PEER_PORT": str(port)}
        arguments = [SHELL, "-c", self._command]
        try:
            self._reactor.spawnProcess(self._process, SHELL, arguments, environment, childFDs={0: "w", 1: "r", 2: 2})
        except OSError as error:
            self.account.fail(Exit.COMMAND, f"cannot start {SHELL}: {error}")
            self._process.is_running = False
            self._wire.abortConnection()
            return
        self._process.join(self._wire)

    def dataReceived(self, data: bytes) -> None:
        """
        For the command.
        """
        self.account.receive(data)
        self._process.write(data)

    def readConnectionLost(self) -> None:
        """
        That was all for the command.
        """
        self._peer_over = True
        self._process.close_input()
        self._check()

    def writeConnectionLost(self) -> None:
        """
        The peer knows that the command has said everything.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        A command that is still there loses its terminal, as it were.
        """
        self.is_connected = False
        self.account.ended()
        if not reason.check(ConnectionDone):
            cause = cause_of(reason.value)
            self.account.fail(exit_for(cause.kind), f"{self.account.peer}: {cause}")
            self._process.hang_up()
        else:
            self._process.close_input()
        self._check()

    # --- From the command --------------------------------------------------------------------------------------

    def output_received(self, data: bytes) -> None:
        """
        For the peer.
        """
        self.account.take(data)
        if self.is_connected:
            self._wire.write(data)

    def output_ended(self) -> None:
        """
        Close our side.
        """
        if self.is_connected and not self._write_closed:
            self._write_closed = True
            self._wire.unregisterProducer()
            if ISSLTransport.providedBy(self._wire):
                self._wire.loseConnection()
            else:
                self._wire.loseWriteConnection()
        self._check()

    def process_ended(self, reason: Failure) -> None:
        """
        The peer sees the end of our stream.  It may have something to say to the end of its own.
        """
        if not reason.check(ProcessDone):
            status: Any = reason.value
            how = f"signal {status.signal}" if status.signal else f"exit code {status.exitCode}"
            self.account.fail(Exit.COMMAND, f"{self.account.peer}: the command ended with {how}")
        if self.is_connected and not self._peer_over:
            self._wait = self._reactor.callLater(PEER_TIMEOUT, self._stop_waiting)
        self._check()

    def _stop_waiting(self) -> None:
        self._wait = None
        self.account.fail(Exit.COMMAND, f"{self.account.peer}: the command did not read all that the peer sent")
        self.break_off()

    def _check(self) -> None:
        if self.is_connected:
            if self._peer_over and self._write_closed:
                self._wire.loseConnection()
        elif not self._process.is_running:
            if self._wait is not None:
                self._wait.cancel()
                self._wait = None
            self._ended(self)


@implementer(IPushProducer)
class _Process(ProcessProtocol):
    """
    The command; its output, as a producer, is paused when the connection is full.

    @ivar is_running: it has not ended.
    """

    def __init__(self, execution: Execution) -> None:
        self.is_running = True
        self._execution = execution
        self._input_open = True

    @property
    def _pipes(self) -> dict[int, Any]:
        pipes: dict[int, Any] = getattr(self.transport, "pipes", {})
        return pipes

    def join(self, wire: Any) -> None:
        """
        Let each side hold up the other.
        """
        wire.registerProducer(self, True)
        if 0 in self._pipes:
            self._pipes[0].registerProducer(_Reading(wire), True)

    def write(self, data: bytes) -> None:
        """
        For its standard input.
        """
        if self._input_open and self.is_running:
            self._transport.write(data)

    def close_input(self) -> None:
        """
        The end of its standard input.
        """
        if self._input_open:
            self._input_open = False
            if 0 in self._pipes:
                self._pipes[0].unregisterProducer()
            if self.is_running and self.transport is not None:
                self._transport.closeStdin()

    def hang_up(self) -> None:
        """
        Tell it that nobody listens.
        """
        if self.is_running and self.transport is not None:
            self._transport.loseConnection()
            try:
                self._transport.signalProcess("HUP")
            except ProcessExitedAlready:
                return

    @property
    def _transport(self) -> Any:
        return self.transport

    # --- IPushProducer -----------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """
        The connection is full.
        """
        if 1 in self._pipes:
            self._pipes[1].pauseProducing()

    def resumeProducing(self) -> None:
        """
        There is room again.
        """
        if 1 in self._pipes:
            self._pipes[1].resumeProducing()

    def stopProducing(self) -> None:
        """
        There is no connection any more, which C{connectionLost} tells as well.
        """

    # --- IProcessProtocol --------------------------------------------------------------------------------------

    def outReceived(self, data: bytes) -> None:
        """
        For the peer.
        """
        self._execution.output_received(data)

    def outConnectionLost(self) -> None:
        """
        It has said everything.
        """
        self._execution.output_ended()

    def inConnectionLost(self) -> None:
        """
        It does not listen any more; what still comes is for nobody.
        """
        self._input_open = False

    def processEnded(self, reason: Failure) -> None:
        """
        It has ended, and its output is read.
        """
        self.is_running = False
        self._execution.process_ended(reason)


@implementer(IPushProducer)
class _Reading:
    """
    The connection's reading side, as the command's standard input pauses it.
    """

    def __init__(self, wire: Any) -> None:
        self._wire = wire

    def pauseProducing(self) -> None:
        """
        The command is slow.
        """
        self._wire.pauseProducing()

    def resumeProducing(self) -> None:
        """
        It has caught up.
        """
        self._wire.resumeProducing()

    def stopProducing(self) -> None:
        """
        It does not read any more: what comes is thrown away, not held.
        """
        self._wire.resumeProducing()
