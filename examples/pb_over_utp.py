"""
Remote objects with Perspective Broker on any endpoint; the server calls the client back::

    python examples/pb_over_utp.py serve utp:8787
    python examples/pb_over_utp.py count utp:127.0.0.1:8787 5

PB's C{PBClientFactory} wants a TCP connector only to reconnect; any endpoint will do.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.spread import pb


class Counter(pb.Root):
    """
    What a client can reach.
    """

    async def _count(self, numbers: int, listener: Any) -> str:
        for number in range(1, numbers + 1):
            await listener.callRemote("number", number)
        return f"counted to {numbers}"

    def remote_count(self, numbers: int, listener: Any) -> Deferred[str]:
        """
        Tell a listener, which lives in the client, one number after the other.
        """
        return Deferred.fromCoroutine(self._count(min(numbers, 100), listener))


class Listener(pb.Referenceable):
    """
    What the server can reach.
    """

    def remote_number(self, number: int) -> None:
        """
        One more.
        """
        print(number, flush=True)


async def serve(reactor: Any, endpoint: str = "utp:8787") -> None:
    """
    Answer until interrupted.
    """
    port = await endpoints.serverFromString(reactor, endpoint).listen(pb.PBServerFactory(Counter()))
    print(f"counting on {port.getHost()}", flush=True)
    await Deferred()


async def count(reactor: Any, endpoint: str, numbers: str) -> None:
    """
    Ask once.
    """
    factory = pb.PBClientFactory()
    await endpoints.clientFromString(reactor, endpoint).connect(factory)
    counter: Any = await factory.getRootObject()
    print(await counter.callRemote("count", int(numbers), Listener()), flush=True)
    factory.disconnect()


if __name__ == "__main__":
    role: Any = {"serve": serve, "count": count}[sys.argv[1]]
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(role(reactor, *arguments)), sys.argv[2:])
