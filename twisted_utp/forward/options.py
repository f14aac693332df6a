"""
Which options does C{twist utp-forward} take?
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from twisted.python import usage

from twisted_utp.forward.limits import DEFAULT_CONNECT_TIMEOUT, DEFAULT_GRACE, DEFAULT_MAX_CONNECTIONS, Limits

# sysexits.h, which twist itself uses.
EX_USAGE = 64


_EXAMPLES = """
With uTP in between, a TCP service becomes one that steps aside for other
traffic.  Where the service is, and where its users are:

  twist utp-forward --listen utp:9000 --connect tcp:localhost:22
  twist utp-forward --listen tcp:2222:interface=127.0.0.1 \\
                    --connect utp:backup.example:9000

  ssh -p 2222 localhost       or rsync, restic, ... through the same port

Each connection is logged with its totals.  Ctrl-C, or SIGTERM, stops it once
its connections have ended, or after the grace period.  uTP does not encrypt:
what is not encrypted already belongs into utps:.
"""


def fail(message: str, code: int = EX_USAGE) -> NoReturn:
    """
    End the program with one line.
    """
    print(f"utp-forward: {message}", file=sys.stderr)
    raise SystemExit(code)


def _number(name: str, kind: type[int] | type[float], low: float, high: float, unit: str) -> Any:
    """
    A conversion for C{optParameters} that says what is allowed.
    """

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(-1)
        if not low <= value <= high:
            fail(f"--{name} {text}: expected {low} to {high} {unit}")
        return value

    convert.coerceDoc = f"{low} to {high} {unit}."  # type: ignore[attr-defined]
    return convert


class Options(usage.Options):
    """
    The command line.
    """

    synopsis = "[--option=value ...]"

    longdesc = """Accepts connections on one endpoint and carries each to another. Any two endpoint strings will do:
tcp:, unix:, utp:, utps: (uTP with TLS), and whatever else Twisted has been taught."""

    optParameters = [
        ["listen", "l", None, "Endpoint to accept connections on, tcp:2222 for example."],
        ["connect", "c", None, "Endpoint to carry them to, utp:backup.example:9000 for example."],
        [
            "max-connections", None, DEFAULT_MAX_CONNECTIONS, "Connections at a time; further ones are refused:",
            _number("max-connections", int, 1, 1_000_000, "connections"),
        ],
        [
            "connect-timeout", None, DEFAULT_CONNECT_TIMEOUT, "How long the far side may take to accept:",
            _number("connect-timeout", float, 0.1, 3600, "seconds"),
        ],
        [
            "idle-timeout", None, 0.0, "Silence in both directions after which a connection is cut, 0 for never:",
            _number("idle-timeout", float, 0, 1_000_000, "seconds"),
        ],
        [
            "grace", None, DEFAULT_GRACE, "How long connections may still take after Ctrl-C:",
            _number("grace", float, 0, 86_400, "seconds"),
        ],
    ]  # fmt: skip

    def getUsage(self, width: int | None = None) -> str:
        """
        The help, with examples.  C{longdesc} would be made into one paragraph.
        """
        usage_text: str = super().getUsage(width)
        return usage_text.rstrip() + "\n" + _EXAMPLES

    def postOptions(self) -> None:
        """
        Both ends must be given.
        """
        for name in ("listen", "connect"):
            if not self[name]:
                fail(f"--{name} ENDPOINT is missing; twist utp-forward --help shows how it is used")

    def limits(self) -> Limits:
        """
        The numbers among them.
        """
        return Limits(
            max_connections=self["max-connections"],
            connect_timeout=self["connect-timeout"],
            idle_timeout=self["idle-timeout"],
            grace=self["grace"],
        )
