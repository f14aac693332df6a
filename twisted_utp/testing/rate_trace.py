"""
Links whose rate changes all the time.

A trace is the rate in steps of 20 ms.  The file format is that of mahimahi (Netravali et al., 2015), in which most
recordings of cellular networks exist: one line for each 1500 bytes that may pass, with the millisecond at which they
may; when the file ends it begins again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from twisted_utp.testing.link import Link
from twisted_utp.testing.simulator import MILLISECOND

STEP = 20 * MILLISECOND
"""µs for which a rate holds."""

OPPORTUNITY = 1500
"""Bytes that a line of the file lets pass."""


class RateTrace:
    """
    Rates, one after the other, then from the beginning again.

    @ivar rates: bit/s, one for each L{STEP}.
    """

    def __init__(self, rates: Sequence[int]) -> None:
        """
        @raise ValueError: when nothing ever passes.
        """
        if not any(rates) or min(rates) < 0:
            raise ValueError("rates: expected bits per second, 0 or more, and not 0 all the time")
        self.rates = list(rates)

    @classmethod
    def from_milliseconds(cls, times: Sequence[int]) -> RateTrace:
        """
        From the milliseconds at which 1500 bytes may pass, in order.

        @raise ValueError: when they are not in order, or there are none above 0.
        """
        if not times or times[0] < 0 or times[-1] < 1 or any(b < a for a, b in pairwise(times)):
            raise ValueError("times: expected milliseconds in order, the last one above 0")
        passes = [0] * -(-times[-1] * MILLISECOND // STEP)
        for time in times:
            passes[min(time * MILLISECOND // STEP, len(passes) - 1)] += 1
        return cls([count * OPPORTUNITY * 8_000_000 // STEP for count in passes])

    @classmethod
    def read(cls, path: str | Path) -> RateTrace:
        """
        From a file of mahimahi's.

        @raise ValueError: when a line is no number, or the times are not in order.
        @raise OSError: when it cannot be read.
        """
        return cls.from_milliseconds([int(line) for line in Path(path).read_text("ascii").split()])

    def write(self, path: str | Path) -> None:
        """
        To a file of mahimahi's.
        """
        Path(path).write_text("".join(f"{time}\n" for time in self.milliseconds()), "ascii")

    def milliseconds(self) -> list[int]:
        """
        When 1500 bytes may pass, in order; what a step leaves over is the next one's.
        """
        times: list[int] = []
        bits = 0
        for index, rate in enumerate(self.rates):
            bits += rate * STEP // 1_000_000
            count, bits = divmod(bits, OPPORTUNITY * 8)
            first = index * STEP // MILLISECOND
            times += [first + number * STEP // MILLISECOND // count for number in range(count)]
        return times

    @property
    def seconds(self) -> float:
        """
        Until it repeats.
        """
        return len(self.rates) * STEP / 1e6

    def nbytes(self, seconds: float) -> float:
        """
        What passes at most from the beginning for so long.
        """
        whole, rest = divmod(round(seconds * 1e6) // STEP, len(self.rates))
        return (whole * sum(self.rates) + sum(self.rates[:rest])) * STEP / 8e6

    @property
    def mean(self) -> float:
        """
        Bit/s.
        """
        return sum(self.rates) / len(self.rates)

    def drive(self, link: Link) -> None:
        """
        Give C{link} these rates from now on.  A packet that is being sent goes on at the rate at which it began.
        """
        self._step(link, 0)

    def _step(self, link: Link, index: int) -> None:
        rate = self.rates[index]
        if rate != link.rate:
            link.set_rate(rate)
        link.simulator.call_later(STEP, self._step, link, (index + 1) % len(self.rates))
