"""
Somebody who dials a port that nobody has.
"""

from twisted.internet import task
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

factory = Factory.forProtocol(Echo)


async def main(reactor):
    endpoint = clientFromString(reactor, "utp:127.0.0.1:9001:timeout=0.2")
    # SNIPPET


task.react(main)
