"""
WebSocket through autobahn, on any endpoint (needs the examples extra)::

    python examples/websocket_over_utp.py serve utp:9001
    python examples/websocket_over_utp.py say utp:127.0.0.1:9001 "hello over WebSocket"
"""

from __future__ import annotations

import sys
from typing import Any

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred

# What HTTP's upgrade wants to know; the endpoint, not this, says where the connection goes.
URL = "ws://localhost/echo"


class Answering(WebSocketServerProtocol):  # type: ignore[misc]
    """
    Sends every message back.
    """

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """
        In the kind in which it came.
        """
        self.sendMessage(payload, isBinary)


class Saying(WebSocketClientProtocol):  # type: ignore[misc]
    """
    Sends one message and waits for one.
    """

    def onOpen(self) -> None:
        """
        The upgrade is done.
        """
        self.sendMessage(self.factory.text.encode())

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """
        The answer: say goodbye.
        """
        print(payload.decode(), flush=True)
        self.sendClose(1000)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """
        The server has said goodbye, too, unless something went wrong.
        """
        self.factory.closed.callback(wasClean and code == 1000)


async def serve(reactor: Any, endpoint: str = "utp:9001") -> None:
    """
    Answer until interrupted.
    """
    factory = WebSocketServerFactory(reactor=reactor)
    factory.protocol = Answering
    port = await endpoints.serverFromString(reactor, endpoint).listen(factory)
    print(f"WebSocket on {port.getHost()}", flush=True)
    await Deferred()


async def say(reactor: Any, endpoint: str, text: str) -> None:
    """
    One message, one answer.
    """
    factory = WebSocketClientFactory(URL, reactor=reactor)
    factory.protocol, factory.text, factory.closed = Saying, text, Deferred()
    await endpoints.clientFromString(reactor, endpoint).connect(factory)
    if not await factory.closed:
        raise SystemExit("the connection was not closed as WebSocket demands")


if __name__ == "__main__":
    role: Any = {"serve": serve, "say": say}[sys.argv[1]]
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(role(reactor, *arguments)), sys.argv[2:])
