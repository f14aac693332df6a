"""
Does whoever asks for the compiled core hear why he does not get it?

That it can be had, and does the same, is for C{.ci/run}: compiling takes two minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

CHECKOUT = Path(__file__).resolve().parents[2]
WITHOUT_COMPILER = "import sys, runpy; sys.modules['mypyc'] = None; runpy.run_path('setup.py', run_name='__main__')"


def setup(wish: str, *command: str) -> str:
    """
    Run C{setup.py}, which must refuse; what it says.
    """
    environment = {**os.environ, "TWISTED_UTP_COMPILE": wish}
    ran = subprocess.run([sys.executable, *command], cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 1
    return ran.stderr.strip()


@pytest.mark.parametrize(
    ("wish", "command", "answer"),
    [
        ("yes", ["setup.py", "--version"], "TWISTED_UTP_COMPILE=yes: expected 1, to compile the core, or 0"),
        (
            "1",
            ["setup.py", "editable_wheel"],
            "TWISTED_UTP_COMPILE=1: an editable installation cannot be compiled, as it would not follow your edits",
        ),
        (
            "1",
            ["-c", WITHOUT_COMPILER, "bdist_wheel"],
            "TWISTED_UTP_COMPILE=1: compiling needs mypy >= 2.4 in the environment that builds (",
        ),
    ],
    ids=["value", "editable", "no mypyc"],
)
def test_refusals(wish: str, command: list[str], answer: str) -> None:
    """One line, which says what to do, and nothing is built."""
    said = setup(wish, *command)
    assert said.startswith(answer) and "\n" not in said


@pytest.mark.parametrize("wish", ["", "0"])
def test_python_is_the_default(wish: str) -> None:
    """Without the variable C{setup.py} adds nothing: no extension, no requirement."""
    environment = {**os.environ, "TWISTED_UTP_COMPILE": wish}
    code = "import setup; print(setup.is_wanted())"
    ran = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    assert ran.stdout == "False\n"
