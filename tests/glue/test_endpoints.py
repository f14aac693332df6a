"""
Do the endpoints listen, connect and fail as Twisted's own do?
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectingCancelledError,
    ConnectionRefusedError,
    DNSLookupError,
    NoProtocol,
    TimeoutError,
)
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from zope.interface.verify import verifyObject

from twisted_utp import UTPClientEndpoint, UTPConfig, UTPProtocol, UTPServerEndpoint
from twisted_utp._causes import cause_of


def test_interfaces(machines: Any) -> None:
    """They provide what they claim."""
    assert verifyObject(IStreamServerEndpoint, UTPServerEndpoint(machines.server, 0))
    assert verifyObject(IStreamClientEndpoint, UTPClientEndpoint(machines.client, "::1", 1))


def test_listen_binds_synchronously(machines: Any) -> None:
    """The port is bound when listen() returns."""
    listening: list[Any] = []
    UTPServerEndpoint(machines.server, 9000).listen(machines.Building()).addCallback(listening.append)
    assert listening[0].getHost().port == 9000


def test_port_held_by_another_program(machines: Any) -> None:
    """A port that is not ours is a CannotListenError, for listeners and for bound clients."""
    machines.server.host.bind(lambda packets: None, 9000)
    machines.client.host.bind(lambda packets: None, 7000)
    listen = UTPServerEndpoint(machines.server, 9000).listen(machines.Building())
    assert isinstance(machines.failure(listen), CannotListenError)
    factory = machines.Building()
    connect = UTPClientEndpoint(machines.client, machines.SERVER, 9000, bindAddress=("", 7000)).connect(factory)
    error = machines.failure(connect)
    assert isinstance(error, ConnectBindError) and isinstance(error, CannotListenError)
    assert str(error).startswith("Couldn't listen on ") and error.osError == error.socketError.errno
    assert factory.running == 0
    machines.assert_clean()


def test_nobody_listens(machines: Any) -> None:
    """A peer that runs uTP and listens to nobody refuses."""
    machines.server.listenUDP(9000, UTPProtocol(machines.server))
    factory = machines.Building()
    connect = UTPClientEndpoint(machines.client, machines.SERVER, 9000).connect(factory)
    assert isinstance(machines.failure(connect), ConnectionRefusedError)
    machines.advance(1)
    assert factory.running == 0 and machines.client.getReaders() == []


def test_nobody_answers(machines: Any) -> None:
    """A connect that nobody answers fails with TimeoutError after its timeout, and leaves nothing."""
    factory = machines.Building()
    connect = UTPClientEndpoint(machines.client, machines.SERVER, 9000, timeout=5).connect(factory)
    before = machines.client.seconds()
    assert isinstance(machines.failure(connect), TimeoutError)
    assert machines.client.seconds() - before == pytest.approx(5, abs=0.01)
    machines.advance(1)
    machines.assert_clean()


@pytest.mark.parametrize("host", ["10.0.0.2", "server.test", "both.test"])
@pytest.mark.parametrize("after", [0, 0.1, 0.4])
def test_cancel(machines: Any, host: str, after: float) -> None:
    """A connect can be cancelled at any moment: while resolving, and while dialling."""
    factory = machines.Building()
    connect = UTPClientEndpoint(machines.client, host, 9000).connect(factory)
    machines.advance(after)
    connect.cancel()
    failure = machines.failure(connect)
    assert isinstance(failure, ConnectingCancelledError) and failure.address.port == 9000
    machines.advance(1)
    assert factory.running == 0
    machines.assert_clean()


def test_no_protocol(machines: Any) -> None:
    """A client's factory that builds nothing fails the connect with NoProtocol."""
    machines.listen()
    connect = UTPClientEndpoint(machines.client, machines.SERVER, 9000).connect(machines.Building(lambda: None))
    assert isinstance(machines.failure(connect), NoProtocol)
    machines.advance(1)
    assert machines.client.getReaders() == []


@pytest.mark.parametrize("where", ["buildProtocol", "connectionMade"])
def test_exception_in_client(machines: Any, logged: Any, where: str) -> None:
    """What a client's factory or connectionMade raises fails the connect."""
    machines.listen()

    class Raising(machines.Recording):
        def connectionMade(self) -> None:
            raise ZeroDivisionError

    def raising() -> Any:
        raise ZeroDivisionError

    factory = machines.Building(raising if where == "buildProtocol" else Raising)
    connect = UTPClientEndpoint(machines.client, machines.SERVER, 9000).connect(factory)
    assert isinstance(machines.failure(connect), ZeroDivisionError)
    machines.advance(1)
    assert factory.running == 0 and machines.client.getReaders() == []


def test_unknown_name(machines: Any) -> None:
    """A name without addresses is a DNSLookupError."""
    connect = UTPClientEndpoint(machines.client, "nowhere.test", 9000).connect(machines.Building())
    assert isinstance(machines.failure(connect), DNSLookupError)


def test_first_address_that_answers(machines: Any) -> None:
    """When the preferred address is dead the next one is tried after a moment, and only one protocol is built."""
    machines.listen()
    factory = machines.Building()
    before = machines.client.seconds()
    client = machines.result(UTPClientEndpoint(machines.client, "dead.test", 9000).connect(factory))
    assert machines.client.seconds() - before == pytest.approx(0.25 + 0.01, abs=0.005)
    assert client.transport.getPeer().host == machines.SERVER
    client.transport.loseConnection()
    machines.result(client.lost)
    machines.advance(2)
    assert len(factory.built) == 1 and factory.running == 0 and machines.client.getReaders() == []


def test_ipv6(machines: Any) -> None:
    """Names and literals reach an IPv6 server."""
    machines.listen(interface="::")
    for host in ("fd00::2", "both.test"):
        client = machines.result(UTPClientEndpoint(machines.client, host, 9000).connect(machines.Building()))
        assert client.transport.getPeer().host == "fd00::2"


def test_client_from_a_listening_port(machines: Any) -> None:
    """A client bound to a port on which this process listens shares its socket."""
    machines.listen()
    own = machines.result(UTPServerEndpoint(machines.client, 7000).listen(machines.Building()))
    client = machines.connect(bindAddress=("", 7000))
    assert client.transport.getHost().port == 7000
    assert len(machines.client.getReaders()) == 1
    own.stopListening()
    machines.advance(1)
    client.transport.loseConnection()
    machines.result(client.lost)
    machines.advance(1)
    assert machines.client.getReaders() == []


def test_listen_where_a_client_dials_from(machines: Any) -> None:
    """A server may listen where an earlier client of this process is bound."""
    machines.listen()
    machines.connect(bindAddress=("", 7000))
    own = machines.result(UTPServerEndpoint(machines.client, 7000).listen(machines.Building()))
    assert own.getHost().port == 7000 and len(machines.client.getReaders()) == 1


def test_over_protocol(machines: Any) -> None:
    """Connections can be dialled out over a UTPProtocol that the application owns, and its port stays open."""
    port = machines.listen()
    protocol = UTPProtocol(machines.client)
    machines.client.listenUDP(7000, protocol)
    clients = [
        machines.result(UTPClientEndpoint.overProtocol(protocol, host, 9000).connect(machines.Building()))
        for host in (machines.SERVER, "server.test")
    ]
    machines.advance(0.1)
    assert {server.transport.getPeer().port for server in port.factory.built} == {7000}
    for client in clients:
        client.transport.loseConnection()
        machines.result(client.lost)
    machines.advance(10)
    assert len(machines.client.getReaders()) == 1


def test_timeout_and_backlog_over_config() -> None:
    """Arguments that are given beat the configuration; their defaults do not."""
    config = UTPConfig(backlog=7, connect_timeout=3)
    assert UTPServerEndpoint(None, 0, config=config)._config.backlog == 7
    assert UTPServerEndpoint(None, 0, backlog=8, config=config)._config.backlog == 8
    assert UTPClientEndpoint(None, "h", 1, config=config)._config.connect_timeout == 3
    assert UTPClientEndpoint(None, "h", 1, timeout=4, config=config)._config.connect_timeout == 4
    assert UTPClientEndpoint(None, "h", 1, timeout=None, config=config)._config.connect_timeout == 3
    with pytest.raises(ValueError, match="backlog"):
        UTPServerEndpoint(None, 0, backlog=0)


def test_repr(machines: Any) -> None:
    """They say what they are."""
    assert repr(UTPServerEndpoint(None, 80)) == "<UTPServerEndpoint *:80>"
    assert repr(UTPServerEndpoint(None, 80, interface="::1")) == "<UTPServerEndpoint [::1]:80>"
    assert repr(UTPClientEndpoint(None, "::1", 80)) == "<UTPClientEndpoint [::1]:80>"
    assert repr(UTPClientEndpoint(None, "[::1]", 80)) == "<UTPClientEndpoint [::1]:80>"


@pytest.mark.parametrize(("version", "peer"), [(4, "10.0.0.2"), (6, None), (None, "10.0.0.2")])
def test_one_family(machines: Any, version: int | None, peer: str | None) -> None:
    """With C{ipVersion} only a name's addresses of that family are tried."""
    UTPServerEndpoint(machines.server, 9000).listen(machines.Building())
    endpoint = UTPClientEndpoint(machines.client, "server.test", 9000, ipVersion=version)
    connecting = endpoint.connect(machines.Building())
    machines.advance(1)
    if peer is None:
        error = machines.failure(connecting)
        assert isinstance(error, DNSLookupError) and "server.test has no IPv6 address" in str(error)
        assert str(cause_of(error)).startswith("the name has no address of this IP version; leave")
        return
    assert connecting.result.transport.getPeer().host == peer


def test_one_family_of_several(machines: Any) -> None:
    """The other family's addresses are not tried, though they come first and answer as well."""
    factory = machines.Building()
    UTPServerEndpoint(machines.server, 9000).listen(factory)
    connecting = UTPClientEndpoint(machines.client, "both.test", 9000, ipVersion=4).connect(machines.Building())
    machines.advance(0.1)  # less than the delay before a second attempt
    assert connecting.result.transport.getPeer().host == machines.SERVER
