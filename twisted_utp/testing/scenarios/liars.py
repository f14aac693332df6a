"""
What does a receiver gain that lies about delay?

Two flows share a link; the second one's receiver writes what it likes into its C{timestamp_difference} and its own
C{timestamp}.  Telling the truth is the measure: ten points of the link more are the most that a lie may bring.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from random import Random

from twisted_utp.proto.values import Address
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.scenarios.scenario import Outcome, Scenario
from twisted_utp.testing.scenarios.sharing import _dumbbell, _shares
from twisted_utp.testing.wire import STATE

TARGETS = {"ledbat": 100, "ledbat++": 60, "scavenger": 28}
"""
ms of queue that each aims for by default.  The scavenger aims for two packets' time, at 3 Mb/s 8 ms; this is the 95th
percentile of what two honest ones make there.
"""

MAX_GAIN = 0.1

Lie = Callable[["Moment"], tuple[int, int]]
"""What the receiver writes: timestamp_difference and timestamp, µs."""


class Moment:
    """
    What a receiver knows when it acknowledges.

    @ivar now: its clock, µs.
    @ivar echo: the true timestamp_difference, 32 bits.
    @ivar empty: the first of them, of an empty path.
    @ivar count: how many acknowledgements there were.
    """

    def __init__(self) -> None:
        self.random = Random(1)
        self.now = 0
        self.echo = 0
        self.empty = 0
        self.count = 0

    @property
    def queue(self) -> int:
        """
        µs of true queue on the way to the receiver.
        """
        return max(self.echo - self.empty, 0)


def _mixture(at: Moment) -> tuple[int, int]:
    return (0, 5000, 0x7FFFFFFF, at.echo)[at.now // 2_000_000 % 4], at.now - at.now // 700 % 300 * 1000


LIES: dict[str, tuple[str, Lie]] = {
    "truth": ("the truth", lambda at: (at.echo, at.now)),
    "zero": ("no sample: 0", lambda at: (0, at.now)),
    "none": ("no sample: 2^31 - 1", lambda at: (0x7FFFFFFF, at.now)),
    "rarely": ("one sample in 50", lambda at: (0 if at.count % 50 else at.empty, at.now)),
    "random": ("anything", lambda at: (at.random.getrandbits(32), at.now)),
    "small": ("anything up to 30 ms", lambda at: (at.random.randrange(1, 30_000), at.now)),
    "empty": ("an empty path", lambda at: (at.empty, at.now)),
    "half": ("half of the queue", lambda at: (at.empty + at.queue // 2, at.now)),
    "less": ("24 ms less than there are", lambda at: (at.empty + max(at.queue - 24_000, 0), at.now)),
    "slow": ("a clock that loses 33 ms a second", lambda at: (at.echo - at.now // 30, at.now)),
    "fast": ("an empty path, its clock 25 % fast", lambda at: (at.empty, at.now + at.now // 4)),
    "other-way": ("all queue is on the way back", lambda at: (at.empty, at.now - at.queue)),
    "half-other-way": ("half of it is", lambda at: (at.empty + at.queue // 2, at.now - at.queue // 2)),
    "sawtooth": ("200 ms come and go on the way back", lambda at: (at.empty, at.now - at.now // 1000 % 200 * 1000)),
    "step": ("300 ms on the way back all along", lambda at: (at.empty, at.now - (at.count > 20) * 300_000)),
    "mixture": ("all of it in turn", _mixture),
}


def _receiver(lie: Lie, address: Address, clock: Callable[[], int]) -> Callable[[Packet], bool]:
    at = Moment()

    def rewrite(packet: Packet) -> bool:
        if packet.source == address and packet.data[0] >> 4 == STATE:
            data = bytearray(packet.data)
            at.now, at.count = clock(), at.count + 1
            at.echo = int.from_bytes(data[8:12], "big")
            at.empty = at.empty or at.echo
            difference, timestamp = lie(at)
            data[4:12] = b"".join((number & 0xFFFFFFFF).to_bytes(4, "big") for number in (timestamp, difference))
            packet.data = bytes(data)
        return False

    return rewrite


@lru_cache
def share(
    controller: str, lie: str, settle: float, seconds: float, rate: float, *, both: bool = False
) -> tuple[float, float]:
    """
    The share of the one who lies, and the p95 of the queue in ms.

    @param lie: see L{LIES}.
    @param both: the other one lies as well.
    """
    dumbbell = _dumbbell(controller, rate=rate)
    flows = [dumbbell.add_flow(50_000), dumbbell.add_flow(50_000)]
    for flow in flows if both else flows[1:]:
        dumbbell.back.taps.append(_receiver(LIES[lie][1], flow.receiver.address, lambda: dumbbell.now))
    shares, queue = _shares(dumbbell, flows, settle, seconds)
    return shares[1], queue


def liar(controller: str, lie: str, settle: float = 15, seconds: float = 30, rate: float = 5) -> Outcome:
    """
    5 Mb/s, 50 ms, two flows, one receiver that lies.
    """
    gets, queue = share(controller, lie, settle, seconds, rate)
    honest, _ = share(controller, "truth", settle, seconds, rate)
    return Outcome(
        f"the liar gets {gets:.0%} (else {honest:.0%}), queue p95 {queue:.0f} ms",
        gets <= honest + MAX_GAIN and queue <= 2 * TARGETS[controller],
        {"share": gets, "honest": honest, "queue": queue},
    )


SCENARIOS = [
    Scenario(
        f"lie-{lie}",
        f"a receiver that lies about delay: {title}",
        "-",
        "<= 10 points more than else, queue <= 2 targets",
        partial(liar, lie=lie),
        ("ledbat", "ledbat++", "scavenger"),
    )
    for lie, (title, _) in LIES.items()
    if lie != "truth"
]
