"""
Bounds how often something is done that others can make us do.

A token bucket that counts in time: each time costs an interval, and what was not used is kept, up to a burst.
"""

from __future__ import annotations


class Budget:
    """
    So many times at once, and then one in each interval.
    """

    __slots__ = ("_credit", "_interval", "_most", "_stamp")

    def __init__(self, burst: int, interval: int) -> None:
        """
        @param burst: times at once; it is there from the start.
        @param interval: µs for one more.
        """
        self._interval = interval
        self._credit = self._most = burst * interval  # µs
        self._stamp = 0

    def take(self, now: int) -> bool:
        """
        Is there one left?  It is used up then.

        @param now: µs.
        """
        self._credit = min(self._credit + now - self._stamp, self._most)
        self._stamp = now
        if self._credit < self._interval:
            return False
        self._credit -= self._interval
        return True
