"""
What does a user hear of a connection whose packets the system has refused?
"""

from __future__ import annotations

from errno import EINVAL, ENETUNREACH
from types import SimpleNamespace
from typing import Any

import pytest

from twisted_utp._refusals import REMEMBERED, Refusals
from twisted_utp.errors import UTPConnectionReset, UTPConnectionTimedOut, UTPPeerVanished

PEER = ("192.0.2.7", 9, "192.0.2.1")


def connection(last_sent_at: int) -> Any:
    """As much of one as is looked at."""
    return SimpleNamespace(address=PEER, last_sent_at=last_sent_at)


@pytest.mark.parametrize("loss", [UTPConnectionTimedOut, UTPPeerVanished])
def test_last_packet_was_refused(loss: type[UTPConnectionTimedOut]) -> None:
    """The system's reason is told; not when a later packet has left."""
    refusals, plain = Refusals(), str(loss())
    refusals.note(PEER, OSError(ENETUNREACH, "Network is unreachable"), 7)
    assert str(refusals.explain(connection(8), loss())) == plain
    explained = str(refusals.explain(connection(7), loss()))
    assert explained != plain and "nothing can be sent to it: [Errno 101] Network is unreachable" in explained


def test_address_is_gone() -> None:
    """An invalid argument is an address that was ours."""
    refusals = Refusals()
    refusals.note(PEER, OSError(EINVAL, "Invalid argument"), 7)
    assert "our address 192.0.2.1 is gone" in str(refusals.explain(connection(7), UTPConnectionTimedOut()))


def test_other_ends() -> None:
    """Who is reset hears of the reset."""
    refusals = Refusals()
    refusals.note(PEER, OSError(ENETUNREACH, "Network is unreachable"), 7)
    assert str(refusals.explain(connection(7), UTPConnectionReset())) == str(UTPConnectionReset())


def test_bounded() -> None:
    """Peers by the thousand are not all remembered; the last ones are."""
    refusals = Refusals()
    for number in range(3 * REMEMBERED):
        refusals.note((f"peer {number}", 9), OSError(ENETUNREACH, ""), number)
    assert len(refusals._last) == REMEMBERED
    assert (f"peer {3 * REMEMBERED - 1}", 9) in refusals._last
