"""
What do the rows about neighbours see?  Shorter than the command's, and on slower lines.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twisted_utp.testing.scenarios.__main__ import main
from twisted_utp.testing.scenarios.neighbour import Row, alone, beside, shares, weather
from twisted_utp.testing.scenarios.neighbour import table as neighbour
from twisted_utp.testing.scenarios.neighbour.line import Line, config_of

SLOW = Line(rate=5)


def test_alone() -> None:
    """The line is full, and the queue stands at the target."""
    seen = alone.alone("ledbat++", line=Line(rate=4), seconds=12, since=3)
    assert seen["used"] >= 0.97 and not seen["drops"]
    assert 55 <= seen["p50"] <= 70 and seen["p95"] <= 75


def test_target_is_the_queue() -> None:
    """C{NAME@MS} sets it."""
    assert alone.alone("ledbat++@20", line=SLOW, seconds=8, since=4)["p50"] < 40


def test_page() -> None:
    """A standing queue makes a page wait."""
    seen = beside.page("ledbat++", line=Line(rate=8), pages=1, head=4)
    assert 1.2 < seen["ratio"] < 2.2 and 0.1 < seen["held"] < 0.9


@pytest.mark.parametrize("window", ["cubic", "bbr", "reno"])
def test_download(window: str) -> None:
    """What yields by delay costs a TCP something, not much, and is back at once."""
    seen = beside.completion("ledbat++", window=window, line=SLOW, seconds=4, head=4)
    assert 1.0 <= seen["ratio"] < 1.6 and seen["held"] < 0.4
    assert seen["regained"] <= 1


def test_kept() -> None:
    """The same, seen as a rate."""
    assert 0.6 < beside.kept("ledbat++", line=SLOW, seconds=6, head=4) < 1


def test_call() -> None:
    """It waits in the queue that stands."""
    seen = beside.call("ledbat++", line=SLOW, seconds=8, head=4)
    assert 55 <= seen["p50"] <= seen["p95"] <= 75


def test_fairness() -> None:
    """Two flows share, in one queue."""
    seen = shares.fairness("ledbat++", settle=6, last=6, line=SLOW)
    assert seen["jain"] >= 0.95 and seen["used"] >= 0.95


def test_beside_others() -> None:
    """LEDBAT aims for a longer queue, so it takes what LEDBAT++ leaves to it, whoever was first."""
    seen = shares.beside_other("ledbat++", other="ledbat", settle=3, last=3, line=Line(rate=2))
    assert seen["least"] < 0.5 and seen["first"] < 0.5


def test_libutp_like() -> None:
    """Its queue stands at 100 ms, and it needs many round trips to find the line's window."""
    seen = alone.alone("libutp-like", line=Line(rate=4), seconds=12, since=6)
    assert 90 <= seen["p50"] <= 115 and seen["used"] > 0.97
    fast = alone.alone("libutp-like", line=Line(rate=20), seconds=3)
    assert fast["used"] < 0.9


@pytest.mark.parametrize("line", [Line(rate=5, wifi=True), Line(rate=5, jitter=20)])
def test_jitter(line: Line) -> None:
    """It costs the line nothing that matters."""
    assert alone.alone("ledbat++", line=line, seconds=8)["used"] >= 0.9


def test_cellular() -> None:
    """Most of the trace is used, and what uses it by delay is not as long in the base station."""
    gentle, greedy = (weather.cellular(name, "3g", seconds=30) for name in ("ledbat++", "cubic"))
    assert gentle["used"] >= 0.7 and gentle["p95"] < greedy["p95"] / 2


@pytest.mark.parametrize("longer", [True, False])
def test_route(longer: bool) -> None:
    """The line is full again soon."""
    seen = weather.route("ledbat++", longer, line=SLOW, at=6, seconds=9)
    assert seen["full"] <= 1 and seen["used"] >= 0.85  # a slowdown is a large part of four seconds


def test_drift() -> None:
    """As in the older scenarios."""
    assert weather.drift("ledbat++", 1000, seconds=30)["used"] >= 0.95


@pytest.mark.parametrize("queue", ["codel", "fq_codel", "red"])
def test_behind(queue: str) -> None:
    """FQ-CoDel shares for us; the others leave it to us, and then we still take something."""
    seen = weather.behind("ledbat++", Line(rate=4, queue=queue), alone_for=6, seconds=3)
    assert seen["used"] > 0.85
    assert 0.3 < seen["held"] < 0.6 if queue == "fq_codel" else seen["held"] < 0.5


def test_unknown_controller() -> None:
    """Says which there are."""
    with pytest.raises(ValueError, match="nonsense"):
        config_of("nonsense")
    with pytest.raises(ValueError, match="NAME@MILLISECONDS"):
        config_of("ledbat@soon")


def test_names_are_unique() -> None:
    """Each row can be asked for; a whole name asks for no longer one."""
    names = [row.name for row in neighbour.choose([])]
    assert len(names) == len(set(names))
    assert [row.name for row in neighbour.choose(["call"])] == ["call"]
    with pytest.raises(ValueError, match="nonsense: no such row; there are alone-4"):
        neighbour.choose(["nonsense"])


def test_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A row for each goal, a column for each controller, a cross where it is missed; the same as JSON."""
    rows = [
        Row("one", "One", "<= 1", lambda name: {"x": float(len(name))}, "{x:.0f}", lambda seen, _: seen["x"] <= 6),
        Row(
            "two",
            "Two",
            "no worse",
            lambda name: {"x": float(len(name))},
            "{x:.0f}",
            lambda seen, today: seen["x"] <= today["x"],
            is_relative=True,
        ),
    ]
    monkeypatch.setattr("twisted_utp.testing.scenarios.neighbour.table.all_rows", lambda: rows)
    out = tmp_path / "out.json"
    assert main(["--rows", "--controller", "ledbat", "ledbat++@20", "--json", str(out)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "| scenario | goal | ledbat | ledbat++@20 |",
        "| --- | --- | --- | --- |",
        "| One | <= 1 | 6 | 11 ✗ |",
        "| Two | no worse | 6 | 11 ✗ |",
    ]
    account = json.loads(out.read_text())
    assert account[1]["controllers"]["ledbat"]["met"] is True and account[1]["controllers"]["ledbat"]["x"] == 6
    assert main(["--rows", "one", "-c", "ledbat"]) == 0
    assert main(["--rows", "--put-together", str(out), "--controller", "ledbat++@20", "cubic"]) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "| One | <= 1 | 11 ✗ | - |",
        "| Two | no worse | 11 ✗ | - |",
    ]


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Names only."""
    assert main(["--rows", "-l"]) == 0
    assert "page " in capsys.readouterr().out
