"""
Virtual time: what happens next, and when.

A heap of events and an integer clock in microseconds that jumps from one to the next: no wall time, no threads,
and one seeded source of randomness, so the same seed gives the same run, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from random import Random
from typing import Any

START = 1_000_000_000
"""Where virtual time starts, µs: not 0, so that nobody takes 0 for "never"."""

SECOND = 1_000_000
MILLISECOND = 1_000

# More events than this at one instant is a loop that never lets time pass, not traffic.
EVENTS_PER_INSTANT = 200_000
# Cancelled calls stay in the heap until they surface; beyond this many they are swept out.
SWEEP_AT = 4096


class SimulationDidNotEnd(AssertionError):
    """
    Something goes on for ever: virtual time passed the limit, or stood still under endless events.
    """


class ScheduledCall:
    """
    One event to come.

    @ivar time: when, in µs of the simulator's clock.
    """

    __slots__ = ("_simulator", "arguments", "function", "time")

    def __init__(
        self, simulator: Simulator, time: int, function: Callable[..., object], arguments: tuple[Any, ...]
    ) -> None:
        self._simulator = simulator
        self.time = time
        self.function: Callable[..., object] | None = function
        self.arguments = arguments

    @property
    def active(self) -> bool:
        """
        Is it still to come?
        """
        return self.function is not None

    def cancel(self) -> None:
        """
        Call it off.  Harmless when it has happened or was cancelled before.
        """
        if self.function is not None:
            self.function = None
            self.arguments = ()
            self._simulator._count_cancelled()


class Simulator:
    """
    Virtual time.

    @ivar now: the present, µs.
    @ivar random: the only source of randomness of everything simulated.
    @ivar events_run: how many events have happened.
    """

    def __init__(self, seed: int = 0, *, start: int = START) -> None:
        """
        @param seed: same seed, same run.
        @param start: the first instant, µs, more than 0.
        """
        if start <= 0:
            raise ValueError(f"start={start!r}: expected more than 0 µs")
        self.seed = seed
        self.now = start
        self.random = Random(seed)
        self.events_run = 0
        self._heap: list[tuple[int, int, ScheduledCall]] = []
        self._scheduled = 0
        self._cancelled = 0
        self._at_this_instant = 0

    def call_at(self, time: int, function: Callable[..., object], *arguments: Any) -> ScheduledCall:
        """
        Call C{function(*arguments)} at C{time} µs.  Calls for one instant happen in the order they were asked for.

        @raise ValueError: when C{time} is past.
        """
        if time < self.now:
            raise ValueError(f"time={time!r}: {self.now - time} µs ago")
        call = ScheduledCall(self, time, function, arguments)
        self._scheduled += 1
        heappush(self._heap, (time, self._scheduled, call))
        return call

    def call_later(self, delay: int, function: Callable[..., object], *arguments: Any) -> ScheduledCall:
        """
        Call C{function(*arguments)} in C{delay} µs.
        """
        if delay < 0:
            raise ValueError(f"delay={delay!r}: expected 0 µs or more")
        time = self.now + delay
        call = ScheduledCall(self, time, function, arguments)
        self._scheduled += 1
        heappush(self._heap, (time, self._scheduled, call))
        return call

    def next_time(self) -> int | None:
        """
        When the next event is due, L{None} when there is none.
        """
        heap = self._heap
        while heap and heap[0][2].function is None:
            heappop(heap)
            self._cancelled -= 1
        return heap[0][0] if heap else None

    def step(self) -> bool:
        """
        Jump to the next event and let it happen.

        @return: False when there is none: the simulation is idle.
        @raise SimulationDidNotEnd: when time stands still under endless events.
        """
        if self.next_time() is None:
            return False
        time, _, call = heappop(self._heap)
        self._happen(time, call)
        return True

    def _happen(self, time: int, call: ScheduledCall) -> None:
        """
        Let one event happen that was taken from the heap and not called off.
        """
        if time > self.now:
            self.now = time
            self._at_this_instant = 0
        self._at_this_instant += 1
        function = call.function
        assert function is not None
        if self._at_this_instant > EVENTS_PER_INSTANT:
            raise SimulationDidNotEnd(f"{EVENTS_PER_INSTANT} events at {time} µs, the last one {function!r}")
        self.events_run += 1
        call.function = None
        function(*call.arguments)

    def run_until(self, time: int) -> None:
        """
        Let everything happen that is due up to C{time} µs, inclusive; then it is C{time}.
        """
        heap = self._heap
        while heap and heap[0][0] <= time:
            due, _, call = heappop(heap)
            if call.function is None:
                self._cancelled -= 1
            else:
                self._happen(due, call)
        if time > self.now:
            self.now = time
            self._at_this_instant = 0

    def run_for(self, duration: int) -> None:
        """
        Let C{duration} µs pass.
        """
        self.run_until(self.now + duration)

    def run(self, until: Callable[[], bool] | None = None, *, limit: int = 600 * SECOND) -> int:
        """
        Run until C{until()} is true, or, without it, until nothing is left to happen.

        @param limit: µs of virtual time after which patience ends.
        @return: how many µs that took.
        @raise SimulationDidNotEnd: when the limit passed first, or, with C{until}, when nothing is left to happen.
        """
        started, heap = self.now, self._heap
        end = started + limit
        while until is None or not until():
            due = self.next_time()
            if due is None:
                if until is None:
                    break
                raise SimulationDidNotEnd(f"idle after {self.now - started} µs and the condition does not hold")
            if due > end:
                waiting = "idle" if until is None else "the condition holds"
                raise SimulationDidNotEnd(f"{limit} µs passed before {waiting}; {self.pending} events are pending")
            self._happen(due, heappop(heap)[2])
        return self.now - started

    @property
    def pending(self) -> int:
        """
        How many events are to come.
        """
        return len(self._heap) - self._cancelled

    def _count_cancelled(self) -> None:
        self._cancelled += 1
        if self._cancelled > SWEEP_AT and self._cancelled * 2 > len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[2].function is not None]
            heapify(self._heap)
            self._cancelled = 0
