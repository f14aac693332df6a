"""
How well does one flow alone fill a link, and how long a queue does it make?
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted_utp.testing.queues import RED, CoDel, Queue
from twisted_utp.testing.scenarios.scenario import Outcome, Scenario
from twisted_utp.testing.scenarios.stage import MEGABYTE, Solo

TARGET_MS = {"scavenger": 5, "ledbat": 100, "ledbat++": 60}


def deep_buffer(controller: str, seconds: float = 60) -> Outcome:
    """
    10 Mb/s, 50 ms, a buffer of 500 ms: full link, short queue, no loss.
    """
    solo = Solo(controller, rate=10, rtt=50, buffer=500)
    solo.run_for(seconds)
    used, late = solo.utilisation(0, seconds), solo.utilisation(seconds / 2, seconds)
    queue = solo.meter.percentile(0.95, 0, seconds, 1)
    met = late >= 0.97 and queue <= TARGET_MS.get(controller, 500) + 10 and not solo.drops
    return Outcome(
        f"{late:.1%} (from the start {used:.1%}), queue p95 {queue:.0f} ms, {solo.drops} drops",
        met,
        {"used": used, "late": late, "queue": queue, "drops": solo.drops},
    )


def ramp(controller: str, seconds: float = 4) -> Outcome:
    """
    100 Mb/s, 100 ms: how soon is the link full?
    """
    solo = Solo(controller, rate=100, rtt=100)
    solo.run_for(seconds)
    at = solo.meter.reaches(11 * MEGABYTE, over=0.5)
    figure = at if at is not None else float("inf")
    return Outcome(f"11 MB/s after {figure:.2f} s", figure <= 3, {"seconds": figure})


def long_path(controller: str, seconds: float = 15) -> Outcome:
    """
    100 Mb/s, 350 ms, a peer of ours (4 MiB of window): how soon 10 MB/s, and for how long?
    """
    solo = Solo(controller, rate=100, rtt=350)
    solo.run_for(seconds)
    at = solo.meter.reaches(10 * MEGABYTE, over=0.5)
    figure, late = (at if at is not None else float("inf")), solo.meter.rate(seconds * 2 / 3, seconds) / MEGABYTE
    return Outcome(
        f"10 MB/s after {figure:.1f} s, {late:.1f} MB/s in the last third",
        figure <= 15 and late >= 10,
        {"seconds": figure, "late": late},
    )


def shallow_buffer(controller: str, seconds: float = 60) -> Outcome:
    """
    10 Mb/s, 50 ms, a buffer of 50 ms, less than the target.
    """
    solo = Solo(controller, rate=10, rtt=50, buffer=50)
    solo.run_for(seconds)
    used = solo.utilisation(0, seconds)
    return Outcome(f"{used:.1%}, {solo.drops} drops", used >= 0.93, {"used": used, "drops": solo.drops})


def managed(controller: str, kind: Callable[[], Queue] = CoDel, seconds: float = 60) -> Outcome:
    """
    10 Mb/s, 50 ms, a queue that drops early.
    """
    solo = Solo(controller, rate=10, rtt=50, queue=kind())
    solo.run_for(seconds)
    used = solo.utilisation(0, seconds)
    return Outcome(f"{used:.1%}, {solo.drops} drops", used >= 0.93, {"used": used, "drops": solo.drops})


SCENARIOS = [
    Scenario(
        "deep-buffer",
        "10 Mb/s, 50 ms, 500 ms buffer, alone",
        "96.6 % payload (= 100 % of the link), queue 96 ms",
        ">= 97 % of the link, queue p95 <= target + 10 ms, no loss",
        deep_buffer,
    ),
    Scenario("ramp", "100 Mb/s, 100 ms: ramp", "2.1 MB/s at 10 s", ">= 11 MB/s within 3 s", ramp),
    Scenario("long-path", "100 Mb/s, 350 ms", "1.2 MB/s at 60 s", ">= 10 MB/s within 15 s", long_path),
    Scenario("shallow-buffer", "10 Mb/s, 50 ms, 50 ms buffer", "90.5 % payload, 108 drops", ">= 93 %", shallow_buffer),
    Scenario("codel", "10 Mb/s, 50 ms, CoDel", "-", ">= 93 %", managed),
    Scenario("red", "10 Mb/s, 50 ms, RED", "-", ">= 93 %", partial(managed, kind=partial(RED, nbytes=62_500 * 2))),
]
