"""
What does C{benchmarks/run.py} take, and what does it do with the results?
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.measure import FULL, TINY, Measure, Row
from benchmarks.measures import MEASURES
from benchmarks.plot import draw
from benchmarks.rounds import run_measure
from benchmarks.table import format_table

Results = Mapping[str, tuple[Measure, list[Row]]]


def main(arguments: Sequence[str]) -> None:
    """
    Measure, and print a table for each measure as it is done.
    """
    options = _parse(arguments)
    by_name = {measure.name: measure for measure in MEASURES}
    if options.list:
        for measure in MEASURES:
            print(f"{measure.name:12} {measure.title}")
        return
    scale = TINY if options.tiny else FULL
    if options.mb is not None:
        scale = replace(scale, megabytes=options.mb)
    results: dict[str, tuple[Measure, list[Row]]] = {}
    for name in options.only or by_name:
        measure = by_name[name]
        rows = run_measure(measure, scale, options.rounds)
        results[name] = measure, rows
        print(format_table(measure, rows, min(options.rounds, measure.max_rounds)), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(_account(results), indent=1) + "\n")
    if options.plot is not None:
        print(draw(results, options.plot))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    names = [measure.name for measure in MEASURES]
    parser = argparse.ArgumentParser(description="twisted_utp beside its peers, on this machine.")
    parser.add_argument("--rounds", type=int, default=5, help="take the median of so many (default 5)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--mb", type=float, help=f"megabytes of a bulk transfer (default {FULL.megabytes:g})")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every round's figures there")
    parser.add_argument("--plot", type=Path, metavar="OUT.svg", help="draw them there (needs matplotlib)")
    parser.add_argument("--tiny", action="store_true", help="hardly anything of each: does it run at all?")
    parser.add_argument("--list", action="store_true", help="say which measures there are")
    return parser.parse_args(arguments)


def _account(results: Results) -> dict[str, Any]:
    """
    For machines to read: every figure of every round, and on what kind of machine; neither its name nor any path.
    """
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": {
            "cpus": len(os.sched_getaffinity(0)),
            "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
            "python": platform.python_version(),
        },
        "measures": {
            name: {
                "rows": {row.label: {"rounds": list(row.rounds.values()), "trouble": row.trouble} for row in rows},
                "goals": [goal.verdict({row.label: row for row in rows}) for goal in measure.goals],
            }
            for name, (measure, rows) in results.items()
        },
    }
