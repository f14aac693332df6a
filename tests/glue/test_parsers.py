"""
Which endpoint strings are understood, and how are the others refused?
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin, getPlugins
from zope.interface.verify import verifyObject

from twisted_utp import UTPConfig
from twisted_utp._parsers import UTPClientParser, UTPServerParser
from twisted_utp._settings import setting_keys

SETTINGS = {
    "congestion": ("ledbat", "congestion", "ledbat"),
    "targetDelay": ("0.05", "target_delay", 0.05),
    "receiveBuffer": ("100000", "receive_buffer", 100_000),
    "sendBuffer": ("5000", "send_buffer", 5000),
    "maxInFlight": ("20000", "max_in_flight", 20_000),
    "mtu": ("576", "mtu", 576),
    "keepalive": ("0", "keepalive", 0),
    "userTimeout": ("60", "user_timeout", 60),
    "minRto": ("0.1", "min_rto", 0.1),
    "noDelay": ("1", "no_delay", True),
    "pacing": ("0", "pacing", False),
    "maxConnections": ("9", "max_connections", 9),
    "maxPerHost": ("3", "max_per_host", 3),
    "refuseSilently": ("1", "refuse_silently", True),
    "earlyByte": ("1", "early_byte", True),
    "stallTimeout": ("0", "stall_timeout", 0),
    "linger": ("2.5", "linger", 2.5),
    "shutdownTimeout": ("0.5", "shutdown_timeout", 0.5),
    "maxRate": ("1.5MB/s", "max_rate", 1_500_000),
    "maxSendRate": ("500k", "max_send_rate", 500_000),
    "maxReceiveRate": ("1Mi", "max_receive_rate", 1_048_576),
    "maxPortRate": ("20Mbit/s", "max_port_rate", 2_500_000),
    "maxPortSendRate": ("1000", "max_port_send_rate", 1000),
    "maxPortReceiveRate": ("0", "max_port_receive_rate", 0),
    "trace": ("traces", "trace", "traces"),
}

WRONG = {
    "congestion": "cubist",
    "targetDelay": "5",
    "receiveBuffer": "1.5",
    "sendBuffer": "-1",
    "maxInFlight": "1000",
    "mtu": "20",
    "keepalive": "nan",
    "userTimeout": "never",
    "minRto": "",
    "noDelay": "yes",
    "pacing": "2",
    "maxConnections": "0",
    "maxPerHost": "none",
    "refuseSilently": "loudly",
    "earlyByte": "2",
    "stallTimeout": "-1",
    "linger": "4000",
    "maxRate": "2Mb/s",
    "maxSendRate": "-1",
    "maxReceiveRate": "fast",
    "maxPortRate": "1T",
    "maxPortSendRate": "100000000001",
    "maxPortReceiveRate": "1kk",
}


def test_every_setting_has_a_key() -> None:
    """Each field of the configuration can be given in a string, under its camel case name or as an argument."""
    assert sorted(SETTINGS) == sorted(setting_keys())
    assert {field.name for field in fields(UTPConfig)} == set(setting_keys("backlog", "timeout").values())


@pytest.mark.parametrize("key", SETTINGS)
def test_setting(key: str) -> None:
    """It reaches the configuration, of servers and of clients."""
    text, name, value = SETTINGS[key]
    server: Any = serverFromString(None, f"utp:80:{key}={text}")
    client: Any = clientFromString(None, f"utp:host:80:{key}={text}")
    assert getattr(server._config, name) == getattr(client._config, name) == value
    assert server._config == UTPConfig(**{name: value})


@pytest.mark.parametrize("key", WRONG)
def test_wrong_setting(key: str) -> None:
    """It is a ValueError that names the key as it was written, the value and what is allowed."""
    for parse, where in ((serverFromString, "utp:80"), (clientFromString, "utp:host:80")):
        with pytest.raises(ValueError, match=rf"^{key}=.*expected .+") as caught:
            parse(None, f"{where}:{key}={WRONG[key]}")
        assert WRONG[key] in str(caught.value)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("utp:", r"port='': expected an integer from 0 to 65535"),
        ("utp:http", r"port='http': expected an integer from 0 to 65535"),
        ("utp:65536", r"port='65536'"),
        ("utp:-1", r"port='-1'"),
        ("utp:port=1:interface=localhost", r"interface='localhost': expected an IPv4 or IPv6 address"),
        ("utp:1:2", r"'2' is one argument too many"),
        ("utp:1:interface=::1", r"^utp: each colon in an address needs a backslash; write 'interface=\\:\\:1'$"),
        ("utp:interface=0.0.0.0", r"port is missing"),
        ("utp:1:backlog=0", r"backlog=0: expected 1 to 65535"),
        ("utp:1:backlog=many", r"backlog='many': expected 1 to 65535"),
        ("utp:1:socket=1", r"socket='1': no such key; there are backlog, congestion, device, dscp, .*interface, .*"),
    ],
)
def test_wrong_server(description: str, message: str) -> None:
    """It is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        serverFromString(None, description)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("utp:host:0", r"port='0': expected an integer from 1 to 65535"),
        ("utp:host", r"port is missing"),
        ("utp:host=host", r"port is missing"),
        ("utp::80", r"host='': expected a name or an address"),
        ("utp:host:80:host=other", r"one argument too many"),
        ("utp:host:80:timeout=0", r"timeout=0\.0: expected 0\.1 to 3600 seconds"),
        ("utp:host:80:timeout=soon", r"timeout='soon': expected 0\.1 to 3600 seconds"),
        ("utp:host:80:bindAddress=me", r"bindAddress='me': expected an IPv4 or IPv6 address"),
        ("utp:host:80:bindPort=x", r"bindPort='x': expected an integer from 0 to 65535"),
        ("utp:host:80:socket=5", r"socket='5': no such key; there are bindAddress, bindPort, .*timeout"),
        ("utp:host:80:ipVersion=5", r"ipVersion='5': expected 4 or 6"),
        ("utp:192.0.2.7:80:ipVersion=6", r"ipVersion=6: expected a name, or an IPv6 address, as the host, not '192.0"),
        ("utp:host:80:ipVersion=6:socks=proxy", r"ipVersion=6: not allowed with a proxy"),
    ],
)
def test_wrong_client(description: str, message: str) -> None:
    """It is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        clientFromString(None, description)


@pytest.mark.parametrize(
    ("description", "port", "interface", "backlog"),
    [
        ("utp:8080", 8080, "", 1024),
        ("UTP:8080", 8080, "", 1024),
        ("utp:port=0:interface=127.0.0.1:backlog=5", 0, "127.0.0.1", 5),
        (r"utp:80:interface=\:\:1", 80, "::1", 1024),
        (r"utp:80:interface=fe80\:\:1%lo", 80, "fe80::1%lo", 1024),
        ("utp6:80", 80, "::", 1024),
        (r"utp6:80:interface=\:\:1", 80, "::1", 1024),
    ],
)
def test_server(description: str, port: int, interface: str, backlog: int) -> None:
    """Port, interface and backlog reach the endpoint."""
    endpoint: Any = serverFromString(None, description)
    assert (endpoint._port, endpoint._interface, endpoint._config.backlog) == (port, interface, backlog)


@pytest.mark.parametrize(
    ("description", "host", "port", "bind", "timeout"),
    [
        ("utp:example.org:80", "example.org", 80, None, 30),
        ("utp:host=example.org:port=80", "example.org", 80, None, 30),
        ("utp:example.org:port=80:timeout=2.5", "example.org", 80, None, 2.5),
        ("utp:80:host=example.org", "example.org", 80, None, 30),
        (r"utp:\:\:1:80", "::1", 80, None, 30),
        (r"utp:host=fe80\:\:1%eth0:port=80", "fe80::1%eth0", 80, None, 30),
        ("utp:h:80:bindAddress=127.0.0.1", "h", 80, ("127.0.0.1", 0), 30),
        ("utp:h:80:bindPort=7000", "h", 80, ("", 7000), 30),
        (r"utp:h:80:bindAddress=\:\:1:bindPort=7000", "h", 80, ("::1", 7000), 30),
    ],
)
def test_client(description: str, host: str, port: int, bind: Any, timeout: float) -> None:
    """Host, port and the rest reach the endpoint."""
    endpoint: Any = clientFromString(None, description)
    assert (endpoint._host, endpoint._port, endpoint._bind) == (host, port, bind)
    assert endpoint._config.connect_timeout == timeout


def test_wrapped() -> None:
    """haproxy: takes our strings."""
    assert "UTPServerEndpoint" in repr(vars(serverFromString(None, r"haproxy:utp:0:interface=\:\:1")))


def test_interfaces() -> None:
    """Parsers provide what they claim, and Twisted finds them."""
    for parser in (UTPServerParser("utp"), UTPClientParser("utp")):
        assert verifyObject(IPlugin, parser)
    assert verifyObject(IStreamServerEndpointStringParser, UTPServerParser("utp"))
    assert verifyObject(IStreamClientEndpointStringParserWithReactor, UTPClientParser("utp"))
    servers = {plugin.prefix for plugin in getPlugins(IStreamServerEndpointStringParser)}
    clients = {plugin.prefix for plugin in getPlugins(IStreamClientEndpointStringParserWithReactor)}
    assert servers >= {"utp", "utp6"} and "utp" in clients


@pytest.mark.parametrize("module", ["twisted.plugins.twisted_utp_plugin", "twisted_utp"])
def test_nothing_heavy_is_loaded(module: str) -> None:
    """Looking for plugins installs no reactor and loads no core."""
    probe = (
        f"import sys, {module}; "
        "heavy = [m for m in sys.modules if m == 'twisted.internet.reactor' or m.startswith('twisted_utp.proto')]; "
        "print(heavy)"
    )
    output = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True, timeout=60)
    assert output.stdout.strip() == "[]"
