"""
An interface goes down in the middle of a transfer: is it as with TCP when it comes up again, or does not in time?
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


@pytest.fixture(scope="module")
def accounts() -> dict[str, Any]:
    """What C{interface_down.py} says, with trains and without, at the same time."""
    argv = ["unshare", "--net", sys.executable, "-m", "tests.kernel.interface_down"]
    try:
        programs = {
            offload: subprocess.Popen(
                argv,
                cwd=CHECKOUT,
                env={**os.environ, "TWISTED_UTP_OFFLOAD": offload},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for offload in ("1", "0")
        }
    except FileNotFoundError:
        pytest.skip("no unshare here")
    said = {offload: program.communicate(timeout=120) for offload, program in programs.items()}
    if any("unshare failed" in errors for _, errors in said.values()):
        pytest.skip("namespaces take more rights")
    for offload, (_, errors) in said.items():
        assert programs[offload].returncode == 0, errors
    return {offload: json.loads(output) for offload, (output, _) in said.items()}


@pytest.fixture(params=["1", "0"], ids=["offload", "plain"])
def told(accounts: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    """By one of them."""
    account: dict[str, Any] = accounts[request.param]
    return account


def test_transfers_go_on(told: dict[str, Any]) -> None:
    """Nothing passed while it was down, and every byte afterwards; over IPv6 the address has been away, too."""
    assert all(have < told["length"] for have in told["down"])
    assert told["exact"] == [True, True]


def test_the_impatient_hear_why(told: dict[str, Any]) -> None:
    """Where the user timeout is over first the connection ends, and the system's reason is told."""
    expected = ("[Errno 101] Network is unreachable", "our address 2001:db8:1::1 is gone")
    for reason, words in zip(told["ended"], expected, strict=True):
        assert reason.startswith("UTPConnectionTimedOut: ")
        assert f"the peer stopped answering: nothing can be sent to it: {words}" in reason


def test_no_busy_loop(told: dict[str, Any]) -> None:
    """What cannot be sent is tried again as seldom as what is lost, and is not logged each time."""
    assert told["used"] < 0.25 * told["seconds"]
    # Each of the four strings with settings of their own has a port.
    assert len([line for line in told["logged"] if "cannot send" in line]) <= 4
