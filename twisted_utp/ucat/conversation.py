"""
Connects standard input and output to a connection.

Each direction ends by itself.  When standard input ends we close our side; when the peer closes its side, standard
output is finished; when both have, so is the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp._addresses import format_address
from twisted_utp._causes import cause_of
from twisted_utp.ucat.account import Account
from twisted_utp.ucat.exits import Exit, exit_for
from twisted_utp.ucat.messages import Messages
from twisted_utp.ucat.reading import NoInput, StandardInput
from twisted_utp.ucat.writing import StandardOutput


@implementer(IHalfCloseableProtocol, IPushProducer)
class Conversation(Protocol):
    """
    One connection.

    @ivar account: what is known about it.
    @ivar is_connected: it has begun, and is not over.
    """

    def __init__(
        self,
        account: Account,
        messages: Messages,
        ended: Callable[[Conversation], None],
        source: StandardInput | NoInput,
        sink: StandardOutput,
        *,
        finishes_output: bool = True,
        shuts_down: bool = True,
        waits: bool = False,
    ) -> None:
        """
        @param ended: called when the connection is over and all that it brought is written.
        @param finishes_output: let whoever reads standard output see the peer's end of stream.
        @param shuts_down: close our side when standard input ends.
        @param waits: others come first, until C{begin} is called.
        """
        self.account = account
        self.is_connected = False
        self._messages = messages
        self._ended = ended
        self._source = source
        self._sink = sink
        self._finishes_output = finishes_output
        self._shuts_down = shuts_down
        self._waits = waits
        self._input_over = self._peer_over = self._write_closed = False
        self._aborted = False

    @property
    def _wire(self) -> Any:
        return self.transport

    def begin(self) -> None:
        """
        It is our turn.
        """
        self._waits = False
        if not self.is_connected:
            return
        self._messages.began(self.account)
        self._sink.attach(self._wire.pauseProducing, self._wire.resumeProducing, self._output_failed)
        self._wire.registerProducer(self, True)
        self._wire.resumeProducing()
        self._source.attach(self)

    def break_off(self) -> None:
        """
        Let the peer know that this is not the end that was meant.
        """
        self._aborted = True
        if self.is_connected:
            self._wire.abortConnection()

    # --- From the transport ------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """
        Start, or wait.
        """
        self.is_connected = True
        self.account.connected(self._wire, format_address(self._wire.getPeer()))
        if self._waits:
            self._wire.pauseProducing()
        else:
            self.begin()

    def dataReceived(self, data: bytes) -> None:
        """
        Write it.
        """
        self.account.receive(data)
        if self._sink.is_terminal:
            self._messages.terminal_used()
        self._sink.write(data)

    def readConnectionLost(self) -> None:
        """
        The peer has sent everything.
        """
        self._messages.say("the peer has sent everything", 1)
        self._peer_over = True
        if self._finishes_output:
            self._sink.finish()
        if self._source.is_terminal or self._input_over:
            # Whoever types would not know that he has to end it; and what --no-shutdown waited for is here.
            self._source.detach()
            self._close_write_side()
        self._check()

    def writeConnectionLost(self) -> None:
        """
        The peer knows that we have sent everything.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is over, once everything is written.
        """
        self.is_connected = False
        self.account.ended()
        self._source.detach()
        if not reason.check(ConnectionDone):
            cause = cause_of(reason.value)
            self.account.fail(exit_for(cause.kind), f"{self.account.peer}: {cause}")
        elif self.account.taken and not self._input_over and not self._source.is_terminal and not self._aborted:
            self.account.fail(Exit.RESET, f"{self.account.peer}: closed by the peer before everything was sent")
        self._sink.flush().addCallback(lambda _: self._ended(self))

    # --- From standard input and output ------------------------------------------------------------------------

    def input_received(self, data: bytes) -> None:
        """
        Send it.
        """
        self.account.take(data)
        self._wire.write(data)

    def input_ended(self) -> None:
        """
        Close our side.
        """
        if self._input_over:
            return
        self._messages.say("standard input has ended", 1)
        self._input_over = True
        # Twisted's TLS ends both directions with one; so where there was nothing to send the peer decides.
        has_reason = bool(self.account.taken) or not self._is_tls()
        if self._peer_over or (self._shuts_down and has_reason):
            self._close_write_side()
        self._check()

    def input_failed(self, error: OSError) -> None:
        """
        The peer must not take what it has for the whole.
        """
        self.account.fail(
            Exit.LOCAL, f"cannot read standard input: {_reason(error)}; is it a file, a pipe or a terminal?"
        )
        self.break_off()

    def _output_failed(self) -> None:
        error = self._sink.error
        if isinstance(error, BrokenPipeError):
            self.account.fail(Exit.BROKEN_PIPE, "the reader of our standard output has gone; the peer was told to stop")
        elif error is not None:
            what = f"cannot write standard output: {_reason(error)}"
            self.account.fail(Exit.LOCAL, f"{what}; what was written is incomplete, make room and start again")
        self.break_off()

    # --- IPushProducer: standard input, as the transport sees it -----------------------------------------------

    def pauseProducing(self) -> None:
        """
        The connection is full.
        """
        self._source.pause()

    def resumeProducing(self) -> None:
        """
        There is room again.
        """
        self._source.resume()

    def stopProducing(self) -> None:
        """
        There is no connection any more.
        """
        self._source.detach()

    # --- The end -----------------------------------------------------------------------------------------------

    def _is_tls(self) -> bool:
        return bool(ISSLTransport.providedBy(self._wire))

    def _close_write_side(self) -> None:
        """
        Half close.  Twisted's TLS cannot; there it is closed, but what the peer still sends is read.
        """
        if self._write_closed or not self.is_connected:
            return
        self._write_closed = True
        self._wire.unregisterProducer()
        if self._is_tls():
            self._wire.loseConnection()
        else:
            self._wire.loseWriteConnection()

    def _check(self) -> None:
        if self._peer_over and self._write_closed and self.is_connected:
            self._wire.loseConnection()


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
