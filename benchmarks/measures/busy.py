"""
Does the total throughput stay when many connections share it?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.contenders import LIBUTP, OURS_ONE_PORT, TCP, Contender
from benchmarks.measure import Case, Figures, Goal, Measure, Rows, Scale
from benchmarks.measures.bulk import COLUMNS
from benchmarks.transfer import transfer

CONTENDERS = (OURS_ONE_PORT, TCP, LIBUTP)

# libutp is slow, and its row is there only for comparison.
SHARES = {LIBUTP: 0.2}


def label(contender: Contender, connections: int) -> str:
    """
    A row's name.
    """
    return f"{contender.name}, {connections:,}"


def _case(contender: Contender, connections: int) -> Case:
    def run(scale: Scale) -> Figures:
        return transfer(contender, contender, scale.megabytes * SHARES.get(contender, 1.0), connections=connections)

    return Case(label(contender, connections), run, (contender,))


def _cases(scale: Scale) -> Sequence[Case]:
    return [_case(contender, connections) for contender in CONTENDERS for connections in scale.busy]


def beside_one(connections: int) -> Callable[[Rows], float | None]:
    """
    Our throughput with so many connections, divided by that of one.
    """

    def value(rows: Rows) -> float | None:
        many, one = (rows.get(label(OURS_ONE_PORT, count)) for count in (connections, 1))
        return many.ratio(one, "MB/s") if many is not None and one is not None else None

    return value


BUSY = Measure(
    "busy",
    "many connections that send at the same time, in total",
    """As bulk, with the bytes in equal shares on connections that are all open before the first sends.  Ours and
    libutp's share one UDP port at each end.""",
    COLUMNS,
    _cases,
    (
        Goal("100 connections / one", beside_one(100), 0.75),
        Goal("1,000 connections / one", beside_one(1000), 0.75),
    ),
    reference=label(OURS_ONE_PORT, 1),
    max_rounds=3,
)
