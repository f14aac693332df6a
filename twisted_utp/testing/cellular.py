"""
How does a phone's line look?  Traces of our own making, by a model and a seed::

    python -m twisted_utp.testing.cellular lte|3g [--seed N] [--seconds N] OUT

The model follows what Winstein et al. (Sprout, 2013, section 3.1) found in recordings: the rate wanders as Brownian
motion does, held back here so that it stays near a mean, and now and then nothing passes at all.

  - The logarithm of the rate is pulled to its mean with a time constant, and pushed by noise (an Ornstein-Uhlenbeck
    process): distance, fading, other users.
  - Each 20 ms have a factor of their own, log-normal: the scheduler's turns.
  - Outages begin at random and last a random while: handovers.

It makes no claim about any network; constants were chosen so that what comes out looks like the published recordings
(mahimahi's), in mean, in spread, and in how fast it changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from random import Random

from twisted_utp.testing.rate_trace import STEP, RateTrace


@dataclass(frozen=True)
class Radio:
    """
    A kind of network.

    @ivar typical: bit/s, the median.
    @ivar most: bit/s.
    @ivar spread: standard deviation of the rate's logarithm in the long run.
    @ivar memory: seconds after which the rate has forgotten a factor of e of where it was.
    @ivar turns: standard deviation of the logarithm of each step's own factor.
    @ivar outages_every: seconds between two, on average.
    @ivar outage: seconds of one, at least and at most.
    """

    typical: float
    most: float
    spread: float
    memory: float
    turns: float
    outages_every: float
    outage: tuple[float, float]


RADIOS = {
    "lte": Radio(9e6, 40e6, 0.7, 3.0, 0.35, 40.0, (0.05, 0.3)),
    "3g": Radio(1.2e6, 5e6, 0.6, 5.0, 0.5, 30.0, (0.1, 0.8)),
}


def cellular_trace(kind: str, *, seed: int = 1, seconds: float = 60.0) -> RateTrace:
    """
    The same arguments give the same trace, on every machine.

    @param kind: C{"lte"} or C{"3g"}.
    @raise ValueError: for another one, or less than a second.
    """
    if kind not in RADIOS:
        raise ValueError(f"kind={kind!r}: expected one of {', '.join(RADIOS)}")
    if seconds < 1:
        raise ValueError(f"seconds={seconds!r}: expected 1 or more")
    radio, random = RADIOS[kind], Random(f"{kind} {seed}")
    step = STEP / 1e6
    keep = exp(-step / radio.memory)
    push = radio.spread * sqrt(1 - keep * keep)
    distance = random.gauss(0, radio.spread)
    quiet = 0.0
    rates = []
    for _ in range(round(seconds / step)):
        distance = distance * keep + random.gauss(0, push)
        factor = random.gauss(0, radio.turns)
        if quiet <= 0 and random.random() < step / radio.outages_every:
            quiet = random.uniform(*radio.outage)
        rate = 0.0 if quiet > 0 else exp(log(radio.typical) + distance + factor)
        quiet -= step
        rates.append(round(min(rate, radio.most)))
    return RateTrace(rates)


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Write a trace.
    """
    parser = argparse.ArgumentParser(
        prog="python -m twisted_utp.testing.cellular", description="A trace of a cellular link, in mahimahi's format."
    )
    parser.add_argument("kind", choices=sorted(RADIOS))
    parser.add_argument("out", metavar="OUT", help="where to write it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args(arguments)
    try:
        trace = cellular_trace(options.kind, seed=options.seed, seconds=options.seconds)
        trace.write(options.out)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{options.out}: {trace.seconds:.0f} s, {trace.mean / 1e6:.2f} Mb/s on average")


if __name__ == "__main__":
    main()
