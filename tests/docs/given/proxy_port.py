"""
A proxy that is not there.
"""

from twisted.internet import task
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

from twisted_utp import SOCKS5Proxy, UTPProtocol, UTPProxyError

factory = Factory.forProtocol(Echo)


async def main(reactor):
    proxy = SOCKS5Proxy("127.0.0.1", 9001)
    # SNIPPET


task.react(main)
