"""
How do the results look as a picture?
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import Measure, Row

COLUMNS = 2
OURS, OTHERS = "#1b7837", "#9aa5b1"


def draw(results: Mapping[str, tuple[Measure, list[Row]]], path: Path) -> str:
    """
    A bar chart of each measure's first column, on logarithmic axes, because the peers are orders of magnitude apart.

    @return: what became of it.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return "no plot: not installed: pip install matplotlib"
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    lines = -(-len(results) // COLUMNS)
    figure, grid = pyplot.subplots(lines, COLUMNS, figsize=(11, 2.4 * lines), squeeze=False)
    axes: list[Any] = list(grid.flat)
    for axis, (measure, rows) in zip(axes, results.values(), strict=False):
        _draw_measure(axis, measure, rows)
    for axis in axes[len(results) :]:
        axis.remove()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    return f"plot: {path.name}"


def _draw_measure(axis: Any, measure: Measure, rows: list[Row]) -> None:
    column = measure.columns[0].name
    shown = [(row.label, value) for row in reversed(rows) if (value := row.median(column))]
    labels, values = [label for label, _ in shown], [value for _, value in shown]
    colours = [OURS if label.startswith("ours") else OTHERS for label in labels]
    bars = axis.barh(labels, values, color=colours)
    axis.bar_label(bars, fmt=f"%.{measure.columns[0].digits}f", padding=2, fontsize=7)
    if values:
        axis.set_xscale("log")
        axis.set_xlim(min(values) / 3, max(values) * 4)
        axis.minorticks_off()  # on a short axis their labels run into each other
        axis.set_xlabel("logarithmic", fontsize=6, loc="right")
    axis.set_title(f"{measure.title}\n({column})", fontsize=8)
    axis.tick_params(labelsize=7)
