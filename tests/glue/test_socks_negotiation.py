"""
Is what we say to a SOCKS5 proxy, and understand of it, RFC 1928 and RFC 1929?
"""

from __future__ import annotations

import pytest

from twisted_utp._socks_negotiation import Negotiation, SocksRefused

ASSOCIATE = bytes.fromhex("05 03 00 01 00000000 0000")
GRANTED = bytes.fromhex("05 00 00 01 c0000201 0439")


@pytest.mark.parametrize("step", [1, 100])
def test_without_a_login(step: int) -> None:
    """One method is offered; the relay's address is what the proxy says, however its answer is cut."""
    negotiation = Negotiation()
    assert negotiation.begin() == b"\5\1\0"
    said = b"\5\0" + GRANTED
    heard = b"".join(negotiation.receive(said[i : i + step]) for i in range(0, len(said), step))
    assert heard == ASSOCIATE and negotiation.relay == ("192.0.2.1", 1081)
    assert negotiation.receive(b"whatever") == b""


@pytest.mark.parametrize("step", [1, 100])
def test_with_a_login(step: int) -> None:
    """Both methods are offered, and user and password sent when asked for."""
    negotiation = Negotiation(b"me", b"pass:word")
    assert negotiation.begin() == b"\5\2\0\2"
    said = b"\5\2" + b"\1\0" + bytes.fromhex("05 00 00 04") + bytes(15) + b"\1\4\x39"
    heard = b"".join(negotiation.receive(said[i : i + step]) for i in range(0, len(said), step))
    assert heard == b"\1\2me\x09pass:word" + ASSOCIATE and negotiation.relay == ("::1", 1081)


@pytest.mark.parametrize(
    ("proxy", "associate"),
    [
        ("::1", bytes.fromhex("05 03 00 04") + bytes(18)),
        ("::ffff:192.0.2.1", ASSOCIATE),
        ("192.0.2.1", ASSOCIATE),
        ("", ASSOCIATE),
    ],
)
def test_our_own_address(proxy: str, associate: bytes) -> None:
    """Is not told; but the zeros that stand for it are of the control connection's family."""
    negotiation = Negotiation()
    negotiation.begin(proxy)
    assert negotiation.receive(b"\5\0") == associate


def test_a_login_that_nobody_asks_for() -> None:
    """It is not told."""
    negotiation = Negotiation(b"me", b"password")
    assert negotiation.receive(b"\5\0") == ASSOCIATE


@pytest.mark.parametrize(
    ("said", "reason", "code"),
    [
        ("04", "it does not speak SOCKS5", 0),
        ("48545450", "it does not speak SOCKS5", 0),
        ("05ff", "it accepts none of the login methods that we offer", 0),
        ("0501", "it accepts none of the login methods that we offer", 0),
        ("0502 0500", "it does not speak RFC 1929", 0),
        ("0502 0101", "it refused the user or the password", 0),
        ("0502 0100 0501", "general failure", 1),
        ("0500 0502", "its rules do not allow it", 2),
        ("0500 0503", "network unreachable", 3),
        ("0500 0504", "host unreachable", 4),
        ("0500 0505", "connection refused", 5),
        ("0500 0506", "TTL expired", 6),
        ("0500 0507", "it does not relay UDP", 7),
        ("0500 0508", "it does not support this type of address", 8),
        ("0500 05aa", "reply 170", 170),
        ("0500 0400", "it does not speak SOCKS5", 0),
        ("0500 05000002", "its answer is malformed", 0),
        ("0500 05000003 03 666f6f 0439", "it gave no address for its relay, but 'foo', port 1081", 0),
        ("0500 05000001 c0000201 0000", "it gave no address for its relay, but '192.0.2.1', port 0", 0),
        ("0500 05000003 01 e9 0439", "its answer is malformed", 0),
        ("0500 05000003 00 0439", "its answer is malformed", 0),
        ("0500 05000003 01 e9 0439" + "00" * 300, "its answer is malformed", 0),
    ],
)
def test_refusals(said: str, reason: str, code: int) -> None:
    """Each with its reason, as soon as it is known."""
    negotiation = Negotiation(b"me", b"password")
    with pytest.raises(SocksRefused) as caught:
        negotiation.receive(bytes.fromhex(said))
    assert (str(caught.value), caught.value.code) == (reason, code)
    assert negotiation.relay is None


def test_without_a_login_where_one_is_wanted() -> None:
    """The reason says so."""
    with pytest.raises(SocksRefused, match="it accepts no connection without a login"):
        Negotiation().receive(b"\5\xff")
