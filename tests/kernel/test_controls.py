"""
Is measured again what the machine could not measure, and nothing else?
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.kernel import controls, stalls
from tests.kernel.controls import measure, why_not_usable
from tests.kernel.stalls import latest_wakeup

GOOD: dict[str, dict[str, Any]] = {
    "plain": {"sharing": {"ping_idle_50": 0.0004, "utp_alone": 0.1}},
    "forward": {"forward": {"ping_idle_50": 0.001}},
    "page": {"neighbours": {"page": {"without": 1.8, "beside": 50}}},
    "wire": {"wire": [{"who": "ours", "used": 0.1, "idle": 0.051}, {"who": "Twisted TCP", "used": 0.9, "idle": 0.051}]},
    "answers": {"answers": []},
}
BAD: dict[str, dict[str, Any]] = {
    "plain": {"sharing": {"ping_idle_50": 0.624}},
    "forward": {"forward": {"ping_idle_50": 0.03}},
    "page": {"neighbours": {"page": {"without": 4.1}}},
    "wire": {"wire": [{"who": "Twisted TCP", "used": 0.5, "idle": 0.05}]},
}


@pytest.mark.parametrize("run", GOOD)
def test_what_counts(run: str) -> None:
    """Only controls: what uTP has done in the run does not matter."""
    assert why_not_usable(GOOD[run], 0.02) == ""
    assert "stood still for 0.70 s" in why_not_usable(GOOD[run], 0.7)


@pytest.mark.parametrize("run", BAD)
def test_what_is_far_off(run: str) -> None:
    """A sentence for each."""
    assert why_not_usable(BAD[run], 0.0)


def test_a_slow_ping_beside_tcp() -> None:
    """The idle line of the runs with a path of their own."""
    assert "took 121 ms" in why_not_usable({"wire": [{"who": "ours", "used": 0.9, "idle": 0.121}]}, 0.0)


@pytest.mark.filterwarnings("ignore:the machine could not measure")
@pytest.mark.parametrize("bad", [0, 1, 2, 3])
def test_again(bad: int) -> None:
    """So many times that a run is unusable; the others are measured once."""
    asked: list[list[str]] = []

    def take(runs: Any) -> Any:
        asked.append(list(runs))
        return {run: ((BAD if run == "plain" and len(asked) <= bad else GOOD)[run], 0.0) for run in runs}

    measured = measure({"plain": [], "forward": []}, take)
    assert asked == [["plain", "forward"], *[["plain"]] * min(bad, controls.ATTEMPTS - 1)]
    assert measured["forward"] is GOOD["forward"]
    if bad < controls.ATTEMPTS:
        assert measured["plain"] is GOOD["plain"]
    else:
        with pytest.raises(AssertionError, match=r"could not measure 'plain', 3 times: a ping .* took 624 ms"):
            measured["plain"]


def test_the_latest_wakeup() -> None:
    """By so much is it late, whenever that was."""
    times = iter([10.0, 10.01, 11.0, 11.71, 12.0, 12.02])
    left = iter([False, False, False, True])
    assert latest_wakeup(lambda: next(left), lambda _: None, lambda: next(times)) == pytest.approx(0.7)


def test_the_stall_meter() -> None:
    """It ends with its input, and says a number."""
    with subprocess.Popen(
        [sys.executable, stalls.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as meter:
        assert float(meter.communicate(timeout=30)[0]) >= 0
