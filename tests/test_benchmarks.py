"""
Do the benchmarks still run?  (What they say is for people to judge, on a quiet machine.)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.bottleneck import long_wire
from benchmarks.bottleneck.pauses import INTERVAL, PAUSE, Pauses
from benchmarks.bottleneck.uploads import WAYS, main
from benchmarks.measure import Column, Measure, Row
from benchmarks.plot import draw, reference

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


def test_picture_of_uploads(tmp_path):
    """
    What the lab has written, in one file or in several, becomes one picture that names everybody.
    """
    pytest.importorskip("matplotlib")
    for number, who in enumerate(WAYS):
        pings = [(index / 50, 50.0 + 40 * number * (index > 0)) for index in range(-100, 700)]
        upload = {
            "who": who,
            "congestion": "",
            "pings": pings,
            "rate": 19.0,
            "p50": 40.0 * number,
            "p95": 41.0 * number,
        }
        (tmp_path / who).write_text(json.dumps({"uploads": [upload]}))
    main([*(str(tmp_path / who) for who in WAYS), str(tmp_path / "out.svg")])
    drawn = (tmp_path / "out.svg").read_text()
    assert all(name in drawn for name in ("CUBIC", "BBR", "libutp", "Twisted uTP", "120 ms more"))
    assert [one["who"] for one in json.loads((tmp_path / "out.json").read_text())["uploads"]] == list(WAYS)


def test_picture_of_the_measures(tmp_path):
    """
    Bars start at zero and are multiples of one row; it is said which way is better, and what is cut off.
    """
    pytest.importorskip("matplotlib")
    rows = [Row("ours", {0: {"MB/s": 10.0}}), Row("TCP", {0: {"MB/s": 20.0}}), Row("far", {0: {"MB/s": 1000.0}})]
    measure = Measure("bulk", "one way", "", [Column("MB/s")], lambda scale: [], [], higher_is_better=False)
    alone = Measure("idle", "nobody else", "", [Column("MB/s")], lambda scale: [], [])
    draw({"bulk": (measure, rows), "idle": (alone, rows[:1])}, tmp_path / "out.svg")
    drawn = (tmp_path / "out.svg").read_text()
    for text in ("shorter is better", "1 = ours", "2 x (20)", "//  100 x"):
        assert f"<!-- {text} -->" in drawn or text in drawn, text
    assert "nobody else" not in drawn
    assert reference(measure, [("TCP", 1.0), ("ours, one UDP port", 2.0)]) == ("ours, one UDP port", 2.0)


def test_the_long_wire_without_a_compiler(monkeypatch):
    """
    The lab goes on without the program in C, if none can be made.
    """
    monkeypatch.setattr(long_wire.shutil, "which", lambda name: None)
    assert long_wire.compiled.__wrapped__() is None
    monkeypatch.setattr(long_wire.shutil, "which", lambda name: "/bin/false")
    assert long_wire.compiled.__wrapped__() is None


def test_pauses_of_the_machine(capsys):
    """
    A wake-up that is late by some milliseconds is one; the lab's rows say how many there were in a second.
    """
    now = [100.0]
    pauses = Pauses(lambda: now[0])

    def look(late):
        def sleep(seconds):
            now[0] += seconds + late

        pauses.look(sleep)

    for late in (0.0, PAUSE / 2, PAUSE * 1.01, 0.05):
        look(late)
    assert (pauses.count, pauses.longest) == (2, pytest.approx(0.05))
    now[0] = 104.0
    pauses.report()
    assert json.loads(capsys.readouterr().out)["per_second"] == pytest.approx(0.5)
    assert pauses.longest < 0.05 + INTERVAL
