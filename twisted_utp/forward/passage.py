"""
What happens to one forwarded connection, from the accept to its line in the log?
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_utp._causes import Kind, cause_of
from twisted_utp.forward.ends import End, EndFactory
from twisted_utp.forward.limits import Limits

_log = Logger(namespace="utp-forward")

# Seconds: reactors round, and need not be asked for less.
_TICK = 0.001


class Passage:
    """
    A connection that was accepted, and the one that it is carried to.

    @ivar near: the end that was accepted.
    @ivar far: the end that was dialled.
    @ivar failed: it did not end as both peers wished.
    """

    def __init__(
        self,
        number: int,
        reactor: Any,
        connect: IStreamClientEndpoint,
        limits: Limits,
        ended: Callable[[Passage], None],
    ) -> None:
        """
        @param number: for the log.
        @param connect: where to carry it.
        @param ended: called once both ends are gone.
        """
        self.near = End(self)
        self.far = End(self)
        self.failed = False
        self._number = number
        self._reactor = reactor
        self._connect = connect
        self._limits = limits
        self._ended = ended
        self._who = ""
        self._cause = ""
        self._began = self._moved = reactor.seconds()
        self._dialling: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None

    def cut(self, cause: str) -> None:
        """
        Break both connections off.
        """
        self._fail(cause)
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
            side = "there" if end is self.far else "here"
            cause = cause_of(reason.value)
            # What to do after a reset is for the peers, who were told.
            self._fail(f"{side}: {cause.what if cause.kind is Kind.RESET else cause}")
            other.cut()
        if self._dialling is not None:
            self._dialling.cancel()
        self._check_over()

    # --- Dialling ----------------------------------------------------------------------------------------------

    def _dial(self) -> None:
        self._dialling = self._connect.connect(EndFactory(lambda address: self.far))
        self._dialling.addTimeout(self._limits.connect_timeout, self._reactor)
        self._dialling.addCallbacks(self._dialled, self._not_dialled)

    def _dialled(self, _: object) -> None:
        self._dialling = None
        if self.near.lost:
            self.far.cut()
            return
        took = self._reactor.seconds() - self._began
        _log.info("#{n} {who}: carried to {to}, {took:.3f} s", n=self._number, who=self._who,
                       to=self.far.peer(), took=took)  # fmt: skip
        if not self.far.lost:
            self.near.join(self.far)
            self._watch()

    def _not_dialled(self, reason: Failure) -> None:
        self._dialling = None
        self._fail(f"not carried on: {cause_of(reason.value)}")
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
            self.cut(f"idle for {limit:g} s")
        else:
            self._timer = self._reactor.callLater(left, self._watch)

    def _fail(self, cause: str) -> None:
        self.failed = True
        self._cause = self._cause or cause

    def _other(self, end: End) -> End:
        return self.far if end is self.near else self.near

    def _check_over(self) -> None:
        if self.near.lost and self._dialling is None and (self.far.lost or self.far.transport is None):
            self._over()

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        _log.info(
            "#{n} {who}: {cause} after {seconds:.1f} s, {there} bytes there, {back} bytes back",
            n=self._number,
            who=self._who,
            cause=self._cause or "done",
            seconds=self._reactor.seconds() - self._began,
            there=self.near.received,
            back=self.far.received,
        )
        self._ended(self)
