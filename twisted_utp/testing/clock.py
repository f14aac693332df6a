"""
What time a host thinks it is.

Real hosts agree neither on the time nor on how long a second is, and one-way delays are measured across that
disagreement.  A L{HostClock} is monotonic, as the clock that the core asks for.
"""

from __future__ import annotations

from twisted_utp.testing.simulator import Simulator

BILLION = 1_000_000_000


class HostClock:
    """
    A host's own clock in integer microseconds.
    """

    def __init__(self, simulator: Simulator, *, offset: int = 0, drift_ppm: float = 0.0) -> None:
        """
        @param offset: µs by which it is ahead of the simulator's clock.
        @param drift_ppm: how much faster it runs, in millionths; negative is slower.
        """
        self._simulator = simulator
        self._since = simulator.now
        self._reading = simulator.now + offset
        self._rate = BILLION + round(drift_ppm * 1000)
        if self._reading <= 0:
            raise ValueError(f"offset={offset!r}: the clock would start at {self._reading} µs, expected more than 0")

    def now(self) -> int:
        """
        What it shows, µs.
        """
        return self.at(self._simulator.now)

    def at(self, time: int) -> int:
        """
        What it shows when the simulator's clock shows C{time}.
        """
        if self._rate == BILLION:
            return self._reading + time - self._since
        return self._reading + (time - self._since) * self._rate // BILLION

    def when(self, reading: int) -> int:
        """
        The simulator's time at which it shows C{reading} for the first time; never before the present.
        """
        ahead = reading - self._reading
        if self._rate != BILLION:
            ahead = -(-ahead * BILLION // self._rate)
        return max(self._since + ahead, self._simulator.now)

    def set_drift(self, drift_ppm: float) -> None:
        """
        Run at another rate from now on, in millionths faster than the simulator's clock.
        """
        self._reading, self._since = self.now(), self._simulator.now
        self._rate = BILLION + round(drift_ppm * 1000)

    def step(self, by: int) -> None:
        """
        Jump ahead by C{by} µs.  Timers that are set already ring when they would have.

        @raise ValueError: when C{by} is negative: the core is promised a monotonic clock.  Let the other host's
            clock jump instead.
        """
        if by < 0:
            raise ValueError(f"by={by!r}: expected 0 µs or more, the clock is monotonic")
        self._reading, self._since = self.now() + by, self._simulator.now
