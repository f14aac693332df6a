"""
What does a program say that was run in a network namespace of its own?
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def account_of(module: str, offload: str) -> dict[str, Any]:
    """
    Run one of C{tests.kernel}.

    @param offload: C{"1"} for trains, C{"0"} for none.
    @return: what it says, in JSON; the test is skipped where there are no namespaces.
    """
    argv = ["unshare", "--net", sys.executable, "-m", f"tests.kernel.{module}"]
    environment = {**os.environ, "TWISTED_UTP_OFFLOAD": offload}
    try:
        ran = subprocess.run(argv, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if "unshare failed" in ran.stderr:
        pytest.skip("namespaces take more rights")
    assert ran.returncode == 0, ran.stderr
    account: dict[str, Any] = json.loads(ran.stdout)
    return account
