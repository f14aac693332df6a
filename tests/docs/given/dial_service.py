"""
Somebody who stays connected.
"""

from twisted.application.internet import ClientService
from twisted.internet import endpoints, task
from twisted.internet.protocol import Factory, Protocol

factory = Factory.forProtocol(Protocol)


async def main(reactor):
    # SNIPPET
    assert protocol.connected
    await task.deferLater(reactor, 0, service.stopService)


task.react(main)
