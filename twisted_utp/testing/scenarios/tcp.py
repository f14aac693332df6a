"""
Does it get out of a TCP download's way, and back when that ends?
"""

from __future__ import annotations

from functools import partial

from twisted_utp.proto.config import UTPConfig
from twisted_utp.testing.meter import Meter
from twisted_utp.testing.queues import CoDel, DropTail, Queue
from twisted_utp.testing.scenarios.scenario import Outcome, Scenario
from twisted_utp.testing.topology import Dumbbell

HEAD_START = 10.0


def _dumbbell(controller: str, rate: float, queue: Queue) -> Dumbbell:
    return Dumbbell(seed=1, there={"rate": round(rate * 1e6), "queue": queue}, config=UTPConfig(congestion=controller))


def _alone(rate: float, queue: Queue, window: str, nbytes: int) -> float:
    dumbbell = _dumbbell("fixed", rate, queue)
    tcp = dumbbell.add_tcp(50_000, nbytes=nbytes, window=window)
    dumbbell.simulator.run(lambda: tcp.done)
    return tcp.seconds


def against_tcp(
    controller: str,
    window: str = "cubic",
    kind: str = "500 ms",
    rate: float = 20,
    seconds: float = 30,
    most: float = 0.1,
    slower: float = 1.05,
) -> Outcome:
    """
    A TCP transfer of so many seconds joins a uTP transfer, 50 ms: uTP's share meanwhile, TCP's completion time, and
    when the first quarter of a second begins in which uTP has 90 % of the link again.
    """

    def queue() -> Queue:
        return CoDel() if kind == "codel" else DropTail(milliseconds=float(kind.split()[0]))

    nbytes = round(rate * 1e6 / 8 * seconds)
    alone = _alone(rate, queue(), window, nbytes)
    dumbbell = _dumbbell(controller, rate, queue())
    flow = dumbbell.add_flow(50_000)
    tcp = dumbbell.add_tcp(50_000, at=HEAD_START, nbytes=nbytes, window=window)
    meter = Meter(dumbbell.simulator, lambda: flow.received, lambda: tcp.received)
    dumbbell.simulator.run(lambda: tcp.done)
    end = HEAD_START + tcp.seconds
    dumbbell.run_for(5)
    share = meter.rate(HEAD_START, end) / (meter.rate(HEAD_START, end) + meter.rate(HEAD_START, end, 1))
    back = meter.reaches(0.9 * 0.966 * rate * 1e6 / 8, over=0.25, since=end)
    regained = back - 0.25 - end if back is not None else float("inf")
    ratio = tcp.seconds / alone
    return Outcome(
        f"uTP {share:.1%}, TCP's time x {ratio:.3f}, 90 % again after {max(regained, 0):.2f} s",
        share <= most and ratio <= slower and (regained <= 1 or most > 0.1),
        {"share": share, "ratio": ratio, "regained": regained},
    )


SCENARIOS = [
    *[
        Scenario(
            f"tcp-{window}",
            f"against one {window.upper() if window == 'cubic' else 'Reno'} flow, 20 Mb/s, 500 ms buffer",
            "real kernel: TCP keeps 67 %",
            "uTP <= 10 % meanwhile, TCP's time <= 1.05 x alone, 90 % again within 1 s",
            partial(against_tcp, window=window),
        )
        for window in ("reno", "cubic")
    ],
    *[
        Scenario(
            f"tcp-{kind.replace(' ', '')}",
            f"against one CUBIC flow, 20 Mb/s, {kind if kind == 'codel' else kind + ' buffer'}",
            "-",
            "yields (below half)",
            partial(against_tcp, kind=kind, most=0.5, slower=2.0),
        )
        for kind in ("codel", "50 ms")
    ],
]
