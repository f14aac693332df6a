"""
How do the tests of all clients run: in which network, and what if a client is missing?
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
# What these tests share, the namespaces of the benchmarks, and the .torrent files of the examples.
sys.path[:0] = [str(HERE), str(CHECKOUT / "examples")]
sys.path.append(str(CHECKOUT))

from harness.client import Client  # noqa: E402
from harness.exchange import CASES, LONGEST_TRANSFER, LONGEST_TRY, Case, Exchange  # noqa: E402
from harness.network import Network, network, why_no_network  # noqa: E402

AT_ONCE = 4
"""Exchanges that run at the same time: on a lossy path they mostly wait."""


def is_missing(reason: str) -> None:
    """
    In CI what can be installed must be there, so that nobody believes that we talk to it; elsewhere tests skip.
    """
    if os.environ.get("CI"):
        pytest.fail(f"CI must have every peer: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def missing() -> Callable[[str], None]:
    """
    What to call when a client is missing, with the reason.
    """
    return is_missing


@pytest.fixture(scope="session")
def net() -> Iterator[Network]:
    """
    Two hosts between which there is no TCP.
    """
    reason = why_no_network()
    if reason is not None:
        is_missing(reason)
    with network() as made:
        yield made


@pytest.fixture(scope="module")
def client_of(
    request: pytest.FixtureRequest, net: Network, tmp_path_factory: Any, start_for_module: Any
) -> Callable[[Case], Client]:
    """
    The client that the test file names as C{CLIENT}, to be called with the case that needs it.
    """
    kind: type[Client] = request.module.CLIENT
    reason = kind.why_missing()
    if reason is not None:
        is_missing(reason)

    def start_client() -> Client:
        return kind(net, tmp_path_factory.mktemp("settings"), start_for_module)

    if not kind.is_shared:
        return lambda case: start_client()
    client = start_client()
    return lambda case: client


Outcome = Callable[[Case], None]


@pytest.fixture(scope="module")
def exchanged(
    request: pytest.FixtureRequest,
    net: Network,
    client_of: Callable[[Case], Client],
    tmp_path_factory: Any,
    start_for_module: Any,
) -> Iterator[Outcome]:
    """
    Starts all cases that were asked for, some at a time.  To be called with a case: waits for it, and fails as it did.
    """
    asked_for = [item.callspec.params for item in request.session.items if item.path == request.path]
    cases = [parameters["case"] for parameters in asked_for]

    def run(case: Case) -> None:
        for left in reversed(range(request.module.CLIENT.attempts)):
            within = LONGEST_TRY if left else LONGEST_TRANSFER
            try:
                Exchange(net, client_of(case), case, tmp_path_factory.mktemp("case"), start_for_module, within).run()
            except AssertionError:
                if not left:
                    raise
            else:
                return

    # pytest makes its base directory when it is first asked for, and two threads that ask at once both do: the later
    # one fails, or removes what is there.
    tmp_path_factory.getbasetemp()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures: dict[Case, Future[None]] = {case: pool.submit(run, case) for case in cases}
        yield lambda case: futures[case].result()
        for future in futures.values():
            future.cancel()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """
    A test with a C{case} is the whole matrix.
    """
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", CASES, ids=str)
