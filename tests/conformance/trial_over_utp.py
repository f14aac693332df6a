"""
How do Twisted's own tests, unchanged, run over uTP?

C{python trial_over_utp.py PEM OPTIONS NAME...} runs trial with a reactor whose C{listenTCP} and C{connectTCP} listen
and connect by C{utp:} strings, or by C{utps:} strings with the key and certificate in the file PEM; C{-} is none.
Twisted's TLS, its endpoints and its C{ClientCreator} are built on those two, so everything that a test does with TCP
goes over uTP.
"""

from __future__ import annotations

import fnmatch
import socket
import sys
import time
from collections.abc import Iterable
from typing import Any

from twisted.internet import interfaces
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.base import BaseConnector
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, quoteStringArgument, serverFromString
from twisted.internet.error import ConnectionDone, ServiceNameUnknownError
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import Factory
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.python.failure import Failure
from twisted.python.reflect import namedAny
from twisted.scripts import trial
from twisted.trial import util

from twisted_utp import UTPPort, UTPProtocol, UTPTransport

# Tests that cannot hold for what is not TCP, by what they ask for.  docs/conformance.rst has the same table.
_TCP = "twisted.internet.test.test_tcp."

LEFT_OUT = {
    "a socket of the connection's own, to look at": [
        _TCP + "AdoptStreamConnectionTestsBuilder",
        _TCP + "ExhaustsFileDescriptorsTests",
        _TCP + "TCPPortTestsBuilder.test_closePeerOnEMFILE",
        _TCP + "TCPFDPortTestsBuilder.test_closePeerOnEMFILE",
        _TCP + "TCPConnectionTestsBuilder.test_resumeProducing",
        _TCP + "TestBindAddressBuilder",
        "twisted.test.test_tcp.ProperlyCloseFilesTests.test_properlyCloseFiles",
        "twisted.test.test_tcp.PauseProducingTests.test_pauseProducingInConnectionMade",
        "twisted.test.test_ssl.StolenTCPTests.test_properlyCloseFiles",
    ],
    "a peer that speaks TCP": [
        _TCP + "TCPPortTestsBuilder.test_buildProtocolIPv*",
        _TCP + "TCPPortTestsBuilder.test_serverGet*",
    ],
    "private attributes of tcp.Connection": [
        _TCP + "TCP4ClientTestsBuilder.test_addresses",
        _TCP + "TCP6ClientTestsBuilder.test_addresses",
        _TCP + "TCPTransportTestsBuilder.test_serverAddressTCP*",
        _TCP + "TCPConnectionTestsBuilder.test_resumeProducingWhileDisconnected",
        "twisted.test.test_tcp.HalfCloseTests.testCloseWriteCloser",
        "twisted.test.test_tcp.LogTests.test_logstrClientSetup",
    ],
    "that who closes is told before the peer, also while something is on its way": [
        "twisted.web.test.test_distrib.DistribTests.test_requestHeaders",
    ],
    "the words of the socket module about ports that are none; strings are refused when they are parsed": [
        _TCP + "TCP4ClientTestsBuilder.test_connectPort*",
        _TCP + "TCP6ClientTestsBuilder.test_connectPort*",
    ],
    "the name of an interface behind a link-local address, where ours have its number": [
        _TCP + "TCPPortTestsBuilder.test_portGetHostOnIPv6ScopeID",
    ],
    "the word TCP in the log": [
        _TCP + "TCPPortTestsBuilder.test_connectionLostLogMsg",
    ],
    "a server that hears of a client which has closed before it said anything": [
        _TCP + "TCP4ClientTestsBuilder.test_buildProtocolReturnsNone",
        _TCP + "TCP6ClientTestsBuilder.test_buildProtocolReturnsNone",
        _TCP + "TCPConnectionTestsBuilder.test_doubleHalfClose",
        _TCP + "AbortConnectionTests.test_fullWriteBuffer",
    ],
    "the repr of tcp.Server": [
        "twisted.test.test_tcp.ListeningTests.test_serverRepr",
    ],
}

PEM = ""

# Seconds after which a test counts as hanging, and in which what it has closed is to be over.  A test that passes takes
# far less, on a busy machine as well.  Twisted's own limit is two minutes.
TIMEOUT = 30


def listen_tcp(reactor: Any, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
    """
    C{IReactorTCP.listenTCP}.
    """
    string = f"{port}:backlog={backlog}:keepalive=0"  # as TCP's
    string = f"utps:{string}:privateKey={quoteStringArgument(PEM)}" if PEM else f"utp:{string}"
    if interface:
        string += f":interface={quoteStringArgument(interface)}"
    result: list[Any] = []
    serverFromString(reactor, string).listen(factory).addBoth(result.append)
    if isinstance(result[0], Failure):
        result[0].raiseException()
    return result[0]


def connect_tcp(
    reactor: Any, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
) -> interfaces.IConnector:
    """
    C{IReactorTCP.connectTCP}.
    """
    connector = Connector(host, port, factory, timeout, bindAddress, reactor)
    connector.connect()
    return connector


def service_port(name: str) -> int:
    """
    As C{tcp.Connector} has it; strings have numbers.
    """
    try:
        return socket.getservbyname(name, "tcp")
    except OSError as error:
        raise ServiceNameUnknownError(string=f"{error} ({name!r})") from None


class Connector(BaseConnector):
    """
    What C{connectTCP} returns: an endpoint's attempt and its connection.
    """

    def __init__(self, host: Any, port: int, factory: Any, timeout: Any, bind: Any, reactor: Any) -> None:
        super().__init__(factory, None, reactor)
        if isinstance(port, str):
            port = service_port(port)
        self.host, self.port = host, port
        string = f"host={quoteStringArgument(host)}:port={port}:timeout={timeout or 3600}:keepalive=0"
        trust = f":hostname=localhost:trustRoots={quoteStringArgument(PEM)}"
        string = f"utps:{string}{trust}" if PEM else f"utp:{string}"
        if bind is not None:
            string += f":bindAddress={quoteStringArgument(bind[0])}:bindPort={bind[1]}"
        self.endpoint = clientFromString(reactor, string)

    def getDestination(self) -> Any:
        """
        Where it connects to.
        """
        return (IPv6Address if ":" in self.host else IPv4Address)("TCP", self.host, self.port)

    def _makeTransport(self) -> Any:
        return Attempt(self, self.endpoint)


class Attempt:
    """
    Stands for the transport while it is connecting.
    """

    def __init__(self, connector: Connector, endpoint: Any) -> None:
        self.connector = connector
        self.is_over = False
        # Not from within connectTCP.
        self.connecting: Deferred[Any] | None = None
        self.call = connector.reactor.callLater(0, self.connect, endpoint)

    def connect(self, endpoint: Any) -> None:
        """
        Dial.
        """
        self.connecting = endpoint.connect(Link(self.connector))
        self.connecting.addErrback(self.failIfNotConnected)

    def failIfNotConnected(self, reason: Any) -> None:
        """
        It has failed, or is to.
        """
        if self.is_over or self.connector.state == "connected":
            return
        self.is_over = True
        if self.call.active():
            self.call.cancel()
        self.connector.connectionFailed(reason if isinstance(reason, Failure) else Failure(reason))
        if self.connecting is not None:
            self.connecting.cancel()

    def getPeer(self) -> Any:
        """
        Where it connects to.
        """
        return self.connector.getDestination()


class Link(Factory):
    """
    Tells the connector what happens to its connection.
    """

    noisy = False

    def __init__(self, connector: Connector) -> None:
        self.connector = connector
        self.reason = Failure(ConnectionDone())
        self.is_connected = False

    def buildProtocol(self, addr: Any) -> Any:
        """
        The application's protocol.
        """
        protocol = self.connector.buildProtocol(type(addr)("TCP", addr.host, addr.port))
        if protocol is None:
            return None
        self.is_connected = True
        made, lost = protocol.makeConnection, protocol.connectionLost

        def makeConnection(transport: Any) -> None:
            self.connector.transport = transport
            made(transport)

        def connectionLost(reason: Any) -> None:
            self.reason = reason
            lost(reason)

        protocol.makeConnection, protocol.connectionLost = makeConnection, connectionLost
        return protocol

    def stopFactory(self) -> None:
        """
        C{connectionLost} has been called.
        """
        if self.is_connected:
            self.connector.connectionLost(self.reason)


def with_type_tcp(method: Any) -> Any:
    """
    Some tests look at the type of an address, which is C{"UDP"} and stays so; the rest of them is worth running.
    """

    def call(self: Any) -> Any:
        address = method(self)
        return type(address)("TCP", address.host, address.port)

    return call


def settled(clean_up: Any) -> Any:
    """
    A TCP connection that has been closed is the kernel's; ours is in the reactor until the peer has everything.  That
    is to be over soon after each test.
    """

    def call(janitor: Any) -> Any:
        reactor = janitor._getReactor()
        deadline = time.monotonic() + TIMEOUT
        while any(isinstance(getattr(reader, "protocol", None), UTPProtocol) for reader in reactor.getReaders()):
            if time.monotonic() > deadline:
                break
            PosixReactorBase.iterate(reactor, 0.01)
        return clean_up(janitor)

    return call


def leave_out(reason: str, names: Iterable[str]) -> None:
    """
    Let trial skip some classes, or methods of classes.
    """
    for pattern in names:
        owner, _, attributes = pattern.rpartition(".")
        try:
            thing = namedAny(owner)
        except ImportError:  # of an optional package
            continue
        for attribute in fnmatch.filter(dir(thing), attributes):
            _skip(thing, attribute, reason)


def _skip(thing: Any, attribute: str, reason: str) -> None:
    if isinstance(getattr(thing, attribute), type):
        getattr(thing, attribute).skip = reason
        return

    def skipped(self: Any) -> None:
        raise AssertionError("not to be called")

    skipped.skip = reason  # type: ignore[attr-defined]
    setattr(thing, attribute, skipped)


def main() -> None:
    """
    Run trial.
    """
    global PEM
    PEM = sys.argv.pop(1).removeprefix("-")
    # test_transport_mixins.py has the other reactors.
    ReactorBuilder._reactors = ["twisted.internet.epollreactor.EPollReactor"]
    for reason, names in LEFT_OUT.items():
        leave_out(reason, names)
    PosixReactorBase.listenTCP = listen_tcp
    PosixReactorBase.connectTCP = connect_tcp
    for kind, names in ((UTPTransport, ("getHost", "getPeer")), (UTPPort, ("getHost",))):
        for name in names:
            setattr(kind, name, with_type_tcp(getattr(kind, name)))
    util.DEFAULT_TIMEOUT_DURATION = TIMEOUT
    util._Janitor.postCaseCleanup = settled(util._Janitor.postCaseCleanup)
    trial.run()


if __name__ == "__main__":
    sys.argv[0] = "trial"
    main()
