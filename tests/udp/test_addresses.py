"""
Has each address one spelling, the kernel's?
"""

from __future__ import annotations

import errno
import socket

import pytest

from twisted_utp.udp.addresses import (
    canonical_host,
    host_of,
    is_for_all,
    is_ipv4,
    is_link_local,
    is_numeric,
    local_host,
    mapped,
    sockaddr,
    source_message,
    unmapped,
)

LOOPBACK = socket.if_nametoindex("lo") if hasattr(socket, "if_nametoindex") else 1


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("0.0.0.0", "0.0.0.0"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("::0001", "::1"),
        ("0::1", "::1"),
        ("2001:DB8::AB", "2001:db8::ab"),
        ("2001:0db8:0:0:0:0:0:ab", "2001:db8::ab"),
        ("::FFFF:127.0.0.1", "::ffff:127.0.0.1"),
        ("::ffff:7f00:1", "::ffff:127.0.0.1"),
        ("fe80::5%3", "fe80::5%3"),
        ("FE80:0:0:0:0:0:0:5%3", "fe80::5%3"),
        ("[fe80::5%3]", "fe80::5%3"),
        ("fe80::5%lo", f"fe80::5%{LOOPBACK}"),
        ("::1%lo", "::1"),
        ("fe80::5", "fe80::5"),
    ],
)
def test_canonical(text: str, host: str) -> None:
    """However it is written; scopes are numbers, and only link-local addresses have one."""
    assert canonical_host(text) == canonical_host(canonical_host(text)) == host
    assert is_numeric(text)


@pytest.mark.parametrize(
    "text", ["localhost", "", "127.0.0", "127.1", "1.2.3.4%lo", "::g", "[::1", "fe80::1%", "%lo", "\0"]
)
def test_not_numeric(text: str) -> None:
    """Names, and what is nearly an address."""
    assert not is_numeric(text)
    with pytest.raises(ValueError, match="expected an IPv4 or IPv6 address"):
        canonical_host(text)


def test_no_such_interface() -> None:
    """A scope that this machine does not have is the machine's fault, not the address's."""
    assert is_numeric("fe80::1%nosuch0")
    with pytest.raises(OSError, match="no interface 'nosuch0'") as caught:
        canonical_host("fe80::1%nosuch0")
    assert caught.value.errno == errno.ENODEV


@pytest.mark.parametrize(
    ("host", "expected"),
    [("fe80::1", True), ("febf::1", True), ("fec0::1", False), ("fe8::1", False), ("::1", False), ("10.0.0.1", False)],
)
def test_link_local(host: str, expected: bool) -> None:
    """fe80::/10."""
    assert is_link_local(host) is expected


def test_families() -> None:
    """IPv4 has an IPv6 form."""
    assert (mapped("1.2.3.4"), mapped("::1")) == ("::ffff:1.2.3.4", "::1")
    assert (unmapped("::ffff:1.2.3.4"), unmapped("::1"), unmapped("1.2.3.4")) == ("1.2.3.4", "::1", "1.2.3.4")
    assert [is_ipv4(text) for text in ("1.2.3.4", "::ffff:102:304", "::1", "fe80::1%nosuch0")] == [1, 1, 0, 0]
    assert [is_for_all(text) for text in ("::", "0::0", "::1", "0.0.0.0")] == [1, 1, 0, 0]


def test_socket_names() -> None:
    """The socket module has scopes in a place of their own."""
    assert sockaddr("fe80::1%3", 9) == ("fe80::1", 9, 0, 3)
    assert host_of(("fe80::1", 9, 0, 3)) == "fe80::1%3"
    for host in ("::1", "192.0.2.7"):
        assert host_of(sockaddr(host, 9)) == host


@pytest.mark.parametrize("host", ["192.0.2.7", "::1", "::ffff:192.0.2.7", "fe80::1%3"])
def test_control_messages(host: str) -> None:
    """What we ask for is what we would be told."""
    assert local_host(source_message(host)) == host


def test_other_messages() -> None:
    """They, and those that are too short, say nothing of addresses."""
    level, kind, data = source_message("192.0.2.7")
    assert local_host((level, kind, data[:-1])) == local_host((1, kind, data)) == local_host((level, 12, data)) == ""
