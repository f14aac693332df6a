"""
What does a seed decide, and what happens of it?

Every part of a session (the network, each application, each stranger) has random numbers of its own, so that leaving
one part out does not change the others'.  Only C{random()} and C{getrandbits()} are used: the streams of both are the
same in every version of Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

Happening = tuple[str, int]
"""What happened, and how many of its kind had happened before."""


class Dice(Random):
    """
    Random numbers.
    """

    def below(self, n: int) -> int:
        """
        0 to C{n} - 1.
        """
        return int(self.random() * n)

    def between(self, low: int, high: int) -> int:
        """
        C{low} to C{high}, both included.
        """
        return low + int(self.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """
        True so often.
        """
        return self.random() < probability

    def pick(self, things: Sequence[T]) -> T:
        """
        One of them.
        """
        return things[int(self.random() * len(things))]

    def size(self, bits: int) -> int:
        """
        1 to C{2 ** bits}; each power of two is as likely as the next.
        """
        return 1 + self.below(1 << self.below(bits + 1))

    def bytes(self, n: int) -> bytes:
        """
        C{n} bytes.
        """
        return self.getrandbits(8 * n).to_bytes(n, "big") if n else b""


class Plan:
    """
    One session's seed, and what is left out of it while the reason of a failure is searched.

    @ivar happened: what has happened so far.
    @ivar story: what is told when somebody wants to hear it, L{None} otherwise.
    """

    def __init__(self, mode: str, seed: int, *, without: frozenset[str | Happening] = frozenset()) -> None:
        """
        @param without: kinds of happenings that do not happen, and single ones.
        """
        self.mode = mode
        self.seed = seed
        self.without = without
        self.happened: list[Happening] = []
        self.story: list[str] | None = None
        self._counts: dict[str, int] = {}

    def dice(self, name: str) -> Dice:
        """
        Random numbers for the part of that name.
        """
        return Dice(f"{self.mode} {self.seed} {name}")

    def happens(self, what: str) -> bool:
        """
        Something out of the ordinary is about to happen: does it?
        """
        number = self._counts.get(what, 0)
        self._counts[what] = number + 1
        happening = (what, number)
        if self.without and (what in self.without or happening in self.without):
            return False
        self.happened.append(happening)
        return True
