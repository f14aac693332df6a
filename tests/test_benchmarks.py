"""
Do the benchmarks still run?  (What they say is for people to judge, on a quiet machine.)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
MEASURES = (
    "bulk", "latency-1", "latency-2", "churn", "memory", "idle-cpu", "busy", "loss", "distance", "foreign", "addresses"
)  # fmt: skip

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="CPU affinity, and /proc, are Linux's")


def test_names(start_python):
    """
    These are all measures that there are, so that none goes untested.
    """
    program = start_python(CHECKOUT / "benchmarks" / "run.py", "--list")
    program.wait_for_exit()
    assert tuple(line.split()[0] for line in program.output) == MEASURES


@pytest.mark.parametrize("name", MEASURES)
def test_tiny(start_python, tmp_path, name):
    """
    A tiny size of each: every row of ours has figures, every other has some too or says why not, and every goal has
    its verdict.
    """
    out = tmp_path / "out.json"
    program = start_python(CHECKOUT / "benchmarks" / "run.py", "--tiny", "--rounds", "1", "--only", name, "--json", out)
    program.wait_for_exit(timeout=120)
    measured = json.loads(out.read_text())["measures"][name]
    for label, row in measured["rows"].items():
        assert row["rounds"] or not label.startswith("ours") or "libutp" in label, (label, row["trouble"])
        assert row["rounds"] or row["trouble"], label
        assert all(value is not None for figures in row["rounds"] for value in figures.values()), label
    table = "\n".join(program.output)
    assert f"== {name}: " in table
    assert all(f"goal: {goal}" in table for goal in measured["goals"])
