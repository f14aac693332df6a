"""
Does the program decide who may connect?
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionRefusedError, TimeoutError

from twisted_utp import PortLoad, UTPClientEndpoint, Verdict


def attempt(machines: Any) -> Any:
    """@return: why a connect failed."""
    connect = UTPClientEndpoint(machines.client, machines.SERVER, 9000, timeout=2).connect(machines.Building())
    return machines.failure(connect)


def test_sees_address_and_load(machines: Any) -> None:
    """It is asked before buildProtocol, with the peer's address and what there is already."""
    port = machines.listen()
    asked: list[Any] = []
    port.protocol.accept_policy = lambda address, load: asked.append((address, load)) or True
    for count in range(2):
        client = machines.connect()
        machines.advance(0.1)
        address = IPv4Address("UDP", machines.CLIENT, client.transport.getHost().port)
        assert asked[count] == (address, PortLoad(count, 0, count))
    port.protocol.accept_policy = None
    machines.connect()
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("verdict", "error"),
    [(False, ConnectionRefusedError), (Verdict.RESET, ConnectionRefusedError), (Verdict.SILENCE, TimeoutError)],
)
def test_refused(machines: Any, verdict: Any, error: Any) -> None:
    """The peer is told, or not; the factory hears nothing of it."""
    port = machines.listen()
    port.protocol.accept_policy = lambda address, load: verdict
    assert isinstance(attempt(machines), error)
    assert port.factory.addresses == [] and port.stats().policy_refusals > 0


class Club:
    """A policy with a memory: an object does as well as a function."""

    def __init__(self, seats: int) -> None:
        self.seats = seats

    def __call__(self, address: Any, load: PortLoad) -> bool:
        return load.connections < self.seats


def test_object(machines: Any) -> None:
    """An object that can be called is a policy."""
    machines.listen().protocol.accept_policy = Club(1)
    first = machines.connect()
    assert isinstance(attempt(machines), ConnectionRefusedError)
    first.transport.abortConnection()
    machines.advance(0.1)
    machines.connect()


def test_raises(machines: Any, logged: Any) -> None:
    """What it raises is logged, and the SYN left unanswered."""
    machines.listen().protocol.accept_policy = lambda address, load: 1 / 0
    assert isinstance(attempt(machines), TimeoutError)
    assert {type(error) for error in logged} == {ZeroDivisionError}
