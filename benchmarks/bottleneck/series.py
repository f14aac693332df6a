"""
What does a program remember about what it received, and when?
"""

from __future__ import annotations

import time

from benchmarks.peers.account import Account, report

# Seconds between two points: finer than anybody looks, and a minute is still one short line.
GRAIN = 0.01

Point = tuple[float, float]


class Series(Account):
    """
    An account whose history is asked for with C{series}.

    @ivar points: how much had come by when, on the system's monotonic clock, which all namespaces share.
    """

    def __init__(self) -> None:
        super().__init__()
        self.points: list[Point] = []

    def count(self, nbytes: int) -> None:
        """
        So many bytes have just come.
        """
        super().count(nbytes)
        if self.points and self.last - self.points[-1][0] < GRAIN:
            self.points[-1] = self.points[-1][0], self.received
        else:
            self.points.append((self.last, self.received))

    def asked(self, line: str) -> None:
        """
        For L{obey}: the answer to C{series}.
        """
        if line == "series":
            # The end, exactly: the last point stands for up to a grain of time.
            end = [(self.last, self.received)] if self.points else []
            report("series", points=[*list(self.points), *end], asked=time.monotonic())
