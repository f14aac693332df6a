"""
What is a scenario?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What came of it.

    @ivar text: for the table.
    @ivar met: was the goal reached?
    @ivar figures: the numbers, by name.
    """

    text: str
    met: bool
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    A network, what happens on it, and what should come of it.

    @ivar name: what it is called on the command line.
    @ivar title: what it is called in the table.
    @ivar libutp: libutp's measured figure.
    @ivar goal: ours.
    @ivar run: called with a congestion controller's name.
    @ivar controllers: those that the goal is for.
    """

    name: str
    title: str
    libutp: str
    goal: str
    run: Callable[[str], Outcome]
    controllers: tuple[str, ...] = ("ledbat", "ledbat++")


def all_scenarios() -> list[Scenario]:
    """
    In the order of the table.
    """
    from twisted_utp.testing.scenarios import (
        bulk,
        clocks,
        liars,
        path_mtu,
        repair,
        reverse_path,
        sharing,
        tcp,
        weather,
    )

    return [
        *bulk.SCENARIOS,
        *weather.SCENARIOS,
        *sharing.SCENARIOS,
        *liars.SCENARIOS,
        *reverse_path.SCENARIOS,
        *tcp.SCENARIOS,
        *repair.SCENARIOS,
        *path_mtu.SCENARIOS,
        *clocks.SCENARIOS,
    ]
