"""
What does it cost that a port on all addresses learns and says which of them is meant?
"""

from __future__ import annotations

from benchmarks.contenders import OURS_ALL_ADDRESSES, OURS_ONE_ADDRESS, Contender
from benchmarks.measure import Case, Column, Figures, Goal, Measure, Scale, ratio
from benchmarks.transfer import transfer

COLUMNS = (Column("MB/s"), Column("CPU s/GB", 2), Column("sender", 2), Column("receiver", 2))


def _case(contender: Contender) -> Case:
    def run(scale: Scale) -> Figures:
        return transfer(contender, contender, scale.megabytes)

    return Case(contender.name, run, (contender,))


ADDRESSES = Measure(
    "addresses",
    "bulk between ports on all addresses, and between ports on one",
    """As in bulk.  On all addresses a control message comes with each read and goes with each train (IP_PKTINFO), at
    both ends; on one there is none.""",
    COLUMNS,
    lambda scale: [_case(contender) for contender in (OURS_ALL_ADDRESSES, OURS_ONE_ADDRESS)],
    (
        Goal(
            "CPU s/GB, all / one",
            ratio(OURS_ALL_ADDRESSES.name, OURS_ONE_ADDRESS.name, "CPU s/GB"),
            1.03,
            at_most=True,
        ),
    ),
)
