"""
Does a peer that says nothing stay, for as long as it is there?

C{idle.py (connect|listen) ENDPOINT} keeps one connection, says no more than a byte, and prints JSON lines: "listening"
with its port, "connected", "answered" once the peer has answered so many keepalives that they span more than its
keepalive and user timeout, and "lost" with the exception's name.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

LOOKS_EACH = 0.05


def report(event: str, **details: object) -> None:
    """
    Tell the test what happened.
    """
    print(json.dumps({"event": event, **details}), flush=True)


class Silent(Protocol):
    """
    A byte, which makes some acceptors look at us at all, and then nothing.
    """

    transport: Any

    def __init__(self, says: bytes, done: Deferred[None]) -> None:
        self._says = says
        self._done = done
        self._looks = task.LoopingCall(self._look)
        self._answers = 0

    def connectionMade(self) -> None:
        """
        Start to count.
        """
        report("connected")
        if self._says:
            self.transport.write(self._says)
        self._heard = self.transport.stats().packets_received
        self._looks.start(LOOKS_EACH)

    def _look(self) -> None:
        settings, heard = self.transport.settings, self.transport.stats().packets_received
        # What arrives in one look may be one answer, or data and an acknowledgement.
        self._answers += heard > self._heard
        self._heard = heard
        if self._answers * settings.keepalive > 2 * settings.keepalive + settings.user_timeout:
            self._looks.stop()
            report("answered", answers=self._answers)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is gone.
        """
        if self._looks.running:
            self._looks.stop()
        report("lost", reason=reason.value.__class__.__name__)
        self._done.callback(None)


async def main(reactor: Any, role: str, endpoint: str) -> None:
    """
    One connection.
    """
    done: Deferred[None] = Deferred()
    factory = Factory.forProtocol(lambda: Silent(b"." if role == "connect" else b"", done))
    if role == "connect":
        await endpoints.clientFromString(reactor, endpoint).connect(factory)
    else:
        port = await endpoints.serverFromString(reactor, endpoint).listen(factory)
        report("listening", port=port.getHost().port)
    await done


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
