"""
Are connections counted once, for as long as somebody has them?
"""

from __future__ import annotations

from random import Random

from twisted_utp.proto.acceptance import PortLoad
from twisted_utp.proto.census import Census


def test_counts() -> None:
    """By host and in all, against a plain list, through a random history; a host without connections is forgotten."""
    rng, census, here = Random(3), Census(), [""] * 0
    for _ in range(2000):
        host = f"192.0.2.{rng.randrange(5)}"
        if here and rng.random() < 0.5:
            census.leave(here.pop(rng.randrange(len(here))))
        else:
            census.enter(host)
            here.append(host)
        assert census.load(host) == PortLoad(len(here), 0, here.count(host))
        assert set(census._by_host) == set(here)
