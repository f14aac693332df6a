"""
Accepts connections, counts them, and stops without losing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_utp._addresses import format_address
from twisted_utp._causes import cause_of
from twisted_utp.forward.ends import End, EndFactory
from twisted_utp.forward.limits import Limits
from twisted_utp.forward.options import fail
from twisted_utp.forward.readiness import notify
from twisted_utp.forward.relay import Relay
from twisted_utp.forward.route import Route

_log = Logger(namespace="utp-forward")


class ForwardService(Service):
    """
    Forwards connections.

    @ivar routes: whence and where.
    """

    name = "utp-forward"

    def __init__(
        self, reactor: Any, routes: Sequence[Route], limits: Limits, metrics: tuple[str, Any, Any] | None = None
    ) -> None:
        """
        @param routes: where to accept connections, and where to carry them.
        @param limits: of all together.
        @param metrics: the endpoint string of the web server for metrics, the endpoint, and the server's factory.
        """
        self._reactor = reactor
        self.routes = list(routes)
        self._limits = limits
        self._metrics = metrics
        self._metrics_port: IListeningPort | None = None
        self._started = False
        self._drained: Deferred[None] | None = None
        self._count = 0

    @property
    def relays(self) -> list[Relay]:
        """
        The connections that there are.
        """
        return [relay for route in self.routes for relay in route.relays]

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
        if not self._started:
            self._start_listening()

    def stopService(self) -> Deferred[None]:
        """
        Accept nothing more, let the connections end, and cut those that have not after the grace period.

        @return: fires when there are none.
        """
        super().stopService()
        notify("STOPPING=1")
        closing: list[Deferred[Any]] = []
        for route in self.routes:
            listening, route.listening = route.listening, None
            if listening is not None:
                listening.cancel()
            port, route.port = route.port, None
            if port is not None:
                closing.append(maybeDeferred(port.stopListening))
        closed: Deferred[Any] = DeferredList(closing, consumeErrors=True)
        return closed.addCallback(lambda _: self._drain()).addCallback(self._report)

    # --- Accepting ---------------------------------------------------------------------------------------------

    def _start_listening(self) -> None:
        self._started = True
        for route in self.routes:
            self._start_listening_to(route)
        if self._metrics is not None:
            name, endpoint, site = self._metrics
            self._listen(f"--metrics {name}", endpoint, site).addCallback(self._serves_metrics)

    def _start_listening_to(self, route: Route) -> None:
        factory = EndFactory(partial(self._build_protocol, route))
        route.listening = self._listen(f"--listen {route.names[0]}", route.listen, factory)
        route.listening.addCallback(partial(self._listens, route))

    def _listen(self, option: str, endpoint: IStreamServerEndpoint, factory: Any) -> Deferred[Any]:
        failures: list[Failure] = []
        listening: Deferred[Any] = endpoint.listen(factory)
        listening.addErrback(failures.append)
        if failures:
            # Endpoints bind at once, so that this is where a port in use is noticed.
            fail(f"{option}: {cause_of(failures[0].value)}", code=1)
        return listening

    def _listens(self, route: Route, port: IListeningPort) -> None:
        route.port = port
        listen, connect = route.names
        where = format_address(port.getHost())
        _log.info(
            "listening on {where}, {listen}, and connecting to {connect}", where=where, listen=listen, connect=connect
        )
        if all(other.port is not None for other in self.routes):
            # Not before the reactor runs: a SIGTERM that comes earlier ends the process without a word.
            self._reactor.callWhenRunning(notify, "READY=1")

    def _serves_metrics(self, port: IListeningPort) -> None:
        self._metrics_port = port
        _log.info("metrics on {where}", where=format_address(port.getHost()))

    def _build_protocol(self, route: Route, address: object) -> End | None:
        there_are = len(self.relays)
        if there_are >= self._limits.max_connections:
            route.refused += 1
            _log.warn("{who} refused: {n} connections are open, and --max-connections allows no more",
                           who=format_address(address), n=there_are)  # fmt: skip
            return None
        self._count += 1
        route.accepted += 1
        relay = Relay(self._count, self._reactor, route, self._limits, partial(self._ended, route))
        route.relays[relay] = None
        return relay.near

    def _ended(self, route: Route, relay: Relay) -> None:
        route.ended(relay)
        if self._drained is not None and not self.relays:
            drained, self._drained = self._drained, None
            drained.callback(None)

    # --- Stopping ----------------------------------------------------------------------------------------------

    def _drain(self) -> Deferred[None]:
        drained: Deferred[None] = Deferred()
        if not self.relays:
            drained.callback(None)
            return drained
        self._drained = drained
        if self._limits.grace:
            _log.info("stopping: waiting up to {grace:g} s for {n} connections to end", n=len(self.relays),
                           grace=self._limits.grace)  # fmt: skip
        timer = self._reactor.callLater(self._limits.grace, self._cut_all)
        return drained.addCallback(lambda _: timer.cancel() if timer.active() else None)

    def _cut_all(self) -> None:
        for relay in self.relays:
            relay.cut("the forwarder was stopped")

    def _report(self, _: object) -> Any:
        carried = [route.carried() for route in self.routes]
        _log.info(
            "stopped: {count} connections, {failed} failed, {refused} refused, {sent} bytes sent, {received} received",
            count=self._count,
            failed=sum(route.failures.total() for route in self.routes),
            refused=sum(route.refused for route in self.routes),
            sent=sum(sent for sent, _ in carried),
            received=sum(received for _, received in carried),
        )
        # Until now somebody may want to know how far the stopping is.
        port, self._metrics_port = self._metrics_port, None
        return maybeDeferred(port.stopListening) if port is not None else None
