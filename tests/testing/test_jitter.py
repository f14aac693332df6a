"""
Does a radio hold packets back as one does?
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from twisted_utp.testing.jitter import WiFi
from twisted_utp.testing.link import Link
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.simulator import Simulator


def bursts(seconds: int, *, every: int = 600, **settings: int) -> list[tuple[int, int]]:
    """When, and how many packets came out together, of one each so many µs."""
    simulator = Simulator(3)
    came: list[tuple[int, int, int]] = []
    numbers: list[int] = []
    link = Link(simulator, lambda packets: arrived(packets), jitter=WiFi(**settings))

    def arrived(packets: list[Packet]) -> None:
        numbers.extend(int.from_bytes(packet.data, "big") for packet in packets)
        came.append((simulator.now, len(packets), 0))

    for number in range(seconds * 1_000_000 // every):
        packet = Packet(number.to_bytes(4, "big"), ("10.0.0.1", 1), ("10.0.0.2", 2), 1500)
        simulator.call_at(simulator.now + number * every, link.send, [packet])
    simulator.run()
    assert numbers == sorted(numbers), "order is kept"
    return [(when, count) for when, count, _ in came]


def test_aggregates() -> None:
    """One burst each 3.5 ms on average, of all that came meanwhile."""
    came = bursts(10, stall=0, stalls_every=10**9)
    gaps = [b[0] - a[0] for a, b in pairwise(came)]
    assert min(gaps) >= 1_000 and max(gaps) <= 6_000
    assert sum(gaps) / len(gaps) == pytest.approx(3_500, rel=0.05)
    assert max(count for _, count in came) >= 9


def test_stalls() -> None:
    """Now and then nothing for 20 ms, then all at once."""
    came = bursts(20)
    gaps = [b[0] - a[0] for a, b in pairwise(came)]
    stalls = [gap for gap in gaps if gap > 10_000]
    assert set(stalls) == {20_000}
    assert len(stalls) == pytest.approx(20 / 0.7, rel=0.3)
    assert max(count for _, count in came) >= 30


def test_single_packets() -> None:
    """After a pause the channel is free."""
    wifi = WiFi()
    random = Random(1)
    assert wifi.sample_at(10_000_000, random) == 0
    assert wifi.sample_at(10_000_001, random) > 0
    assert wifi.sample_at(11_000_000, random) == 0


def test_turns() -> None:
    """Bad ones are refused."""
    with pytest.raises(ValueError, match="expected 0 < least <= most"):
        WiFi(turns=(5, 2))
