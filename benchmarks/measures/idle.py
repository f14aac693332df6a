"""
What do ten thousand connections cost that do nothing but stay alive?
"""

from __future__ import annotations

import time

from benchmarks.contenders import OURS_ONE_PORT, Contender
from benchmarks.measure import Case, Column, Figures, Goal, Measure, figure


def idle_cpu(contender: Contender, count: int, window: float) -> Figures:
    """
    The share of a processor that each process uses during exactly one keepalive interval.
    """
    settings = f":keepalive={window}"
    with contender.start("serve", "sink", 0, settings) as serving:
        port = serving.expect("listening")["port"]
        with contender.start("idle", port, settings) as client:
            client.expect("ready")
            client.tell(f"open {count}")
            client.expect("opened")
            serving.wait_until("connections", count)
            before = serving.now()["cpu"], client.now()["cpu"], time.monotonic()
            time.sleep(window)
            after = serving.now()["cpu"], client.now()["cpu"], time.monotonic()
            serving.wait_until("connections", count)
    seconds = after[2] - before[2]
    return {
        "server, % of a core": (after[0] - before[0]) / seconds * 100,
        "client, % of a core": (after[1] - before[1]) / seconds * 100,
    }


IDLE = Measure(
    "idle-cpu",
    "10,000 idle connections, keepalives included",
    """Between two processes on one UDP port each.  After 29 s of silence the client asks whether the
    server is there, and the server answers.  So in a window of exactly 29 s, wherever it lies, each end sends one
    packet and receives one for each connection.""",
    (Column("server, % of a core", 2), Column("client, % of a core", 2)),
    lambda scale: [
        Case(OURS_ONE_PORT.name, lambda scale: idle_cpu(OURS_ONE_PORT, scale.idle_cpu, scale.window), (OURS_ONE_PORT,))
    ],
    (
        Goal("server, % of a core", figure(OURS_ONE_PORT.name, "server, % of a core"), 1.0, at_most=True),
        Goal("client, % of a core", figure(OURS_ONE_PORT.name, "client, % of a core"), 1.0, at_most=True),
    ),
    reference=OURS_ONE_PORT.name,
    max_rounds=2,
    higher_is_better=False,
)
