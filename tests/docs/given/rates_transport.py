"""
A connection that is open.
"""

from twisted.internet import endpoints, task
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo


async def main(reactor):
    factory = Factory.forProtocol(Echo)
    await endpoints.serverFromString(reactor, "utp:9000").listen(factory)
    protocol = await endpoints.clientFromString(reactor, "utp:127.0.0.1:9000").connect(factory)
    transport = protocol.transport
    # SNIPPET
    assert transport.settings.max_rate == transport.stats().max_send_rate == 0


task.react(main)
