"""
Do our endpoints pass the tests that Twisted has for its own endpoints?

Twisted's mixins make their own memory reactors, which have no UDP, and pass C{object()} for a factory, which only
works while nobody but the reactor looks at it.  So this gives them a memory reactor with UDP ports, and real
factories.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import clientFromString, quoteStringArgument, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.test import test_endpoints
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from twisted_utp import UTPClientEndpoint, UTPServerEndpoint

pytestmark = pytest.mark.conformance


class MemoryUDPPort:
    """
    A UDP port that sends nothing.
    """

    def __init__(self, protocol: Any, interface: str, port: int) -> None:
        self.protocol = protocol
        self.interface = interface or "0.0.0.0"
        self.port = port or 49152

    def getHost(self) -> Any:
        """
        Where it seems to be bound.
        """
        kind = IPv6Address if ":" in self.interface else IPv4Address
        return kind("UDP", self.interface, self.port)

    def write(self, datagram: bytes, addr: Any = None) -> None:
        """
        Throw it away.
        """

    def stopListening(self) -> None:
        """
        Close.
        """
        self.protocol.doStop()


class MemoryUDPReactor(MemoryReactor, Clock):
    """
    A memory reactor with UDP.
    """

    def __init__(self, listenException: Any = None, connectException: Any = None) -> None:
        MemoryReactor.__init__(self)
        Clock.__init__(self)
        self.udpPorts: list[MemoryUDPPort] = []
        self.exception = listenException or connectException

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> MemoryUDPPort:
        """
        Open one, or raise what was asked for.
        """
        if self.exception is not None:
            raise self.exception
        self.udpPorts.append(MemoryUDPPort(protocol, interface, port))
        protocol.makeConnection(self.udpPorts[-1])
        return self.udpPorts[-1]


class _Patched(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Let the mixins have what they need.
        """
        self.patch(test_endpoints, "MemoryReactor", MemoryUDPReactor)
        self.patch(test_endpoints, "RaisingMemoryReactor", MemoryUDPReactor)  # of older mixins
        self.patch(test_endpoints, "RaisingMemoryReactorWithClock", MemoryUDPReactor)
        test_endpoints.object = lambda: Factory.forProtocol(Protocol)  # type: ignore[attr-defined]
        self.addCleanup(delattr, test_endpoints, "object")


class _Server(test_endpoints.ServerEndpointTestCaseMixin):
    """
    What the mixin calls, see there.
    """

    interface = ""

    def createServerEndpoint(self, reactor: Any, factory: Any, **listenArgs: Any) -> Any:
        endpoint = self.makeServer(reactor, 9000, **listenArgs)
        interface = listenArgs.get("interface", self.interface) or "0.0.0.0"
        kind = IPv6Address if ":" in interface else IPv4Address
        return endpoint, (9000, interface), kind("UDP", interface, 9000)

    def makeServer(self, reactor: Any, port: int, **listenArgs: Any) -> Any:
        return UTPServerEndpoint(reactor, port, **{"interface": self.interface, **listenArgs})

    def expectedServers(self, reactor: Any) -> Any:
        return [(port.port, port.interface) for port in reactor.udpPorts]

    def listenArgs(self) -> Any:
        return {"backlog": 10, "interface": "127.0.0.1"}


class UTPServerTests(_Server, _Patched):
    """
    L{UTPServerEndpoint}.
    """


class UTP6ServerTests(_Server, _Patched):
    """
    L{UTPServerEndpoint} over IPv6.
    """

    interface = "::"


class UTPServerStringTests(_Server, _Patched):
    """
    C{utp:} strings for servers.
    """

    def makeServer(self, reactor: Any, port: int, **listenArgs: Any) -> Any:
        options = "".join(f":{key}={quoteStringArgument(str(value))}" for key, value in listenArgs.items())
        return serverFromString(reactor, f"utp:{port}{options}")


class _Client(test_endpoints.ClientEndpointTestCaseMixin):
    """
    What the mixin calls, see there.  An attempt that is pending stands for the factory that is connecting.
    """

    host = "10.0.0.2"

    @property
    def expectedAddress(self) -> str:
        return self.host

    def createClientEndpoint(self, reactor: Any, clientFactory: Any, **connectArgs: Any) -> Any:
        endpoint = self.makeClient(reactor, **connectArgs)
        kind = IPv6Address if ":" in self.host else IPv4Address
        interface, port = connectArgs.get("bindAddress", ("", 0))
        expected = (self.host, 80, interface or ("::" if ":" in self.host else "0.0.0.0"), port or 49152)
        return endpoint, expected, kind("UDP", self.host, 80)

    def makeClient(self, reactor: Any, **connectArgs: Any) -> Any:
        return UTPClientEndpoint(reactor, self.host, 80, **connectArgs)

    def expectedClients(self, reactor: Any) -> Any:
        return [
            (*attempt.address, port.interface, port.port)
            for port in reactor.udpPorts
            for attempt in port.protocol._attempts
        ]

    def retrieveConnectedFactory(self, reactor: Any) -> Any:
        pending = [attempt for port in reactor.udpPorts for attempt in port.protocol._attempts]
        return _Pending(pending[0]) if pending else _Pending(None)

    def assertConnectArgs(self, receivedArgs: Any, expectedArgs: Any) -> None:
        self.assertEqual(receivedArgs, expectedArgs)  # type: ignore[attr-defined]

    def connectArgs(self) -> Any:
        return {"timeout": 10, "bindAddress": ("127.0.0.1", 49595)}


class _Pending:
    def __init__(self, attempt: Any) -> None:
        self.attempt = attempt

    @property
    def _onConnection(self) -> Any:
        """
        The mixin fires it.
        """
        return self.attempt.result

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        """
        What the mixin does in TCP's place after a cancellation; ours has failed by itself.
        """
        assert self.attempt is None


class UTPClientTests(_Client, _Patched):
    """
    L{UTPClientEndpoint}.
    """


class UTP6ClientTests(_Client, _Patched):
    """
    L{UTPClientEndpoint} over IPv6.
    """

    host = "fd00::2"

    def connectArgs(self) -> Any:
        return {"timeout": 10, "bindAddress": ("::1", 49595)}


class UTPClientStringTests(_Client, _Patched):
    """
    C{utp:} strings for clients.
    """

    def makeClient(self, reactor: Any, **connectArgs: Any) -> Any:
        options = f":timeout={connectArgs['timeout']}" if "timeout" in connectArgs else ""
        if "bindAddress" in connectArgs:
            options += ":bindAddress={}:bindPort={}".format(*connectArgs["bindAddress"])
        return clientFromString(reactor, f"utp:{self.host}:80{options}")


def test_the_memory_reactor_raises() -> None:
    """The stand-in does what the mixins count on."""
    with pytest.raises(CannotListenError):
        MemoryUDPReactor(listenException=CannotListenError("", 80, None)).listenUDP(80, None)
