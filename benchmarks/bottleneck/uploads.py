"""
What does a call notice of an upload on the same line: by TCP with CUBIC, by TCP with BBR, by libutp, by us?

Each upload runs by itself, a ping as a call would send it all the time.  C{lab.py --only uploads --json OUT} measures
(with C{--who} less than all at a time), C{python -m benchmarks.bottleneck.uploads JSON... OUT.svg} draws, and puts what
it has drawn into C{OUT.json}.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from benchmarks.bottleneck.claims import Claim
from benchmarks.bottleneck.neighbours import ENDLESS, Stage, flow_of, quantile
from benchmarks.bottleneck.path import RECEIVER, Path
from benchmarks.bottleneck.sharing import Setting
from benchmarks.bottleneck.tcp_flow import available
from benchmarks.child import Child
from benchmarks.contenders import LIBUTP, NODE_MODULES

BEFORE, DURING = 3.0, 15.0
SETTLED = 5.0
"""Seconds of the upload after which pings count in the figures."""

_FLOW = FilePath(__file__).with_name("libutp_flow.js")


@dataclass
class Upload:
    """
    What was seen.

    @ivar pings: when each was sent, in seconds from the upload's start, and its round trip in ms.
    @ivar rate: Mb/s of payload.
    @ivar p50: ms that the call's packets waited, the median; C{p95} what 95 % of them waited at the most.
    """

    who: str
    congestion: str
    pings: list[tuple[float, float]]
    rate: float
    p50: float
    p95: float


def _utp(stage: Stage) -> tuple[Child, Callable[[], float]]:
    source, sink = stage.utp()
    return source, lambda: flow_of(sink).points[-1][1]


def _tcp(congestion: str) -> Callable[[Stage], tuple[Child, Callable[[], float]]]:
    def start(stage: Stage) -> tuple[Child, Callable[[], float]]:
        source, sink = stage.tcp(congestion)
        return source, lambda: flow_of(sink).points[-1][1]

    return start


def _libutp(stage: Stage) -> tuple[Child, Callable[[], float]]:
    environment = {"NODE_PATH": str(NODE_MODULES)}

    def program(where: list[str], *words: object) -> Child:
        return stage.running.enter_context(Child([*where, "node", str(_FLOW), *map(str, words)], environment))

    sink = program(stage.path.receiver.enter, "serve", RECEIVER)
    source = program(stage.path.sender.enter, "send", RECEIVER, sink.expect("listening")["port"])
    source.expect("ready")

    def received() -> float:
        sink.tell("now")
        return float(sink.expect("now")["received"])

    return source, received


WAYS = {"cubic": _tcp("cubic"), "bbr": _tcp("bbr"), "libutp": _libutp, "ours": _utp}
NAMES = {"cubic": "TCP with CUBIC", "bbr": "TCP with BBR", "libutp": "libutp", "ours": "Twisted uTP"}
COLOURS = {"cubic": "#c0392b", "bbr": "#e08e0b", "libutp": "#7d5ba6", "ours": "#1b7837"}
SCAVENGER = "#1f78b4"
"""The colour of ours where that is the controller, beside another one of ours."""


def missing(who: str) -> str | None:
    """
    Why this one cannot be measured here.
    """
    if who == "libutp":
        return LIBUTP.missing()
    return None if who == "ours" or who in available() else f"this kernel has no {who}"


def run(setting: Setting, names: Sequence[str]) -> list[Upload]:
    """
    One upload after the other.  Those that cannot be are left out.

    @raise NotPossible: this machine does not let us.
    @raise MeasurementFailed: a program ended early.
    """
    return [_upload(setting, name) for name in names if missing(name) is None]


def _upload(setting: Setting, who: str) -> Upload:
    with contextlib.ExitStack() as running:
        path = running.enter_context(Path(setting.delay))
        path.squeeze(setting.rate, setting.buffer)
        stage = Stage(setting, path, running)
        source, received = WAYS[who](stage)
        ping = stage.ping()
        time.sleep(BEFORE)
        started = time.monotonic()
        source.tell(f"start {ENDLESS}")
        time.sleep(DURING)
        nbytes, took = received(), time.monotonic() - started
        ping.tell("series")
        points = ping.expect("series")["points"]
    pings = [(round(sent - started, 3), round(trip * 1e3, 2)) for sent, trip in points]
    base = quantile(sorted(trip for when, trip in pings if when < 0), 0.5)
    trips = sorted(trip - base for when, trip in pings if SETTLED <= when <= DURING)
    congestion = setting.congestion if who == "ours" else ""
    return Upload(who, congestion, pings, nbytes * 8e-6 / took, quantile(trips, 0.5), quantile(trips, 0.95))


def judge(uploads: Sequence[Upload]) -> list[Claim]:
    """
    The table's lines: told only.
    """
    return [
        Claim(
            f"a call beside an upload by {NAMES[one.who]}",
            "",
            f"+{one.p50:.0f} ms, 95th percentile +{one.p95:.0f} ms; {one.rate:.1f} Mb/s",
            None,
        )
        for one in uploads
    ]


def draw(uploads: Sequence[dict[str, Any]], path: str) -> None:
    """
    The pings of all, over time.
    """
    from matplotlib.figure import Figure

    from twisted_utp.plot import save

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for one in sorted(uploads, key=lambda one: -float(one["p50"])):
        points = [(when, trip) for when, trip in one["pings"] if -BEFORE <= when <= DURING]
        name = ", ".join(filter(None, [NAMES[one["who"]], one["congestion"]]))
        colour = SCAVENGER if one["congestion"] == "scavenger" else COLOURS[one["who"]]
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.3, label=f"{name}: {one['p50']:.0f} ms more")
    axes.axvline(0, color="0.6", linewidth=0.8)
    axes.set_title("A call's ping while something uploads on the same line", loc="left")
    axes.set_xlabel("seconds since the upload began")
    axes.set_ylabel("round-trip time of the call [ms]")
    axes.set_xlim(-BEFORE, DURING)
    axes.set_ylim(0)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    # Between what fills the buffer and what does not.
    axes.legend(
        loc="center right",
        bbox_to_anchor=(1.0, 0.48),
        fontsize="small",
        frameon=False,
        title="median wait in the queue, from 5 s on",
        alignment="left",
    )
    save(figure, path)


def main(words: Sequence[str]) -> None:
    """
    Draw what the lab has written.
    """
    *sources, out = words
    uploads = [one for source in sources for one in json.loads(FilePath(source).read_text())["uploads"]]
    draw(uploads, out)
    FilePath(out).with_suffix(".json").write_text(json.dumps({"uploads": uploads}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
