"""
Does any session break a promise?  Runs one after the other, until so many datagrams were received::

    python -m twisted_utp.testing.fuzz [--seed N] [--datagrams N] [--mode MODE ...] [--keep-going]

Seeds count up from the first, each in all modes.  Of a session that fails, what is needed for it is told; C{--seed} and
C{--mode} of that line, with C{--datagrams 1}, run it again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import count
from time import process_time

from twisted_utp.testing.fuzz.failure import Failure, reduced, run_session
from twisted_utp.testing.fuzz.session import MODES

REPORT_EACH = 500_000


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: 0 when no promise was broken.
    """
    parser = argparse.ArgumentParser(prog="python -m twisted_utp.testing.fuzz", description=__doc__)
    parser.add_argument("-s", "--seed", type=int, default=1, help="the first one; 1 by default")
    parser.add_argument("-n", "--datagrams", type=int, default=100_000, help="stop after so many; 100_000 by default")
    parser.add_argument("-m", "--mode", action="append", choices=sorted(MODES), help="all by default")
    parser.add_argument("-k", "--keep-going", action="store_true", help="do not stop at the first failure")
    parser.add_argument("-l", "--lines", type=int, default=60, help="of a failure's story to print; 60 by default")
    options = parser.parse_args(arguments)
    modes = options.mode or list(MODES)
    datagrams = sessions = 0
    failures: list[Failure] = []
    report_at = REPORT_EACH
    for seed in count(options.seed):
        for mode in modes:
            received, failure = run_session(mode, seed)
            datagrams += received
            sessions += 1
            if failure is not None:
                failures.append(failure)
                _tell(failure, failures, options.lines)
            if datagrams >= options.datagrams or (failures and not options.keep_going):
                _report(sessions, datagrams, failures)
                return 1 if failures else 0
            if datagrams >= report_at:
                report_at = datagrams + REPORT_EACH
                _report(sessions, datagrams, failures)
    raise AssertionError("seeds come to no end")


def _tell(failure: Failure, failures: Sequence[Failure], lines: int) -> None:
    """
    In full for the first of its kind.
    """
    print(f"FAILED: {failure.promise}; --mode {failure.mode} --seed {failure.seed} --datagrams 1", flush=True)
    if sum(other.promise == failure.promise for other in failures) == 1:
        print(reduced(failure).tell(lines=lines), flush=True)


def _report(sessions: int, datagrams: int, failures: Sequence[Failure]) -> None:
    rate = round(datagrams / max(process_time(), 0.001))
    print(f"{sessions:,} sessions, {datagrams:,} datagrams, {rate:,} a second; {len(failures)} failed", flush=True)


if __name__ == "__main__":
    sys.exit(main())
