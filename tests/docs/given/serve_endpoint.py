"""
A server, one way or another, that somebody connects to.
"""

from twisted.internet import task
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

from twisted_utp import UTPConfig, UTPServerEndpoint

factory = Factory.forProtocol(Echo)


async def main(reactor):
    # SNIPPET
    await clientFromString(reactor, "utp:127.0.0.1:9000").connect(factory)
    while port.stats().connections_accepted != 1:  # with the client's next packet
        await task.deferLater(reactor, 0.01)
    await port.stopListening()


task.react(main)
