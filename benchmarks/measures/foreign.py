"""
How fast are we with a libutp on the other side?
"""

from __future__ import annotations

from benchmarks.contenders import LIBUTP, OURS, Contender
from benchmarks.measure import Case, Figures, Goal, Measure, Scale, ratio
from benchmarks.measures.bulk import COLUMNS
from benchmarks.transfer import transfer

PAIRS = ((LIBUTP, LIBUTP), (OURS, LIBUTP), (LIBUTP, OURS))

# libutp is the slower of the two, whoever it talks to.
SHARE = 0.4


def label(sender: Contender, receiver: Contender) -> str:
    """
    A row's name.
    """
    return f"{sender.name} to {receiver.name}"


def _case(sender: Contender, receiver: Contender) -> Case:
    def run(scale: Scale) -> Figures:
        return transfer(sender, receiver, scale.megabytes * SHARE)

    return Case(label(sender, receiver), run, (sender, receiver))


FOREIGN = Measure(
    "foreign",
    "bulk with libutp as the peer",
    "As bulk, between two implementations.",
    COLUMNS,
    lambda scale: [_case(*pair) for pair in PAIRS],
    (
        Goal("to libutp / libutp to itself", ratio(label(OURS, LIBUTP), label(LIBUTP, LIBUTP), "MB/s"), 1.0),
        Goal("from libutp / libutp to itself", ratio(label(LIBUTP, OURS), label(LIBUTP, LIBUTP), "MB/s"), 1.0),
    ),
    reference=label(LIBUTP, LIBUTP),
)
