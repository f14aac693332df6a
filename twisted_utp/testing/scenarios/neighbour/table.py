"""
What did each controller reach, beside the goals?
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted_utp.testing.scenarios.neighbour.line import config_of
from twisted_utp.testing.scenarios.neighbour.rows import BASELINE, Figures, Row, all_rows


def choose(names: Sequence[str]) -> list[Row]:
    """
    Those whose names are, or begin with, one of C{names}, or all.

    @raise ValueError: when a name fits none.
    """
    rows = all_rows()
    for name in names:
        if not any(row.name.startswith(name) for row in rows):
            raise ValueError(f"{name}: no such row; there are {', '.join(row.name for row in rows)}")
    exact = {row.name for row in rows}
    return [
        row
        for row in rows
        if not names or any(row.name == name or (name not in exact and row.name.startswith(name)) for name in names)
    ]


@dataclass
class Cell:
    """
    One controller in one row.

    @ivar seconds: of CPU that it took.
    """

    figures: Figures
    text: str
    met: bool
    seconds: float


@dataclass
class Judge:
    """
    Runs rows, each controller once.
    """

    _seen: dict[tuple[str, str], Cell] = field(default_factory=dict)

    def cell(self, row: Row, controller: str) -> Cell:
        """
        What it reached.
        """
        key = (row.name, controller)
        if key not in self._seen:
            began = time.process_time()
            figures = row.run(controller)
            took = time.process_time() - began
            today = figures
            if row.is_relative and controller != BASELINE:
                today = self.cell(row, BASELINE).figures
            self._seen[key] = Cell(figures, row.text.format(**figures), row.met(figures, today), took)
        return self._seen[key]


def table(rows: Sequence[Row], controllers: Sequence[str]) -> Iterator[tuple[Row, list[Cell]]]:
    """
    Row by row, as they are ready.

    @raise ValueError: a controller is not known.
    """
    for controller in controllers:
        config_of(controller)
    judge = Judge()
    for row in rows:
        yield row, [judge.cell(row, controller) for controller in controllers]


def put_together(
    accounts: Sequence[str], rows: Sequence[Row], controllers: Sequence[str]
) -> Iterator[tuple[Row, list[Cell]]]:
    """
    The rows of earlier runs, from what L{as_json} made of them.  Rows that none has are left out; a controller that did
    not run in one has an empty cell.
    """
    seen: dict[tuple[str, str], Cell] = {}
    for account in accounts:
        for one in json.loads(account):
            for controller, told in one["controllers"].items():
                seen[one["row"], controller] = Cell({}, told["text"], told["met"], told["seconds"])
    empty = Cell({}, "-", True, 0.0)
    for row in rows:
        cells = [seen.get((row.name, controller), empty) for controller in controllers]
        if any(cell is not empty for cell in cells):
            yield row, cells


def mark(cell: Cell) -> str:
    """
    The cell's text, with a cross where the goal is missed.
    """
    return cell.text if cell.met else f"{cell.text} ✗"


def as_json(results: Sequence[tuple[Row, list[Cell]]], controllers: Sequence[str]) -> str:
    """
    Everything, for machines: infinite figures are null.
    """
    account: list[dict[str, Any]] = [
        {
            "row": row.name,
            "title": row.title,
            "goal": row.goal,
            "controllers": {
                controller: {
                    "met": cell.met,
                    "text": cell.text,
                    "seconds": round(cell.seconds, 1),
                    **{name: round(value, 4) if math.isfinite(value) else None for name, value in cell.figures.items()},
                }
                for controller, cell in zip(controllers, cells, strict=True)
            },
        }
        for row, cells in results
    ]
    return json.dumps(account, indent=1) + "\n"
