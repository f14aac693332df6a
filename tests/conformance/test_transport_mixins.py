"""
Do connections over C{utp:} strings pass the tests that Twisted has for its own transports, on each reactor?
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString, quoteStringArgument, serverFromString
from twisted.internet.protocol import ClientFactory
from twisted.internet.test.connectionmixins import ConnectionTestsMixin, EndpointCreator, StreamClientTestsMixin
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.internet.test.test_tcp import (
    AbortConnectionMixin,
    MyClientFactory,
    MyServerFactory,
    WriteSequenceTestsMixin,
)

pytestmark = pytest.mark.conformance

REACTORS = [
    "twisted.internet.selectreactor.SelectReactor",
    "twisted.internet.pollreactor.PollReactor",
    "twisted.internet.epollreactor.EPollReactor",
    "twisted.internet.test.reactormixins.AsyncioSelectorReactor",
]


class UTPCreator(EndpointCreator):
    """
    Endpoints from strings.
    """

    host = "127.0.0.1"

    def server(self, reactor: Any) -> Any:
        """
        Any port of the loopback interface.
        """
        return serverFromString(reactor, f"utp:0:interface={quoteStringArgument(self.host)}")

    def client(self, reactor: Any, serverAddress: Any) -> Any:
        """
        The server's address.
        """
        host = quoteStringArgument(serverAddress.host)
        return clientFromString(reactor, f"utp:host={host}:port={serverAddress.port}")


class UTP6Creator(UTPCreator):
    """
    The same over IPv6.
    """

    host = "::1"


class _OnEachReactor(ReactorBuilder):
    _reactors = REACTORS

    def buildReactor(self) -> Any:
        """
        AsyncioSelectorReactor.stop() leaves a delayed call of its own behind when it is called from one, with TCP
        as well; the tests that look for what is left are not to see it.
        """
        reactor = super().buildReactor()
        every = reactor.getDelayedCalls
        reactor.getDelayedCalls = lambda: [
            call for call in every() if getattr(call.func, "__module__", "") != "twisted.internet.asyncioreactor"
        ]
        return reactor


class UTPConnection(_OnEachReactor, ConnectionTestsMixin):
    """
    What holds for every C{ITransport}.
    """

    endpoints = UTPCreator()


class UTP6Connection(_OnEachReactor, ConnectionTestsMixin):
    """
    What holds for every C{ITransport}, over IPv6.
    """

    endpoints = UTP6Creator()


class UTPAbortConnection(_OnEachReactor, AbortConnectionMixin):
    """
    C{abortConnection}, from everywhere that an application may call it.
    """

    endpoints = UTPCreator()
    # Aborts after 10 ms, and expects that the server's protocol has been connected by then: on a busy machine it may
    # not.  The one after an exchange of bytes is the same without that.
    test_fullWriteBuffer = None


class UTPWriteSequence(_OnEachReactor, WriteSequenceTestsMixin):
    """
    C{writeSequence} and both kinds of producer.
    """

    requiredInterfaces = None

    def getConnectedClientAndServer(self, reactor: Any, interface: str, addressFamily: Any) -> Any:
        """
        Twisted's C{TCPTransportTestsBuilder} does this over TCP.
        """
        server, client = MyServerFactory(), MyClientFactory()
        for factory in (server, client):
            factory.protocolConnectionMade = Deferred()
            factory.protocolConnectionLost = Deferred()
        lost = gatherResults([client.protocolConnectionLost, server.protocolConnectionLost])
        lost.addBoth(lambda _: reactor.stop())
        made = gatherResults([client.protocolConnectionMade, server.protocolConnectionMade])
        listening = UTPCreator().server(reactor).listen(server)

        def connect(port: Any) -> Any:
            UTPCreator().client(reactor, port.getHost()).connect(client)
            return made.addCallback(lambda protocols: (*protocols, port))

        return listening.addCallback(connect)


class UTPStreamClient(_OnEachReactor, StreamClientTestsMixin):
    """
    Producers around the end of a connection.
    """

    # These two are about the IConnector that connectTCP returns; endpoints have none.
    test_interface = None
    test_clientConnectionFailedStopsReactor = None
    # Takes the five seconds that a peer has to hear that nobody listens any more; test_trial.py has it once.
    test_unregisterProducerAfterDisconnect = None

    def listen(self, reactor: Any, factory: Any) -> None:
        """
        Remember the port for L{connect}.
        """
        listening = UTPCreator().server(reactor).listen(factory)
        listening.addCallback(lambda port: setattr(self, "port", port))

    def connect(self, reactor: Any, factory: ClientFactory) -> None:
        """
        Connect to it once the reactor runs.
        """
        reactor.callWhenRunning(lambda: UTPCreator().client(reactor, self.port.getHost()).connect(factory))


for _case in (UTPConnection, UTP6Connection, UTPAbortConnection, UTPWriteSequence, UTPStreamClient):
    globals().update(_case.makeTestCaseClasses())
