"""
One forwarded connection, from the accept to its line in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_utp._causes import Kind, cause_of
from twisted_utp.forward.ends import End, EndFactory
from twisted_utp.forward.limits import Limits
from twisted_utp.forward.proxy_protocol import proxy_header
from twisted_utp.forward.route import Route

_log = Logger(namespace="utp-forward")

# Seconds: reactors round, and need not be asked for less.
_TICK = 0.001

# How records of these types begin: type and the version's major number (RFC 8446 (5.1)).
TLS_HANDSHAKE = b"\x16"
TLS_ALERT = b"\x15\x03"


class Relay:
    """
    A connection that was accepted, and the one that it is carried to.

    @ivar near: the end that was accepted.
    @ivar far: the end that was dialled.
    @ivar failed: it did not end as both peers wished.
    @ivar kind: of what went wrong.
    """

    def __init__(
        self,
        number: int,
        reactor: Any,
        route: Route,
        limits: Limits,
        ended: Callable[[Relay], None],
    ) -> None:
        """
        @param number: for the log.
        @param route: where to carry it.
        @param ended: called once both ends are gone.
        """
        self.near = End(self)
        self.far = End(self)
        self.failed = False
        self.kind = Kind.UNKNOWN
        self._number = number
        self._reactor = reactor
        self._route = route
        self._limits = limits
        self._ended = ended
        self._who = ""
        self._cause = ""
        self._began = self._moved = reactor.seconds()
        self._dialling: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None

    def cut(self, cause: str, kind: Kind = Kind.ABORTED) -> None:
        """
        Break both connections off.
        """
        self._fail(cause, kind)
        if self._dialling is not None:
            self._dialling.cancel()
        self.near.cut()
        self.far.cut()

    # --- From the ends -----------------------------------------------------------------------------------------

    def end_connected(self, end: End) -> None:
        """
        The near end is there, so dial; the far end is, so join them.
        """
        if end is self.near:
            self._who = end.peer()
            self._dial()

    def end_moved(self, end: End) -> None:
        """
        It is not idle.
        """
        self._moved = self._reactor.seconds()

    def end_finished(self, end: End) -> None:
        """
        One peer will send nothing more: tell the other.
        """
        other = self._other(end)
        other.end_writing()
        if self.near.finished and self.far.finished:
            self.near.close()
            self.far.close()

    def end_lost(self, end: End, reason: Failure) -> None:
        """
        One connection is over, so the other has nothing to carry.
        """
        other = self._other(end)
        if reason.check(ConnectionDone):
            other.close()
        else:
            side = "service side" if end is self.far else "client side"
            cause = cause_of(reason.value)
            # What to do after a reset is for the peers, who were told.
            self._fail(f"{side}: {cause.what if cause.kind is Kind.RESET else cause}", cause.kind)
            other.cut()
        if self._dialling is not None:
            self._dialling.cancel()
        self._check_over()

    # --- Dialling ----------------------------------------------------------------------------------------------

    def _dial(self) -> None:
        self._dialling = self._route.connect.connect(EndFactory(lambda address: self.far))
        self._dialling.addTimeout(self._limits.connect_timeout, self._reactor)
        self._dialling.addCallbacks(self._dialled, self._not_dialled)

    def _dialled(self, _: object) -> None:
        self._dialling = None
        if self.near.lost:
            self.far.cut()
            return
        took = self._reactor.seconds() - self._began
        _log.info("#{n} {who}: connected to {to} in {took:.3f} s", n=self._number, who=self._who,
                       to=self.far.peer(), took=took)  # fmt: skip
        if not self.far.lost:
            if self._limits.proxy_protocol:
                self.far.say(proxy_header(self._limits.proxy_protocol, *self.near.addresses()))
            self.near.join(self.far)
            self._watch()

    def _not_dialled(self, reason: Failure) -> None:
        self._dialling = None
        cause = cause_of(reason.value)
        self._fail(f"cannot connect to {self._route.names[1]}: {cause}", cause.kind)
        self.near.cut()
        self._check_over()

    # --- The end -----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """
        One timer a connection, which looks again when there was something in between.
        """
        limit = self._limits.idle_timeout
        if not limit:
            return
        left = self._moved + limit - self._reactor.seconds()
        if left <= _TICK:
            self._timer = None
            self.cut(f"idle for {limit:g} s", Kind.TIMED_OUT)
        else:
            self._timer = self._reactor.callLater(left, self._watch)

    def _fail(self, cause: str, kind: Kind) -> None:
        if not self.failed:
            self.failed, self.kind, self._cause = True, kind, cause

    def _look_for_tls(self) -> None:
        """
        A service that wants TLS answers anything else with an alert (RFC 8446 (6)), or waits and then breaks off.
        """
        if not self._route.is_plain or self.near.beginning[:1] == TLS_HANDSHAKE:
            return
        if self.far.beginning[:2] == TLS_ALERT:
            self._cause = ""
            self.failed = False
            self._fail("service side: it answered with a TLS alert, so it is a utps: listener; connect with utps:",
                            Kind.TLS)  # fmt: skip
        elif self.failed and self.kind is Kind.RESET and self.far.transport is not None and not self.far.received:
            self._cause += ", and sent nothing; if it is a utps: listener, connect with utps:"

    def _other(self, end: End) -> End:
        return self.far if end is self.near else self.near

    def _check_over(self) -> None:
        if self.near.lost and self._dialling is None and (self.far.lost or self.far.transport is None):
            self._over()

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._look_for_tls()
        log = _log.warn if self.failed else _log.info
        log(
            "#{n} {who}: {outcome} ({seconds:.1f} s, {sent} bytes sent, {received} bytes received)",
            n=self._number,
            who=self._who,
            outcome=f"failed: {self._cause}" if self.failed else "closed",
            seconds=self._reactor.seconds() - self._began,
            sent=self.near.received,
            received=self.far.received,
        )
        self._ended(self)
