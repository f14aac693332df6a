"""
In which order is everything measured?
"""

from __future__ import annotations

import sys

from benchmarks.child import MeasurementFailed
from benchmarks.measure import Measure, Row, Scale


def run_measure(measure: Measure, scale: Scale, rounds: int) -> list[Row]:
    """
    Round after round, each row once a round: a busy moment of the machine hits all of them, and ratios are taken
    within a round.  What fails is reported in its row, and tried again in the next round.
    """
    cases = measure.cases(scale)
    rows = {case.label: Row(case.label, trouble=case.missing()) for case in cases}
    there = [case for case in cases if rows[case.label].trouble is None]
    for number in range(min(rounds, measure.max_rounds)):
        for case in there:
            row = rows[case.label]
            try:
                row.rounds[number] = case.run(scale)
            except MeasurementFailed as failure:
                row.trouble = f"round {number + 1} failed: {failure}"
            said = row.rounds.get(number, row.trouble)
            print(f"{measure.name}, {case.label}: {said}", file=sys.stderr, flush=True)
    return list(rows.values())
