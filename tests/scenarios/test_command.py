"""
Does the command print its table?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.scenarios import Outcome, all_scenarios, repair
from twisted_utp.testing.scenarios.__main__ import choose, main


def test_names_are_unique() -> None:
    """Each scenario can be asked for."""
    names = [scenario.name for scenario in all_scenarios()]
    assert len(names) == len(set(names)) > 20


def test_row(capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each scenario and controller; the exit code says whether all goals were met."""
    assert main(["-c", "ledbat", "-c", "ledbat++", "lost-last"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 4 and all(row.endswith("| met |") for row in rows[2:])


def test_missed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A goal that was missed is said to be missed."""
    scenario = next(one for one in repair.SCENARIOS if one.name == "lost-syn-ack")
    monkeypatch.setattr(
        "twisted_utp.testing.scenarios.__main__.choose",
        lambda names: [type(scenario)("x", "X", "-", "-", lambda controller: Outcome("no", False, {}))],
    )
    assert main([]) == 1
    assert "**missed**" in capsys.readouterr().out


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Names only."""
    assert main(["-l", "lost"]) == 0
    assert "lost-syn-ack" in capsys.readouterr().out


def test_unknown_name() -> None:
    """Says which there are."""
    with pytest.raises(ValueError, match="nonsense: no such scenario; there are deep-buffer"):
        choose(["nonsense"])
