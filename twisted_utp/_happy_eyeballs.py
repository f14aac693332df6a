"""
Happy Eyeballs (RFC 8305): which of several addresses a connection goes to.

The first that answers (RFC 8305): a new attempt starts when the previous one has had a moment, or has failed; the
first to succeed wins and the others are cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from errno import EAFNOSUPPORT
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ConnectError, ConnectionRefusedError, NoRouteError, TimeoutError
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure

from twisted_utp._steady import SteadyTimer, steady_clock, unwatch, watch

Attempt = Callable[[], "Deferred[IProtocol]"]


def _rank(reason: Failure) -> int:
    """
    The smallest tells most: first what happens when somebody has answered, last what our own machine could not do.
    """
    error = reason.value
    if isinstance(error, CannotListenError):
        return 6
    if not isinstance(error, ConnectError):
        return 0  # what the factory raised
    if error.osError == EAFNOSUPPORT:
        return 5
    for rank, kind in enumerate((ConnectionRefusedError, TimeoutError), 1):
        if isinstance(error, kind):
            return rank
    return 4 if isinstance(error, NoRouteError) else 3  # a route that is prohibited has at least been thought of


class HappyEyeballs:
    """
    Several attempts, of which one may win.

    @ivar result: fires with the winner's protocol, or, once all have failed, fails with the failure that tells most.
        Cancelling it cancels the attempts.
    """

    def __init__(self, reactor: Any, attempts: Sequence[Attempt], delay: float) -> None:
        """
        @param attempts: start one each; at least one.
        @param delay: seconds until the next one starts.
        """
        self.result: Deferred[IProtocol] = Deferred(self._cancel)
        self._reactor = reactor
        self._waiting: Iterator[Attempt] = iter(attempts)
        self._delay = delay
        self._running: list[Deferred[IProtocol]] = []
        self._failures: list[Failure] = []
        self._clock = steady_clock(reactor)
        self._timer = SteadyTimer(reactor, self._clock, self._next)
        self._exhausted = False
        self._over = False

    def start(self) -> Deferred[IProtocol]:
        """
        Start the first attempt.

        @return: C{result}.
        """
        watch(self._reactor, self._timer)
        self._next()
        return self.result

    def _next(self) -> None:
        attempt = next(self._waiting, None)
        if attempt is None:
            self._exhausted = True
            return
        running = attempt()
        self._running.append(running)
        now = self._clock()
        self._timer.arm(now + round(self._delay * 1_000_000), now)
        running.addCallbacks(self._won, self._failed, callbackArgs=(running,), errbackArgs=(running,))

    def _won(self, protocol: IProtocol, attempt: Deferred[IProtocol]) -> None:
        self._running.remove(attempt)
        self._finish()
        self.result.callback(protocol)

    def _failed(self, reason: Failure, attempt: Deferred[IProtocol]) -> None:
        self._running.remove(attempt)
        if self._over:
            return
        self._failures.append(reason)
        self._timer.clear()
        self._next()
        if self._exhausted and not self._running and not self._over:
            self._finish()
            self.result.errback(min(self._failures, key=_rank))

    def _cancel(self, result: Deferred[IProtocol]) -> None:
        self._finish()

    def _finish(self) -> None:
        self._over = True
        self._timer.clear()
        unwatch(self._reactor, self._timer)
        for attempt in list(self._running):
            attempt.cancel()
