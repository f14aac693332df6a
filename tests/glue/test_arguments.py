"""
Are wrong types and values refused where they are given, with the name of the argument?
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

from twisted_utp import UTPClientEndpoint, UTPConfig, UTPProtocol, UTPServerEndpoint
from twisted_utp.proto.congestion.base import (
    CongestionController,
    congestion_controller_names,
    make_congestion_controller,
    register_congestion_controller,
)
from twisted_utp.proto.congestion.ledbat import Ledbat

FACTORY = Factory.forProtocol(Protocol)
GOOD: dict[str, Any] = {"factory": FACTORY, "host": "10.0.0.2", "port": 9000, "config": None}

# Arguments and what is wrong with them.
PORTS = [("port", value, TypeError) for value in ("http", "9000", 9000.0, True, None, b"9000")]
PORTS += [("port", value, ValueError) for value in (-1, 65536, 70000)]  # type: ignore[misc]
FACTORIES = [(None, TypeError), (Factory, TypeError), (Protocol(), TypeError), ("factory", TypeError)]
CONFIGS = [("config", value, TypeError) for value in ({}, "ledbat", UTPConfig, 1)]


def refused(error: type[Exception], name: str, call: Any, *args: Any, **keywords: Any) -> None:
    """It raises, and says whose fault it is."""
    with pytest.raises(error, match=f"^{re.escape(name)}=.*expected"):
        call(*args, **keywords)


@pytest.mark.parametrize("method", ["connect", "punch"])
@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        *PORTS,
        ("port", 0, ValueError),
        ("host", "server.test", ValueError),
        ("host", "", ValueError),
        ("host", "10.0.0", ValueError),
        ("host", b"10.0.0.2", TypeError),
        ("host", None, TypeError),
        ("host", ("10.0.0.2", 9000), TypeError),
        *(("factory", value, error) for value, error in FACTORIES),
        *CONFIGS,
    ],
)
def test_dial(machines: Any, method: str, name: str, value: Any, error: Any) -> None:
    """Before anything has been sent."""
    protocol = UTPProtocol(machines.client)
    port = machines.client.listenUDP(0, protocol)
    refused(error, name, getattr(protocol, method), **{**GOOD, name: value})
    machines.advance(1)
    assert port.sent == 0 and len(protocol.multiplexer) == 0


@pytest.mark.parametrize(
    ("name", "value", "error"), [*(("factory", value, error) for value, error in FACTORIES), *CONFIGS]
)
def test_listen(machines: Any, name: str, value: Any, error: Any) -> None:
    """The protocol does not listen then."""
    protocol = UTPProtocol(machines.server)
    machines.server.listenUDP(9000, protocol)
    refused(error, name, protocol.listen, **{"factory": FACTORY, name: value})
    assert not protocol.is_listening


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [*CONFIGS, ("clock", 5, TypeError), ("tracer", "/tmp", TypeError), ("other", DatagramProtocol, TypeError)],
)
def test_protocol(machines: Any, name: str, value: Any, error: Any) -> None:
    """What it is made of."""
    refused(error, name, UTPProtocol, machines.client, **{name: value})


def test_what_a_protocol_is_given_later(machines: Any) -> None:
    """A policy, another protocol."""
    protocol = UTPProtocol(machines.client)
    refused(TypeError, "accept_policy", setattr, protocol, "accept_policy", True)
    refused(TypeError, "other", protocol.share_with, FACTORY)
    assert protocol.accept_policy is None and protocol.other is None


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        *PORTS,
        *CONFIGS,
        ("interface", "localhost", ValueError),
        ("interface", b"127.0.0.1", TypeError),
        ("interface", None, TypeError),
        ("backlog", "5", TypeError),
        ("backlog", 0, ValueError),
        ("sharePort", 1, TypeError),
        ("ipv6Only", "yes", TypeError),
        ("ipv6Only", True, ValueError),  # all IPv4 addresses are the default
    ],
)
def test_server_endpoint(machines: Any, name: str, value: Any, error: Any) -> None:
    """When it is made, not when it listens."""
    refused(error, name, UTPServerEndpoint, machines.server, **{"port": 0, name: value})


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        *PORTS,
        ("port", 0, ValueError),
        *CONFIGS,
        ("host", "", ValueError),
        ("host", 5, TypeError),
        ("host", b"\xff", ValueError),
        ("host", "a\0b", ValueError),
        ("timeout", "5", TypeError),
        ("timeout", 0, ValueError),
        ("timeout", float("nan"), ValueError),
        ("attemptDelay", "5", TypeError),
        ("attemptDelay", -1, ValueError),
        ("bindAddress", 5, TypeError),
        ("bindAddress", ("127.0.0.1",), TypeError),
        ("bindAddress", ("localhost", 0), ValueError),
        ("bindAddress", "localhost", ValueError),
        ("bindAddress", ("127.0.0.1", "0"), TypeError),
        ("bindAddress", "eth0", ValueError),
        ("ipVersion", "6", TypeError),
        ("ipVersion", 5, ValueError),
    ],
)
def test_client_endpoint(machines: Any, name: str, value: Any, error: Any) -> None:
    """When it is made, not when it connects."""
    refused(error, name, UTPClientEndpoint, machines.client, **{"host": "server.test", "port": 9000, name: value})


@pytest.mark.parametrize(("value", "error"), FACTORIES)
def test_endpoints_factories(machines: Any, value: Any, error: Any) -> None:
    """They are given later, and to what returns a Deferred: that fails."""
    for returned in (
        UTPServerEndpoint(machines.server, 9000).listen(value),
        UTPClientEndpoint(machines.client, "server.test", 9000).connect(value),
        UTPClientEndpoint(machines.client, machines.SERVER, 9000).connect(value),
    ):
        failure = machines.failure(returned)
        assert isinstance(failure, error) and str(failure).startswith("protocolFactory=")
    machines.assert_clean()


def test_endpoints_other_ways(machines: Any) -> None:
    """A descriptor that is none, a protocol that is none."""
    refused(TypeError, "descriptor", UTPServerEndpoint.adopting, machines.server, "3")
    refused(TypeError, "descriptor", UTPServerEndpoint.adopting, machines.server, True)
    for odd in (None, UTPProtocol, machines.client):
        refused(TypeError, "protocol", UTPClientEndpoint.overProtocol, odd, "10.0.0.2", 9000)
    assert UTPClientEndpoint(machines.client, b"server.test", 9000)._host == "server.test"  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "error"), [(1.5, TypeError), ("1", TypeError), (True, TypeError), (-1, ValueError)])
def test_transport(machines: Any, value: Any, error: Any) -> None:
    """What is set on a connection."""
    client, _, _ = machines.pair()
    refused(error, "bufferSize", setattr, client.transport, "bufferSize", value)
    refused(error, "close_code", client.transport.set_close_reason, value)


# --- Congestion controllers ----------------------------------------------------------------------------------------


class Abstract(CongestionController):
    """Lacks everything."""


@pytest.mark.parametrize("factory", [None, "ledbat", Ledbat(mss=1000, target_delay=1), Protocol, Abstract])
def test_controller_class(factory: Any) -> None:
    """An object, a class of another kind and one that lacks methods are no controllers."""
    refused(TypeError, "factory", register_congestion_controller, "odd", factory)
    assert "odd" not in congestion_controller_names()


@pytest.mark.parametrize("name", [None, 5, b"odd", Ledbat])
def test_controller_name(name: Any) -> None:
    """A str, for registering as in the settings."""
    refused(TypeError, "name", register_congestion_controller, name, Ledbat)
    refused(TypeError, "congestion", UTPConfig, congestion=name)


def test_controller_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a function returns is looked at when it does."""
    from twisted_utp.proto.congestion import base

    monkeypatch.setattr(base, "_registry", dict(base._registry))
    register_congestion_controller("odd", lambda **keywords: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="congestion='odd': .*expected a CongestionController"):
        make_congestion_controller("odd", mss=1000, target_delay=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: UTPServerEndpoint(None, 70000), "port=70000: expected an integer from 0 to 65535"),
        (lambda: UTPClientEndpoint(None, "h", "http"), "port='http': expected an integer from 1 to 65535"),  # type: ignore[arg-type]
        (
            lambda: UTPServerEndpoint(None, 9000, interface="eth0"),
            "interface='eth0': expected an IPv4 or IPv6 address of this machine; to choose an interface, use device",
        ),
        (
            lambda: UTPServerEndpoint(None, 9000, config={}),  # type: ignore[arg-type]
            "config={}: expected a UTPConfig, such as UTPConfig(target_delay=0.05), or None",
        ),
        (
            lambda: UTPClientEndpoint.overProtocol(None, "h", 9000),  # type: ignore[arg-type]
            "protocol=None: expected a UTPProtocol, which reactor.listenUDP has given a port",
        ),
    ],
)
def test_messages(call: Any, message: str) -> None:
    """One line: the cause, and what would be right."""
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(message)}$"):
        call()


def test_trace_directory() -> None:
    """A name that no file system takes."""
    refused(ValueError, "trace", UTPConfig, trace="a\0b")
    refused(TypeError, "trace", UTPConfig, trace=b"traces")


def test_a_port_that_is_not_open(machines: Any) -> None:
    """What needs it says how to open it."""
    protocol = UTPProtocol(machines.client)
    with pytest.raises(
        CannotListenError, match=r"the UDP port is not open; reactor.listenUDP\(PORT, protocol\) opens it"
    ):
        protocol.listen(FACTORY)
    assert not protocol.is_listening
    with pytest.raises(RuntimeError, match=r"^the UDP port is not open; reactor.listenUDP\(PORT, protocol\) opens it$"):
        protocol.getHost()


@pytest.mark.parametrize("wrong", [None, 5, "reactor"])
def test_no_reactor(machines: Any, wrong: Any) -> None:
    """An endpoint without a reactor fails with a sentence."""
    refused(TypeError, "reactor", machines.client.wait_for, UTPServerEndpoint(wrong, 9000).listen(FACTORY))
    refused(TypeError, "reactor", machines.client.wait_for, UTPClientEndpoint(wrong, "host", 9000).connect(FACTORY))


def test_other_neighbours(machines: Any) -> None:
    """A protocol to share with, randomness, a host that has its port in it."""
    refused(TypeError, "other", UTPProtocol(machines.client).share_with, None)
    refused(TypeError, "rng", UTPProtocol, machines.client, rng=5)
    refused(ValueError, "host", UTPClientEndpoint, machines.client, "host:9000", 9000)


@pytest.mark.parametrize("name", ["target_dealy", "targetDelay", "Target_Delay"])
def test_near_misses_of_settings(name: str) -> None:
    """The one that was meant."""
    with pytest.raises(TypeError, match=f"^{name}: no such setting; did you mean target_delay\\?$"):
        UTPProtocol(None).change_settings(**{name: 1})
    with pytest.raises(TypeError, match="^xyz: no such setting; there are backlog, congestion, "):
        UTPProtocol(None).change_settings(xyz=1)
