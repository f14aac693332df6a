"""
What does a connection cost that does nothing?
"""

from __future__ import annotations

from benchmarks.contenders import AIOQUIC, LIBUTP, OURS, OURS_ONE_PORT, TCP, Contender
from benchmarks.measure import Case, Column, Figures, Goal, Measure, Scale, figure

CONTENDERS = (OURS_ONE_PORT, OURS, TCP, LIBUTP, AIOQUIC)

# libutp's context has room for 3,001; aioquic takes a CPU second for 150.
SHARES = {OURS_ONE_PORT: 1.0, OURS: 0.4, TCP: 1.0, LIBUTP: 0.5, AIOQUIC: 0.04}

# Opened before, so that what a process needs only once is not counted.
WARM = 0.1


def idle_memory(contender: Contender, count: int) -> Figures:
    """
    The growth of both processes' resident sets by so many connections.
    """
    warm = max(int(count * WARM), 1)
    with contender.start("serve", "sink", 0) as serving:
        port = serving.expect("listening")["port"]
        with contender.start("idle", port) as client:
            client.expect("ready")
            client.tell(f"open {warm}")
            client.expect("opened")
            serving.wait_until("connections", warm)
            before = serving.memory(), client.memory()
            client.tell(f"open {count}")
            client.expect("opened")
            serving.wait_until("connections", warm + count)
            after = serving.memory(), client.memory()
    return {"bytes, server": (after[0] - before[0]) / count, "bytes, client": (after[1] - before[1]) / count}


def _case(contender: Contender) -> Case:
    def run(scale: Scale) -> Figures:
        return idle_memory(contender, max(int(scale.idle * SHARES[contender]), 2))

    return Case(contender.name, run, (contender,))


MEMORY = Measure(
    "memory",
    "an idle connection's memory, an end",
    """The growth of the resident set, after collecting garbage, by thousands of connections that are established and
    silent, each with a protocol of the application's.  What the kernel holds is not in it: 4.8 kB an end of each TCP
    connection, and a socket for each UDP port.""",
    (Column("bytes, server"), Column("bytes, client")),
    lambda scale: [_case(contender) for contender in CONTENDERS],
    (
        Goal("bytes, server", figure(OURS_ONE_PORT.name, "bytes, server"), 4500, at_most=True),
        Goal("bytes, client", figure(OURS_ONE_PORT.name, "bytes, client"), 4500, at_most=True),
    ),
    reference=OURS_ONE_PORT.name,
    max_rounds=3,
    higher_is_better=False,
)
