"""
Do our exceptions pass for those that applications check?
"""

from __future__ import annotations

import os
from errno import ECONNREFUSED, EHOSTUNREACH
from typing import Any

import pytest
from twisted.internet import error

from twisted_utp.errors import UTPConnectionReset, UTPConnectionTimedOut, UTPPeerForged, UTPPeerVanished, loss_exception
from twisted_utp.proto.events import ConnectionLost, LossReason

EXPECTED = {
    LossReason.DONE: error.ConnectionDone,
    LossReason.RESET: UTPConnectionReset,
    LossReason.TIMED_OUT: UTPConnectionTimedOut,
    LossReason.ABORTED: error.ConnectionAborted,
    LossReason.REFUSED: error.ConnectionRefusedError,
    LossReason.CONNECT_TIMED_OUT: error.TimeoutError,
    LossReason.UNREACHABLE: error.NoRouteError,
    LossReason.FORGED: UTPPeerForged,
    LossReason.VANISHED: UTPPeerVanished,
    LossReason.FAULT: error.ConnectionLost,
}


@pytest.mark.parametrize("reason", LossReason)
def test_every_reason_has_an_exception(reason: LossReason) -> None:
    """Each way to lose a connection has its exception, with a readable text."""
    exception = loss_exception(ConnectionLost(reason))
    assert type(exception) is EXPECTED[reason] and str(exception)


def test_they_are_what_twisted_raises() -> None:
    """A reset is a ConnectionLost; a connection that timed out is that and a TimeoutError."""
    assert issubclass(UTPConnectionReset, error.ConnectionLost)
    assert issubclass(UTPConnectionTimedOut, error.ConnectionLost)
    assert issubclass(UTPConnectionTimedOut, error.TimeoutError)
    assert issubclass(UTPPeerVanished, UTPConnectionTimedOut)


def test_fault() -> None:
    """Whose controller raised hears what."""
    fault = SystemExit(3)
    assert loss_exception(ConnectionLost(LossReason.FAULT, fault=fault)) is fault


def test_close_code() -> None:
    """A reset tells the close reason that libtorrent gave."""
    exception: Any = loss_exception(ConnectionLost(LossReason.RESET, 7))
    assert exception.close_code == 7 and "7" in str(exception)


@pytest.mark.parametrize(
    ("reason", "number"), [(LossReason.REFUSED, ECONNREFUSED), (LossReason.UNREACHABLE, EHOSTUNREACH)]
)
def test_error_numbers(reason: LossReason, number: int) -> None:
    """Connect errors have the number and the text that the kernel gives for TCP."""
    exception = loss_exception(ConnectionLost(reason))
    assert isinstance(exception, error.ConnectError)
    assert exception.osError == number and os.strerror(number) in str(exception)
