"""
Is whoever writes an endpoint string that cannot be used told what to write instead?
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.plugin import IPlugin, getPlugins
from zope.interface.verify import verifyObject

from twisted_utp._hints import endpoint_from, explained, for_key

ESCAPE = "each colon in an address needs a backslash; write "
URL = "an endpoint string is not a URL; write "
PORT_FIRST = "a server's string begins with its port; write "

# What is written, what is said, and so what should have been written.
SERVERS = [
    ("utp:[::1]:9000", rf"utp: {ESCAPE}'utp:9000:interface=\:\:1'"),
    ("utp6:[::]:9000", rf"utp6: {ESCAPE}'utp6:9000:interface=\:\:'"),
    ("utp:9000:interface=::1", rf"utp: {ESCAPE}'interface=\:\:1'"),
    ("utp:9000:interface=[fe80::1%lo]", rf"utp: {ESCAPE}'interface=fe80\:\:1%lo'"),
    ("utp:interface=::1:9000", rf"utp: {ESCAPE}'interface=\:\:1'"),
    ("utp:port=9000:interface=2001:db8::1", rf"utp: {ESCAPE}'interface=2001\:db8\:\:1'"),
    ("utp:host:9000", f"utp: {PORT_FIRST}utp:9000"),
    ("utp6:host:9000", f"utp6: {PORT_FIRST}utp6:9000"),
    ("utp::9000", f"utp: {PORT_FIRST}utp:9000"),
    ("utp:*:9000", f"utp: {PORT_FIRST}utp:9000"),
    ("utp:192.0.2.7:9000", f"utp: {PORT_FIRST}utp:9000:interface=192.0.2.7"),
    ("utps:host:9000:privateKey=x", f"utps: {PORT_FIRST}utps:9000"),
    ("utp://:9000", f"utp: {URL}utp:9000"),
    ("utp://[::1]:9000/", rf"utp: {URL}'utp:9000:interface=\:\:1'"),
    ("utp:9000:target_delay=1", "target_delay='1': no such key; did you mean targetDelay?"),
    ("utp:9000:targetDealy=1", "targetDealy='1': no such key; did you mean targetDelay?"),
    ("utp:9000:privateKey=k", "privateKey='k': no such key; it is for TLS; such a string begins with utps:"),
    ("utp:9000:private_key=k", "private_key='k': no such key; it is for TLS; such a string begins with utps:"),
    ("utp:9000:timeout=5", "timeout='5': no such key; it is for clients"),
    ("utp:9000:bindAddress=127.0.0.1", "bindAddress='127.0.0.1': no such key; it is called interface here"),
    ("utps:9000:privatekey=k", "privatekey='k': no such key; did you mean privateKey?"),
    ("utps:9000:trustRoots=k", "trustRoots='k': no such key; it is for clients"),
    (
        "utp:9000:interface=eth0",
        "interface='eth0': expected an IPv4 or IPv6 address of this machine; to choose an interface, use device",
    ),
]

CLIENTS = [
    ("utp:[::1]:9000", rf"utp: {ESCAPE}'utp:\:\:1:9000'"),
    ("utp:::1:9000", rf"utp: {ESCAPE}'utp:\:\:1:9000'"),
    ("utp:[::1]", rf"utp: {ESCAPE}'utp:\:\:1:PORT'"),
    ("utp:fe80::1%eth0:9000", rf"utp: {ESCAPE}'utp:fe80\:\:1%eth0:9000'"),
    ("utp:host=::1:port=9000", rf"utp: {ESCAPE}'host=\:\:1'"),
    ("utp:h:1:bindAddress=[::1]", rf"utp: {ESCAPE}'bindAddress=\:\:1'"),
    ("utps:[::1]:443", rf"utps: {ESCAPE}'utps:\:\:1:443'"),
    ("utp6:host:9000", "utp6: is for servers; utp:HOST:PORT takes both families, and with ipVersion=6 only IPv6"),
    (r"utp6:\:\:1:9000", "utp6: is for servers; utp:HOST:PORT takes both families, and with ipVersion=6 only IPv6"),
    ("utp:9000", "utp: host is missing; a client's string needs a host and a port; write utp:HOST:9000"),
    ("utps:443", "utps: host is missing; a client's string needs a host and a port; write utps:HOST:443"),
    ("utp:host", "utp: port is missing; a client's string needs a host and a port; write utp:host:PORT"),
    ("utp://host:9000", f"utp: {URL}utp:host:9000"),
    ("utp://host:9000/path", f"utp: {URL}utp:host:9000"),
    ("utps://[::1]:443", rf"utps: {URL}'utps:\:\:1:443'"),
    ("utps://host", f"utps: {URL}utps:host:PORT"),
    ("utp://[::1]/", rf"utp: {URL}'utp:\:\:1:PORT'"),
    ("utp:h:1:target_delay=1", "target_delay='1': no such key; did you mean targetDelay?"),
    ("utp:h:1:connect_timeout=1", "connect_timeout='1': no such key; it is called timeout here"),
    ("utp:h:1:trustRoots=k", "trustRoots='k': no such key; it is for TLS; such a string begins with utps:"),
    ("utp:h:1:backlog=5", "backlog='5': no such key; it is for servers"),
    ("utp:h:1:interface=127.0.0.1", "interface='127.0.0.1': no such key; it is called bindAddress here"),
]


@pytest.mark.parametrize(("string", "message"), SERVERS)
def test_servers(string: str, message: str) -> None:
    """One line: what is wrong, and what is right."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        serverFromString(None, string)


@pytest.mark.parametrize(("string", "message"), CLIENTS)
def test_clients(string: str, message: str) -> None:
    """One line: what is wrong, and what is right."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        clientFromString(None, string)


@pytest.mark.parametrize(
    ("listens", "message"),
    [(listens, text) for listens, rows in ((True, SERVERS), (False, CLIENTS)) for _, text in rows],
)
def test_what_is_proposed_is_understood(listens: bool, message: str) -> None:
    """A hint that leads to the next error is none."""
    found = re.search(r"write '?(utp\w*:[^']*)'?$", message)
    if found is None or found[1].startswith("utps"):
        return  # a key alone; TLS needs files
    (serverFromString if listens else clientFromString)(None, re.sub("PORT", "9000", found[1]))


@pytest.mark.parametrize(
    ("string", "listens", "message"),
    [
        ("udp:9000", True, "there is no udp:; for a stream over UDP write utp:9000"),
        ("udp:host:9000", False, "there is no udp:; for a stream over UDP write utp:host:9000"),
        ("9000", True, "an endpoint string begins with its type; for uTP write utp:9000"),
        ("127.0.0.1:9000", True, "an endpoint string begins with its type; for uTP write utp:9000:interface=127.0.0.1"),
        ("host:9000", False, "an endpoint string begins with its type; for uTP write utp:host:9000"),
        ("[::1]:9000", False, r"an endpoint string begins with its type; for uTP write 'utp:\:\:1:9000'"),
        ("utpx:host:9000:mtu=900", False, "there is no utpx:; did you mean utp:host:9000:mtu=900?"),
        ("tcpp:host:x", False, "there is no tcpp:; did you mean tcp:host:x?"),
        ("quic:host:x", False, "there is no quic:; uTP strings begin with utp:, utp6: or utps:"),
        ("xyz:h:1", False, "there is no xyz:; uTP strings begin with utp:, utp6: or utps:"),
        ("utp:http", True, "port='http': expected an integer from 0 to 65535"),
        ("", True, "an endpoint string is missing; write utp:PORT"),
        ("", False, "an endpoint string is missing; write utp:HOST:PORT"),
        ("HOST:PORT", False, "an endpoint string begins with its type; for uTP write utp:HOST:PORT"),
        ("example.org", False, "an endpoint string begins with its type; for uTP write utp:example.org:PORT"),
        ("http://host:80/x", False, f"{URL}utp:host:80"),
        ("https://host", False, f"{URL}utp:host:PORT"),
    ],
)
def test_explained(string: str, listens: bool, message: str) -> None:
    """What no parser is responsible for, our programs explain."""
    with pytest.raises(ValueError, match=".") as caught:
        (serverFromString if listens else clientFromString)(None, string)
    assert explained(string, caught.value, listens=listens) == message


@pytest.mark.parametrize(
    ("string", "listens", "message"),
    [
        ("tcp:host", False, "tcp: port is missing"),
        ("tcp:x", True, "tcp: x: expected a number"),
        ("tcp:9000:interfce=127.0.0.1", True, "tcp: interfce: no such key"),
        (
            "tcp:2222:interface=::1",
            True,
            "tcp: interface: given twice; a colon that is part of a value needs a backslash",
        ),
        ("utp:9000:target_delay=1", True, "target_delay='1': no such key; did you mean targetDelay?"),
        ("[::1]:9000", False, r"an endpoint string begins with its type; for uTP write 'utp:\:\:1:9000'"),
    ],
)
def test_programs_get_one_line(string: str, listens: bool, message: str) -> None:
    """Whatever a parser raises, also one of Twisted's, is a C{ValueError} with a sentence."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        endpoint_from(None, string, listens=listens)


def test_unknown_key() -> None:
    """Where nothing is near, all there are."""
    assert for_key("odd", ("port", "mtu")) == "there are mtu, port"


def test_utp6_clients_are_explained() -> None:
    """By a plugin like others."""
    found: list[Any] = list(getPlugins(IStreamClientEndpointStringParserWithReactor))
    (parser,) = [one for one in found if one.prefix == "utp6"]
    assert verifyObject(IStreamClientEndpointStringParserWithReactor, parser) and verifyObject(IPlugin, parser)
