"""
How fast is it when the other end is far away?
"""

from __future__ import annotations

from benchmarks.contenders import AIOQUIC, LIBTORRENT, LIBUTP, OURS, OURS_PLAIN, Contender
from benchmarks.measure import Case, Figures, Goal, Measure, Scale, figure
from benchmarks.measures.bulk import COLUMNS
from benchmarks.transfer import transfer

CONTENDERS = (OURS, OURS_PLAIN, LIBUTP, LIBTORRENT, AIOQUIC)
ONE_WAY = 0.025


def _case(contender: Contender) -> Case:
    def run(scale: Scale) -> Figures:
        nbytes = max(scale.distant_megabytes, 1) if contender is LIBTORRENT else scale.distant_megabytes
        return transfer(contender, contender, nbytes, delay=ONE_WAY)

    return Case(contender.name, run, (contender,))


DISTANCE = Measure(
    "distance",
    "20 MB at a round-trip time of 50 ms",
    """As bulk, through a UDP relay in a third process that delays each datagram by 25 ms and has no bottleneck.  The
    time runs from the first write, on a connection that is open, to the last byte: slow start is in it.""",
    COLUMNS,
    lambda scale: [_case(contender) for contender in CONTENDERS],
    (Goal("MB/s", figure(OURS.name, "MB/s"), 30.0),),
)
