"""
Do two connections with TLS that feed each other end together?
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, quoteStringArgument, serverFromString
from twisted.internet.protocol import Factory, Protocol

from twisted_utp.testing import MILLISECOND, Link, Network, Simulator
from twisted_utp.testing.reactor import SimulatedReactor


class Ending(Protocol):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.received = 0
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class Leg(Ending):
    """One leg of a relay, as magic-wormhole's has them."""

    other: Leg

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        assert self.other.transport is not None
        self.other.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        assert self.other.transport is not None
        self.other.transport.loseConnection()


@pytest.mark.parametrize("size", [1000, 200_000])
@pytest.mark.parametrize("closer", [0, 1])
def test_relay(localhost: Any, closer: int, size: int) -> None:
    """
    Each is the other's producer.  The end of one ends the other, also when the first is paused as its end comes, and
    when TLS holds what was written to the other until the reactor's next turn.
    """
    simulator = Simulator(seed=1)
    network = Network(simulator)
    outside, inside = network.add_host("10.0.0.1"), network.add_host("10.0.0.2")
    network.join(
        outside, inside, there=[Link(simulator, delay=5 * MILLISECOND)], back=[Link(simulator, rate=1_000_000)]
    )
    client = SimulatedReactor(outside, names={"localhost": ["10.0.0.2"]})
    legs: list[Leg] = []

    def leg() -> Leg:
        legs.append(Leg())
        return legs[-1]

    # The close alert comes in one packet with data that fills the buffer.
    listen = f"utps:443:sendBuffer=4096:privateKey={quoteStringArgument(str(localhost.both))}"
    client.wait_for(serverFromString(SimulatedReactor(inside), listen).listen(Factory.forProtocol(leg)))
    dial = f"utps:localhost:443:trustRoots={quoteStringArgument(str(localhost.certificate))}"
    ends: list[Any] = [
        client.wait_for(clientFromString(client, dial).connect(Factory.forProtocol(Ending))) for _ in range(2)
    ]
    client.advance(1)
    for one, other in (legs, legs[::-1]):
        assert one.transport is not None
        one.other = other
        one.transport.registerProducer(other.transport, True)
    ends[closer].transport.write(bytes(size))
    ends[closer].transport.loseConnection()
    client.advance(10)
    assert [one.lost for one in (*ends, *legs)] == [True] * 4
    assert ends[1 - closer].received == size
