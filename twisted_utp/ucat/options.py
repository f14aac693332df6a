"""
The options of ucat, and the endpoint that they describe.
"""

from __future__ import annotations

import os
import platform
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import NoReturn

from twisted.copyright import version as twisted_version
from twisted.internet.endpoints import quoteStringArgument

from twisted_utp import __version__
from twisted_utp._compiled import product
from twisted_utp.ucat.exits import Exit
from twisted_utp.ucat.settings import (
    DIALLING_ONLY,
    LISTENING_ONLY,
    add_setting_options,
    given_settings,
    option_name,
)

_DESCRIPTION = """\
Sends standard input to a peer, and writes what the peer sends to standard output,
over uTP, which yields to other traffic."""

_USAGE = """\
ucat [options] HOST PORT
       ucat [options] ENDPOINT
       ucat -l [options] PORT
       ucat -l [options] ENDPOINT"""

_EXAMPLES = """\
examples:
  ucat -l 9000 > copy                      receive a file
  ucat 192.0.2.7 9000 < file               send it
  ucat -l 9000 -k -e 'tar c photos'        an archive for everyone who connects
  ucat utps:example.org:443                any of Twisted's endpoint strings

ucat does not resume an interrupted file: it cannot see what has arrived already.
Use rsync --partial through twist utp-forward for that.

ucat ends when both directions have ended.  Exit codes: 0 all done, 2 wrong
usage, 3 name not found, 4 refused, 5 timed out, 6 aborted by the peer, 7 TLS,
8 cannot listen, 9 unreachable, 10 standard input or output, 11 --exec failed,
12 proxy failed, 128 + N ended by signal N.  The documentation is in
docs/ucat.rst.
"""

_OURS = ("utp", "utp6", "utps")


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """
        One line is enough.
        """
        self.exit(Exit.USAGE, f"ucat: {message}; see ucat --help\n")


def parse(arguments: Sequence[str]) -> Namespace:
    """
    The options; C{endpoint} is the string that they describe.

    @raise SystemExit: when they are wrong, once the user has been told.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.exec is not None and options.no_stdin:
        parser.error("--no-stdin: not with --exec, which does not read standard input")
    if options.keep and not options.listen:
        parser.error("--keep: only with --listen")
    try:
        options.endpoint = _endpoint(options)
        _check_traces(given_settings(options).get("trace"))
    except ValueError as error:
        parser.error(str(error))
    return options


def _parser() -> ArgumentParser:
    parser = _Parser(
        prog="ucat",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("where", nargs="*", metavar="HOST PORT", help="the peer to connect to, or an endpoint string")
    add("-l", "--listen", action="store_true", help="wait for a connection, on a UDP port or an endpoint string")
    _add_data_options(parser)
    _add_address_options(parser)
    _add_message_options(parser)
    add_setting_options(parser)
    return parser


def _add_data_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "-k", "--keep", action="store_true",
        help="keep listening: serve one connection after the other; all at once with -e",
    )  # fmt: skip
    add(
        "-e", "--exec", metavar="COMMAND",
        help="connect the input and output of a shell command to the peer, instead of ours",
    )  # fmt: skip
    add("-d", "--no-stdin", action="store_true", help="send nothing, as with < /dev/null")
    add(
        "--no-shutdown", action="store_true",
        help="when standard input ends, keep our side open until the peer closes its own",
    )  # fmt: skip


def _add_address_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    family = parser.add_mutually_exclusive_group()
    family.add_argument("-4", "--ipv4", action="store_true", help="IPv4 only; with -l the default")
    family.add_argument("-6", "--ipv6", action="store_true", help="IPv6 only; with -l PORT: listen on IPv6, too")
    add(
        "-w", "--wait", metavar="SECONDS", type=_seconds,
        help="give up if connecting takes this long, or if no data is sent or received for this long [0.1 to 86400]",
    )  # fmt: skip
    add("-s", "--source", metavar="ADDRESS", help="our address, when this machine has several")
    add("-p", "--source-port", metavar="PORT", help="our UDP port, when connecting")


def _add_message_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("-q", "--quiet", action="store_true", help="no summary")
    add(
        "-v", "--verbose", action="count", default=0,
        help="log what happens; -vv: figures every second, -vvv: Twisted's log",
    )  # fmt: skip
    add(
        "--progress", action=BooleanOptionalAction,
        help="show a progress line; default: if standard error is a terminal that the data does not go to; "
        "needs tqdm (pip install 'twisted-utp[tools]')",
    )  # fmt: skip
    add(
        "--stats", choices=("text", "json", "none"), default="text",
        help="the summary on standard error, for people or for programs [default: text]",
    )  # fmt: skip
    add("-V", "--version", action="version", version=_version(), help="print the version")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.1 <= value <= 86_400:
        raise ArgumentTypeError(f"{text!r}: expected 0.1 to 86400 seconds")
    return value


def _version() -> str:
    return f"ucat {__version__} ({product()}; Twisted {twisted_version}, Python {platform.python_version()})"


def _endpoint(options: Namespace) -> str:
    """
    @raise ValueError: when they describe none.
    """
    where, settings = options.where, given_settings(options)
    for key in DIALLING_ONLY if options.listen else LISTENING_ONLY:
        if key in settings:
            raise ValueError(f"{option_name(key)}: only {'without' if options.listen else 'with'} --listen")
    if len(where) == 1 and ":" in where[0]:
        return _extended(options, where[0], settings)
    string = _listening(options, where) if options.listen else _dialling(options, where)
    return string + _as_keys(settings)


def _check_traces(directory: str | None) -> None:
    """
    A transport goes on without traces that it cannot write; but who has asked for them wants to know.

    @raise ValueError: there cannot be such a directory, or it cannot be written.
    """
    if not directory:
        return
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--trace {directory}: {(error.strerror or str(error)).lower()}") from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ValueError(f"--trace {directory}: permission denied")


def _extended(options: Namespace, string: str, settings: dict[str, str]) -> str:
    """
    An endpoint string, and what the options add.
    """
    for option, value in (("--source", options.source), ("--source-port", options.source_port)):
        if value is not None:
            key = "interface" if options.listen else "bindAddress" if option == "--source" else "bindPort"
            raise ValueError(f"{option}: write it into the endpoint string, as {key}={value}")
    is_ours = string.partition(":")[0].lower() in _OURS
    family = "--ipv4" if options.ipv4 else "--ipv6" if options.ipv6 else None
    if family is not None and options.listen:
        raise ValueError(f"{family}: write it into the endpoint string, utp:PORT for IPv4, utp6:PORT for IPv6")
    if family is not None:
        if not is_ours:
            raise ValueError(f"{family}: only for utp: and utps: endpoints")
        string += f":ipVersion={family[-1]}"
    if settings and not is_ours:
        raise ValueError(f"{option_name(next(iter(settings)))}: only for utp:, utp6: and utps: endpoints")
    return string + _as_keys(settings)


def _listening(options: Namespace, where: list[str]) -> str:
    if len(where) != 1:
        raise ValueError("expected one PORT, or an endpoint string, to listen on")
    if options.source_port is not None:
        raise ValueError("--source-port: only without --listen")
    interface = f":interface={quoteStringArgument(options.source)}" if options.source is not None else ""
    return f"{'utp6' if options.ipv6 else 'utp'}:{where[0]}{interface}"


def _dialling(options: Namespace, where: list[str]) -> str:
    if len(where) != 2:
        raise ValueError("expected HOST and PORT, or an endpoint string, to connect to")
    ours = {
        "host": where[0],
        "port": where[1],
        "bindAddress": options.source,
        "bindPort": options.source_port,
        "ipVersion": "4" if options.ipv4 else "6" if options.ipv6 else None,
    }
    return "utp" + _as_keys({key: value for key, value in ours.items() if value is not None})


def _as_keys(values: dict[str, str]) -> str:
    return "".join(f":{key}={quoteStringArgument(value)}" for key, value in values.items())
