"""
Which scenarios meet their goals?  Prints the table::

    python -m twisted_utp.testing.scenarios [-c CONTROLLER] [-l] [--rst] [NAME ...]
    python -m twisted_utp.testing.scenarios --rows [ROW ...] [--controller CONTROLLER ...] [-l] [--rst] [--json OUT]
    python -m twisted_utp.testing.scenarios --rows --put-together JSON ... [--controller CONTROLLER ...] [--rst]

The second form is about neighbours: a row for each goal, a column for each controller.  The third makes one table of
the JSON of several such runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.congestion.base import congestion_controller_names
from twisted_utp.testing.scenarios.neighbour import table as neighbour
from twisted_utp.testing.scenarios.scenario import Scenario, all_scenarios

HEADINGS = ("scenario", "controller", "ours now", "libutp measured", "goal", "")
WIDTHS = "26 9 25 15 20 5"
RST_TITLE = """.. list-table::
   :header-rows: 1
   :widths: {}
"""


def _print_markdown(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _print_head(headings: Sequence[str], widths: str, rst: bool) -> None:
    if rst:
        print(RST_TITLE.format(widths))
        _print_rst(*headings)
    else:
        _print_markdown(*headings)
        _print_markdown(*["---"] * len(headings))


def _print_rst(*cells: str) -> None:
    """
    A row of a list-table of reStructuredText.
    """
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
    known = ", ".join(congestion_controller_names())
    parser.add_argument(
        "-c",
        "--congestion",
        action="append",
        metavar="CONTROLLER",
        help=f"one of {known}; NAME@MS is one with that target (--rows only)",
    )
    parser.add_argument(
        "--controller", action="extend", dest="congestion", nargs="+", metavar="CONTROLLER", help="several of them"
    )
    parser.add_argument("-l", "--list", action="store_true", help="print the names only")
    parser.add_argument("--rst", action="store_true", help="print reStructuredText, for the documentation")
    parser.add_argument(
        "--rows", nargs="*", metavar="ROW", help="the goals about neighbours, or those that begin so; all by default"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there (--rows only)")
    parser.add_argument(
        "--put-together", nargs="+", type=Path, metavar="JSON", help="of earlier runs, instead of running (--rows only)"
    )
    options = parser.parse_args(arguments)
    try:
        return _scenarios(options) if options.rows is None else _rows(options)
    except ValueError as error:
        parser.error(str(error))


def _scenarios(options: argparse.Namespace) -> int:
    known = congestion_controller_names()
    for controller in options.congestion or ():
        if controller not in known:
            raise ValueError(f"{controller}: no such controller; there are {', '.join(known)}")
    scenarios = choose(options.names)
    if options.list:
        for scenario in scenarios:
            print(f"{scenario.name:<16} {scenario.title}")
        return 0
    _print_head(HEADINGS, WIDTHS, options.rst)
    print_row = _print_rst if options.rst else _print_markdown
    missed = 0
    for scenario in scenarios:
        for controller in options.congestion or scenario.controllers:
            outcome = scenario.run(controller)
            missed += not outcome.met
            met = "met" if outcome.met else "**missed**"
            print_row(scenario.title, controller, outcome.text, scenario.libutp, scenario.goal, met)
    return 1 if missed else 0


def _rows(options: argparse.Namespace) -> int:
    rows = neighbour.choose([*options.rows, *options.names])
    controllers = options.congestion or [UTPConfig().congestion]
    if options.list:
        for row in rows:
            print(f"{row.name:<16} {row.title}")
        return 0
    results = []
    table = neighbour.table(rows, controllers)
    if options.put_together:
        table = neighbour.put_together([path.read_text() for path in options.put_together], rows, controllers)
    for number, (row, cells) in enumerate(table):
        if not number:
            widths = " ".join(["30", "14", *["20"] * len(controllers)])
            _print_head(["scenario", "goal", *controllers], widths, options.rst)
        print_row = _print_rst if options.rst else _print_markdown
        print_row(row.title, row.goal, *map(neighbour.mark, cells))
        results.append((row, cells))
    if options.json is not None:
        options.json.write_text(neighbour.as_json(results, controllers))
    return 0 if all(cell.met for _, cells in results for cell in cells) else 1


if __name__ == "__main__":
    sys.exit(main())
