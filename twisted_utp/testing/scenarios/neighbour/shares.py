"""
How do flows of this kind share the line with each other?
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from twisted_utp.testing.meter import Meter, queue_in_ms
from twisted_utp.testing.scenarios.neighbour.line import OTHERS, USUAL, Line, config_of
from twisted_utp.testing.scenarios.neighbour.rows import Figures, Row
from twisted_utp.testing.scenarios.sharing import jain

LAST = 20.0
"""Seconds at the end that count."""


def fairness(
    controller: str, starts: Sequence[float] = (0, 0), settle: float = 20, last: float = LAST, line: Line = USUAL
) -> Figures:
    """
    Flows that begin at these seconds; C{settle} seconds after the last of them they are watched.
    """
    dumbbell = line.open(controller)
    flows = [dumbbell.add_flow(line.microseconds, at=start) for start in starts]
    counters = [lambda flow=flow: flow.received for flow in flows]
    meter = Meter(dumbbell.simulator, *counters, queue_in_ms(dumbbell.there))
    since = max(starts) + settle
    dumbbell.run_for(since + last)
    rates = [meter.rate(since, since + last, number) for number in range(len(flows))]
    return {
        "jain": jain(rates),
        "first": rates[0] / sum(rates),
        "used": sum(rates) / line.bytes_per_second,
        "p95": meter.percentile(0.95, since, since + last, len(flows)),
    }


def beside_other(
    controller: str, other: str = "ledbat", settle: float = 30, last: float = LAST, line: Line = USUAL
) -> Figures:
    """
    One flow of ours and one of another kind; each is the first once, and the other comes ten seconds later.  Ours'
    share of what both get in the last seconds.
    """
    first, second = (
        _share(line, controller, other, (ours, theirs), (settle, last)) for ours, theirs in ((0, 10), (10, 0))
    )
    return {"first": first, "second": second, "least": min(first, 1 - first, second, 1 - second)}


def _share(line: Line, controller: str, other: str, starts: tuple[float, float], times: tuple[float, float]) -> float:
    dumbbell = line.open(controller)
    ours = dumbbell.add_flow(line.microseconds, at=starts[0])
    theirs = dumbbell.add_flow(line.microseconds, at=starts[1], config=config_of(other))
    meter = Meter(dumbbell.simulator, lambda: ours.received, lambda: theirs.received)
    since = max(starts) + times[0]
    dumbbell.run_for(since + times[1])
    our_rate, their_rate = (meter.rate(since, since + times[1], number) for number in (0, 1))
    return our_rate / (our_rate + their_rate)


ROWS = [
    *[
        Row(
            name,
            f"{title}: Jain over the last 20 s",
            ">= 0.95",
            partial(fairness, starts=starts),
            "{jain:.2f} (first {first:.0%}, queue p95 {p95:.0f} ms)",
            lambda seen, _: seen["jain"] >= 0.95,
        )
        for name, title, starts in (
            ("two", "two flows", (0, 0)),
            ("late", "a latecomer after 10 s", (0, 10)),
            ("four", "four flows, one each 2 s", (0, 2, 4, 6)),
        )
    ],
    *[
        Row(
            f"beside-{other}",
            f"beside {other}, we first / it first: our share after 30 s",
            "each >= 20 %",
            partial(beside_other, other=other),
            "{first:.0%} / {second:.0%}",
            lambda seen, _: seen["least"] >= 0.2,
        )
        for other in OTHERS
    ],
]
