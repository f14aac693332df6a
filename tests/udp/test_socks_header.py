"""
Are the headers those of RFC 1928 (7)?
"""

from __future__ import annotations

import pytest

from twisted_utp.udp.socks_header import MAX_HEADER, MAX_NAME, header_for, read_header


@pytest.mark.parametrize(
    ("host", "port", "octets"),
    [
        ("192.0.2.7", 9000, "000000 01 c0000207 2328"),
        ("::ffff:192.0.2.7", 9000, "000000 01 c0000207 2328"),
        ("2001:db8::1", 1, "000000 04 20010db8000000000000000000000001 0001"),
        ("a.example", 65535, "000000 03 09 612e6578616d706c65 ffff"),
    ],
)
def test_octets(host: str, port: int, octets: str) -> None:
    """An IPv4 address takes 10 octets, an IPv6 one 22, a name 7 and its own; all are read as they were written."""
    header = header_for(host, port)
    assert header == bytes.fromhex(octets)
    assert read_header(header + b"payload") == (host.removeprefix("::ffff:"), port, len(header))


def test_the_longest_name() -> None:
    """255 octets, one more is refused; so is what is no name."""
    assert len(header_for("n" * MAX_NAME, 1)) == MAX_HEADER == 262
    for host in ("n" * (MAX_NAME + 1), "", "b\xfccher.example", "fe80::1%3"):
        with pytest.raises(ValueError, match="expected an address, or a name"):
            header_for(host, 1)


def test_what_is_no_header() -> None:
    """Whatever is cut off, of an unknown kind, without a name or no ASCII; and fragments."""
    for host in ("192.0.2.7", "2001:db8::1", "a.example"):
        whole = header_for(host, 9000)
        assert [read_header(whole[:length]) for length in range(len(whole))] == [None] * len(whole)
    for octets in ("000001 01 c0000207 2328", "000080 01 c0000207 2328", "000000 02 c0000207 2328",
                   "000000 03 00 2328", "000000 03 01 e9 2328"):  # fmt: skip
        assert read_header(bytes.fromhex(octets) + bytes(300)) is None
    assert read_header(bytes.fromhex("beef00 01 c0000207 2328")) is not None, "the first two are reserved, not checked"


@pytest.mark.parametrize("name", ["a:b", "[::1]", "fe80::1%eth0", "a\0b", "\0", "a b", "\x7f", "\n"])
def test_a_name_that_could_not_be_answered(name: str) -> None:
    """What cannot be written must not be read: an answer to it would raise."""
    written = bytes((0, 0, 0, 3, len(name))) + name.encode() + b"\x23\x28"
    assert read_header(written + b"payload") is None
    with pytest.raises(ValueError, match="expected an address, or a name"):
        header_for(name, 9000)
