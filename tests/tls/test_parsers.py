"""
Which C{utps:} strings are understood, and how are the others refused?
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, quoteStringArgument, serverFromString
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin, getPlugins
from zope.interface.verify import verifyObject

from twisted_utp import UTPClientEndpoint, UTPServerEndpoint


def quoted(path: Path) -> str:
    """
    A path inside an endpoint string.
    """
    return str(quoteStringArgument(str(path)))


@pytest.mark.parametrize("interface", [IStreamServerEndpointStringParser, IStreamClientEndpointStringParserWithReactor])
def test_plugins(interface: Any) -> None:
    """Twisted finds a parser for servers and one for clients."""
    (found,) = [parser for parser in getPlugins(interface) if parser.prefix == "utps"]
    assert verifyObject(interface, found) and verifyObject(IPlugin, found)


def test_server(localhost: Any) -> None:
    """Settings and arguments go to the uTP endpoint below."""
    string = f"utps:8443:privateKey={quoted(localhost.both)}:interface=127.0.0.1:backlog=7:noDelay=1"
    endpoint: Any = serverFromString(None, string)
    below = endpoint._below
    assert isinstance(below, UTPServerEndpoint)
    assert (below._port, below._interface, below._config.backlog, below._config.no_delay) == (
        8443,
        "127.0.0.1",
        7,
        True,
    )


@pytest.mark.parametrize(
    "where", ["utps:example.org:443", "utps:443:host=example.org", "utps:host=example.org:port=443"]
)
def test_client(where: str, localhost: Any) -> None:
    """Settings and arguments go to the uTP endpoint below; the host, wherever it stands, is who is verified."""
    string = f"{where}:trustRoots={quoted(localhost.certificate)}:timeout=2.5:bindAddress=127.0.0.1:targetDelay=0.05"
    endpoint: Any = clientFromString(None, string)
    below = endpoint._below
    assert isinstance(below, UTPClientEndpoint)
    assert (below._host, below._port, below._bind) == ("example.org", 443, ("127.0.0.1", 0))
    assert (below._config.connect_timeout, below._config.target_delay) == (2.5, 0.05)
    assert endpoint._credentials._hostname == "example.org"


def test_hostname() -> None:
    """The certificate may have to name somebody else than the string dials."""
    endpoint: Any = clientFromString(None, r"utps:127.0.0.1:443:hostname=example.org")
    assert endpoint._credentials._hostname == "example.org"
    scoped: Any = clientFromString(None, r"utps:host=fe80\:\:1%eth0:port=443")
    assert scoped._credentials._hostname == "fe80::1"


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("utps:443", r"^utps: privateKey is missing; or give path"),
        ("utps:https:privateKey=x", r"^port='https': expected an integer"),
        ("utps:", r"^port='': expected"),
        ("utps:443:privatekey=x", r"^privatekey='x': no such key; did you mean privateKey\?"),
        ("utps:443:odd=x", r"^odd='x': no such key; there are backlog, certKey, .*privateKey"),
        ("utps:443:privateKey=x:timeout=1", r"^timeout='1': no such key"),
        ("utps:443:privateKey=x:mtu=20", r"^mtu=20: expected 150 to"),
        ("utps:443:privateKey=/nowhere/key", r"^privateKey='/nowhere/key': No such file.*; expected a PEM file"),
        ("utps:443:path=/nowhere", r"^path='/nowhere': expected a directory with \*\.pem files"),
        ("utps:443:path=/nowhere:certKey=x", r"^certKey='x': expected either path, or"),
        ("utps:443:path=/nowhere:certificate=x", r"^certificate='x': expected either path, or"),
        ("utps:443:privateKey=x:certKey=a:certificate=b", r"^certKey='a': the same as certificate"),
    ],
)
def test_wrong_server(description: str, message: str) -> None:
    """It is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        serverFromString(None, description)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("utps:host", r"port is missing"),
        ("utps:host:0", r"^port='0': expected an integer from 1"),
        ("utps:host:443:path=x", r"^path='x': no such key; it is for servers"),
        ("utps:host:443:odd=x", r"^odd='x': no such key; there are .*trustRoots"),
        ("utps:host:443:minRto=x", r"^minRto='x': expected 0.01 to"),
        ("utps:host:443:privateKey=x", r"^privateKey='x': expected a certificate as well"),
        ("utps:host:443:trustRoots=/nowhere", r"^trustRoots='/nowhere': No such file"),
        ("utps:host:443:caCertsDir=/nowhere", r"^caCertsDir='/nowhere': No such file"),
        ("utps:host:443:caCertsDir=a:trustRoots=b", r"^caCertsDir='a': the same as trustRoots"),
        ("utps:host:443:certKey=a:certificate=b", r"^certKey='a': the same as certificate"),
        ("utps:host:443:certificate=/nowhere", r"^certificate='/nowhere': No such file"),
    ],
)
def test_wrong_client(description: str, message: str) -> None:
    """It is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        clientFromString(None, description)


def test_without_openssl(monkeypatch: Any) -> None:
    """What is missing is named, with the command that installs it."""
    monkeypatch.setattr("twisted_utp._tls_parsers.find_spec", lambda name: None)
    for parse, string in ((serverFromString, "utps:443:privateKey=x"), (clientFromString, "utps:host:443")):
        with pytest.raises(ValueError, match=r"^utps: TLS needs OpenSSL; pip install 'twisted-utp\[tls\]'"):
            parse(None, string)


def test_plugin_file_loads_nothing_heavy() -> None:
    """Importing the plugin loads neither a reactor, nor the core, nor OpenSSL."""
    code = "import sys, twisted.plugins.twisted_utp_tls_plugin; "
    code += "print([name for name in sys.modules if name == 'twisted.internet.reactor' "
    code += "or name.startswith(('twisted_utp.proto', 'twisted_utp.protocol', 'OpenSSL', 'cryptography'))])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "[]", ran
