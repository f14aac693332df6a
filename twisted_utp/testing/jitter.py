"""
By how much does the delay vary from packet to packet?
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from random import Random


class Jitter(ABC):
    """
    A model of varying delay.

    @ivar keeps_order: a packet that would overtake another waits for it, as in a queue.  Otherwise it overtakes,
        as on parallel paths.
    """

    def __init__(self, *, keeps_order: bool = False) -> None:
        self.keeps_order = keeps_order

    @abstractmethod
    def sample(self, random: Random) -> int:
        """
        µs added to the next packet's delay, 0 or more.
        """


class UniformJitter(Jitter):
    """
    Anything from nothing to C{width} µs, equally likely.
    """

    def __init__(self, width: int, *, keeps_order: bool = False) -> None:
        if width < 0:
            raise ValueError(f"width={width!r}: expected 0 µs or more")
        super().__init__(keeps_order=keeps_order)
        self.width = width

    def sample(self, random: Random) -> int:
        """
        One throw.
        """
        return int(random.random() * (self.width + 1))


class NormalJitter(Jitter):
    """
    Normally distributed around C{mean} µs with deviation C{sigma} µs, cut off below at nothing.
    """

    def __init__(self, sigma: int, *, mean: int = 0, keeps_order: bool = False) -> None:
        if sigma < 0:
            raise ValueError(f"sigma={sigma!r}: expected 0 µs or more")
        super().__init__(keeps_order=keeps_order)
        self.sigma = sigma
        self.mean = mean

    def sample(self, random: Random) -> int:
        """
        One throw.
        """
        return max(0, round(random.gauss(self.mean, self.sigma)))
