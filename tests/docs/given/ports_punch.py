"""
Two peers that learn from a third what their addresses are, and dial each other at the same time.
"""

from twisted.internet import task
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.protocol import Factory, Protocol

from twisted_utp import UTPClientEndpoint, UTPProtocol

known = []


class Rendezvous(Protocol):
    """
    Tells each of two how the other looks.
    """

    def connectionMade(self):
        known.append(self.transport)
        if len(known) == 2:
            for one, other in (known, known[::-1]):
                address = other.getPeer()
                one.write(f"{address.host} {address.port}".encode())


class Asking(Protocol):
    """
    Waits for what it says.
    """

    def connectionMade(self):
        self.answer = Deferred()
        self.transport.write(b"?")  # a server that speaks first is heard once we have confirmed our address

    def dataReceived(self, data):
        host, port = data.decode().split()
        self.answer.callback((host, int(port)))


class Saying(Protocol):
    """
    Says something to the other, and waits for the same.
    """

    def connectionMade(self):
        self.heard = Deferred()
        self.transport.write(b"through")

    def dataReceived(self, data):
        self.heard.callback(data)


async def meet(protocol):
    asking, factory = Factory.forProtocol(Asking), Factory.forProtocol(Saying)
    # SNIPPET
    assert await peer.heard == b"through"


async def main(reactor):
    public = UTPProtocol(reactor)
    reactor.listenUDP(3000, public, interface="127.0.0.1")
    public.listen(Factory.forProtocol(Rendezvous))
    peers = []
    for _ in range(2):
        protocol = UTPProtocol(reactor)
        reactor.listenUDP(0, protocol, interface="127.0.0.1")
        peers.append(ensureDeferred(meet(protocol)))
    await gatherResults(peers)


task.react(lambda reactor: ensureDeferred(main(reactor)))
