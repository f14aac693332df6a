"""
How many round trips of one byte are there in a second?
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from benchmarks.contenders import AIOQUIC, LIBUTP, OURS, OURS_PLAIN, TCP, Contender
from benchmarks.measure import Case, Column, Figures, Goal, Measure, Scale, ratio

CONTENDERS = (OURS, TCP, OURS_PLAIN, LIBUTP, AIOQUIC)
COLUMNS = (Column("round trips/s"), Column("client CPU, µs each", 1), Column("server CPU, µs each", 1))


def round_trips(contender: Contender, seconds: float, client: frozenset[int], server: frozenset[int]) -> Figures:
    """
    One byte to and fro on one connection.

    @param client: the processors that the client may use.
    """
    with contender.start("serve", "echo", 0, cpus=server) as serving:
        port = serving.expect("listening")["port"]
        before = serving.now()["cpu"]
        with contender.start("ping", port, seconds, cpus=client) as pinging:
            done = pinging.expect("done")
            spent = serving.now()["cpu"] - before
    return {
        "round trips/s": done["count"] / done["seconds"],
        "client CPU, µs each": done["cpu"] / done["count"] * 1e6,
        "server CPU, µs each": spent / done["count"] * 1e6,
    }


def _cases(same: bool) -> Callable[[Scale], Sequence[Case]]:
    cpus = sorted(os.sched_getaffinity(0))
    client = frozenset(cpus[:1])
    server = client if same else frozenset(cpus[1:2] or cpus)

    def case(contender: Contender) -> Case:
        return Case(contender.name, lambda scale: round_trips(contender, scale.seconds, client, server), (contender,))

    return lambda scale: [case(contender) for contender in CONTENDERS]


ONE_CPU = Measure(
    "latency-1",
    "round trips of one byte, both ends on one CPU",
    """Client and server are pinned to the same processor (sched_setaffinity), so that what is measured is the software
    and not how fast a sleeping processor wakes.""",
    COLUMNS,
    _cases(same=True),
    (Goal("round trips / Twisted TCP's", ratio("ours", "Twisted TCP", "round trips/s"), 0.5),),
)

TWO_CPUS = Measure(
    "latency-2",
    "round trips of one byte, an end a CPU",
    """Each end is pinned to a processor of its own.  Each waits for the other, so both fall asleep and are woken for
    every byte; on a virtual machine that takes longer than the software.""",
    COLUMNS,
    _cases(same=False),
    (),
)
