"""
Does the NAT box rewrite, refuse and forget as it should?
"""

from __future__ import annotations

from typing import Any

import pytest

from twisted_utp.testing.link import Link
from twisted_utp.testing.nat import FIRST_MAPPED_PORT, NAT
from twisted_utp.testing.network import Network
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.simulator import Simulator

INSIDE, OUTSIDE, OTHER, PUBLIC = "192.168.0.2", "10.0.0.2", "10.0.0.3", "1.2.3.4"


class House:
    """One host behind a box, two outside."""

    def __init__(self, *, symmetric: bool = False, timeout: int | None = None) -> None:
        self.simulator = Simulator()
        network = Network(self.simulator)
        self.nat = NAT(self.simulator, PUBLIC, symmetric=symmetric, timeout=timeout)
        inside = network.add_host(INSIDE)
        self.got: list[Packet] = []
        self.heard: list[Packet] = []
        self.inner = inside.bind(self.got.extend, 1000)
        self.outer = []
        for address in (OUTSIDE, OTHER):
            host = network.add_host(address)
            self.outer.append(host.bind(self.heard.extend, 2000))
            up, down = Link(self.simulator), Link(self.simulator)
            network.add_path(INSIDE, address, [self.nat.outbound, up])
            network.add_path(address, PUBLIC, [down, self.nat.inbound])

    def send(self, number: int = 0) -> int:
        """Send from the inside, and say from which port it came out."""
        self.inner.send(b"x", self.outer[number].address)
        self.simulator.run()
        assert self.heard[-1].source[0] == PUBLIC
        return self.heard[-1].source[1]

    def answer(self, port: int, number: int = 0) -> bool:
        """Send to a public port, and say whether it got in."""
        before = len(self.got)
        self.outer[number].send(b"y", (PUBLIC, port))
        self.simulator.run()
        return len(self.got) > before


def test_cone() -> None:
    """One port for all destinations, and everybody gets in."""
    house = House()
    assert house.send(0) == house.send(1) == FIRST_MAPPED_PORT
    assert house.answer(FIRST_MAPPED_PORT, 0) and house.answer(FIRST_MAPPED_PORT, 1)


def test_symmetric() -> None:
    """A port for each destination, which only that one gets in through."""
    house = House(symmetric=True)
    first, second = house.send(0), house.send(1)
    assert first != second
    assert house.answer(first, 0) and not house.answer(first, 1)
    assert house.nat.refused == 1


def test_rebind() -> None:
    """The old port is dead, the next packet leaves from a new one."""
    house = House()
    old = house.send()
    house.nat.rebind()
    assert not house.answer(old)
    new = house.send()
    assert new != old and house.answer(new)


def test_timeout() -> None:
    """A mapping that was silent for too long is forgotten."""
    house = House(timeout=30_000_000)
    old = house.send()
    house.simulator.run_for(20_000_000)
    assert house.send() == old
    house.simulator.run_for(31_000_000)
    assert not house.answer(old)
    assert house.send() != old


def test_leads_nowhere() -> None:
    """A box that no path leads over says so."""
    nat = NAT(Simulator(), PUBLIC)
    with pytest.raises(AssertionError, match="leads nowhere"):
        nat.outbound.send([Packet(b"", (INSIDE, 1), (OUTSIDE, 2))])


@pytest.mark.parametrize(
    ("filtering", "lets_in"), [("anyone", [1, 1, 1]), ("address", [1, 1, 0]), ("port", [1, 0, 0]), (None, [1, 1, 1])]
)
def test_filtering(filtering: str | None, lets_in: list[int]) -> None:
    """Who gets in through a mapping: whoever was sent to, others at that address, others at all (RFC 4787)."""
    simulator = Simulator(1)
    network = Network(simulator)
    inside, outside, stranger = (network.add_host(name) for name in ("192.168.0.2", "1.1.1.1", "2.2.2.2"))
    nat = NAT(simulator, "9.9.9.9", filtering=filtering)
    network.add_path("192.168.0.2", "1.1.1.1", [nat.outbound])
    network.add_path("1.1.1.1", "9.9.9.9", [nat.inbound])
    network.add_path("2.2.2.2", "9.9.9.9", [nat.inbound])
    arrived: list[bytes] = []
    seen: list[Any] = []
    port = inside.bind(lambda packets: arrived.extend(packet.data for packet in packets))
    known = outside.bind(lambda packets: seen.extend(packets), 1)
    port.send(b"out", known.address)
    simulator.run_for(1)
    for number, source in enumerate((known, outside.bind(seen.extend, 2), stranger.bind(seen.extend, 1))):
        source.send(b"%d" % number, seen[0].source)
        simulator.run_for(1)
    assert [int(b"%d" % number in arrived) for number in range(3)] == lets_in
    assert nat.refused == lets_in.count(0)


def test_unknown_filtering() -> None:
    """There are three."""
    with pytest.raises(ValueError, match="filtering='cone': expected anyone, address or port"):
        NAT(Simulator(1), "9.9.9.9", filtering="cone")
