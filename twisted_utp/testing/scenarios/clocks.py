"""
What do clocks that disagree cost?
"""

from __future__ import annotations

from functools import partial
from itertools import count

from twisted_utp.testing.scenarios.scenario import Outcome, Scenario
from twisted_utp.testing.scenarios.stage import Solo

WRAP = 1 << 32


def drift(controller: str, ppm: float = 200, seconds: float = 3600) -> Outcome:
    """
    2 Mb/s, 50 ms, for an hour; the receiver's clock runs faster or slower.  Sequence numbers wrap ten times.
    """
    solo = Solo(controller, rate=2, rtt=50, buffer=500, clock={"drift_ppm": ppm})
    solo.run_for(seconds)
    used, queue = solo.utilisation(0, seconds), solo.meter.percentile(0.95, 0, seconds, 1)
    return Outcome(
        f"{used:.1%}, queue p95 {queue:.0f} ms, {solo.drops} drops",
        used >= 0.95 and not solo.stats.packets_lost,
        {"used": used, "queue": queue, "drops": solo.drops},
    )


def step(controller: str, milliseconds: int = 500, seconds: float = 60, rate: float = 10) -> Outcome:
    """
    50 ms; the receiver's clock (or for a step back, the sender's) jumps ahead.
    """
    solo = Solo(controller, rate=rate, rtt=50, buffer=500)
    solo.run_for(seconds / 2)
    host = solo.flow.receiver.host if milliseconds > 0 else solo.flow.sender.host
    host.clock.step(abs(milliseconds) * 1000)
    solo.run_for(seconds / 2)
    used = solo.utilisation(seconds / 2, seconds)
    return Outcome(
        f"{used:.1%}, {solo.stats.packets_lost} lost",
        used >= 0.95 and not solo.stats.packets_lost,
        {"used": used, "lost": solo.stats.packets_lost},
    )


def wrap(controller: str, seconds: float = 30, rate: float = 10) -> Outcome:
    """
    50 ms; the receiver's 32-bit timestamps wrap on the way, and so do the 16-bit sequence numbers.
    """
    offset = WRAP - 1_000_000_000 - round(seconds * 1e6 / 2)
    packets = rate * 1e6 / 8 * seconds / 1500
    for seed in count(1):
        solo = Solo(controller, rate=rate, rtt=50, buffer=500, clock={"offset": offset}, seed=seed)
        solo.run_for(0.01)
        if _next_seq(solo) > (1 << 16) - packets / 2:
            break  # the random beginning is near the end
    solo.run_for(seconds)
    used = solo.utilisation(seconds / 2 - 5, seconds)
    return Outcome(
        f"{used:.1%}, {solo.stats.packets_lost} lost",
        used >= 0.95 and not solo.stats.packets_lost and _next_seq(solo) > 1 << 16,
        {"used": used, "lost": solo.stats.packets_lost, "next_seq": _next_seq(solo)},
    )


def _next_seq(solo: Solo) -> int:
    assert solo.flow.source is not None
    return solo.flow.source.connection.sender.next_seq


SCENARIOS = [
    *[
        Scenario(
            f"drift{ppm:+d}",
            f"clock drift of {ppm:+d} ppm for an hour (ten wraps of seq_nr), 2 Mb/s",
            "-",
            ">= 95 %, nothing lost",
            partial(drift, ppm=ppm),
            ("ledbat++",),
        )
        for ppm in (200, -200)
    ],
    *[
        Scenario(
            f"step{ms:+d}",
            f"a clock step of {ms:+d} ms, 10 Mb/s",
            "-",
            ">= 95 %, nothing lost",
            partial(step, milliseconds=ms),
            ("ledbat++",),
        )
        for ms in (500, -500)
    ],
    Scenario(
        "wrap", "timestamps and sequence numbers wrap, 10 Mb/s", "-", ">= 95 %, nothing lost", wrap, ("ledbat++",)
    ),
]
