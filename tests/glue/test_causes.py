"""
Does every failure that an endpoint or a connection can have become one line with a remedy?
"""

from __future__ import annotations

import re
from errno import EACCES, EADDRINUSE, ENETUNREACH
from typing import Any

import pytest
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error

from twisted_utp._causes import Kind, cause_of
from twisted_utp.errors import UTPConnectionReset, UTPConnectionTimedOut
from twisted_utp.ucat.exits import Exit, exit_for, exit_name

UNTRUSTED = SSL.Error([("SSL routines", "", "certificate verify failed")])


@pytest.mark.parametrize(
    ("exception", "kind", "words"),
    [
        (error.DNSLookupError("x"), Kind.NAME, "name not found; check"),
        (error.UnknownHostError("x"), Kind.NAME, "name not found; check"),
        (error.ConnectionRefusedError(), Kind.REFUSED, "refused; check"),
        (error.TimeoutError(), Kind.TIMED_OUT, "no answer in time; check"),
        (UTPConnectionTimedOut(), Kind.TIMED_OUT, "the peer stopped answering; check"),
        (UTPConnectionReset(), Kind.RESET, "aborted by the peer; what"),
        (error.ConnectionLost(), Kind.RESET, "aborted by the peer; what"),
        (error.ConnectionAborted(), Kind.ABORTED, "aborted by us"),
        (error.ConnectError(ENETUNREACH, "no way"), Kind.UNREACHABLE, "cannot be reached: .*no way; check"),
        (error.CannotListenError("", 9, OSError(EADDRINUSE, "x")), Kind.LISTEN, r"\*:9: address already in use; stop"),
        (error.CannotListenError("::1", 9, OSError(EACCES, "x")), Kind.LISTEN, "permission denied; choose a port"),
        (error.CannotListenError("", 0, ValueError("odd")), Kind.LISTEN, "odd"),
        (UNTRUSTED, Kind.TLS, "the certificate is not trusted; .*trustRoots=FILE"),
        (VerificationError(errors=[]), Kind.TLS, "the certificate is for another name; .*hostname=NAME"),
        (
            SSL.Error([("SSL routines", "", "wrong version number")]),
            Kind.TLS,
            "TLS failed: wrong version number; check",
        ),
        (SSL.Error(), Kind.TLS, "TLS failed: no reason given"),
        (KeyError("odd"), Kind.UNKNOWN, "odd"),
        (None, Kind.UNKNOWN, "the cause is unknown"),
    ],
)
def test_cause(exception: Any, kind: Kind, words: str) -> None:
    """One line."""
    cause = cause_of(exception)
    assert cause.kind is kind
    text = str(cause)
    assert re.search(words, text), text
    assert "\n" not in text


def test_exit_codes() -> None:
    """Every cause has a code of its own, and every code a name."""
    assert exit_for(Kind.UNKNOWN) == Exit.BUG
    assert {exit_for(kind) for kind in Kind} >= {Exit.NAME, Exit.REFUSED, Exit.TIMED_OUT, Exit.RESET, Exit.TLS}
    assert (exit_name(0), exit_name(6), exit_name(130), exit_name(141)) == ("done", "reset", "sigint", "broken_pipe")
