"""
What does the scavenger do, and what does it cost?  Draws the pictures of docs/scavenger.rst, in virtual time::

    python docs/scavenger_pictures.py [timeline] [frontier]

writes C{docs/pictures/scavenger.svg} and C{docs/pictures/frontier.svg}; without a name both, which takes some minutes.
Needs matplotlib (C{pip install 'twisted-utp[plot]'}).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted_utp.proto.congestion.scavenger.controller import Scavenger
from twisted_utp.testing.meter import Meter, queue_in_ms
from twisted_utp.testing.page import Page
from twisted_utp.testing.scenarios.neighbour.alone import alone
from twisted_utp.testing.scenarios.neighbour.beside import kept, page
from twisted_utp.testing.scenarios.neighbour.line import Line
from twisted_utp.testing.simulator import MILLISECOND
from twisted_utp.testing.topology import Dumbbell, Flow

PICTURES = Path(__file__).resolve().parent / "pictures"

STEP = 20 * MILLISECOND
SMOOTHED = 10
"""Steps over which rates are averaged."""

LINE = Line(rate=4)
SECONDS = 30.0
PAGE_AT, DOWNLOAD_AT, SECOND_AT = 5.0, 10.0, 20.0
DOWNLOAD_SECONDS = 5
OBJECT = 20_000
"""Bytes: the page is smaller than that of the table's rows, as the line is slower."""

COLOURS = {"startup": "#bbbbbb", "steady": "#b9dfb3", "drain": "#7fb3d8", "trickle": "#f2b28a", "comeback": "#f5e08c"}

COMPARED = ("ledbat++", "ledbat++@40", "ledbat++@20", "ledbat++@10", "ledbat++@5", "ledbat", "cubic", "scavenger")


def phase(flow: Flow) -> str:
    """
    What a flow of ours is doing.
    """
    if flow.source is None:
        return ""
    congestion = flow.source.connection.sender.congestion
    assert isinstance(congestion, Scavenger)
    return congestion.phase.name


def load(dumbbell: Dumbbell) -> Page:
    """
    A page begins to load.
    """
    return Page(dumbbell, LINE.microseconds, size=OBJECT)


def record() -> dict[str, Any]:
    """
    A flow that has the line to itself, then beside a page, a download by CUBIC and one of its own kind.
    """
    dumbbell = LINE.open("scavenger")
    first = dumbbell.add_flow(LINE.microseconds)
    second = dumbbell.add_flow(LINE.microseconds, at=SECOND_AT)
    nbytes = round(LINE.bytes_per_second * DOWNLOAD_SECONDS)
    tcp = dumbbell.add_tcp(LINE.microseconds, at=DOWNLOAD_AT, nbytes=nbytes, window="linux-cubic")
    pages: list[Page] = []
    meter = Meter(
        dumbbell.simulator,
        lambda: first.received,
        lambda: second.received,
        lambda: tcp.received,
        lambda: dumbbell.there.counters.delivered_bytes,
        queue_in_ms(dumbbell.there),
        interval=STEP,
    )
    phases: list[str] = []

    def look() -> None:
        phases.append(phase(first))
        dumbbell.simulator.call_later(STEP, look)

    look()
    dumbbell.simulator.call_later(
        round(PAGE_AT * 1e6), lambda: pages.append(Page(dumbbell, LINE.microseconds, size=OBJECT))
    )
    dumbbell.run_for(SECONDS)
    return {"readings": meter.readings, "phases": phases}


def rates(readings: Sequence[float]) -> list[float]:
    """
    Mb/s, averaged.
    """
    grown = []
    for index in range(len(readings)):
        before = max(index - SMOOTHED, 0)
        grown.append((readings[index] - readings[before]) * 8 / 1e6 / max((index - before) * STEP / 1e6, STEP / 1e6))
    return grown


def draw_phases(axes: Sequence[Any], phases: Sequence[str]) -> None:
    """
    What the first flow does, in the background.
    """
    begin = 0
    for index in range(1, len(phases) + 1):
        if index < len(phases) and phases[index] == phases[begin]:
            continue
        if phases[begin]:
            for one in axes:
                colour = COLOURS[phases[begin]]
                one.axvspan(begin * STEP / 1e6, index * STEP / 1e6, color=colour, linewidth=0, alpha=0.6)
        begin = index


def draw_timeline(figure: Any, seen: dict[str, Any]) -> None:
    """
    Rates above, the queue below, as a whole and its beginning.
    """
    from matplotlib.patches import Patch

    axes = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": (3, 2, 2)})
    first, second, tcp, everything = (rates(readings) for readings in seen["readings"][:4])
    queue = seen["readings"][4]
    at = [index * STEP / 1e6 for index in range(len(queue))]
    upper, middle, lower = axes
    draw_phases(axes, seen["phases"])
    upper.plot(at, first, color="#1b5e20", label="scavenger")
    upper.plot(at, second, color="#6a1b9a", label="another scavenger")
    upper.plot(at, tcp, color="#b71c1c", label="CUBIC download")
    others = [max(a - (b + c + d) / 0.966, 0) for a, b, c, d in zip(everything, first, second, tcp, strict=True)]
    until = round((PAGE_AT + 4) * 1e6 / STEP)
    upper.plot(at[:until], others[:until], color="#0d47a1", label="page")
    upper.set_title("What each has of a line of 4 Mb/s and 50 ms, Mb/s", loc="left", fontsize=10)
    upper.set_ylim(0, 1.15 * LINE.rate)
    for one, title, highest in (
        (middle, "The queue, ms (the buffer holds 500 ms)", 300),
        (lower, "The first 40 ms of it", 40),
    ):
        one.plot(at, queue, color="black", linewidth=0.8)
        one.set_title(title, loc="left", fontsize=10)
        one.set_ylim(0, highest)
    lower.set_xlabel("seconds")
    lower.set_xlim(0, SECONDS)
    doing = [Patch(color=colour, alpha=0.6, label=name) for name, colour in COLOURS.items()]
    figure.tight_layout(rect=(0, 0, 1, 0.9))
    figure.legend(handles=upper.get_lines(), loc="upper left", bbox_to_anchor=(0.03, 1), ncol=4, frameon=False)
    figure.legend(handles=doing, loc="upper left", bbox_to_anchor=(0.03, 0.95), ncol=len(doing), frameon=False)


Point = tuple[str, float, float, float, float]
"""Controller; used of the line and p95 of the queue in ms, alone; page beside it / without; what CUBIC keeps."""


def measure(controller: str) -> Point:
    """
    One controller, in shorter versions of the table's rows.
    """
    quiet = alone(controller, seconds=15)
    loaded = page(controller, pages=2)
    point = (controller, quiet["used"], quiet["p95"], loaded["ratio"], kept(controller, "cubic", seconds=12))
    print(point, flush=True)
    return point


LONGEST_QUEUE, MOST_UNUSED, MOST_LOST, LONGEST_PAGE = 115, 8, 30, 160
"""Ends of the axes: ms, %, %, % longer.  CUBIC is beyond, and says where."""


def draw_frontier(axes: Any, points: Sequence[Point]) -> None:
    """
    What is left unused of a quiet line against the queue, and what others lose.  Both from zero: nearer to the corner
    is better.
    """
    spots = {
        controller: ((queue, 100 * (1 - used)), (100 * (ratio - 1), 100 * (1 - share)))
        for controller, used, queue, ratio, share in points
    }
    family = [name for name in spots if name.startswith("ledbat++")]
    for side, one in enumerate(axes):
        xs, ys = zip(*(spots[name][side] for name in family), strict=True)
        one.plot(xs, ys, "o-", color="#777777", label="LEDBAT++, by its target")
        for name, x, y in zip(family, xs, ys, strict=True):
            place = (-8, -14) if side and name.endswith("@10") else (6, 5)
            one.annotate(f"{name.partition('@')[2] or '60'} ms", (x, y), place, textcoords="offset points", fontsize=8)
        one.plot(*spots["ledbat"][side], "^", color="#555555", markersize=8, clip_on=False, label="LEDBAT, 100 ms")
        one.plot(*spots["scavenger"][side], "*", color="#1b5e20", markersize=15, clip_on=False, label="scavenger")
        x, y = spots["cubic"][side]
        beyond = f"CUBIC: {x:.0f} ms, {max(y, 0):.0f} %" if side == 0 else f"CUBIC: {x:.0f} % longer, {y:.0f} % lost"
        one.annotate(
            beyond + " \N{RIGHTWARDS ARROW}",
            (0.98, 0.05 if side else 0.94),
            xycoords="axes fraction",
            ha="right",
            fontsize=8,
        )
        one.legend(loc="upper left" if side else "center right", fontsize="small")
        one.grid(color="#eeeeee")
    left, right = axes
    left.set_title("Alone on 20 Mb/s, 50 ms", loc="left", fontsize=10)
    left.set_xlabel("95th percentile of the queue, ms")
    left.set_ylabel("unused of the line, %")
    left.set_xlim(0, LONGEST_QUEUE)
    left.set_ylim(0, MOST_UNUSED)
    right.set_title("What others lose by it", loc="left", fontsize=10)
    right.set_xlabel("a page takes longer by, %")
    right.set_ylabel("a CUBIC download loses, %")
    right.set_xlim(0, LONGEST_PAGE)
    right.set_ylim(0, MOST_LOST)


def save(figure: Any, name: str) -> None:
    """
    The same file from the same figures.
    """
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")


def main(names: Sequence[str]) -> None:
    """
    @param names: of the pictures; all by default.
    """
    from matplotlib.figure import Figure

    if not names or "timeline" in names:
        figure = Figure(figsize=(10, 7))
        draw_timeline(figure, record())
        save(figure, "scavenger")
    if not names or "frontier" in names:
        figure = Figure(figsize=(10, 4))
        draw_frontier(figure.subplots(1, 2), [measure(controller) for controller in COMPARED])
        figure.tight_layout()
        save(figure, "frontier")


if __name__ == "__main__":
    main(sys.argv[1:])
