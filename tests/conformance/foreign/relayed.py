"""
Do two clients of a magic-wormhole transit relay reach each other, and does the end of one end the other?

C{relayed.py ENDPOINT} connects both, sends 8 MB from one to the other, and lets one of them close; and once more, with
the other.
What the relay wants to hear first is in its documentation: C{please relay TOKEN for side SIDE}, and it says C{ok}.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

DATA = hashlib.shake_256(b"wormhole").digest(8_000_000)


class Client(Protocol):
    """
    One side.
    """

    def __init__(self, token: str) -> None:
        self.greeting = f"please relay {token} for side {secrets.token_hex(8)}\n".encode()
        self.received = bytearray()
        self.awaited: tuple[int, Deferred[None]] | None = None
        self.lost: Deferred[type[Exception]] = Deferred()

    def connectionMade(self) -> None:
        """Say whom we want."""
        assert self.transport is not None
        self.transport.write(self.greeting)

    def dataReceived(self, data: bytes) -> None:
        """Collect."""
        self.received += data
        if self.awaited is not None and len(self.received) >= self.awaited[0]:
            (_, enough), self.awaited = self.awaited, None
            enough.callback(None)

    def connectionLost(self, reason: Any = None) -> None:
        """Told once."""
        self.lost.callback(reason.type)

    def wait(self, length: int) -> Deferred[None]:
        """Until so much has come."""
        self.awaited = length, Deferred()
        self.dataReceived(b"")
        return self.awaited[1] if self.awaited is not None else Deferred.fromCoroutine(nothing())


async def nothing() -> None:
    """It is here already."""


async def pair(reactor: Any, endpoint: str, closer: str) -> None:
    """From the first word to both ends."""
    token = secrets.token_hex(32)
    factory = Factory.forProtocol(lambda: Client(token))
    sender, receiver = [await clientFromString(reactor, endpoint).connect(factory) for _ in range(2)]
    for client in (sender, receiver):
        await client.wait(len(b"ok\n"))
    sender.transport.write(DATA)
    if closer == "sender":
        sender.transport.loseConnection()
    else:
        await receiver.wait(len(b"ok\n") + len(DATA))
        receiver.transport.loseConnection()
    first, other = (sender, receiver) if closer == "sender" else (receiver, sender)
    reasons = [(await client.lost).__name__ for client in (first, other)]
    assert len(receiver.received) == 3 + len(DATA), (len(receiver.received), reasons)
    assert receiver.received == b"ok\n" + DATA and sender.received == b"ok\n"
    print(f"{closer} first:", *reasons)


async def main(reactor: Any, endpoint: str) -> None:
    """Each closes first once."""
    for closer in ("sender", "receiver"):
        await pair(reactor, endpoint, closer)


if __name__ == "__main__":
    react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
