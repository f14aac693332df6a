"""
What a program tells its user when a connection fails.

One line, with the cause and what to do about it.  Exceptions are told apart by what Twisted's own types say, so that
this holds for any kind of endpoint.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL

from twisted.internet import error

from twisted_utp._resolution import NoAddress
from twisted_utp.errors import (
    UTPConnectionReset,
    UTPConnectionTimedOut,
    UTPHandshakeTimedOut,
    UTPProxyError,
    UTPProxyLost,
)


class Kind(Enum):
    """
    What sort of thing went wrong.
    """

    NAME = "name not found"
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    RESET = "aborted by the peer"
    TLS = "TLS failed"
    LISTEN = "cannot bind"
    UNREACHABLE = "unreachable"
    ABORTED = "aborted by us"
    PROXY = "proxy failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Cause:
    """
    Why, and what now.

    @ivar kind: for programs.
    @ivar what: the cause, for people.
    @ivar remedy: what to do; may be empty.
    """

    kind: Kind
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


def cause_of(exception: BaseException | None) -> Cause:
    """
    The cause in an exception that C{connect}, C{listen} or C{connectionLost} was told.
    """
    if exception is None:
        return Cause(Kind.UNKNOWN, "the cause is unknown")
    if _is_from(exception, "OpenSSL", "service_identity"):
        return _tls_cause(exception)
    if isinstance(exception, (UTPProxyError, UTPProxyLost)):
        return Cause(Kind.PROXY, str(exception), "see the proxy's log, or ask its administrator")
    for types, kind, what, remedy in _CAUSES:
        if isinstance(exception, types):
            return Cause(kind, what, remedy)
    if isinstance(exception, error.CannotListenError):
        return _listen_cause(exception)
    if isinstance(exception, error.ConnectError):
        return Cause(Kind.UNREACHABLE, f"cannot be reached: {_detail(exception)}", "check the address and the route")
    return Cause(Kind.UNKNOWN, _detail(exception))


# The first that fits.
_CAUSES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Kind, str, str], ...] = (
    (
        NoAddress,
        Kind.NAME,
        "the name has no address of this IP version",
        "leave the version out, or give an address",
    ),
    (
        (error.DNSLookupError, error.UnknownHostError),
        Kind.NAME,
        "name not found",
        "check its spelling, or give an address",
    ),
    (
        error.ConnectionRefusedError,
        Kind.REFUSED,
        "refused",
        "check that a server listens on this port, with this protocol",
    ),
    (
        UTPHandshakeTimedOut,
        Kind.TLS,
        "the TLS handshake took too long",
        "check that both sides use TLS",
    ),
    (
        UTPConnectionTimedOut,
        Kind.TIMED_OUT,
        "the peer stopped answering",
        "check that it is running and can be reached",
    ),
    (
        (error.TimeoutError, error.ConnectingCancelledError),
        Kind.TIMED_OUT,
        "no answer in time",
        "check that the other side is running, and that firewalls let its port through",
    ),
    (
        UTPConnectionReset,
        Kind.RESET,
        "aborted by the peer",
        "what has arrived may be incomplete; its own messages may say why",
    ),
    (error.ConnectionAborted, Kind.ABORTED, "aborted by us", ""),
    (
        error.ConnectionLost,
        Kind.RESET,
        "aborted by the peer",
        "what has arrived may be incomplete; its own messages may say why",
    ),
)


def _tls_cause(exception: BaseException) -> Cause:
    text = str(exception)
    if "certificate verify failed" in text:
        what, remedy = "the certificate is not trusted", "trust it, or its issuer, with trustRoots=FILE"
    elif _is_from(exception, "service_identity"):
        what, remedy = "the certificate is for another name", "set the name that you expect with hostname=NAME"
    elif "alert" in text and "unknown ca" in text:
        what, remedy = "the peer does not trust our certificate", "it needs trustRoots=FILE"
    else:
        reasons = [entry[-1] for entry in (exception.args[0] if exception.args else []) if isinstance(entry, tuple)]
        what, remedy = f"TLS failed: {', '.join(reasons) or text or 'no reason given'}", "check that both sides use TLS"
    return Cause(Kind.TLS, what, remedy)


def _listen_cause(exception: error.CannotListenError) -> Cause:
    where = f"{exception.interface or '*'}:{exception.port}"
    reason = exception.socketError
    number = reason.errno if isinstance(reason, OSError) else None
    text = os.strerror(number).lower() if number else str(reason)
    return Cause(Kind.LISTEN, f"cannot listen on {where}: {text}", _LISTEN_REMEDIES.get(number or 0, ""))


_LISTEN_REMEDIES = {
    EADDRINUSE: "stop the program that uses it, or choose another port",
    EACCES: "choose a port above 1023, or run with more privileges",
    EADDRNOTAVAIL: "give an address of this machine",
}


def _is_from(exception: BaseException, *packages: str) -> bool:
    # By name: these packages are optional, and heavy.
    return type(exception).__module__.partition(".")[0] in packages


def _detail(exception: BaseException) -> str:
    if isinstance(exception, OSError) and exception.strerror:
        return exception.strerror.lower()
    return str(exception).rstrip(".") or type(exception).__name__
