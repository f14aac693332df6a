"""
How often did this machine stand still while something was measured?

A virtual machine whose host is busy has no processor for some milliseconds, several times a second.  So have the
bottleneck and the long wire then, and what is measured is a path that pauses::

    python -m benchmarks.bottleneck.pauses
"""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.peers.account import Account, obey, report

INTERVAL = 0.002
"""Seconds between two looks at the clock.  Shorter ones take processor time from what is measured."""

PAUSE = 0.004
"""Seconds by which a wake-up is late: a queue of as much is what the lab's goals are about."""


class Pauses:
    """
    @ivar count: wake-ups that were late; C{longest} by how much at most, seconds; C{since} when the first look was.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = 0
        self.longest = 0.0
        self._clock = clock
        self.since = clock()

    def look(self, sleep: Callable[[float], object] = time.sleep) -> None:
        """
        Sleep once.
        """
        began = self._clock()
        sleep(INTERVAL)
        late = self._clock() - began - INTERVAL
        self.count += late >= PAUSE
        self.longest = max(self.longest, late)

    def report(self) -> None:
        """
        Tell how many there were in a second.
        """
        report("pauses", per_second=self.count / (self._clock() - self.since), longest=self.longest)


def main() -> None:
    """
    Until the input ends.
    """
    pauses = Pauses()
    obey(Account(), lambda line: pauses.report())
    while True:
        pauses.look()


if __name__ == "__main__":
    main()
