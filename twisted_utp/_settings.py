"""
Reads and checks the settings in an endpoint string.

Every field of L{UTPConfig} is a key in camel case, so a new one needs nothing here.  What is wrong is a
C{ValueError} that names the key as it was written, the value and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from twisted_utp._hints import for_key
from twisted_utp._rates import EXAMPLES, parse_rate
from twisted_utp.proto.config import RANGES, RATE_UNIT, UTPConfig

if TYPE_CHECKING:
    from twisted_utp.socks import SOCKS5Proxy

# Endpoints have arguments of their own for these.
_ARGUMENTS = {"backlog": "backlog", "connect_timeout": "timeout"}

_BOOLEANS = {"0": False, "1": True}

# Characters of a password's line that are read; who gives another file by mistake, a device say, is told.
_MAX_LINE = 4096


def setting_keys(*arguments: str) -> dict[str, str]:
    """
    The keys of an endpoint string.

    @param arguments: which of C{backlog} and C{timeout} it takes.
    @return: the name of the setting by its key.
    """
    keys = {}
    for field in fields(UTPConfig):
        argument = _ARGUMENTS.get(field.name)
        if argument is None:
            keys[_camel_case(field.name)] = field.name
        elif argument in arguments:
            keys[argument] = field.name
    return keys


def parse_settings(given: Mapping[str, str], *arguments: str, others: tuple[str, ...] = ()) -> UTPConfig:
    """
    The configuration that an endpoint string asks for.

    @param given: its keywords, less C{others}.
    @param arguments: see L{setting_keys}.
    @param others: further keys that it takes; for the message.
    @raise ValueError: on a key that does not exist, or a value that is not allowed.
    """
    keys = setting_keys(*arguments)
    for key in given:
        if key not in keys:
            raise ValueError(f"{key}={given[key]!r}: no such key; {for_key(key, (*keys, *others))}")
    config = UTPConfig()
    for key, text in given.items():
        config = _set(config, key, keys[key], text)
    return config


def parse_port(text: str, *, key: str = "port", lowest: int = 0) -> int:
    """
    A UDP port.

    @raise ValueError: when it is none.
    """
    port = int(text) if text.isascii() and text.isdecimal() else -1
    if not lowest <= port <= 65535:
        raise ValueError(f"{key}={text!r}: expected an integer from {lowest} to 65535")
    return port


def parse_flag(text: str, *, key: str) -> bool:
    """
    Yes or no.

    @raise ValueError: when it is neither.
    """
    if text not in _BOOLEANS:
        raise ValueError(f"{key}={text!r}: expected 0 or 1")
    return _BOOLEANS[text]


def parse_ip_version(text: str | None) -> int | None:
    """
    IPv4 or IPv6.

    @raise ValueError: when it is neither.
    """
    if text not in (None, "4", "6"):
        raise ValueError(f"ipVersion={text!r}: expected 4 or 6")
    return None if text is None else int(text)


def parse_descriptor(key: str, text: str) -> int:
    """
    A file descriptor, by its number or, from systemd, by its name or index.

    @param key: C{fd} or C{systemd}.
    @raise ValueError: when there is none.
    """
    number = int(text) if text.isascii() and text.isdecimal() else None
    if key == "fd":
        if number is None:
            raise ValueError(f"fd={text!r}: expected the number of an open UDP socket")
        return number
    inherited = _inherited()
    named, descriptors = inherited.inheritedNamedDescriptors(), inherited.inheritedDescriptors()
    if text in named:
        found: int = named[text]
        return found
    if number is not None and number < len(descriptors):
        return int(descriptors[number])
    there_are = ", ".join((*named, *map(str, range(len(descriptors))))) or "none: systemd has passed none"
    raise ValueError(f"systemd={text!r}: expected the name or index of a passed socket; there are {there_are}")


def parse_proxy(given: Mapping[str, str]) -> SOCKS5Proxy | None:
    """
    The proxy that a client string names, if it does.  The password stands in a file: strings are shown by C{ps}, and
    end up in logs.

    @param given: those of its keys that begin with C{socks}.
    @raise ValueError: when there is something wrong with them, or the file cannot be read.
    """
    from twisted_utp.socks import DEFAULT_PORT, SOCKS5Proxy

    if not given:
        return None
    if not given.get("socks"):
        key = next(iter(given))
        raise ValueError(f"{key}={given[key]!r}: expected the proxy's name or address as well, socks=HOST")
    user, file = given.get("socksUser"), given.get("socksPasswordFile")
    if (user is None) != (file is None):
        raise ValueError("socksUser and socksPasswordFile: expected both, or neither")
    password = None if file is None else _first_line("socksPasswordFile", file)
    port = parse_port(given.get("socksPort", str(DEFAULT_PORT)), key="socksPort", lowest=1)
    try:
        return SOCKS5Proxy(given["socks"], port, user, password)
    except ValueError as error:
        text = re.sub("^(user|password):", lambda name: _CREDENTIALS[name[1]], str(error))
        raise ValueError(re.sub("^host=", "socks=", text)) from None


_CREDENTIALS = {"user": "socksUser:", "password": "socksPasswordFile: in its first line"}


def _first_line(key: str, file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as opened:
            return opened.readline(_MAX_LINE).rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise ValueError(f"{key}={file!r}: {getattr(error, 'strerror', None) or error}") from None


def _inherited() -> Any:
    """
    What systemd has passed.  Twisted takes it out of the environment when it first looks, so we ask where it keeps it.
    """
    from twisted.internet.endpoints import _SystemdParser

    return _SystemdParser._sddaemon


def _set(config: UTPConfig, key: str, name: str, text: str) -> UTPConfig:
    try:
        value = _convert(name, text)
    except ValueError:
        raise ValueError(f"{key}={text!r}: expected {_allowed(name)}") from None
    try:
        return config.replace(**{name: value})
    except (TypeError, ValueError) as error:
        raise ValueError(str(error).replace(f"{name}=", f"{key}=", 1)) from None


def _convert(name: str, text: str) -> Any:
    kind = _kind(name)
    if kind is bool:
        if text not in _BOOLEANS:
            raise ValueError(text)
        return _BOOLEANS[text]
    if is_rate(name):
        return parse_rate(text)
    if kind is int:
        return int(text)
    if kind is float:
        return float(text)
    return text


def is_rate(name: str) -> bool:
    """
    Is a setting a rate, which has units of its own?
    """
    return name in RANGES and RANGES[name]["unit"] == RATE_UNIT


def _kind(name: str) -> Any:
    """
    The type of a setting, without the None of optional ones.
    """
    hint = get_type_hints(UTPConfig)[name]
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    return kinds[0] if kinds else hint


def _allowed(name: str) -> str:
    if _kind(name) is bool:
        return "0 or 1"
    allowed = RANGES[name]
    examples = f", such as {EXAMPLES}" if is_rate(name) else ""
    return f"{allowed['low']} to {allowed['high']} {allowed['unit']}{examples}"


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
