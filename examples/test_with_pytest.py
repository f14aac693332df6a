"""
Test an application over uTP with pytest, in virtual time: seconds on the link take milliseconds, and come out the same
each time.

    pytest examples/test_with_pytest.py
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from twisted_utp.testing.reactor_pair import ReactorPair

# The fixtures reactor_pair, make_reactor_pair and flush_logged_errors.  A conftest.py may say it for all modules.
pytest_plugins = ["twisted_utp.testing.fixtures"]

SERVER = "utp:server.example:9000"


class Greeter(Protocol):
    """
    Says hello to each line.
    """

    def dataReceived(self, data: bytes) -> None:
        """
        One name.
        """
        assert self.transport is not None
        self.transport.write(b"hello " + data)


class Guest(Protocol):
    """
    Says its name, and fires with the answer.
    """

    def __init__(self) -> None:
        self.greeting: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """
        The name.
        """
        assert self.transport is not None
        self.transport.write(b"guest")

    def dataReceived(self, data: bytes) -> None:
        """
        The answer.
        """
        self.greeting.callback(data)


async def greeting(pair: ReactorPair) -> bytes:
    """
    Start the server, and be greeted by it.
    """
    await serverFromString(pair.server, "utp:9000").listen(Factory.forProtocol(Greeter))
    guest = await connectProtocol(clientFromString(pair.client, SERVER), Guest())
    answer: bytes = await guest.greeting
    return answer


def test_greeting(reactor_pair: ReactorPair) -> None:
    """
    The default link.
    """
    assert reactor_pair.wait_for(greeting(reactor_pair)) == b"hello guest"


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
def test_greeting_on_a_bad_link(make_reactor_pair: Callable[..., ReactorPair], loss: float) -> None:
    """
    Links that lose packets, and are far away.
    """
    pair = make_reactor_pair(seed=1, link={"delay": 200_000, "loss": loss})
    assert pair.wait_for(greeting(pair)) == b"hello guest"
    assert pair.client.seconds() > 0.8  # two round trips: the handshake, and the greeting


def test_a_fault_in_the_server(
    reactor_pair: ReactorPair, flush_logged_errors: Callable[..., list[Failure]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What a protocol raises is logged, and fails the test unless it says that it expects that.
    """
    monkeypatch.setattr(Greeter, "dataReceived", lambda self, data: 1 / 0)
    with pytest.raises(AssertionError):
        reactor_pair.wait_for(greeting(reactor_pair), limit=10)
    assert len(flush_logged_errors(ZeroDivisionError)) == 1
