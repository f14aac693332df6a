"""
Is the line full, and how long is the queue, when nobody else is there?
"""

from __future__ import annotations

from functools import partial

from twisted_utp.testing.meter import Meter, queue_in_ms
from twisted_utp.testing.scenarios.neighbour.line import USUAL, Line
from twisted_utp.testing.scenarios.neighbour.rows import Figures, Row
from twisted_utp.testing.simulator import MILLISECOND

SECONDS = {4: 30.0, 20: 30.0, 100: 10.0, 300: 6.0}
"""Of virtual time, by Mb/s: what a slow line needs, and what a fast one allows."""


def alone(controller: str, line: Line = USUAL, seconds: float = 30, since: float = 1) -> Figures:
    """
    One flow: share of the line that is used, and the queue, from C{since} seconds on.
    """
    dumbbell = line.open(controller)
    flow = dumbbell.add_flow(line.microseconds)
    queue = queue_in_ms(dumbbell.there)
    meter = Meter(dumbbell.simulator, lambda: flow.received, queue, interval=5 * MILLISECOND)
    dumbbell.run_for(seconds)
    return {
        "used": meter.rate(since, seconds) / line.bytes_per_second,
        "p50": meter.percentile(0.5, since, seconds, 1),
        "p95": meter.percentile(0.95, since, seconds, 1),
        "drops": dumbbell.there.counters.queue_drops,
    }


ROWS = [
    *[
        Row(
            f"alone-{rate}",
            f"alone, {rate} Mb/s, 50 ms, from 1 s on",
            ">= 98 %",
            partial(alone, line=Line(rate=rate), seconds=seconds),
            "{used:.1%}",
            lambda seen, _: seen["used"] >= 0.98,
        )
        for rate, seconds in SECONDS.items()
    ],
    Row(
        "queue",
        "standing queue on a quiet line of 20 Mb/s, p50 / p95",
        "<= 8 / 15 ms",
        partial(alone, since=5),
        "{p50:.0f} / {p95:.0f} ms",
        lambda seen, _: seen["p50"] <= 8 and seen["p95"] <= 15,
    ),
]
