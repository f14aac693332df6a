"""
What is a row, and which are there?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Figures = dict[str, float]

BASELINE = "ledbat++"
"""The controller that a new one must nowhere be worse than: the default before the scavenger was."""


@dataclass(frozen=True, slots=True)
class Row:
    """
    One goal.

    @ivar name: what it is called on the command line.
    @ivar title: what it is called in the table.
    @ivar goal: for the table.
    @ivar run: called with a controller (a name, or C{name@MS}).
    @ivar text: what was seen, for the table: a format of the figures.
    @ivar met: is the goal reached?  Called with the controller's figures, and with those of L{BASELINE} where
        C{is_relative}.
    @ivar is_relative: the goal is to be no worse than L{BASELINE}.
    """

    name: str
    title: str
    goal: str
    run: Callable[[str], Figures]
    text: str
    met: Callable[[Figures, Figures], bool]
    is_relative: bool = False


def all_rows() -> list[Row]:
    """
    In the order of the table.
    """
    from twisted_utp.testing.scenarios.neighbour import alone, beside, shares, weather

    return [*alone.ROWS, *beside.ROWS, *shares.ROWS, *weather.ROWS]
