"""
What ucat does, from its options to its exit code.
"""

from __future__ import annotations

from argparse import Namespace
from collections import deque
from collections.abc import Callable
from signal import Signals
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from twisted_utp._addresses import format_address
from twisted_utp._causes import cause_of
from twisted_utp._hints import endpoint_from
from twisted_utp.ucat.account import Account
from twisted_utp.ucat.conversation import Conversation
from twisted_utp.ucat.execution import Execution
from twisted_utp.ucat.exits import Exit, exit_for, exit_for_signal
from twisted_utp.ucat.messages import Messages
from twisted_utp.ucat.reading import NoInput, StandardInput
from twisted_utp.ucat.waiting import Waiting
from twisted_utp.ucat.writing import StandardOutput

# Seconds that the goodbyes may take after a signal.
GOODBYE = 1.0


class Program:
    """
    One run.

    @ivar finished: fires with the exit code.
    """

    def __init__(self, reactor: Any, options: Namespace) -> None:
        self.finished: Deferred[int] = Deferred()
        self._reactor = reactor
        self._options = options
        self._sink = StandardOutput(reactor)
        self._source: StandardInput | NoInput = NoInput() if options.no_stdin else StandardInput(reactor)
        on_terminal = self._sink.is_terminal and self._source.is_terminal
        self._messages = Messages(reactor, options, data_on_terminal=on_terminal)
        self._port: IListeningPort | None = None
        self._running: dict[Conversation | Execution, Waiting | None] = {}
        self._waiting: deque[Conversation] = deque()
        self._dialling: Deferred[Any] | None = None
        self._code: int = Exit.DONE
        self._stopping = False

    def start(self) -> None:
        """
        Dial, or listen.
        """
        try:
            endpoint = endpoint_from(self._reactor, self._options.endpoint, listens=self._options.listen)
        except ValueError as error:
            self._messages.say(f"{self._options.endpoint}: {error}; see ucat --help")
            self._finish(Exit.USAGE)
            return
        self._messages.say(f"{'listening' if self._options.listen else 'connecting'}: {self._options.endpoint}", 2)
        factory = _Building(self._accept if self._options.listen else self._connect)
        if self._options.listen:
            endpoint.listen(factory).addCallbacks(self._listening, self._failed)
        else:
            self._dialling = endpoint.connect(factory)
            if self._options.wait is not None:
                timer = self._reactor.callLater(self._options.wait, self._dialling.cancel)
                self._dialling.addBoth(_cancelling, timer)
            self._dialling.addCallbacks(self._connected, self._failed)

    def interrupt(self, number: int) -> None:
        """
        A signal wants us to end: tell the peers, and do.
        """
        if self._stopping:
            self._finish(self._code)
            return
        self._stopping = True
        self._code = exit_for_signal(number)
        self._stop_listening()
        if self._dialling is not None:
            self._dialling.cancel()
        for one in [*self._running, *self._waiting]:
            one.account.fail(self._code, f"ended by {Signals(number).name}; what was sent may be incomplete")
            one.break_off()
        self._reactor.callLater(GOODBYE if self._running else 0, self._finish, self._code)

    # --- Connections -------------------------------------------------------------------------------------------

    def _account(self, role: str) -> Account:
        total = None if self._options.exec else self._source.size()
        return Account(self._reactor.seconds, role, total, checksums=self._options.verbose > 0)

    def _connect(self) -> Protocol:
        return self._make(self._account("client"))

    def _accept(self) -> Protocol | None:
        if self._stopping or (self._running and not self._options.keep):
            return None
        if not self._options.keep:
            self._reactor.callLater(0, self._stop_listening)
        waits = bool(self._running) and self._options.exec is None
        return self._make(self._account("server"), waits)

    def _make(self, account: Account, waits: bool = False) -> Conversation | Execution:
        made: Conversation | Execution
        if self._options.exec is not None:
            made = Execution(account, self._messages, self._ended, self._reactor, self._options.exec)
        else:
            made = Conversation(
                account,
                self._messages,
                self._ended,
                self._source,
                self._sink,
                finishes_output=not self._options.keep,
                shuts_down=not self._options.no_shutdown,
                waits=waits,
            )
        if waits and isinstance(made, Conversation):
            self._waiting.append(made)
        else:
            self._run(made)
        return made

    def _run(self, one: Conversation | Execution) -> None:
        seconds = self._options.wait
        waiting = None if seconds is None else Waiting(self._reactor, seconds, one.account, one.break_off)
        self._running[one] = waiting

    def _ended(self, one: Conversation | Execution) -> None:
        idle = self._running.pop(one, None)
        if idle is not None:
            idle.stop()
        self._messages.ended(one.account)
        self._code = self._code or one.account.code
        if self._stopping:
            if not self._running:
                self._finish(self._code)
        elif not self._options.keep or self._sink.error is not None:
            self._finish(self._code)
        else:
            self._code = Exit.DONE  # the next one is another matter
            self._next()

    def _next(self) -> None:
        while self._waiting and not self._running:
            waiting = self._waiting.popleft()
            if waiting.is_connected:
                self._run(waiting)
                waiting.begin()

    # --- The beginning and the end -----------------------------------------------------------------------------

    def _listening(self, port: IListeningPort) -> None:
        self._port = port
        is_any = self._options.where in (["0"], [0])
        self._messages.say(f"listening on {format_address(port.getHost())}", 0 if is_any else 1)

    def _connected(self, _: object) -> None:
        self._dialling = None

    def _failed(self, reason: Failure) -> None:
        self._dialling = None
        if self._stopping:
            return
        words = self._options.where
        where = ":".join(f"[{word}]" if word.count(":") > 1 and len(words) > 1 else word for word in words)
        cause = cause_of(reason.value)
        account = self._account("server" if self._options.listen else "client")
        account.fail(exit_for(cause.kind), f"{where}: {cause}")
        account.ended()
        self._messages.ended(account)
        self._finish(account.code)

    def _stop_listening(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()

    def _finish(self, code: int) -> None:
        if not self.finished.called:
            self.finished.callback(code)


def _cancelling(result: Any, timer: IDelayedCall) -> Any:
    if timer.active():
        timer.cancel()
    return result


class _Building(Factory):
    """
    Builds what it is told to.
    """

    noisy = False

    def __init__(self, build: Callable[[], Protocol | None]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """
        A conversation, or L{None} to refuse.
        """
        return self._build()
