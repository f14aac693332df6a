"""
What do connections hear when an application's callbacks raise?

C{faults.py tcp|utp REACTOR}: makes a connection for each fault, beside one that is innocent, and prints what each was
told at its end.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

KIND, REACTOR = sys.argv[1:]
import_module(f"twisted.internet.{REACTOR}reactor").install()

from twisted.internet import task  # noqa: E402
from twisted.internet.defer import Deferred  # noqa: E402
from twisted.internet.endpoints import clientFromString, serverFromString  # noqa: E402
from twisted.internet.interfaces import IHalfCloseableProtocol  # noqa: E402
from twisted.internet.protocol import Factory, Protocol  # noqa: E402
from twisted.protocols.wire import Echo  # noqa: E402
from zope.interface import implementer  # noqa: E402

FAULTS = [
    (where, error)
    for where in ("dataReceived", "connectionLost", "readConnectionLost", "stopFactory")
    for error in (ZeroDivisionError, SystemExit, KeyboardInterrupt)
]


class Client(Protocol):
    """
    Raises where it is told to.
    """

    where, error = "", Exception

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()
        self.heard: Deferred[None] = Deferred()
        self.reasons: list[str] = []

    def at(self, place: str) -> None:
        """Raise here?"""
        if place == self.where:
            raise self.error

    def dataReceived(self, data: bytes) -> None:
        heard, self.heard = self.heard, Deferred()
        heard.callback(None)
        self.at("dataReceived")

    def connectionLost(self, reason: Any = None) -> None:
        self.reasons.append(reason.type.__name__)
        self.lost.callback(None)
        self.at("connectionLost")


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Client):
    """
    The same, which hears of each direction's end.
    """

    def readConnectionLost(self) -> None:
        self.at("readConnectionLost")

    def writeConnectionLost(self) -> None:
        """Nothing."""


class Closing(Echo):
    """
    Echoes, and closes when it is asked to.
    """

    def dataReceived(self, data: bytes) -> None:
        if data == b"close":
            self.transport.loseConnection()
        else:
            super().dataReceived(data)


class Clients(Factory):
    """
    Builds clients, and raises when it is stopped.
    """

    def __init__(self, where: str = "", error: Any = Exception) -> None:
        self.where, self.error = where, error

    def buildProtocol(self, addr: Any) -> Client:
        client = HalfCloseable() if self.where == "readConnectionLost" else Client()
        client.where, client.error = self.where, self.error
        return client

    def stopFactory(self) -> None:
        if self.where == "stopFactory":
            raise self.error


async def run(reactor: Any) -> None:
    """
    One fault after the other.
    """
    port = await serverFromString(reactor, f"{KIND}:0:interface=127.0.0.1").listen(Factory.forProtocol(Closing))
    endpoint = clientFromString(reactor, f"{KIND}:127.0.0.1:{port.getHost().port}")
    innocent: Any = await endpoint.connect(Clients())
    lost: dict[str, list[str]] = {}
    for where, error in FAULTS:
        client: Any = await endpoint.connect(Clients(where, error))
        client.transport.write(b"x" if where == "dataReceived" else b"close")
        await client.lost
        lost[f"{where} {error.__name__}"] = client.reasons
        innocent.transport.write(b"hello")
        await innocent.heard
    lost["innocent"] = innocent.reasons
    print(json.dumps({"event": "outcome", "lost": lost}))


task.react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
