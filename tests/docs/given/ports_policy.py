"""
A listening port, and a peer whom its policy does not want.
"""

from twisted.internet import task
from twisted.internet.defer import ensureDeferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

factory = Factory.forProtocol(Echo)
banned = set()


async def main(reactor):
    # SNIPPET
    client = clientFromString(reactor, "utp:127.0.0.1:6881")
    await client.connect(factory)
    banned.add("127.0.0.1")
    try:
        await client.connect(factory)
    except ConnectionRefusedError:
        return
    raise AssertionError("a banned peer is connected")


task.react(lambda reactor: ensureDeferred(main(reactor)))
