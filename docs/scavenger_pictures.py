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


def draw_timeline(axes: Any, seen: dict[str, Any]) -> None:
    """
    Rates above, the queue below, and what the first flow does in the background.
    """
    first, second, tcp, everything = (rates(readings) for readings in seen["readings"][:4])
    queue = seen["readings"][4]
    at = [index * STEP / 1e6 for index in range(len(queue))]
    upper, lower = axes
    begin = 0
    phases = seen["phases"]
    for index in range(1, len(phases) + 1):
        if index == len(phases) or phases[index] != phases[begin]:
            if phases[begin]:
                for one in axes:
                    colour = COLOURS[phases[begin]]
                    one.axvspan(begin * STEP / 1e6, index * STEP / 1e6, color=colour, linewidth=0, alpha=0.6)
            begin = index
    upper.plot(at, first, color="#1b5e20", label="scavenger")
    upper.plot(at, second, color="#6a1b9a", label="another one")
    upper.plot(at, tcp, color="#b71c1c", label="CUBIC")
    others = [max(a - (b + c + d) / 0.966, 0) for a, b, c, d in zip(everything, first, second, tcp, strict=True)]
    until = round((PAGE_AT + 4) * 1e6 / STEP)
    upper.plot(at[:until], others[:until], color="#0d47a1", label="a page")
    upper.set_ylabel("Mb/s")
    upper.legend(loc="upper right", ncol=4, fontsize="small")
    upper.set_ylim(0, 1.2 * LINE.rate)
    lower.plot(at, queue, color="black", linewidth=0.8)
    lower.set_yscale("symlog", linthresh=20)
    lower.set_yticks([0, 5, 10, 20, 100, 500], ["0", "5", "10", "20", "100", "500"])
    lower.set_ylim(0, 600)
    lower.set_ylabel("queue, ms")
    lower.set_xlabel("seconds; 4 Mb/s, 50 ms, 500 ms of buffer")
    lower.set_xlim(0, SECONDS)


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


def draw_frontier(axes: Any, points: Sequence[Point]) -> None:
    """
    The queue against what is used of the line, and what a CUBIC download keeps against what a page takes.
    """
    left, right = axes
    for controller, used, queue, ratio, share in points:
        marker = {"scavenger": "*", "cubic": "s", "ledbat": "^"}.get(controller, "o")
        size = 130 if marker == "*" else 40
        colour = "#1b5e20" if marker == "*" else "#555555"
        left.scatter(queue, 100 * used, marker=marker, s=size, color=colour)
        left.annotate(controller, (queue, 100 * used), (4, 4), textcoords="offset points", fontsize=8)
        right.scatter(ratio, 100 * share, marker=marker, s=size, color=colour)
        right.annotate(controller, (ratio, 100 * share), (4, 4), textcoords="offset points", fontsize=8)
    left.set_xscale("log")
    left.set_xlabel("queue p95, ms (alone)")
    left.set_ylabel("used of the line, %")
    left.set_ylim(90, 102)
    right.set_xscale("log")
    right.set_xticks([1, 1.2, 1.5, 2, 4, 7], ["1", "1.2", "1.5", "2", "4", "7"])
    right.minorticks_off()
    right.set_xlabel("page beside it / without")
    right.set_ylabel("CUBIC keeps, %")
    right.set_ylim(0, 106)


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
        figure = Figure(figsize=(10, 5.2))
        draw_timeline(figure.subplots(2, 1, sharex=True), record())
        save(figure, "scavenger")
    if not names or "frontier" in names:
        figure = Figure(figsize=(10, 4))
        draw_frontier(figure.subplots(1, 2), [measure(controller) for controller in COMPARED])
        figure.tight_layout()
        save(figure, "frontier")


if __name__ == "__main__":
    main(sys.argv[1:])
