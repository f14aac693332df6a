"""
The options of C{twist utp-forward}.
"""

from __future__ import annotations

import platform
import sys
from typing import Any, NoReturn

from twisted.copyright import version as twisted_version
from twisted.python import usage

from twisted_utp import __version__
from twisted_utp._compiled import product
from twisted_utp._rates import EXAMPLES, parse_rate
from twisted_utp.forward.limits import DEFAULT_CONNECT_TIMEOUT, DEFAULT_GRACE, DEFAULT_MAX_CONNECTIONS, Limits
from twisted_utp.forward.proxy_protocol import VERSIONS
from twisted_utp.proto.constants import MAX_RATE

_SEE_HELP = "twist utp-forward --help shows how it is used"

# sysexits.h, which twist itself uses.
EX_USAGE = 64


# Seconds, for strings that do not say.  uTP's own default of ten minutes would end the connection of a program that is
# paused over lunch, which TCP never does.  A day is as much as the key allows; what waits is held for as long.  A peer
# that has gone is noticed by other means.
STALL_TIMEOUT = 86_400

# Options that are keys of uTP's endpoint strings.
_RATES = {"max-rate": "maxRate", "max-port-rate": "maxPortRate"}

_EXAMPLES = """
With uTP in between, a TCP service yields to other traffic.  On the service's
machine, and on its users':

  twist utp-forward --listen utp:9000 --connect tcp:localhost:22
  twist utp-forward --listen tcp:2222:interface=127.0.0.1 \\
                    --connect utp:backup.example:9000

  ssh -p 2222 localhost       or rsync, restic, ... through the same port

Settings belong in the string of the side that sends, for example
utp:backup.example:9000:congestion=cubic (a fair share, as TCP has it).  uTP
does not encrypt; for services that do not encrypt either, use utps:.

Each connection is logged with its totals, or with what went wrong and what to
do about it.  Ctrl-C, or SIGTERM, stops it once its connections have ended, or
after the grace period.  Exit codes: 64 wrong usage, 1 cannot listen.  The
documentation is in docs/forward.rst.
"""


def is_ours(string: str) -> bool:
    """
    Is an endpoint string one of uTP's?
    """
    return string.partition(":")[0].lower() in ("utp", "utp6", "utps")


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

    return convert


def _rate(name: str) -> Any:
    """
    A conversion that leaves a rate as it was written, for an endpoint string.
    """

    def convert(text: str) -> str:
        try:
            is_allowed = parse_rate(text) <= MAX_RATE
        except ValueError:
            is_allowed = False
        if not is_allowed:
            fail(f"--{name} {text}: expected 0 to {MAX_RATE} bytes a second, such as {EXAMPLES}")
        return text

    return convert


class Options(usage.Options):
    """
    The command line.
    """

    longdesc = """Accepts connections on one endpoint and forwards each to another. Any two endpoint strings work:
tcp:, unix:, utp:, utps: (uTP with TLS), and others that Twisted knows."""

    optParameters = [
        [
            "max-connections", None, DEFAULT_MAX_CONNECTIONS,
            "Connections at a time, 1 to 1000000; others are refused.",
            _number("max-connections", int, 1, 1_000_000, "connections"),
        ],
        [
            "connect-timeout", None, DEFAULT_CONNECT_TIMEOUT,
            "Seconds to wait for the far side to accept, 0.1 to 3600.",
            _number("connect-timeout", float, 0.1, 3600, "seconds"),
        ],
        [
            "idle-timeout", None, 0.0,
            "Seconds of silence in both directions after which a connection is aborted; 0: never.",
            _number("idle-timeout", float, 0, 1_000_000, "seconds"),
        ],
        [
            "grace", None, DEFAULT_GRACE,
            "Seconds that connections may take to end after Ctrl-C, 0 to 86400.",
            _number("grace", float, 0, 86_400, "seconds"),
        ],
        [
            "max-rate", None, None,
            f"Bytes a second for each connection over utp: or utps:, each way: {EXAMPLES}.",
            _rate("max-rate"),
        ],
        [
            "max-port-rate", None, None,
            "Bytes a second for all of them together, each way.",
            _rate("max-port-rate"),
        ],
        [
            "proxy-protocol", None, 0,
            "Send the service each client's address in a PROXY header of this version, 1 or 2; 0: no header.",
            _number("proxy-protocol", int, 0, max(VERSIONS), "(0: no header)"),
        ],
        ["metrics", None, None, "Endpoint for a web server with counters for Prometheus, tcp:9100 for example."],
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[str, list[str]] = {"listen": [], "connect": []}

    def opt_listen(self, string: str) -> None:
        """
        Endpoint to accept connections on, tcp:2222 for example. Once for each forward.
        """
        self.ends["listen"].append(string)

    def opt_connect(self, string: str) -> None:
        """
        Endpoint to forward them to, utp:backup.example:9000 for example. The first --connect belongs to the first
        --listen, and so on.
        """
        self.ends["connect"].append(string)

    opt_l = opt_listen
    opt_c = opt_connect

    def parseOptions(self, options: Any = None) -> None:
        """
        What is wrong, in one line: C{twist} would print the whole help below it.
        """
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            text = str(error).rstrip(".")
            fail(f"{text[:1].lower()}{text[1:]}; {_SEE_HELP}")

    def getSynopsis(self) -> str:
        """
        What must be given; Twisted's own would begin with C{twist}'s options.
        """
        return "Usage: twist utp-forward --listen ENDPOINT --connect ENDPOINT [options]"

    def opt_version(self) -> NoReturn:
        """
        Print the version.
        """
        version = f"Twisted {twisted_version}, Python {platform.python_version()}"
        print(f"utp-forward {__version__} ({product()}; {version})")
        raise SystemExit

    opt_V = opt_version

    def getUsage(self, width: int | None = None) -> str:
        """
        The help, with examples.  C{longdesc} would be made into one paragraph.
        """
        usage_text: str = super().getUsage(width)
        return usage_text.rstrip() + "\n" + _EXAMPLES

    def postOptions(self) -> None:
        """
        Both ends must be given, equally often.
        """
        listen, connect = self.ends["listen"], self.ends["connect"]
        for name, strings in self.ends.items():
            if not all(strings) or not strings:
                fail(f"--{name} ENDPOINT is missing; {_SEE_HELP}")
        if len(listen) != len(connect):
            fail(f"{len(listen)} --listen and {len(connect)} --connect: expected one --connect for each --listen")
        for option in _RATES:
            if self[option] is not None and not any(is_ours(string) for string in (*listen, *connect)):
                fail(f"--{option}: only for utp:, utp6: or utps: endpoints")
        self._log_as_text()

    def _log_as_text(self) -> None:
        """
        People read this log, in a file and in the journal as well, where C{twist} would write JSON unless it is asked.
        """
        twist = getattr(self, "parent", None)
        was_asked = any(word.startswith("--log-fo") for word in sys.argv)  # twist keeps no record of it
        if twist is not None and "fileLogObserverFactory" in twist and not was_asked:
            twist.opt_log_format("text")

    def completed(self, string: str) -> str:
        """
        The string of an end, with what we add where it is uTP's.
        """
        if not is_ours(string):
            return string
        if ":stallTimeout=" not in string:
            string += f":stallTimeout={STALL_TIMEOUT}"
        return string + "".join(f":{key}={self[option]}" for option, key in _RATES.items() if self[option] is not None)

    def limits(self) -> Limits:
        """
        The numbers among them.
        """
        return Limits(
            max_connections=self["max-connections"],
            connect_timeout=self["connect-timeout"],
            idle_timeout=self["idle-timeout"],
            grace=self["grace"],
            proxy_protocol=self["proxy-protocol"],
        )
