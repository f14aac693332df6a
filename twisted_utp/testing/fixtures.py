"""
Fixtures for pytest: two reactors in virtual time, and errors in the log that fail a test.

Ask for them in a C{conftest.py} or in a test's module::

    pytest_plugins = ["twisted_utp.testing.fixtures"]

They are not an entry point, so who does not ask for them imports nothing.  Tests that use them are plain functions:
C{reactor_pair.wait_for(deferred)} runs the virtual network until the L{Deferred
<twisted.internet.defer.Deferred>} fires, and returns at once in real time.  They live beside tests that pytest-twisted
runs on the real reactor; one test should not do both, because virtual time stands still while the real reactor runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp.testing.reactor_pair import ReactorPair


@pytest.fixture
def flush_logged_errors() -> Iterator[Callable[..., list[Failure]]]:
    """
    A function like C{flushLoggedErrors} of C{trial}: it returns the failures of the given types (of all without any)
    that the test has logged so far, and forgets them.  A test fails at its end when there are others: what an
    application raises in C{dataReceived}, say, is only logged, and would go unnoticed.
    """
    logged: list[Failure] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            logged.append(failure)

    def flush(*types: type[BaseException]) -> list[Failure]:
        flushed = [failure for failure in logged if not types or failure.check(*types)]
        logged[:] = [failure for failure in logged if failure not in flushed]
        return flushed

    globalLogPublisher.addObserver(observe)
    yield flush
    globalLogPublisher.removeObserver(observe)
    if logged:
        pytest.fail(f"the test logged {len(logged)} errors, the first of them:\n{logged[0].getTraceback()}")


@pytest.fixture
def make_reactor_pair(flush_logged_errors: Callable[..., list[Failure]]) -> Iterator[Callable[..., ReactorPair]]:
    """
    A function that makes L{ReactorPair}s, with its arguments: C{make_reactor_pair(link={"loss": 0.02}, seed=3)}.
    They are stopped when the test ends.
    """
    with ExitStack() as stack:

        def make(**settings: Any) -> ReactorPair:
            pair = ReactorPair(**settings)
            stack.callback(pair.stop)
            return pair

        yield make


@pytest.fixture
def reactor_pair(make_reactor_pair: Callable[..., ReactorPair]) -> ReactorPair:
    """
    A L{ReactorPair} with its default links: 10 ms each way, without loss and without a bottleneck.
    """
    return make_reactor_pair()
