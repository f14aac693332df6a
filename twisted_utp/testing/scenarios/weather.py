"""
What do losses, jitter and outages that have nothing to do with congestion cost?
"""

from __future__ import annotations

from functools import partial
from math import sqrt

from twisted_utp.testing.jitter import UniformJitter
from twisted_utp.testing.scenarios.scenario import Outcome, Scenario
from twisted_utp.testing.scenarios.stage import MEGABYTE, Solo

LIBUTP_WITH_LOSS = {0.1: 1.68, 1: 0.498, 2: 0.363, 5: 0.173}
"""MB/s over 60 s by percent."""

LIBUTP_WITH_JITTER = {1: 0.43, 5: 0.34, 20: 0.21}
"""MB/s by ms."""


def loss_goal(controller: str, percent: float) -> float:
    """
    MB/s: twice libutp's rate.  CUBIC does what RFC 9438 says, which with random loss on such a path is Reno's rate,
    1.22 * MSS / (RTT * sqrt(p)) (Mathis et al., 1997), of which the model promises no more than the order.
    """
    if controller != "cubic":
        return 2 * LIBUTP_WITH_LOSS[percent]
    return 0.8 * 1.22 * 1452 / 0.05 / sqrt(percent / 100) / MEGABYTE


def random_loss(controller: str, percent: float = 1, seconds: float = 30) -> Outcome:
    """
    100 Mb/s, 50 ms, so many percent of the packets vanish.
    """
    solo = Solo(controller, rate=100, rtt=50, loss=percent / 100)
    solo.run_for(seconds)
    rate, timeouts = solo.meter.rate(0, seconds) / MEGABYTE, solo.stats.timeouts
    # A retransmission that is lost as well may need its timeout; waiting for them must not set the pace.
    met = rate >= loss_goal(controller, percent) and timeouts <= seconds / 10
    return Outcome(f"{rate:.2f} MB/s, {timeouts} timeouts", met, {"rate": rate, "timeouts": timeouts})


def jitter(controller: str, milliseconds: int = 5, seconds: float = 20, rate: float = 100) -> Outcome:
    """
    50 ms, each packet up to so much late, overtaking others.
    """
    rates = []
    for model in (None, UniformJitter(milliseconds * 1000)):
        solo = Solo(controller, rate=rate, rtt=50, jitter=model)
        solo.run_for(seconds)
        rates.append(solo.meter.rate(0, seconds) / MEGABYTE)
    share = rates[1] / rates[0]
    return Outcome(f"{rates[1]:.2f} MB/s, {share:.0%}", share >= 0.9, {"rate": rates[1], "share": share})


def outage(
    controller: str, rtt: int = 50, duration: float = 1.5, goal: float = 3, rate: float = 100, before: float = 6
) -> Outcome:
    """
    At full speed nothing passes for a while.  How long after it until 90 % of the rate before is back?
    """
    solo = Solo(controller, rate=rate, rtt=rtt)
    solo.run_for(before)
    full = solo.meter.rate(before - 1, before)
    solo.bottleneck.down_for(round(duration * 1e6))
    solo.dumbbell.back.down_for(round(duration * 1e6))
    solo.run_for(duration + goal + 2)
    at = solo.meter.reaches(0.9 * full, over=0.25, since=before + duration)
    figure = at - before - duration if at is not None else float("inf")
    return Outcome(f"{figure:.2f} s", figure <= goal, {"seconds": figure})


SCENARIOS = [
    *[
        Scenario(
            f"loss-{percent}",
            f"100 Mb/s, 50 ms, {percent} % random loss",
            f"{libutp:.2f} MB/s",
            f">= {2 * libutp:.2f} MB/s (cubic: {loss_goal('cubic', percent):.2f}), no waiting for timeouts",
            partial(random_loss, percent=percent),
            ("ledbat", "ledbat++", "cubic"),
        )
        for percent, libutp in LIBUTP_WITH_LOSS.items()
    ],
    *[
        Scenario(
            f"jitter-{milliseconds}",
            f"100 Mb/s, 50 ms, {milliseconds} ms of jitter",
            f"{libutp:.2f} MB/s",
            ">= 90 % of the rate without",
            partial(jitter, milliseconds=milliseconds),
        )
        for milliseconds, libutp in LIBUTP_WITH_JITTER.items()
    ],
    Scenario(
        "outage-0.3",
        "0.3 s outage, 100 Mb/s, 100 ms",
        "20 s to full rate",
        "<= 2 s",
        partial(outage, rtt=100, duration=0.3, goal=2),
    ),
    Scenario("outage-1.5", "1.5 s outage, 100 Mb/s, 50 ms", "15 s to full rate", "<= 3 s", outage),
]
