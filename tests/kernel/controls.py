"""
Could the machine measure at all?

What the lab measures beside uTP says so: a ping over a line on which nothing else is, a page that nobody disturbs, the
kernel's own TCP.  So does a program that only sleeps (C{stalls.py}).  None of them depends on our code.  A run whose
controls are far off is measured again, whatever its figures are; one whose controls are good never is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

ATTEMPTS = 3

# Seconds.  A ping over an idle line takes less than one millisecond more than the path; a busy machine adds a few.
LATE = 0.02

# Seconds.  A page of 2 MB takes 1.7 at 10 Mb/s.
SLOW_PAGE = 3.4

# Of the link, by the kernel's TCP alone.
SLOW_TCP = 0.8

# Seconds.  Queues here are 60 ms long, TCP's 200.
STALL = 0.25

Account = dict[str, Any]


class Measured(dict[str, Account]):
    """
    The accounts by run.  To ask for one that could not be measured fails.

    @ivar impossible: why, by run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.impossible: dict[str, str] = {}

    def __missing__(self, run: str) -> Account:
        raise AssertionError(f"this machine could not measure {run!r}, {ATTEMPTS} times: {self.impossible[run]}")


def why_not_usable(account: Account, stalled: float) -> str:
    """
    What the controls say against a run; nothing if they are good.

    @param stalled: for how long the machine stood still at most, meanwhile, seconds.
    """
    path = {"wire": 2 * 0.025}  # of those with a path of their own
    said = [f"the machine stood still for {stalled:.2f} s"] if stalled > STALL else []
    for name in ("sharing", "forward"):
        idle = account.get(name, {}).get("ping_idle_50", 0)
        if idle > LATE:
            said.append(f"a ping over the idle line took {idle * 1e3:.0f} ms")
    for row in account.get("wire", ()):
        if row["idle"] - path["wire"] > LATE:
            said.append(f"a ping over the idle line took {row['idle'] * 1e3:.0f} ms")
        if row["who"] == "Twisted TCP" and row["used"] < SLOW_TCP:
            said.append(f"the kernel's TCP filled {row['used']:.0%} of the link")
    page = account.get("neighbours", {}).get("page")
    if page is not None and page["without"] > SLOW_PAGE:
        said.append(f"a page took {page['without']:.1f} s on the idle line")
    return "; ".join(said)


def measure(
    runs: Mapping[str, Any], take: Callable[[Mapping[str, Any]], Mapping[str, tuple[Account, float]]]
) -> Measured:
    """
    Measure all, and again what the machine could not measure.

    @param take: measures some at the same time; returns for each its account, and for how long the machine stood still.
    """
    measured = Measured()
    left = dict(runs)
    for _ in range(ATTEMPTS):
        taken = take(left)
        measured.impossible = {name: why for name, seen in taken.items() if (why := why_not_usable(*seen))}
        measured.update({name: account for name, (account, _) in taken.items() if name not in measured.impossible})
        left = {name: left[name] for name in measured.impossible}
        if not left:
            break
        warnings.warn(f"the machine could not measure: {measured.impossible}", stacklevel=2)
    return measured
