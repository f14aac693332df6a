"""
What is a measure, what is a goal, and was it met?
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.contenders import Contender

Figures = dict[str, float]


@dataclass(frozen=True)
class Scale:
    """
    How much of everything.

    @ivar megabytes: of a bulk transfer.
    @ivar seconds: that round trips are counted.
    @ivar churn: connections opened and closed.
    @ivar idle: connections whose memory is measured; C{idle_cpu} those whose CPU time is.
    @ivar window: seconds that the idle ones are watched, and the interval of their keepalives.
    @ivar busy: how many connections send at once.
    @ivar distant_megabytes: through the delay relay.
    """

    megabytes: float = 500
    seconds: float = 1.5
    churn: int = 2000
    idle: int = 5000
    idle_cpu: int = 10_000
    window: float = 29
    busy: tuple[int, ...] = (1, 100, 1000)
    distant_megabytes: float = 20


FULL = Scale()
TINY = Scale(megabytes=1, seconds=0.05, churn=20, idle=40, idle_cpu=20, window=0.3, busy=(1, 3), distant_megabytes=0.2)


@dataclass(frozen=True)
class Column:
    """
    One figure of a table.
    """

    name: str
    digits: int = 0


@dataclass(frozen=True)
class Case:
    """
    One row of a table.

    @ivar run: measures once.
    @ivar needs: who must be installed.
    """

    label: str
    run: Callable[[Scale], Figures]
    needs: tuple[Contender, ...] = ()

    def missing(self) -> str | None:
        """
        Why it cannot be measured here.
        """
        reasons = [f"{contender.name} {reason}" for contender in self.needs if (reason := contender.missing())]
        return "; ".join(reasons) or None


@dataclass
class Row:
    """
    What came out for a case.

    @ivar rounds: the figures of each round that succeeded, by the number of the round.
    @ivar trouble: why it is missing, or what failed last.
    """

    label: str
    rounds: dict[int, Figures] = field(default_factory=dict)
    trouble: str | None = None

    def values(self, column: str) -> list[float]:
        """
        One figure, of all rounds.
        """
        return [figures[column] for figures in self.rounds.values()]

    def median(self, column: str) -> float | None:
        """
        The median of the rounds.
        """
        values = self.values(column)
        return statistics.median(values) if values else None

    def ratio(self, other: Row, column: str) -> float | None:
        """
        The median of the ratios to another row, round by round: what slows the machine for a while slows both.
        """
        ratios = [
            figures[column] / other.rounds[number][column]
            for number, figures in self.rounds.items()
            if number in other.rounds and other.rounds[number][column]
        ]
        return statistics.median(ratios) if ratios else None


Rows = Mapping[str, Row]


@dataclass(frozen=True)
class Goal:
    """
    What was to be reached.

    @ivar value: what it is about, from the rows; L{None} when it was not measured.
    @ivar limit: the least, or with C{at_most} the most.
    """

    text: str
    value: Callable[[Rows], float | None]
    limit: float
    at_most: bool = False

    def verdict(self, rows: Rows) -> str:
        """
        Met or missed, and by how much.
        """
        value = self.value(rows)
        if value is None:
            return f"{self.text}: not measured"
        met = value <= self.limit if self.at_most else value >= self.limit
        away = abs(value / self.limit - 1) * 100
        sign = "<=" if self.at_most else ">="
        return f"{self.text}: {'met' if met else 'MISSED'}, {value:.3g} (goal {sign} {self.limit:g}; {away:.0f} % away)"


@dataclass(frozen=True)
class Measure:
    """
    One table.

    @ivar name: for C{--only}.
    @ivar method: how it is measured, for the reader of the table.
    @ivar reference: the row that the others are compared with.
    @ivar max_rounds: for what takes long or hardly varies.
    @ivar higher_is_better: of the first column.
    """

    name: str
    title: str
    method: str
    columns: Sequence[Column]
    cases: Callable[[Scale], Sequence[Case]]
    goals: Sequence[Goal]
    reference: str = "ours"
    max_rounds: int = 1000
    higher_is_better: bool = True


def ratio(label: str, other: str, column: str) -> Callable[[Rows], float | None]:
    """
    For a goal: one row's figure divided by another's.
    """
    return lambda rows: rows[label].ratio(rows[other], column) if label in rows and other in rows else None


def figure(label: str, column: str) -> Callable[[Rows], float | None]:
    """
    For a goal: a row's own figure.
    """
    return lambda rows: rows[label].median(column) if label in rows else None
