"""
How many functions does a connection take?

Counted in virtual time, so that neither the machine nor its load matters.  With what a busy program has, many of which
each takes little, their number is what a connection costs.  A bound that is exceeded on purpose is raised with the
reason; what Python 3.12 and later inline, and a compiled core, only make it less.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol

import twisted_utp

PACKAGE = str(Path(twisted_utp.__file__).parent)
TESTING = str(Path(PACKAGE) / "testing")

CONNECTIONS = 50
ROUND_TRIPS = 100


class Echo(Protocol):
    """Sends back what it gets."""

    def dataReceived(self, data: bytes) -> None:
        """Back."""
        self.transport.write(data)


def functions(run: Callable[[], object]) -> int:
    """How many functions of ours are called, at both ends."""
    count = 0

    def note(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        if event == "call":
            name = frame.f_code.co_filename
            count += name.startswith(PACKAGE) and not name.startswith(TESTING)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


def test_a_connection_of_one_byte(machines: Any) -> None:
    """
    Dial, one byte, close, to the last timer: 859 functions at both ends, where there were 1,263.  67 of them see to it
    that C{connectionMade}, the byte and the end come in three turns of the reactor, as with TCP.
    """
    port = machines.listen()
    left = [0]

    class Once(Protocol):
        def connectionMade(self) -> None:
            self.transport.write(b"x")
            self.transport.loseConnection()

        def connectionLost(self, reason: Any) -> None:
            if left[0]:
                machines.client.callLater(0, dial)

    endpoint = clientFromString(machines.client, f"utp:{machines.SERVER}:9000")
    factory = Factory.forProtocol(Once)

    def dial() -> None:
        left[0] -= 1
        endpoint.connect(factory)

    def lives(count: int) -> int:
        left[0] = count
        dial()
        return functions(lambda: machines.advance(30))

    lives(5)  # modules that are imported late, and the like
    assert lives(CONNECTIONS) / CONNECTIONS < 880
    assert len(port.factory.built) == 5 + CONNECTIONS


def test_a_question_and_its_answer(machines: Any) -> None:
    """
    One byte to and fro, on the slow path: 507 functions at both ends, of which the scavenger's measurements take 62.
    With LEDBAT++ it is 474, where there were 621.
    """
    machines.listen(Echo)
    client = machines.connect()

    def ask() -> None:
        for _ in range(ROUND_TRIPS):
            client.transport.write(b"x")
            machines.advance(0.05)

    ask()
    assert functions(ask) / ROUND_TRIPS < 518
