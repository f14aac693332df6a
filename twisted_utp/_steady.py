"""
Timers that do not depend on the time of day, which somebody may set.

A reactor's delayed calls go by C{reactor.seconds()}, the time of day.  Set back by an hour, it makes all that wait an
hour late; set forward, it makes them early.  So a L{SteadyTimer} goes by a clock that nobody can set.  Woken early, it
waits on.  Lest it be late, somebody has to look: nothing else wakes a reactor whose delayed calls are an hour away.  A
thread does, every C{LOOK_INTERVAL}, for reactors that are real, and while a timer wants it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IDelayedCall

LOOK_INTERVAL = 2.0
"""Seconds by which a timer may be late when the clock is set back.  Less wakes a battery's processor more often."""

# Seconds that the two clocks must have moved against each other.  The kernel slews by a thousandth at most, and less
# than this is no more than a busy reactor's delay.
_STEP = 0.1

# µs that a delayed call may be early: the reactor's seconds are floats.
_TOLERANCE = 1000


def monotonic_us() -> int:
    """
    The time in µs, on a clock that never steps; unlike C{reactor.seconds}, which is the time of day.
    """
    return time.monotonic_ns() // 1000


def steady_clock(reactor: Any) -> Callable[[], int]:
    """
    The time in µs by which a reactor's steady timers go.  In virtual time it is the reactor's own, which nobody sets.
    """
    if isinstance(reactor, ReactorBase):
        return monotonic_us
    microseconds: Callable[[], int] | None = getattr(reactor, "microseconds", None)
    return microseconds if microseconds is not None else lambda: round(reactor.seconds() * 1_000_000)


class SteadyTimer:
    """
    One deadline.

    @ivar due: when, µs; L{None} while there is none.
    """

    __slots__ = ("__weakref__", "_call", "_clock", "_function", "_is_exact", "_reactor", "due")

    def __init__(
        self, reactor: Any, clock: Callable[[], int], function: Callable[[], object], *, is_exact: bool = True
    ) -> None:
        """
        @param clock: the time in µs, see L{steady_clock}.
        @param function: called when it is time.
        @param is_exact: not earlier; otherwise it may be called in vain.
        """
        self._is_exact = is_exact
        self._reactor = reactor
        self._clock = clock
        self._function = function
        self._call: IDelayedCall | None = None
        self.due: int | None = None

    def arm(self, due: int | None, now: int) -> None:
        """
        Wake at C{due}, or never.

        A call that is too early stays: it wakes us in vain, which is cheaper than moving it at each packet.
        """
        call, pending = self._call, self.due
        if call is not None and pending is not None:
            if due is not None and now <= pending <= due:
                return
            call.cancel()
        self._call, self.due = None, due
        if due is not None:
            self._call = self._reactor.callLater(max(due - now, 0) / 1_000_000, self._fired)

    def clear(self) -> None:
        """
        There is nothing to wait for.
        """
        call, self._call, self.due = self._call, None, None
        if call is not None:
            call.cancel()

    def look(self) -> None:
        """
        The reactor's clock was set: wait as long as is left.
        """
        call, due = self._call, self.due
        if call is not None and due is not None:
            call.cancel()
            self._call = None
            self.arm(due, self._clock())

    def _fired(self) -> None:
        self._call, due, self.due = None, self.due, None
        if self._is_exact and due is not None:
            now = self._clock()
            if due - now > _TOLERANCE:
                self.arm(due, now)
                return
        self._function()


class ClockWatch:
    """
    Sees to it that a reactor's timers are looked at when its clock is set back.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.timers: WeakSet[SteadyTimer] = WeakSet()
        self._thread: threading.Thread | None = None
        self._offset = 0.0

    def run(self) -> None:
        """
        See to it that the thread runs.  After a fork there is none, though this object is there.
        """
        if self._thread is None or not self._thread.is_alive():
            self._offset = self._measure()
            self._thread = threading.Thread(target=self._look_now_and_then, name="uTP clock watch", daemon=True)
            self._thread.start()

    def look(self) -> None:
        """
        Compare the clocks.  In the thread.
        """
        before, self._offset = self._offset, self._measure()
        if self._offset < before - _STEP:
            self._reactor.callFromThread(self._look_at_timers)

    def _measure(self) -> float:
        time_of_day: float = self._reactor.seconds()
        return time_of_day - time.monotonic()

    def _look_at_timers(self) -> None:
        for timer in list(self.timers):
            timer.look()

    def _look_now_and_then(self) -> None:
        while True:
            time.sleep(LOOK_INTERVAL)
            with _lock:
                if not self.timers:
                    del _watches[self._reactor]
                    return
            self.look()


# A watch is there as long as its thread: ports that come and go share it.
_watches: dict[Any, ClockWatch] = {}
_lock = threading.Lock()


def watch(reactor: Any, timer: SteadyTimer) -> None:
    """
    Let a timer be looked at when the reactor's clock is set back, until L{unwatch}.  In virtual time nobody sets it.
    """
    if isinstance(reactor, ReactorBase):
        with _lock:
            clocks = _watches.setdefault(reactor, ClockWatch(reactor))
            clocks.timers.add(timer)
            clocks.run()


def unwatch(reactor: Any, timer: SteadyTimer) -> None:
    """
    The end of L{watch}.
    """
    with _lock:
        if reactor in _watches:
            _watches[reactor].timers.discard(timer)
