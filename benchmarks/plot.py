"""
How do the results look as a picture?
"""

from __future__ import annotations

import importlib.util
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Measure, Row

COLUMNS = 2
OURS, OTHERS = "#1b7837", "#9aa5b1"

LONGEST = 8.0
"""
Times the reference, where bars are cut off.  Some peers are two orders of magnitude away: to show them on a linear axis
would hide the others, and a logarithmic one hides how far they are.  A cut bar is marked and has its figure.
"""

LABELS = (
    "ours: twisted-utp, with the kernel's segmentation offload (GSO and GRO).  plain path: without it.",
    "one UDP port: all connections are dialled from one port; otherwise each has a port of its own.",
    "Twisted TCP: the same application on reactor.listenTCP and connectTCP.  libutp, libtorrent: C++; aioquic: QUIC in"
    " Python and C.",
    "1, 100, 1,000: how many connections send at once.",
    f"Bars are medians, as multiples of the row that is 1.  A bar that ends in // is cut off at {LONGEST:g}.",
)
"""What the labels mean, for below the picture."""


def draw(results: Mapping[str, tuple[Measure, list[Row]]], path: Path) -> str:
    """
    A bar chart of each measure's first column, relative to one of its rows, from zero.

    @return: what became of it.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return "no plot: not installed: pip install matplotlib"
    from matplotlib.figure import Figure

    from twisted_utp.plot import save

    # With a single bar there is nothing to compare.
    shown = [(measure, medians) for measure, rows in results.values() if len(medians := _medians(measure, rows)) > 1]
    lines = max(-(-len(shown) // COLUMNS), 1)
    heights = [
        max((len(medians) for _, medians in shown[line * COLUMNS : (line + 1) * COLUMNS]), default=1) + 4
        for line in range(lines)
    ]
    figure = Figure(figsize=(11, 0.24 * sum(heights) + 1.2), layout="constrained")
    grid: list[Any] = list(figure.subplots(lines, COLUMNS, squeeze=False, height_ratios=heights).flat)
    for axes, (measure, medians) in zip(grid, shown, strict=False):
        _draw_measure(axes, measure, medians)
    for axes in grid[len(shown) :]:
        axes.remove()
    figure.suptitle("twisted-utp and its peers, relative to one of the rows", fontsize=12)
    figure.supxlabel("\n".join(LABELS), fontsize=8, x=0.01, ha="left", color="0.25")
    save(figure, str(path))
    return f"plot: {path.name}"


def _medians(measure: Measure, rows: Sequence[Row]) -> list[tuple[str, float]]:
    column = measure.columns[0].name
    return [(row.label, value) for row in rows if (value := row.median(column))]


def reference(measure: Measure, medians: Sequence[tuple[str, float]]) -> tuple[str, float]:
    """
    The row that is 1: the measure's own, else the first of ours, else the first.
    """
    named = [one for one in medians if one[0] == measure.reference]
    return (named or [one for one in medians if one[0].startswith("ours")] or list(medians))[0]


def _draw_measure(axes: Any, measure: Measure, medians: Sequence[tuple[str, float]]) -> None:
    column = measure.columns[0]
    one, unit = reference(measure, medians)
    shown = list(reversed(medians))
    ratios = [value / unit for _, value in shown]
    end = min(max(ratios), LONGEST)
    colours = [OURS if label.startswith("ours") else OTHERS for label, _ in shown]
    axes.barh([label for label, _ in shown], [min(ratio, end) for ratio in ratios], color=colours)
    for row, (ratio, (_, value)) in enumerate(zip(ratios, shown, strict=True)):
        cut = "//  " if ratio > end else ""
        text = f"{cut}{ratio:.2g} x ({value:,.{column.digits}f})" if ratio < 100 else f"{cut}{ratio:.0f} x"
        axes.text(min(ratio, end) + end * 0.015, row, text, va="center", fontsize=7.5)
    axes.axvline(1, color="0.35", linewidth=0.8, linestyle=":")
    axes.set_xlim(0, end * 1.3)
    better = "longer is better" if measure.higher_is_better else "shorter is better"
    axes.set_title(f"{textwrap.fill(measure.title, 52)}\n{column.name}; {better}", fontsize=9)
    axes.set_xlabel(f"1 = {one}", fontsize=7.5)
    axes.tick_params(labelsize=7.5)
    axes.spines[["top", "right"]].set_visible(False)
