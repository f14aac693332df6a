"""
What to write instead of an endpoint string that cannot be used.

Each hint is what to write instead.  Nothing is guessed into a string: one that is understood only by luck would fail
in the next program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from twisted.internet.endpoints import clientFromString, quoteStringArgument, serverFromString

from twisted_utp._parsers import CLIENT_KEYS, SERVER_KEYS
from twisted_utp._tls_parsers import CLIENT_TLS_KEYS, SERVER_TLS_KEYS
from twisted_utp.udp.addresses import is_numeric, without_brackets

# Similar enough to be a slip of the finger, of 1 (difflib's ratio).  With less, unrelated keys are proposed.
_SIMILAR = 0.8

_TLS_KEYS = frozenset((*SERVER_TLS_KEYS, *CLIENT_TLS_KEYS))
_FOR_SERVERS = frozenset((*SERVER_KEYS, *SERVER_TLS_KEYS, "backlog"))
_FOR_CLIENTS = frozenset((*CLIENT_KEYS, *CLIENT_TLS_KEYS, "timeout"))

# What is one thing under two names, on the two sides and in code.
_OTHER_NAMES = {"interface": "bindAddress", "bindAddress": "interface", "connecttimeout": "timeout"}

_ADDRESSES = ("host", "interface", "bindAddress", "socks")
"""Keys whose values may have colons."""

_NO_URL = "an endpoint string is not a URL"

# What Python says of arguments that parsers without checks of their own hand on as they come, and what that means.
_FOREIGN = (
    (re.compile(r"missing \d+ required \w+ arguments?: (.*)"), "{} is missing"),
    (re.compile(r"got an unexpected keyword argument '(\w+)'"), "{}: no such key"),
    (
        re.compile(r"got multiple values for argument '(\w+)'"),
        "{}: given twice; a colon that is part of a value needs a backslash",
    ),
    (re.compile(r"invalid literal for int\(\) with base 10: (.*)"), "{}: expected a number"),
    (re.compile(r"takes .* positional arguments? but .* given()"), "too many arguments; further ones need their names"),
)

_KINDS = ("utp", "utp6", "utps", "tcp", "tcp6", "ssl", "tls", "unix", "systemd", "haproxy")


def for_key(key: str, known: Iterable[str]) -> str:
    """
    What to say of a key that a string cannot have.

    @param known: those that it can.
    """
    known = sorted(known)
    other = _OTHER_NAMES.get(key) or _OTHER_NAMES.get(_folded(key))
    if other in known:
        return f"it is called {other} here"
    near = _nearest(key, known)
    if near:
        return f"did you mean {near}?"
    if "certificate" not in known and _nearest(key, _TLS_KEYS):
        return "it is for TLS; such a string begins with utps:"
    is_client = "host" in known
    if key in (_FOR_SERVERS if is_client else _FOR_CLIENTS):
        return f"it is for {'servers' if is_client else 'clients'}"
    return f"there are {', '.join(known)}"


def for_arguments(prefix: str, names: Sequence[str], args: Sequence[str], kwargs: Mapping[str, str]) -> str:
    """
    What to write in place of positional arguments that are too many or too few, or a URL's.

    @param names: what the string has of them.
    @return: empty when it is not known.
    """
    text, listens = ":".join(args), "host" not in names
    if text.startswith("//"):
        return f"{_NO_URL}; write {_in_quotes(_form(prefix, text[2:].partition('/')[0], listens))}"
    address = _cut_address(names, args, kwargs)
    if address:
        return f"each colon in an address needs a backslash; write {_in_quotes(address)}"
    bare = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
    host = text.rpartition(":")[0]
    if len(args) > 2 and any(":" in one and is_numeric(one) for one in (bare, host)):
        where = text if is_numeric(host) else f"{text}:PORT"
        return f"each colon in an address needs a backslash; write {_in_quotes(_form(prefix, where, listens))}"
    if listens and len(args) == 2 and not args[0].isdecimal():
        return f"a server's string begins with its port; write {_in_quotes(_form(prefix, text, listens))}"
    if not listens and len(args) == 1 and "port" not in kwargs:
        where = f"HOST:{text}" if text.isdecimal() else f"{text}:PORT"
        return f"a client's string needs a host and a port; write {prefix}:{where}"
    return ""


def endpoint_from(reactor: Any, string: str, *, listens: bool) -> Any:
    """
    The endpoint that a string describes, for programs that take strings from their users.

    @param listens: it is a server's.
    @raise ValueError: in one line, what is wrong with it, and what to write instead.
    """
    try:
        return (serverFromString if listens else clientFromString)(reactor, string)
    except (ValueError, TypeError, NotImplementedError, OSError) as error:
        raise ValueError(explained(string, error, listens=listens)) from error


def explained(string: str, error: Exception, *, listens: bool) -> str:
    """
    What is wrong with a string that C{serverFromString}, or C{clientFromString}, has refused.  Of what no parser is
    responsible for, Twisted says only that.
    """
    kind, _, rest = string.partition(":")
    if not str(error).startswith("Unknown endpoint type"):
        return _as_a_sentence(kind, str(error))
    if not string:
        return f"an endpoint string is missing; write utp:{'' if listens else 'HOST:'}PORT"
    if rest.startswith("//"):
        return f"{_NO_URL}; write {_in_quotes(_form('utp', rest[2:].partition('/')[0], listens))}"
    if kind.lower() in ("udp", "udp4", "udp6") and rest:
        return f"there is no {kind}:; for a stream over UDP write {_in_quotes(_form('utp', rest, listens))}"
    host, _, port = string.rpartition(":")
    is_host = ":" not in host or is_numeric(host.strip("[]"))
    is_port = port.isdecimal() or port == "PORT"
    is_name = not listens and not rest and "." in kind
    if (is_port and kind.lower() not in _KINDS and is_host and "=" not in host) or is_name:
        return f"an endpoint string begins with its type; for uTP write {_in_quotes(_form('utp', string, listens))}"
    near = get_close_matches(kind.lower(), _KINDS, 1)
    hint = f"did you mean {near[0]}:{rest}?" if near else "uTP strings begin with utp:, utp6: or utps:"
    return f"there is no {kind}:; {hint}"


def _as_a_sentence(kind: str, text: str) -> str:
    """
    What a parser said, unless it is what Python says of a call.
    """
    for pattern, sentence in _FOREIGN:
        found = pattern.search(text)
        if found:
            return f"{kind}: {sentence.format(found[1].replace(chr(39), ''))}"
    return text


def _cut_address(names: Sequence[str], args: Sequence[str], kwargs: Mapping[str, str]) -> str:
    """
    A key with an address that its own colons have cut into pieces: C{interface=::1} gives C{interface=} and two
    arguments more.
    """
    positional = [name for name in names if name not in kwargs]
    for key in _ADDRESSES:
        if key not in kwargs:
            continue
        # The others stand in front of the key, or behind it.
        for start, last in ((len(positional), len(args)), (0, len(args) - len(positional))):
            for end in range(last, start, -1):
                address = without_brackets(":".join((kwargs[key], *args[start:end])))
                if is_numeric(address):
                    return f"{key}={quoteStringArgument(address)}"
    return ""


def _form(prefix: str, where: str, listens: bool) -> str:
    """
    The string for C{HOST:PORT}, or C{PORT}.
    """
    where = where.replace("\\", "")
    host, _, port = where.rpartition(":")
    is_whole_address = where.startswith("[") and where.endswith("]")
    if not listens and (is_whole_address or (not host and not port.isdecimal())):
        host, port = where.strip(":"), ""
    host = without_brackets(host)
    if not listens:
        return f"{prefix}:{quoteStringArgument(host) or 'HOST'}:{port or 'PORT'}"
    interface = f":interface={quoteStringArgument(host)}" if is_numeric(host) else ""
    return f"{prefix}:{port or 'PORT'}{interface}"


def _in_quotes(string: str) -> str:
    """
    A string as a shell takes it: without quotes the backslashes would be gone.
    """
    return f"'{string}'" if "\\" in string else string


def _nearest(key: str, known: Iterable[str]) -> str:
    names = {_folded(name): name for name in known}
    found = get_close_matches(_folded(key), names, 1, _SIMILAR)
    return names[found[0]] if found else ""


def _folded(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")
