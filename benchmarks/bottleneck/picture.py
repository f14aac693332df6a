"""
How does a run look?
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from benchmarks.bottleneck.claims import TARGET_MS
from benchmarks.bottleneck.sharing import Seen
from twisted_utp.plot import save

UTP, TCP, PING = "#1b7837", "#c0392b", "#34495e"

# Seconds over which a rate is taken: finer shows TCP's retransmissions more than its rate.
_OVER = 0.5

_NAMES = {"idle": "nothing", "utp": "uTP", "both": "uTP and TCP", "back": "uTP", "tcp": "TCP"}


def draw(seen: Seen, path: Path) -> str:
    """
    Throughput of both, and the ping, over time.

    @return: what became of it.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return "no plot: not installed: pip install matplotlib"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.4), layout="constrained")
    rates, pings = figure.subplots(2, 1, sharex=True)
    end = seen.spans["tcp"][1]
    for axes in (rates, pings):
        axes.grid(color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        for start, _ in seen.spans.values():
            axes.axvline(start, color="0.7", linewidth=0.8)
    _draw_rates(rates, seen, end)
    _draw_pings(pings, seen)
    for name, (start, until) in seen.spans.items():
        rates.text(
            (start + until) / 2, 1.02, _NAMES[name], transform=rates.get_xaxis_transform(), ha="center", fontsize=8
        )
    pings.set_xlim(0, end)
    pings.set_xlabel("time [s]")
    figure.suptitle(
        "One link, first with uTP, then with uTP and TCP, then with TCP alone", x=0.01, ha="left", fontsize=11
    )
    figure.align_ylabels([rates, pings])
    save(figure, str(path))
    return f"plot: {path.name}"


def _draw_rates(axes: Any, seen: Seen, end: float) -> None:
    times = [index * _OVER for index in range(1, int(end / _OVER) + 1)]
    drawn = []
    for name, flow, colour in (("uTP", seen.utp, UTP), ("TCP (CUBIC)", seen.tcp, TCP)):
        values = [flow.rate((when - _OVER, when)) * 8e-6 for when in times]
        axes.plot([when - _OVER / 2 for when in times], values, color=colour, label=name, linewidth=1.4)
        drawn.append((values, colour))
    link = seen.setting.rate / 1e6
    axes.axhline(link, color="0.35", linestyle=":", linewidth=1.2, label="link")
    # When TCP repairs a loss, all that waited behind it is delivered at once: more than the link's rate.
    top = link * 1.3
    for values, colour in drawn:
        cut = [(when - _OVER / 2, value) for when, value in zip(times, values, strict=True) if value > top]
        axes.plot([when for when, _ in cut], [top] * len(cut), "^", color=colour, markersize=5, clip_on=False)
        if cut:
            when, value = max(cut, key=lambda one: one[1])
            axes.annotate(f"cut off: up to {value:.0f}", (when, top), (6, -9), textcoords="offset points", fontsize=7)
    axes.set_ylim(0, top)
    axes.set_ylabel("payload delivered\n[Mb/s]")
    _legend(axes)


def _draw_pings(axes: Any, seen: Seen) -> None:
    axes.plot(
        [sent for sent, _ in seen.pings],
        [trip * 1e3 for _, trip in seen.pings],
        color=PING,
        linewidth=0.9,
        label="ping",
    )
    base = seen.ping("idle") * 1e3
    target = TARGET_MS.get(seen.setting.congestion)
    if target is not None:
        axes.axhline(base + target, color=UTP, linestyle=":", linewidth=1.2, label=f"uTP's target, {target} ms")
    full = base + seen.setting.buffer * 1e3
    axes.axhline(full, color="0.35", linestyle=":", linewidth=1.2, label="a full buffer")
    if seen.lost:
        axes.plot(seen.lost, [full * 1.05] * len(seen.lost), "x", color=TCP, markersize=4, label="lost")
    axes.set_ylim(0, full * 1.15)
    axes.set_ylabel("UDP ping\n[ms]")
    _legend(axes)


def _legend(axes: Any) -> None:
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
