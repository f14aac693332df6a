"""
Who accepts the connections, counts them, and stops without losing them?
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort, IStreamClientEndpoint, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_utp._addresses import spelled
from twisted_utp._causes import cause_of
from twisted_utp.forward.ends import End, EndFactory
from twisted_utp.forward.limits import Limits
from twisted_utp.forward.options import fail
from twisted_utp.forward.passage import Passage

_log = Logger(namespace="utp-forward")


class ForwardService(Service):
    """
    Forwards connections.

    @ivar passages: those that there are.
    """

    name = "utp-forward"

    def __init__(
        self,
        reactor: Any,
        listen: IStreamServerEndpoint,
        connect: IStreamClientEndpoint,
        limits: Limits,
        names: tuple[str, str],
    ) -> None:
        """
        @param listen: where to accept connections.
        @param connect: where to carry them.
        @param names: both, for the log.
        """
        self._reactor = reactor
        self._listen = listen
        self._connect = connect
        self._limits = limits
        self._names = names
        self._port: IListeningPort | None = None
        self._listening: Deferred[Any] | None = None
        self._drained: Deferred[None] | None = None
        self.passages: dict[Passage, None] = {}
        self._count = self._failed = self._refused = self._there = self._back = 0

    # --- IService ----------------------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """
        Bind, while C{twistd} has its rights.
        """
        super().privilegedStartService()
        self._start_listening()

    def startService(self) -> None:
        """
        Bind.
        """
        super().startService()
        if self._listening is None:
            self._start_listening()

    def stopService(self) -> Deferred[None]:
        """
        Accept nothing more, let the connections end, and cut those that have not after the grace period.

        @return: fires when there are none.
        """
        super().stopService()
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
        port, self._port = self._port, None
        closed: Deferred[Any] = maybeDeferred(port.stopListening) if port is not None else succeed(None)
        return closed.addCallback(lambda _: self._drain()).addCallback(self._report)

    # --- Accepting ---------------------------------------------------------------------------------------------

    def _start_listening(self) -> None:
        failures: list[Failure] = []
        self._listening = self._listen.listen(EndFactory(self._build_protocol))
        self._listening.addCallback(self._listens).addErrback(failures.append)
        if failures:
            # Endpoints bind at once, so that this is where a port in use is noticed.
            fail(f"--listen {self._names[0]}: {cause_of(failures[0].value)}", code=1)

    def _listens(self, port: IListeningPort) -> None:
        self._port = port
        listen, connect = self._names
        where = spelled(port.getHost())
        _log.info(
            "listening on {where}, {listen}, and connecting to {connect}", where=where, listen=listen, connect=connect
        )

    def _build_protocol(self, address: object) -> End | None:
        if len(self.passages) >= self._limits.max_connections:
            self._refused += 1
            _log.warn("{who} refused: there are {n} connections, as many as --max-connections allows",
                           who=spelled(address), n=len(self.passages))  # fmt: skip
            return None
        self._count += 1
        passage = Passage(self._count, self._reactor, self._connect, self._limits, self._ended)
        self.passages[passage] = None
        return passage.near

    def _ended(self, passage: Passage) -> None:
        del self.passages[passage]
        self._failed += passage.failed
        self._there += passage.near.received
        self._back += passage.far.received
        if self._drained is not None and not self.passages:
            drained, self._drained = self._drained, None
            drained.callback(None)

    # --- Stopping ----------------------------------------------------------------------------------------------

    def _drain(self) -> Deferred[None]:
        drained: Deferred[None] = Deferred()
        if not self.passages:
            drained.callback(None)
            return drained
        self._drained = drained
        if self._limits.grace:
            _log.info("stopping: {n} connections may take {grace:g} s more", n=len(self.passages),
                           grace=self._limits.grace)  # fmt: skip
        timer = self._reactor.callLater(self._limits.grace, self._cut_all)
        return drained.addCallback(lambda _: timer.cancel() if timer.active() else None)

    def _cut_all(self) -> None:
        for passage in list(self.passages):
            passage.cut("cut, the forwarder stops")

    def _report(self, _: object) -> None:
        _log.info(
            "stopped: {count} connections, {failed} failed, {refused} refused, {there} bytes there, {back} bytes back",
            count=self._count,
            failed=self._failed,
            refused=self._refused,
            there=self._there,
            back=self._back,
        )
