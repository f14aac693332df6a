"""
Measures how fast a transfer was, and how long the queue was, over time.

Samples counters and a queue at regular instants of virtual time.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_utp.testing.link import Link
from twisted_utp.testing.simulator import MILLISECOND, SECOND, Simulator


class Meter:
    """
    A series of readings, one every C{interval} µs, from when it is made.

    @ivar readings: C{readings[n][k]} is what counter n said after k intervals.
    """

    def __init__(self, simulator: Simulator, *counters: Callable[[], float], interval: int = 50 * MILLISECOND) -> None:
        self.interval = interval
        self.started = simulator.now
        self.readings: list[list[float]] = [[] for _ in counters]
        self._counters = counters
        self._simulator = simulator
        self._read()

    def _read(self) -> None:
        for counter, readings in zip(self._counters, self.readings, strict=True):
            readings.append(counter())
        self._simulator.call_later(self.interval, self._read)

    def _index(self, seconds: float) -> int:
        return min(round(seconds * SECOND / self.interval), len(self.readings[0]) - 1)

    def rate(self, first: float, last: float, counter: int = 0) -> float:
        """
        Mean growth of a counter per second between two instants (seconds after the meter was made).
        """
        one, other = self._index(first), self._index(last)
        growth = self.readings[counter][other] - self.readings[counter][one]
        return growth * SECOND / ((other - one) * self.interval)

    def percentile(self, share: float, first: float, last: float, counter: int = 0) -> float:
        """
        The value that C{share} of the readings between two instants do not exceed.
        """
        values = sorted(self.readings[counter][self._index(first) : self._index(last) + 1])
        return values[min(int(share * len(values)), len(values) - 1)]

    def reaches(self, rate: float, *, over: float, since: float = 0.0, counter: int = 0) -> float | None:
        """
        The end of the first stretch of C{over} seconds, beginning not before C{since}, with at least that mean
        rate; L{None} when there is none.
        """
        width = round(over * SECOND / self.interval)
        readings = self.readings[counter]
        enough = rate * width * self.interval / SECOND
        for index in range(self._index(since) + width, len(readings)):
            if readings[index] - readings[index - width] >= enough:
                return index * self.interval / SECOND
        return None


def queue_in_ms(link: Link) -> Callable[[], float]:
    """
    How many milliseconds a packet that joined C{link}'s queue now would wait.
    """

    def read() -> float:
        return link.queue.nbytes * 8000 / link.rate if link.rate else 0.0

    return read
