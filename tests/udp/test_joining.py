"""
Are small datagrams joined where a kernel can cut them again, and nowhere else?
"""

from __future__ import annotations

from random import Random

import pytest

from twisted_utp.proto.values import Address, Transmit
from twisted_utp.udp.joining import SMALL, joined

HERE: Address = ("192.0.2.1", 1)
THERE: Address = ("192.0.2.1", 2)


def one(nbytes: int, address: Address = HERE, *, dont_fragment: bool = False) -> Transmit:
    """A datagram."""
    return Transmit(address, bytes([nbytes & 0xFF]) * nbytes, nbytes, 1, dont_fragment)


def train(size: int, count: int) -> Transmit:
    """Several that belong together already."""
    return Transmit(HERE, bytes(size * count), size, count)


@pytest.mark.parametrize(
    ("transmits", "counts"),
    [
        ([one(20)] * 3, [3]),
        ([one(21), one(20)], [2]),  # the last one may be shorter
        ([one(21), one(20), one(20)], [2, 1]),
        ([one(20), one(21)], [1, 1]),
        ([one(20), one(20, THERE)], [1, 1]),
        ([one(20), one(20, THERE), one(20)], [1, 1, 1]),  # in order
        ([one(SMALL), one(SMALL)], [2]),
        ([one(SMALL + 1), one(SMALL + 1)], [1, 1]),
        ([one(20), train(20, 2), one(20)], [1, 2, 1]),
        ([one(20), one(20, dont_fragment=True), one(20)], [1, 1, 1]),
        ([one(20)] * 9, [4, 4, 1]),
        ([], []),
    ],
)
def test_what_is_joined(transmits: list[Transmit], counts: list[int]) -> None:
    """Small ones of a length, for one address, one after the other."""
    assert [made.count for made in joined(transmits, 4)] == counts


def test_nothing_changes_on_the_wire() -> None:
    """Whatever leaves, its datagrams and their order stay the same."""
    random = Random(1)
    for _ in range(200):
        sizes = [random.choice((20, 20, 21, 30, 1400)) for _ in range(random.randrange(12))]
        transmits = [one(size, random.choice((HERE, THERE)), dont_fragment=random.random() < 0.1) for size in sizes]
        made = joined(transmits, 4)
        expected = [(transmit.address, transmit.payload, transmit.dont_fragment) for transmit in transmits]
        assert [(at.address, part, at.dont_fragment) for at in made for part in at.segments()] == expected
        assert all(len(at.segments()) == at.count for at in made)
