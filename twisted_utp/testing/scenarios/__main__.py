"""
Which scenarios meet their goals?  Prints the table::

    python -m twisted_utp.testing.scenarios [-c CONTROLLER] [-l] [--rst] [NAME ...]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from twisted_utp.proto.congestion.base import congestion_controller_names
from twisted_utp.testing.scenarios.scenario import Scenario, all_scenarios

HEADINGS = ("scenario", "controller", "ours now", "libutp measured", "goal", "")
ROW = "| {} | {} | {} | {} | {} | {} |"
RST_TITLE = """.. list-table::
   :header-rows: 1
   :widths: 26 9 25 15 20 5
"""


def _print_markdown(*cells: str) -> None:
    print(ROW.format(*cells), flush=True)
    if cells == HEADINGS:
        print(ROW.format(*["---"] * len(cells)))


def _print_rst(*cells: str) -> None:
    """
    A row of a list-table of reStructuredText, after the table's head when it is the first.
    """
    if cells == HEADINGS:
        print(RST_TITLE)
    for number, cell in enumerate(cells):
        print(f"   {'-' if number else '*'} - {cell}".replace("   - -", "     -"), flush=True)


def choose(names: Sequence[str]) -> list[Scenario]:
    """
    Those whose names begin with one of C{names}, or all.

    @raise ValueError: when a name fits none.
    """
    scenarios = all_scenarios()
    for name in names:
        if not any(scenario.name.startswith(name) for scenario in scenarios):
            raise ValueError(f"{name}: no such scenario; there are {', '.join(one.name for one in scenarios)}")
    return [one for one in scenarios if not names or any(one.name.startswith(name) for name in names)]


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: 0 when all goals were met.
    """
    parser = argparse.ArgumentParser(prog="python -m twisted_utp.testing.scenarios", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="beginning of a scenario's name; all by default")
    parser.add_argument("-c", "--congestion", action="append", choices=congestion_controller_names())
    parser.add_argument("-l", "--list", action="store_true", help="print the names only")
    parser.add_argument("--rst", action="store_true", help="print reStructuredText, for the documentation")
    options = parser.parse_args(arguments)
    try:
        scenarios = choose(options.names)
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        for scenario in scenarios:
            print(f"{scenario.name:<16} {scenario.title}")
        return 0
    print_row = _print_rst if options.rst else _print_markdown
    print_row(*HEADINGS)
    missed = 0
    for scenario in scenarios:
        for controller in options.congestion or scenario.controllers:
            outcome = scenario.run(controller)
            missed += not outcome.met
            met = "met" if outcome.met else "**missed**"
            print_row(scenario.title, controller, outcome.text, scenario.libutp, scenario.goal, met)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
