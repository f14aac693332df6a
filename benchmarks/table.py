"""
How do the results look on a terminal?
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from benchmarks.measure import Column, Measure, Row

WIDTH = 118


def format_table(measure: Measure, rows: Sequence[Row], rounds: int) -> str:
    """
    A title, the method, a line for each row, a line for each goal.
    """
    by_label = {row.label: row for row in rows}
    reference = by_label.get(measure.reference)
    lines = [f"== {measure.name}: {measure.title} (medians of {rounds})"]
    lines += textwrap.wrap(" ".join(measure.method.split()), WIDTH)
    lines += _grid([_heading(measure), *(_cells(measure, row, reference) for row in rows)])
    lines += [f"{row.label}: {row.trouble}" for row in rows if row.trouble and row.rounds]
    lines += [f"goal: {goal.verdict(by_label)}" for goal in measure.goals]
    return "\n".join(lines) + "\n"


def _heading(measure: Measure) -> list[str]:
    first = measure.columns[0]
    names = [column.name for column in measure.columns]
    return ["", names[0], "(range)", f"{first.name.split()[0]} / {measure.reference}", *names[1:]]


def _cells(measure: Measure, row: Row, reference: Row | None) -> list[str]:
    if not row.rounds:
        return [row.label, row.trouble or "not measured"]
    first, *others = measure.columns
    values = row.values(first.name)
    low_high = f"({min(values):.{first.digits}f}-{max(values):.{first.digits}f})"
    beside = row.ratio(reference, first.name) if reference is not None else None
    ratio = "" if beside is None else f"{beside:.2f}"
    return [row.label, _median(row, first), low_high, ratio, *(_median(row, column) for column in others)]


def _median(row: Row, column: Column) -> str:
    value = row.median(column.name)
    return "" if value is None else f"{value:.{column.digits}f}"


def _grid(table: list[list[str]]) -> list[str]:
    """
    Right-aligned columns; a row of only two cells is a remark, whose length does not count.
    """
    full = [cells for cells in table if len(cells) == len(table[0])]
    widths = [max(len(cells[index]) for cells in full) for index in range(len(table[0]))]
    widths[0] = max(len(cells[0]) for cells in table)
    lines = []
    for cells in table:
        first, *rest = cells
        padded = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=False)]
        lines.append("  ".join([first.ljust(widths[0]), *(padded if len(cells) == len(table[0]) else rest)]).rstrip())
    return lines
