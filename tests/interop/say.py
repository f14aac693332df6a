"""
What does a server answer to a few bytes?

C{say.py ENDPOINT TEXT} connects, sends the text (with \\r and \\n escaped), prints what comes back until the server
closes.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure


class Sayer(Protocol):
    """
    Says one thing and listens.
    """

    def __init__(self, text: bytes, done: Deferred[None]) -> None:
        self._text = text
        self._done = done

    def connectionMade(self) -> None:
        """
        Say it.
        """
        assert self.transport is not None
        self.transport.write(self._text)

    def dataReceived(self, data: bytes) -> None:
        """
        Print it.
        """
        print(data.decode(), end="", flush=True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The server has closed.
        """
        self._done.callback(None)


async def main(reactor: Any, endpoint: str, text: str) -> None:
    """
    One connection.
    """
    done: Deferred[None] = Deferred()
    said = text.encode().decode("unicode_escape").encode()
    await endpoints.clientFromString(reactor, endpoint).connect(Factory.forProtocol(lambda: Sayer(said, done)))
    await done


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
