"""
Pass each line on to everybody, on any endpoint::

    python examples/chat_server.py utp:9000
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure


class Guest(LineReceiver):
    """
    One of those who talk.  The first line is the name.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self.name = ""

    def lineReceived(self, line: bytes) -> None:
        """
        A name, or something to say.
        """
        text = line.decode("utf-8", "replace")
        if self.name:
            self._room.tell(f"{self.name}: {text}", but=self)
            return
        self.name = text or "nobody"
        self._room.guests.add(self)
        self._room.tell(f"* {self.name} came, {len(self._room.guests)} here")

    def lineLengthExceeded(self, line: bytes) -> None:
        """
        16 kB without an end is no talk.
        """
        self.transport.abortConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Gone.
        """
        if self in self._room.guests:
            self._room.guests.remove(self)
            self._room.tell(f"* {self.name} left")


class Room(Factory):
    """
    Everybody who is there.
    """

    def __init__(self) -> None:
        self.guests: set[Guest] = set()

    def buildProtocol(self, addr: Any) -> Guest:
        """
        One more.
        """
        return Guest(self)

    def tell(self, text: str, but: Guest | None = None) -> None:
        """
        Send a line to all guests except one.
        """
        for guest in self.guests - {but}:
            guest.sendLine(text.encode())


async def main(reactor: Any, endpoint: str = "utp:9000") -> None:
    """
    Serve until interrupted.
    """
    port = await endpoints.serverFromString(reactor, endpoint).listen(Room())
    print(f"talk on {port.getHost()}", flush=True)
    await Deferred()


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
