"""
What does a gigabyte cost when one datagram in a hundred is lost?
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.contenders import AIOQUIC, LIBUTP, OURS, OURS_PLAIN, Contender
from benchmarks.measure import Case, Column, Figures, Goal, Measure, Scale, ratio
from benchmarks.transfer import transfer

CONTENDERS = (OURS, OURS_PLAIN, LIBUTP, AIOQUIC)
SHARES = {OURS: 0.4, OURS_PLAIN: 0.1, LIBUTP: 0.1, AIOQUIC: 0.01}
LOSS_RATE = 0.01


def label(contender: Contender, loss: float) -> str:
    """
    A row's name.
    """
    return f"{contender.name}, {loss * 100:g} % lost"


def _case(contender: Contender, loss: float) -> Case:
    def run(scale: Scale) -> Figures:
        return transfer(contender, contender, scale.megabytes * SHARES[contender], loss=loss)

    return Case(label(contender, loss), run, (contender,))


def _cases(scale: Scale) -> Sequence[Case]:
    return [_case(contender, loss) for contender in CONTENDERS for loss in (0.0, LOSS_RATE)]


LOST, NONE_LOST = label(OURS, LOSS_RATE), label(OURS, 0.0)

LOSS = Measure(
    "loss",
    "1 % random loss, in both directions",
    """As bulk, through a UDP relay in a third process that throws datagrams away at random, each on its own, data and
    acknowledgements alike.  The lossless rows go through the same relay.  The relay's CPU time is nobody's.  The speed
    is that of three processes on this machine, and of a congestion control that takes loss for congestion; what a
    gigabyte costs is what counts.""",
    (Column("CPU s/GB", 2), Column("sender", 2), Column("receiver", 2), Column("MB/s", 1)),
    _cases,
    (Goal("CPU s/GB / the lossless cost", ratio(LOST, NONE_LOST, "CPU s/GB"), 2.0, at_most=True),),
    reference=NONE_LOST,
    max_rounds=3,
    higher_is_better=False,
)
