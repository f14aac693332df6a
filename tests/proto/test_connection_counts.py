"""
Are connections counted once, for as long as somebody has them?
"""

from __future__ import annotations

from random import Random

import pytest

from twisted_utp.proto.acceptance import PortLoad
from twisted_utp.proto.connection_counts import ConnectionCounts, host_prefix


def test_counts() -> None:
    """By host and in all, against a plain list, through a random history; a host without connections is forgotten."""
    rng, connection_counts, here = Random(3), ConnectionCounts(), [""] * 0
    for _ in range(2000):
        host = f"192.0.2.{rng.randrange(5)}"
        if here and rng.random() < 0.5:
            connection_counts.leave(here.pop(rng.randrange(len(here))))
        else:
            connection_counts.enter(host)
            here.append(host)
        assert connection_counts.load(host) == PortLoad(len(here), 0, here.count(host))
        assert set(connection_counts._by_host) == set(here)


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("::1", "::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("fe80::1", "fe80::1"),
        ("fe80::1%", "fe80::1%"),
        ("not: an address", "not: an address"),
    ],
)
def test_whom_limits_are_about(host: str, counted: str) -> None:
    """Whoever has an IPv6 address has its /64; neighbours on a link are one each."""
    assert host_prefix(host) == counted


def test_a_64_is_one_host() -> None:
    """However many addresses of it connect."""
    connection_counts = ConnectionCounts()
    for number in range(100):
        connection_counts.enter(f"2001:db8::{number:x}")
    assert connection_counts.with_host("2001:db8::ffff") == 100 and connection_counts.with_host("2001:db8:0:1::1") == 0
