"""
Does a connection come about through two NATs, and only one?
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError
from twisted.internet.protocol import Factory, Protocol

from twisted_utp import UTPClientEndpoint, UTPConfig, UTPProtocol
from twisted_utp.testing import MILLISECOND, NAT, Link, Network, Simulator
from twisted_utp.testing.reactor import SimulatedReactor

MEETING = "198.51.100.1"
KINDS: dict[str, dict[str, Any]] = {
    "full cone": {},
    "address": {"filtering": "address"},
    "port": {"filtering": "port"},
    "symmetric": {"symmetric": True},
}
IMPOSSIBLE = {("symmetric", "port"), ("port", "symmetric"), ("symmetric", "symmetric")}


class Peer:
    """
    A program behind a NAT, which listens.

    @ivar listener: builds the protocols of connections that come in of themselves; C{dialler} the punched ones.
    """

    def __init__(self, country: Country, inside: str, nat: NAT, building: Any) -> None:
        self.country, self.inside, self.nat = country, inside, nat
        self.reactor = SimulatedReactor(country.network.add_host(inside))
        self.protocol = UTPProtocol(self.reactor)
        self.reactor.listenUDP(6881, self.protocol)
        self.listener, self.dialler = building(), building()
        self.protocol.listen(self.listener)
        self.result: list[Any] = []
        self.seen_as: tuple[str, int] | None = None

    def meet(self) -> None:
        """Connect to the meeting point, and learn there how one looks from outside."""
        told: Deferred[bytes] = Deferred()
        factory = Factory.forProtocol(lambda: Learning(told))
        self.reactor.wait_for(UTPClientEndpoint.overProtocol(self.protocol, MEETING, 3000).connect(factory))
        host, port = self.reactor.wait_for(told).decode().split()
        self.seen_as = (host, int(port))

    def punch(self, other: Peer, **keywords: Any) -> None:
        """Call it."""
        assert other.seen_as is not None
        self.protocol.punch(self.dialler, *other.seen_as, **keywords).addBoth(self.result.append)

    @property
    def live(self) -> list[Any]:
        """Protocols with a connection, other than to the meeting point."""
        return [one for one in self.listener.built + self.dialler.built if one.reason is None]


class Learning(Protocol):
    """Hears one line."""

    def __init__(self, told: Deferred[bytes]) -> None:
        self.told = told

    def connectionMade(self) -> None:
        self.transport.write(b"who am I?")

    def dataReceived(self, data: bytes) -> None:
        self.told.callback(data)


class Telling(Protocol):
    """Tells each peer how it looks."""

    def dataReceived(self, data: bytes) -> None:
        peer = self.transport.getPeer()
        self.transport.write(f"{peer.host} {peer.port}".encode())


class Country:
    """Two peers behind NATs of their own, and a meeting point that all can reach."""

    def __init__(self, one: str, other: str, building: Any, *, delays: tuple[int, int] = (20, 20)) -> None:
        self.simulator = Simulator(seed=4)
        self.network = Network(self.simulator)
        nats = [
            NAT(self.simulator, address, **KINDS[kind])
            for address, kind in (("203.0.113.1", one), ("203.0.113.2", other))
        ]
        self.a, self.b = (Peer(self, f"192.168.{number}.2", nats[number], building) for number in (0, 1))
        meeting = SimulatedReactor(self.network.add_host(MEETING))
        protocol = UTPProtocol(meeting)
        meeting.listenUDP(3000, protocol)
        protocol.listen(Factory.forProtocol(Telling))
        for peer in (self.a, self.b):
            self.network.add_path(peer.inside, MEETING, [peer.nat.outbound, self.link(10)])
            self.network.add_path(MEETING, peer.nat.address, [self.link(10), peer.nat.inbound])
        for near, far, delay in ((self.a, self.b, delays[0]), (self.b, self.a, delays[1])):
            self.network.add_path(near.inside, far.nat.address, [near.nat.outbound, self.link(delay), far.nat.inbound])
        for peer in (self.a, self.b):
            peer.meet()

    def link(self, milliseconds: int) -> Link:
        return Link(self.simulator, delay=milliseconds * MILLISECOND)

    def run(self, seconds: float) -> None:
        self.simulator.run_for(round(seconds * 1_000_000))


def assert_one_connection(country: Country) -> None:
    """Each side has one, what punch() gave, and they are the two ends of the same."""
    a, b = country.a, country.b
    assert a.result == a.live and b.result == b.live
    for near, far in ((a, b), (b, a)):
        near.result[0].transport.write(b"from " + near.inside.encode())
        country.run(1)
        assert far.result[0].data == b"from " + near.inside.encode()
    country.run(90)  # neither does a second one turn up, nor does this one end
    assert a.result == a.live and b.result == b.live


@pytest.mark.parametrize("late", [0, 0.005, 0.3, 1.7])
@pytest.mark.parametrize("other", KINDS)
@pytest.mark.parametrize("one", KINDS)
def test_nats(machines: Any, one: str, other: str, late: float) -> None:
    """NATs of all kinds in front of both, whoever hears of the other first, however late the other hears of it."""
    country = Country(one, other, machines.Building)
    country.a.punch(country.b)
    country.run(late)
    country.b.punch(country.a)
    country.run(40)
    if (one, other) in IMPOSSIBLE:
        assert [reason.type for reason in country.a.result + country.b.result] == [TimeoutError] * 2
        assert country.a.live == country.b.live == []
    else:
        assert_one_connection(country)


@pytest.mark.parametrize("delays", [(5, 80), (80, 5)])
def test_uneven_paths(machines: Any, delays: tuple[int, int]) -> None:
    """One direction may be far slower than the other."""
    country = Country("port", "port", machines.Building, delays=delays)
    country.a.punch(country.b)
    country.b.punch(country.a)
    country.run(5)
    assert_one_connection(country)


def test_without_listening(machines: Any) -> None:
    """Programs that listen to nobody can punch as well; from the wrong port nobody else gets in afterwards."""
    country = Country("address", "symmetric", machines.Building)
    for peer in (country.a, country.b):
        peer.protocol._ports[0].stopListening()
    country.a.punch(country.b)
    country.b.punch(country.a)
    country.run(5)
    assert_one_connection(country)
    assert country.a.protocol.multiplexer.acceptor.punching == country.b.protocol.multiplexer.acceptor.punching == {}


def test_exact_port_only(machines: Any) -> None:
    """Who wants nobody else behind the peer's NAT does without symmetric ones."""
    country = Country("full cone", "symmetric", machines.Building)
    country.a.punch(country.b, any_port=False, config=UTPConfig(connect_timeout=5))
    country.b.punch(country.a)
    country.run(10)
    assert country.a.result[0].check(TimeoutError)
    assert len(country.a.listener.built) == 1  # it came in like any other


def test_came_in_before(machines: Any) -> None:
    """A connection that came in before the call, to the factory that listens, is what the call gives."""
    country = Country("full cone", "full cone", machines.Building)
    country.a.punch(country.b)
    country.run(1)
    (early,) = country.b.listener.built
    country.b.punch(country.a)
    assert country.b.result == [early]
    assert_one_connection(country)


def test_cancel(machines: Any) -> None:
    """A cancelled punch ends, and the peer's SYN is then like any other."""
    country = Country("full cone", "full cone", machines.Building)
    punching = country.a.protocol.punch(country.a.dialler, "203.0.113.2", 1)
    punching.addErrback(country.a.result.append)
    punching.cancel()
    country.run(1)
    assert len(country.a.result) == 1 and country.a.protocol.multiplexer.acceptor.punching == {}
    assert country.a.protocol._punches._waiting == {}
