"""
Does a service behind a forwarder learn who its client is?
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser

from twisted_utp.forward.proxy_protocol import proxy_header

V4, OTHER_V4 = IPv4Address("UDP", "192.0.2.7", 41224), IPv4Address("TCP", "192.0.2.1", 9000)
V6, SCOPED = IPv6Address("TCP", "2001:db8::7", 41224), IPv6Address("TCP", "fe80::1%eth0", 9000)
MAPPED = IPv6Address("TCP", "::ffff:192.0.2.9", 9000)


@pytest.mark.parametrize(
    ("client", "host", "line"),
    [
        (V4, OTHER_V4, b"PROXY TCP4 192.0.2.7 192.0.2.1 41224 9000\r\n"),
        (V6, SCOPED, b"PROXY TCP6 2001:db8::7 fe80::1 41224 9000\r\n"),
        (V4, MAPPED, b"PROXY TCP4 192.0.2.7 192.0.2.9 41224 9000\r\n"),
        (UNIXAddress(b"/run/s"), OTHER_V4, b"PROXY UNKNOWN\r\n"),
        (UNIXAddress(None), UNIXAddress(b"/run/s"), b"PROXY UNKNOWN\r\n"),
    ],
)
def test_version_1(client: Any, host: Any, line: bytes) -> None:
    """The line of the specification's section 2.1."""
    assert proxy_header(1, client, host) == line


def test_version_2_bytes() -> None:
    """Section 2.2: signature, version and command, family, length, addresses, ports."""
    signature = bytes.fromhex("0d0a0d0a000d0a515549540a")
    assert proxy_header(2, V4, OTHER_V4) == signature + bytes.fromhex("2111000c c0000207 c0000201 a108 2328")
    assert proxy_header(2, UNIXAddress(None), OTHER_V4) == signature + bytes.fromhex("21000000")
    mixed = proxy_header(2, V4, V6)
    assert mixed[12:16] == bytes.fromhex("21210024")
    assert mixed[16:32] == bytes.fromhex("00000000000000000000ffffc0000207")


@pytest.mark.parametrize(("version", "parser"), [(1, V1Parser), (2, V2Parser)])
@pytest.mark.parametrize(("client", "host"), [(V4, OTHER_V4), (V6, SCOPED)])
def test_twisted_reads_them(version: int, parser: Any, client: Any, host: Any) -> None:
    """The parsers of Twisted's C{haproxy:} find both addresses, and what comes after the header."""
    info, rest = parser().feed(proxy_header(version, client, host) + b"data")
    assert (info.source.port, info.destination.port, rest) == (41224, 9000, b"data")
    assert info.source.type == "TCP"
    if client is V4:
        assert (info.source.host, info.destination.host) == ("192.0.2.7", "192.0.2.1")


@pytest.mark.parametrize("version", [1, 2])
def test_before_everything_else(journey: Any, version: int) -> None:
    """It is the first thing that the service gets, also when the client has spoken before; it is not counted."""
    between = journey(proxy_protocol=version)
    between.serve()
    client = between.dial(seconds=0)
    client.wire.write(b"early")
    between.advance(1)
    (server,) = between.servers
    assert server.data == proxy_header(version, client.wire.getHost(), client.wire.getPeer()) + b"early"
    assert between.route.carried() == (5, 0)
