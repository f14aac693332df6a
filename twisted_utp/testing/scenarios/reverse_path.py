"""
Does a busy way back slow down data on the way there?

Acknowledgements queue behind what the receiver itself uploads.  Its timestamps say so; but a receiver that lies could
say so as well, see L{twisted_utp.testing.scenarios.liars}.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from twisted_utp.testing.jitter import Jitter, UniformJitter
from twisted_utp.testing.scenarios.scenario import Outcome, Scenario
from twisted_utp.testing.scenarios.stage import Solo
from twisted_utp.testing.simulator import SECOND, Simulator


class QueueOverTime(Jitter):
    """
    A queue whose length is a function of time; it keeps order.
    """

    def __init__(self, simulator: Simulator, length: Callable[[float], float]) -> None:
        """
        @param length: µs of queue at so many seconds from now.
        """
        super().__init__(keeps_order=True)
        self._simulator = simulator
        self._began = simulator.now
        self._length = length

    def sample(self, random: Random) -> int:
        """
        The queue now.
        """
        return int(self._length((self._simulator.now - self._began) / SECOND))


def _settle(solo: Solo, begins: float, settle: float, seconds: float, least: float) -> Outcome:
    solo.run_for(begins + settle + seconds)
    dip = solo.utilisation(begins, begins + settle)
    used = solo.utilisation(begins + settle, begins + settle + seconds)
    queue = solo.meter.percentile(0.95, 0, begins + settle + seconds, 1)
    return Outcome(
        f"{used:.0%}, {dip:.0%} in the first {settle:.0f} s, queue p95 {queue:.0f} ms",
        used >= least,
        {"used": used, "dip": dip, "queue": queue},
    )


def standing(
    controller: str, milliseconds: int = 100, settle: float = 6, seconds: float = 20, rate: float = 5
) -> Outcome:
    """
    5 Mb/s, 50 ms; after ten seconds a queue stands on the way back, until the end.
    """
    solo = Solo(controller, rate=rate, rtt=50, buffer=500)
    queue = QueueOverTime(solo.dumbbell.simulator, lambda at: milliseconds * 1000 if at >= 10 else 0)
    solo.dumbbell.back.jitter = queue
    return _settle(solo, 10, settle, seconds, 0.8)  # LEDBAT++ alone on a path as long has 85 %


def swinging(controller: str, low: int = 60, high: int = 100, seconds: float = 30, rate: float = 5) -> Outcome:
    """
    5 Mb/s, 50 ms; the queue on the way back grows from C{low} to C{high} ms in five seconds, again and again, as
    another uTP makes it.
    """
    solo = Solo(controller, rate=rate, rtt=50, buffer=500)
    solo.dumbbell.back.jitter = QueueOverTime(
        solo.dumbbell.simulator, lambda at: 1000 * (low + (high - low) * (at % 5) / 5)
    )
    return _settle(solo, 5, 5, seconds, 0.9)


def late(controller: str, milliseconds: int = 40, seconds: float = 30, rate: float = 5) -> Outcome:
    """
    5 Mb/s, 50 ms; acknowledgements come up to so much later, each by another amount.
    """
    solo = Solo(controller, rate=rate, rtt=50, buffer=500)
    solo.dumbbell.back.jitter = UniformJitter(milliseconds * 1000, keeps_order=True)
    return _settle(solo, 5, 5, seconds, 0.9)


SCENARIOS = [
    *[
        Scenario(
            f"back-{milliseconds}",
            f"a queue of {milliseconds} ms on the way back",
            "-",
            ">= 80 % from 6 s on",
            partial(standing, milliseconds=milliseconds),
        )
        for milliseconds in (60, 100, 300)
    ],
    Scenario("back-swinging", "a queue of 60 to 100 ms on the way back", "-", ">= 90 %", swinging),
    Scenario("back-late", "acknowledgements up to 40 ms late", "-", ">= 90 %", late),
]
