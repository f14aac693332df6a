"""
To be run in network namespaces of their own, by C{test_balancer.py}: a machine behind a balancer (C{serve NAME}), which
tells each peer its name and echoes; and peers (C{dial HOST COUNT}), who say what they hear, as lines of JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.internet.threads import deferToThread
from twisted.protocols.wire import Echo

from tests.glue.test_real_sockets import Asking

PORT = 9000
FIRST_PORT = 20_000
QUESTION = b"are you still there?"


class Named(Echo):
    """Says first who it is."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(sys.argv[2].encode())


async def serve(reactor: Any) -> None:
    """Until it is killed."""
    await serverFromString(reactor, f"utp:{PORT}").listen(Factory.forProtocol(Named))
    print("listening", flush=True)
    await Deferred()


def tell(said: Any) -> None:
    """A line for the test."""
    print(json.dumps(said), flush=True)


async def dial(reactor: Any) -> None:
    """Some connections; then more questions on them as often as a line comes; then as many new ones."""
    host, count = sys.argv[2], int(sys.argv[3])
    old = [await connected(reactor, host, FIRST_PORT + number) for number in range(count)]
    tell([one.data.decode() for one in old])
    for _ in range(2):
        await deferToThread(sys.stdin.readline)
        tell([await answered(one) for one in old])
    new = [await connected(reactor, host, FIRST_PORT + count + number) for number in range(count)]
    tell([one.data.decode() for one in new])
    await gatherResults([closed(one) for one in old + new])


async def connected(reactor: Any, host: str, port: int) -> Any:
    """A connection from that port, once the machine has said its name."""
    asking = await clientFromString(reactor, f"utp:{host}:{PORT}:bindPort={port}:timeout=5").connect(
        Factory.forProtocol(Asking)
    )
    await asking.wait(len("machine-a"))
    return asking


async def answered(asking: Any) -> bool:
    """Is the question echoed?"""
    before = len(asking.data)
    asking.transport.write(QUESTION)
    data = await asking.wait(before + len(QUESTION))
    return bool(data[before:] == QUESTION)


def closed(asking: Any) -> Deferred[Any]:
    """When it is closed."""
    asking.transport.loseConnection()
    lost: Deferred[Any] = asking.lost
    return lost


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine({"serve": serve, "dial": dial}[sys.argv[1]](reactor)))
