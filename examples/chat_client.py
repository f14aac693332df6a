"""
Talk to everybody on a chat server; the end of the input (Ctrl-D) says goodbye::

    python examples/chat_client.py utp:127.0.0.1:9000 Ada
"""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure


class Keyboard(LineReceiver):
    """
    Standard input and output, in lines.
    """

    delimiter = os.linesep.encode()

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def lineReceived(self, line: bytes) -> None:
        """
        Somebody typed it.
        """
        self._talk.sendLine(line)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Nobody types any more.
        """
        self._talk.transport.loseConnection()  # type: ignore[union-attr]


class Talk(LineReceiver):
    """
    The connection to the server.

    @ivar over: fires when there is nothing more to hear.
    """

    def __init__(self, name: str) -> None:
        self.over: Deferred[None] = Deferred()
        self._name = name

    def connectionMade(self) -> None:
        """
        Introduce ourselves.
        """
        self.sendLine(self._name.encode())
        self._keyboard = Keyboard(self)
        StandardIO(self._keyboard)

    def lineReceived(self, line: bytes) -> None:
        """
        Show what the others say.
        """
        self._keyboard.sendLine(line)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The server, or the user, has left.
        """
        if reason.check(ConnectionDone):
            self.over.callback(None)
        else:
            self.over.errback(reason)


async def main(reactor: Any, endpoint: str = "utp:127.0.0.1:9000", name: str = "somebody") -> None:
    """
    Talk until one side ends it.
    """
    client = endpoints.clientFromString(reactor, endpoint)
    talk: Any = await client.connect(Factory.forProtocol(lambda: Talk(name)))
    await talk.over


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
