"""
Say something to an echo server, on any endpoint, and print the answer::

    python examples/echo_client.py utp:127.0.0.1:9000 "hello over uTP"
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver


class Caller(LineReceiver):
    """
    Sends one line and waits for one.
    """

    def __init__(self) -> None:
        self.answer: Deferred[bytes] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        """
        The answer: hang up.
        """
        self.transport.loseConnection()  # type: ignore[union-attr]
        self.answer.callback(line)


async def main(reactor: Any, endpoint: str = "utp:127.0.0.1:9000", text: str = "hello over uTP") -> None:
    """
    One question, one answer.
    """
    client = endpoints.clientFromString(reactor, endpoint)
    caller: Any = await client.connect(Factory.forProtocol(Caller))
    caller.sendLine(text.encode())
    print((await caller.answer).decode(), flush=True)


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
