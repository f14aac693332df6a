"""
What did these connections do?  C{python -m twisted_utp.plot TRACE [TRACE ...] -o out.svg} draws it.

Five panels over one time axis: throughput, window against flight, queueing delay against its target, round trips, and
losses by their cause.  A colour is a connection, a line style is a quantity.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from twisted_utp._flows import Flow, NotATrace, Point, broken, rates, read_flow, thinned
from twisted_utp.qlog import SUFFIX

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf")

# Okabe and Ito's: told apart by everyone, in print too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")

# So many intervals on the time axis for rates, and for curves.
_RATE_INTERVALS = 120
_CURVE_INTERVALS = 240

# What is shorter than this part of the time axis is no visible gap.
_GAP_PARTS = 80

# What only the peer's packets can tell: between two of them it is not known.
_MEASURED = ("queuing_delay", "latest_rtt", "smoothed_rtt")

# From top to bottom, those that occur.
_MARKS = {
    "lost: reordering threshold": "v",
    "lost: time threshold": "v",
    "lost: duplicate acks": "v",
    "lost: timeout": "v",
    "timer: retransmission": "X",
    "timer: tail loss probe": "P",
    "timer: zero window probe": "P",
    "sent again": "|",
}

_Style: TypeAlias = Literal["-", "--", ":"]
_SOLID: Final = "-"
_THIN: Final = "--"
_DOTTED: Final = ":"


class _Sheet:
    """
    Flows on one time axis.
    """

    def __init__(self, flows: Sequence[Flow]) -> None:
        self.flows = flows
        self.start = min(flow.first for flow in flows)
        self.end = max(max(flow.last for flow in flows), self.start + 0.001)
        self.span = self.end - self.start

    def colour(self, index: int) -> str:
        """
        Of the flow with that index.
        """
        return _COLOURS[index % len(_COLOURS)]

    def line(self, axes: Axes, index: int, points: list[Point], unit: float, style: _Style, *, steps: bool) -> None:
        """
        One curve.

        @param unit: what one on the axis stands for.
        @param steps: a value holds until the next one.
        """
        if not points:
            return
        axes.plot(
            [time - self.start for time, _ in points],
            [value / unit for _, value in points],
            style,
            color=self.colour(index),
            linewidth=1.3 if style == _SOLID else 0.9,
            alpha=1.0 if style == _SOLID else 0.75,
            drawstyle="steps-post" if steps else "default",
        )

    def metric(self, axes: Axes, index: int, name: str, unit: float, style: _Style) -> None:
        """
        One curve of a metric.
        """
        flow = self.flows[index]
        points = thinned(flow.metrics.get(name, []), self.span / _CURVE_INTERVALS)
        if points:  # unchanged ones are not repeated in the trace
            points.append((flow.measured_until, points[-1][1]))
        if name in _MEASURED:
            points = broken(points, flow.gaps(self.span / _GAP_PARTS))
        self.line(axes, index, points, unit, style, steps=True)


def _key(axes: Axes, **styles: _Style) -> None:
    """
    Say which line style is what.
    """
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], linestyle=style, color="0.35", linewidth=1.2) for style in styles.values()]
    axes.legend(
        lines,
        [name.replace("_", " ") for name in styles],
        loc="lower right",
        bbox_to_anchor=(1.0, 0.97),
        ncols=len(lines),
        fontsize="small",
        frameon=False,
        borderpad=0.2,
    )


def _scale(largest: float, units: Sequence[tuple[float, str]]) -> tuple[float, str]:
    """
    The unit in which C{largest} is a readable number.
    """
    return next(((unit, name) for unit, name in units if largest >= unit), units[-1])


def _draw_throughput(axes: Axes, sheet: _Sheet) -> None:
    width = sheet.span / _RATE_INTERVALS
    curves: list[tuple[int, list[Point], _Style]] = []
    for index, flow in enumerate(sheet.flows):
        series: tuple[tuple[list[Point], _Style], ...]
        series = ((flow.sent, _THIN), (flow.acked, _SOLID), (flow.received, _DOTTED))
        last = max((points[-1][0] for points, _ in series if points), default=flow.first)
        curves += [(index, rates(points, flow.first, last, width), style) for points, style in series if points]
    largest = max((rate for _, points, _ in curves for _, rate in points), default=0.0) * 8
    unit, name = _scale(largest, ((1e9, "Gb/s"), (1e6, "Mb/s"), (1e3, "kb/s"), (1, "b/s")))
    for index, points, style in curves:
        sheet.line(axes, index, points, unit / 8, style, steps=False)
    axes.set_ylabel(f"throughput\n[{name}]")
    styles: dict[str, _Style] = {"acknowledged": _SOLID, "sent": _THIN}
    if any(style == _DOTTED for _, _, style in curves):
        styles["received"] = _DOTTED
    _key(axes, **styles)


def _draw_window(axes: Axes, sheet: _Sheet) -> None:
    values = [value for flow in sheet.flows for _, value in flow.metrics.get("congestion_window", [])]
    unit, name = _scale(max(values, default=0.0), ((1e6, "MB"), (1e3, "kB"), (1, "B")))
    for index in range(len(sheet.flows)):
        sheet.metric(axes, index, "bytes_in_flight", unit, _THIN)
        sheet.metric(axes, index, "congestion_window", unit, _SOLID)
    axes.set_ylabel(f"window\n[{name}]")
    _key(axes, congestion_window=_SOLID, in_flight=_THIN)


def _draw_queue(axes: Axes, sheet: _Sheet) -> None:
    targets: dict[float, int] = {}
    for index, flow in enumerate(sheet.flows):
        sheet.metric(axes, index, "queuing_delay", 1e-3, _SOLID)
        if flow.target_delay is not None:
            targets.setdefault(flow.target_delay, index)
    for target, index in targets.items():
        colour = sheet.colour(index) if len(targets) > 1 else "0.35"
        axes.axhline(target * 1000, linestyle=_DOTTED, linewidth=1.2, color=colour)
    axes.set_ylabel("queueing delay\n[ms]")
    _note_gaps(axes, sheet)
    _key(axes, measured=_SOLID, target=_DOTTED)


def _note_gaps(axes: Axes, sheet: _Sheet) -> None:
    """
    Say what a line that breaks means, where one does; with one flow the gaps are grey.
    """
    gaps = [flow.gaps(sheet.span / _GAP_PARTS) for flow in sheet.flows]
    if not any(gaps):
        return
    axes.text(0.0, 1.02, "a line breaks where nothing came from the peer", transform=axes.transAxes, fontsize="small")
    if len(gaps) == 1:
        for start, end in gaps[0]:
            axes.axvspan(start - sheet.start, end - sheet.start, color="0.93", linewidth=0, zorder=0)


def _draw_rtt(axes: Axes, sheet: _Sheet) -> None:
    for index in range(len(sheet.flows)):
        sheet.metric(axes, index, "latest_rtt", 1e-3, _THIN)
        sheet.metric(axes, index, "smoothed_rtt", 1e-3, _SOLID)
        sheet.metric(axes, index, "min_rtt", 1e-3, _DOTTED)
    axes.set_ylabel("round trip\n[ms]")
    _note_gaps(axes, sheet)
    _key(axes, smoothed=_SOLID, latest=_THIN, smallest=_DOTTED)


def _draw_losses(axes: Axes, sheet: _Sheet) -> None:
    causes = [cause for cause in _MARKS if any(cause in flow.marks for flow in sheet.flows)]
    rows = {cause: row for row, cause in enumerate(reversed(causes))}
    for index, flow in enumerate(sheet.flows):
        # Flows of one cause lie side by side, not on top of each other.
        shift = 0.3 * (index / max(len(sheet.flows) - 1, 1) - 0.5) if len(sheet.flows) > 1 else 0.0
        for cause in causes:
            marks = flow.marks.get(cause, [])
            axes.scatter(
                [time - sheet.start for time, _ in marks],
                [rows[cause] - shift for _ in marks],
                s=[min(14 + 4 * packets, 120) for _, packets in marks],
                marker=_MARKS[cause],
                color=sheet.colour(index),
                linewidths=0.8,
                alpha=0.75,
            )
    axes.set_yticks(list(rows.values()), [_counted(cause, sheet.flows) for cause in rows], fontsize="small")
    axes.set_ylim(-0.6, max(len(causes), 1) - 0.4)
    if not causes:
        axes.text(0.5, 0.5, "no losses", transform=axes.transAxes, ha="center", va="center", color="0.35")
    axes.set_xlabel("time [s]")


def _counted(cause: str, flows: Sequence[Flow]) -> str:
    total = sum(int(packets) for flow in flows for _, packets in flow.marks.get(cause, []))
    return f"{cause} ({total})"


def _labels(flows: Sequence[Flow], start: float) -> list[str]:
    """
    What the legend calls them: connections to one peer are told apart by when they began.
    """
    labels = [flow.label or "a connection whose start is missing" for flow in flows]
    return [
        f"{label}, from {flow.first - start:.3g} s" if labels.count(label) > 1 else label
        for label, flow in zip(labels, flows, strict=True)
    ]


def draw(flows: Sequence[Flow], title: str = "") -> Figure:
    """
    Draw flows, at least one, on one sheet.

    @raise ImportError: when there is no matplotlib.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    sheet = _Sheet(flows)
    # Nothing is shown, so no window system is needed, and no pyplot.
    causes = {cause for flow in flows for cause in flow.marks}
    heights = [2.1, 2.1, 2.1, 2.1, 0.5 + 0.3 * len(causes)]  # inches
    figure = Figure(figsize=(10, sum(heights) + 1), layout="constrained")
    panels = (_draw_throughput, _draw_window, _draw_queue, _draw_rtt, _draw_losses)
    all_axes: list[Axes] = list(figure.subplots(len(panels), 1, sharex=True, height_ratios=heights))
    for axes, panel in zip(all_axes, panels, strict=True):
        axes.grid(color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        panel(axes, sheet)
        if panel is not _draw_losses:
            axes.set_ylim(0, axes.get_ylim()[1])
    all_axes[0].set_xlim(0, sheet.span)
    figure.align_ylabels(all_axes[:-1])
    lines = [Line2D([], [], color=sheet.colour(index), linewidth=3) for index in range(len(flows))]
    labels = _labels(flows, sheet.start)
    figure.legend(lines, labels, loc="outside upper left", ncols=2, frameon=False, title=title, alignment="left")
    return figure


def save(figure: Figure, path: str) -> None:
    """
    Write a figure; the same one is the same file each time.

    @raise OSError: when that cannot be.
    """
    from matplotlib import rc_context

    metadata = {"Date": None} if path.endswith(".svg") else {"CreationDate": None} if path.endswith(".pdf") else {}
    with rc_context({"svg.hashsalt": "twisted_utp"}):
        figure.savefig(path, dpi=110, metadata=metadata)


def _traces(names: Sequence[str]) -> list[str]:
    """
    The files meant; of a directory, all traces in it.
    """
    paths: list[str] = []
    for name in names:
        paths += sorted(str(path) for path in Path(name).glob(f"*{SUFFIX}")) if os.path.isdir(name) else [name]
    return paths


def _read(names: Sequence[str]) -> list[Flow]:
    """
    What can be drawn of these; of the others it is said why not.
    """
    flows = []
    for path in _traces(names):
        try:
            flows.append(read_flow(path))
        except (NotATrace, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            print(f"{path}: {reason}", file=sys.stderr)
    return sorted(flows, key=lambda flow: flow.first)


def _is_installed() -> bool:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """
    The command.

    @return: its exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m twisted_utp.plot", description="Draw traces of uTP connections.")
    parser.add_argument("traces", metavar="TRACE", nargs="+", help=f"a trace, or a directory of them (*{SUFFIX})")
    parser.add_argument("-o", "--output", required=True, help=f"the picture: a name that ends in {', '.join(FORMATS)}")
    parser.add_argument("--title", default="", help="title of the picture")
    options = parser.parse_args(arguments)
    if options.output.rpartition(".")[2] not in FORMATS:
        parser.error(f"-o {options.output}: expected a name that ends in one of .{', .'.join(FORMATS)}")
    if not _is_installed():
        print("twisted_utp.plot needs matplotlib: pip install 'twisted-utp[plot]'", file=sys.stderr)
        return 1
    flows = _read(options.traces)
    if not flows:
        print("no traces to draw", file=sys.stderr)
        return 1
    try:
        save(draw(flows, options.title), options.output)
    except OSError as error:
        print(f"{options.output}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
