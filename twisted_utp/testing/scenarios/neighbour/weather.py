"""
What does a path cost that is not a cable: a radio, a clock that drifts, another route, a router that drops early?
"""

from __future__ import annotations

from functools import partial
from random import Random

from twisted_utp.testing.cellular import cellular_trace
from twisted_utp.testing.meter import Meter, queue_in_ms
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.queues import DropTail
from twisted_utp.testing.scenarios.neighbour.alone import alone
from twisted_utp.testing.scenarios.neighbour.beside import both, completion
from twisted_utp.testing.scenarios.neighbour.line import HEADERS, USUAL, Line, config_of
from twisted_utp.testing.scenarios.neighbour.rows import Figures, Row
from twisted_utp.testing.simulator import MILLISECOND, SECOND
from twisted_utp.testing.topology import Dumbbell

CELLULAR_RTT = 40 * MILLISECOND
DEEP = 1_500_000
"""Bytes that a base station keeps for a phone."""

PAUSES_A_SECOND = 3.0
LEAST_PAUSE, MOST_PAUSE = 4, 12
"""ms: those of a virtual machine whose host is busy, every few hundred ms."""

DETOUR = 30 * MILLISECOND
THIN = Line(rate=2)

POINT = 0.01
"""Of a line: less is no difference."""

ALIKE = 1.05
"""Delays and times that differ by less are the same, too."""


def cellular(controller: str, kind: str, seed: int = 1, seconds: float = 60) -> Figures:
    """
    A phone's line, 40 ms, deep buffer: share of what could pass, and how long packets are in the base station, ms.
    """
    trace = cellular_trace(kind, seed=seed, seconds=seconds)
    there = {"rate": trace.rates[0], "queue": DropTail(nbytes=DEEP)}
    dumbbell = Dumbbell(seed=seed, there=there, config=config_of(controller))
    flow = dumbbell.add_flow(CELLULAR_RTT)
    waits: list[int] = []
    onward = dumbbell.there.sink

    def note(packets: list[Packet]) -> None:
        waits.extend(dumbbell.now - packet.enqueued_at for packet in packets)
        onward(packets)

    dumbbell.there.sink = note
    trace.drive(dumbbell.there)
    dumbbell.run_for(seconds)
    waits.sort()
    return {
        "used": flow.received / (trace.nbytes(seconds) * (1 - HEADERS)),
        "p50": waits[len(waits) // 2] / MILLISECOND,
        "p95": waits[int(len(waits) * 0.95)] / MILLISECOND,
    }


def route(
    controller: str,
    longer: bool = True,
    line: Line = USUAL,
    at: float = 15,
    seconds: float = 20,
    detour: int = DETOUR,
) -> Figures:
    """
    The way there becomes C{detour} µs longer, or shorter again: when a second begins in which 90 % of the line are
    used, and what is used from five seconds after it on.
    """
    dumbbell = line.open(controller)
    before, after = (0, detour) if longer else (detour, 0)
    dumbbell.there.set_delay(before)
    dumbbell.there.set_delay_at(dumbbell.now + round(at * SECOND), after)
    flow = dumbbell.add_flow(line.microseconds)
    queue = queue_in_ms(dumbbell.there)
    meter = Meter(dumbbell.simulator, lambda: flow.received, queue, interval=5 * MILLISECOND)
    dumbbell.run_for(at + seconds)
    full = meter.reaches(0.9 * line.bytes_per_second, over=1.0, since=at + 0.1)
    return {
        "full": float("inf") if full is None else max(full - 1.0 - at - 0.1, 0.0),
        "used": meter.rate(at + 5, at + seconds) / line.bytes_per_second,
        "p95": meter.percentile(0.95, at + 5, at + seconds, 1),
    }


def pauses(controller: str, line: Line = USUAL, seconds: float = 15) -> Figures:
    """
    A machine on the way, or the bottleneck itself, stands still now and then: share of what it can carry otherwise.
    """
    dumbbell = line.open(controller)
    dice, rate = Random(line.seed), round(line.rate * 1e6)
    begin, end, lost = dumbbell.now, dumbbell.now + round(seconds * SECOND), 0
    while True:
        begin += round(dice.expovariate(PAUSES_A_SECOND) * SECOND)
        length = round(dice.uniform(LEAST_PAUSE, MOST_PAUSE) * MILLISECOND)
        if begin + length >= end:
            break
        dumbbell.there.set_rate_at(begin, 0)
        dumbbell.there.set_rate_at(begin + length, rate)
        begin, lost = begin + length, lost + length
    flow = dumbbell.add_flow(line.microseconds)
    meter = Meter(dumbbell.simulator, lambda: flow.received, queue_in_ms(dumbbell.there), interval=5 * MILLISECOND)
    dumbbell.run_for(seconds)
    carried = line.bytes_per_second * (1 - lost / (seconds * SECOND))
    return {"used": meter.rate(1, seconds) / carried, "p95": meter.percentile(0.95, 1, seconds, 1)}


def drift(controller: str, ppm: float, seconds: float = 3600, line: Line = THIN) -> Figures:
    """
    The receiver's clock is faster, or slower.
    """
    dumbbell = line.open(controller)
    flow = dumbbell.add_flow(line.microseconds, clock={"drift_ppm": ppm})
    meter = Meter(dumbbell.simulator, lambda: flow.received, queue_in_ms(dumbbell.there))
    dumbbell.run_for(seconds)
    return {
        "used": meter.rate(1, seconds) / line.bytes_per_second,
        "p95": meter.percentile(0.95, 1, seconds, 1),
    }


def behind(controller: str, line: Line, alone_for: float = 20, seconds: float = 8) -> Figures:
    """
    A router that drops early: the line alone, and a download by CUBIC.
    """
    quiet = alone(controller, line, seconds=alone_for)
    loading = completion(controller, "cubic", line, seconds=seconds)
    return {"used": quiet["used"], "p95": quiet["p95"], "ratio": loading["ratio"], "held": loading["held"]}


def _no_worse(seen: Figures, today: Figures) -> bool:
    """
    Neither less of the line nor more harm.
    """
    return seen["used"] >= today["used"] - POINT and seen.get("ratio", 1.0) <= today.get("ratio", 1.0) * ALIKE


def _no_worse_radio(seen: Figures, today: Figures) -> bool:
    return seen["used"] >= today["used"] - POINT and seen["p95"] <= today["p95"] * ALIKE


JITTER = [
    Row(
        f"jitter-{width}",
        f"{width} ms of jitter",
        ">= 90 %",
        partial(alone, line=Line(jitter=width), seconds=15),
        "{used:.1%}",
        lambda seen, _: seen["used"] >= 0.9,
    )
    for width in (1, 5, 20)
]

WIFI = Row(
    "wifi",
    "Wi-Fi: aggregates, stalls of 20 ms",
    ">= 90 %",
    partial(alone, line=Line(wifi=True), seconds=20),
    "{used:.1%}, p95 {p95:.0f} ms",
    lambda seen, _: seen["used"] >= 0.9,
)

PAUSES = [
    Row(
        f"pauses-{rate}",
        f"pauses of {LEAST_PAUSE} to {MOST_PAUSE} ms, {PAUSES_A_SECOND:.0f} a second, {rate} Mb/s",
        ">= 90 %",
        partial(pauses, line=Line(rate=rate)),
        "{used:.1%}, p95 {p95:.0f} ms",
        lambda seen, _: seen["used"] >= 0.9,
    )
    for rate in (20, 100)
]

CELLULAR = [
    Row(
        f"{kind}-{seed}",
        f"{kind.upper()}, trace {seed}: used; p95 in the base station",
        "no worse in either",
        partial(cellular, kind=kind, seed=seed),
        "{used:.1%}; {p95:.0f} ms",
        _no_worse_radio,
        is_relative=True,
    )
    for kind in ("lte", "3g")
    for seed in (1, 2)
]

CLOCKS = [
    Row(
        f"drift{ppm:+d}",
        f"clock drift of {ppm:+d} ppm for an hour, 2 Mb/s",
        ">= 95 %",
        partial(drift, ppm=ppm),
        "{used:.1%}, p95 {p95:.0f} ms",
        lambda seen, _: seen["used"] >= 0.95,
    )
    for ppm in (200, -200)
]

ROUTES = [
    Row(
        f"route-{name}",
        f"a route that becomes 30 ms {name}: full again; used after 5 s",
        "<= 5 s; >= 90 %",
        partial(route, longer=name == "longer"),
        "{full:.1f} s; {used:.1%}, p95 {p95:.0f} ms",
        lambda seen, _: seen["full"] <= 5 and seen["used"] >= 0.9,
    )
    for name in ("longer", "shorter")
]

QUEUES = [
    Row(
        name,
        f"{title}: used alone; CUBIC's 8 s / alone, our share",
        goal,
        partial(behind, line=line),
        "{used:.1%}; {ratio:.2f}, {held:.0%}",
        met,
        is_relative=True,
    )
    for name, title, line, goal, met in (
        ("buffer-50", "50 ms of buffer", Line(buffer=50), "no worse", _no_worse),
        (
            "codel",
            "CoDel",
            Line(queue="codel"),
            "no worse; share <= 10 %",
            lambda seen, today: _no_worse(seen, today) and seen["held"] <= 0.1,
        ),
        ("fq_codel", "FQ-CoDel", Line(queue="fq_codel"), "no worse", _no_worse),
        ("red", "RED", Line(queue="red"), "no worse", _no_worse),
    )
]

LOSS = Row(
    "loss",
    "1 % random loss",
    "no worse",
    partial(alone, line=Line(loss=0.01), seconds=20),
    "{used:.1%}",
    _no_worse,
    is_relative=True,
)

ROUND_TRIPS = [
    Row(
        f"rtt-{rtt}",
        f"{rtt} ms: used alone, p95; page; CUBIC",
        ">= 98 %, <= 15 ms; <= 1.10; <= 1.05",
        partial(both, line=Line(rtt=rtt)),
        "{used:.1%}, {p95:.0f} ms; {page:.2f}; {ratio:.2f}",
        lambda seen, _: seen["used"] >= 0.98 and seen["p95"] <= 15 and seen["page"] <= 1.10 and seen["ratio"] <= 1.05,
    )
    for rtt in (5, 200, 350)
]

ROWS = [*JITTER, WIFI, *PAUSES, *CELLULAR, *CLOCKS, *ROUTES, *QUEUES, LOSS, *ROUND_TRIPS]
