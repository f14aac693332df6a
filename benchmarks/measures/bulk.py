"""
One connection, one way: how fast, and what does a gigabyte cost?
"""

from __future__ import annotations

from benchmarks.contenders import AIOQUIC, LIBTORRENT, LIBUTP, OURS, OURS_PLAIN, TCP, Contender
from benchmarks.measure import Case, Column, Figures, Goal, Measure, Scale, figure, ratio
from benchmarks.transfer import transfer

# The slow ones get less to do: their figures are per byte as well.
SHARES = {OURS: 1.0, TCP: 1.0, OURS_PLAIN: 0.4, LIBUTP: 0.4, LIBTORRENT: 0.4, AIOQUIC: 0.03}

COLUMNS = (Column("MB/s"), Column("CPU s/GB", 2), Column("sender", 2), Column("receiver", 2))


def _case(contender: Contender) -> Case:
    def run(scale: Scale) -> Figures:
        # libtorrent counts in pieces of a megabyte.
        return transfer(contender, contender, max(scale.megabytes * SHARES[contender], 1))

    return Case(contender.name, run, (contender,))


BULK = Measure(
    "bulk",
    "one connection, one way, over loopback",
    """Two processes, 1402-byte datagrams where it is uTP.  The sender writes 64 KiB whenever it may (libtorrent: as it
    likes); the receiver counts.  The kernel charges the sender with most of its receive path on loopback.  Trust the
    CPU seconds and the ratios more than the speed.""",
    COLUMNS,
    lambda scale: [_case(contender) for contender in SHARES],
    (
        Goal("speed / libutp's", ratio("ours", "libutp", "MB/s"), 2.0),
        Goal("moonshot: speed / Twisted TCP's", ratio("ours", "Twisted TCP", "MB/s"), 1.0),
        Goal("CPU s/GB, both sides", figure("ours", "CPU s/GB"), 1.5, at_most=True),
        Goal("moonshot: CPU s/GB, both sides", figure("ours", "CPU s/GB"), 0.96, at_most=True),
        Goal("plain path's speed / libutp's", ratio("ours, plain path", "libutp", "MB/s"), 0.5),
    ),
)
