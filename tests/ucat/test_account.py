"""
What does ucat say about the path, and what does it not know?
"""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import Any

import pytest

from twisted_utp import ConnectionStats
from twisted_utp.ucat.account import Account


class Transport:
    """Of a connection that has measured what is given."""

    def __init__(self, **measured: Any) -> None:
        nothing: dict[str, Any] = {field.name: 0 for field in fields(ConnectionStats)}
        self._stats = ConnectionStats(**{**nothing, "one_way_delay": None, **measured})

    def stats(self) -> ConnectionStats:
        """See L{twisted_utp.UTPTransport.stats}."""
        return self._stats


@pytest.mark.parametrize(
    ("measured", "path"),
    [
        ({}, "0 resent"),
        ({"rtt": 1900, "packets_retransmitted": 3}, "RTT 1.9 ms, 3 resent"),
        ({"one_way_delay": 0, "queuing_delay": 0}, "queue 0.0 ms, 0 resent"),
        ({"rtt": 40, "one_way_delay": -5, "queuing_delay": 300}, "RTT 0.0 ms, queue 0.3 ms, 0 resent"),
    ],
)
def test_only_what_was_measured(measured: dict[str, Any], path: str) -> None:
    """A round trip, or a queue, that nobody has measured is not 0.0 ms: it is not told."""
    account = Account(lambda: 1.0, "server")
    account.connected(Transport(**measured), "192.0.2.7:9000")
    assert account.path() == path
    assert account.summary() == f"sent 0 B, received 0 B in 0.000 s; {path}"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0276, "0.028 s (7.25 MB/s)"), (0.5, "0.500 s (400 kB/s)"), (4.94, "4.9 s (40.5 kB/s)")]
)
def test_time(seconds: float, text: str) -> None:
    """That of a short transfer is not rounded to nothing."""
    times = iter([0.0, 0.0, seconds])
    account = Account(lambda: next(times), "client")
    account.connected(None, "192.0.2.7:9000")
    account.take(bytes(100_000))
    account.receive(bytes(100_000))
    account.ended()
    assert account.summary() == f"sent 100 kB, received 100 kB in {text}"


def test_checksums() -> None:
    """Of what passed, in each direction; of what did not, none is made up."""
    account = Account(lambda: 1.0, "client", checksums=True)
    account.connected(None, "192.0.2.7:9000")
    assert account.checksums() == {}
    account.take(b"a")
    account.take(b"b")
    assert account.checksums() == {"sent": hashlib.sha256(b"ab").hexdigest()}
    account.receive(b"c")
    assert account.checksums()["received"] == hashlib.sha256(b"c").hexdigest()
    account.connected(Transport(bytes_unsent=1), "192.0.2.7:9000")
    assert "sent" not in account.checksums()  # the peer cannot have all of it


def test_no_checksums() -> None:
    """They cost time, and so are only taken when somebody will see them."""
    account = Account(lambda: 1.0, "client")
    account.take(b"a")
    assert account.checksums() == {}
