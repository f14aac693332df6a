"""
The options of ucat that are settings of the transport.

All fields of L{UTPConfig} are, with their ranges, defaults and descriptions as they stand there, so that a new setting
needs nothing here.
"""

from __future__ import annotations

import inspect
import re
from argparse import Action, ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Any

from twisted_utp._rates import EXAMPLES
from twisted_utp._settings import is_rate, parse_settings, setting_keys
from twisted_utp.proto.config import RANGES, UTPConfig
from twisted_utp.proto.congestion.base import congestion_controller_names

# Where argparse keeps them.
_PREFIX = "setting_"

# Only one of the two sides has these.
LISTENING_ONLY, DIALLING_ONLY = ("backlog",), ("timeout",)

_CLAUSE_END = re.compile(r"(?<=[a-z0-9)])[.;] ")

# Where the value would not tell: what all but ledbat take it for, and None.
_DEFAULTS = {"target_delay": "0.06; ledbat: 0.1", "mtu": "discovered", "linger": "0, for ever"}

# A field of epytext, up to the next one.
_IVAR = re.compile(r"^@ivar (\w+): (.*?)(?=^@|\Z)", re.DOTALL | re.MULTILINE)

_METAVARS = {"seconds": "SECONDS", "bytes": "BYTES", "connections": "N"}


def add_setting_options(parser: ArgumentParser) -> None:
    """
    One option for each setting.
    """
    group = parser.add_argument_group(
        "transport settings", "Only for utp:, utp6: and utps:, where a string may say the same as key=value."
    )
    descriptions = _descriptions()
    names = {name: key for key, name in setting_keys("backlog", "timeout").items()}
    for field in fields(UTPConfig):
        _add_option(group.add_argument, field, names[field.name], descriptions.get(field.name, ""))


def given_settings(options: Any) -> dict[str, str]:
    """
    The settings that were given, by their keys in endpoint strings.
    """
    values = {key.removeprefix(_PREFIX): value for key, value in vars(options).items() if key.startswith(_PREFIX)}
    return {key: value for key, value in values.items() if value is not None}


def option_name(key: str) -> str:
    """
    The option that gives the setting with this key.
    """
    name = setting_keys("backlog", "timeout")[key]
    return _option(next(field for field in fields(UTPConfig) if field.name == name))


def _option(field: Field[Any]) -> str:
    is_switch_off = field.default is True
    return f"--{'no-' if is_switch_off else ''}{field.name.replace('_', '-')}"


def _add_option(add: Callable[..., Action], field: Field[Any], key: str, description: str) -> None:
    option, where = _option(field), _PREFIX + key
    description = description.replace("%", "%%")
    if isinstance(field.default, bool):
        description = _what_it_means(description, not field.default)
        add(option, dest=where, action="store_const", const="0" if field.default else "1", help=description)
        return
    description = _sentence(description)
    if field.name == "congestion":
        description = f"The congestion control: {', '.join(congestion_controller_names())}."
    if field.name in LISTENING_ONLY:
        description = f"With -l: {_within_a_sentence(description)}"
    allowed = RANGES.get(field.name)
    if is_rate(field.name):
        metavar = "RATE"
        description += f" [{EXAMPLES}]"
    elif allowed is not None:
        metavar = _METAVARS[allowed["unit"].split()[0]]
        description += f" [{allowed['low']} to {allowed['high']}]"
    else:
        metavar = "DIR" if field.name == "trace" else "NAME"
    default = "no limit" if is_rate(field.name) else _DEFAULTS.get(field.name, field.default)
    if default != "":
        description += f" [default: {default}]"
    add(option, dest=where, metavar=metavar, type=_checked(key), help=description)


def _checked(key: str) -> Callable[[str], str]:
    """
    A conversion that leaves the text as it is, but checks it as the endpoint's parser will.
    """

    def check(text: str) -> str:
        try:
            parse_settings({key: text}, "backlog", "timeout")
        except ValueError as error:
            raise ArgumentTypeError(str(error).removeprefix(f"{key}=")) from None
        return text

    return check


def _descriptions() -> dict[str, str]:
    """
    What the class says of each field, without its markup.  Nothing when docstrings are left out (C{python -OO}).
    """
    said = _IVAR.findall(inspect.getdoc(UTPConfig) or "")
    return {name: text[:1].upper() + text[1:] for name, text in ((name, _plain(text)) for name, text in said)}


def _plain(epytext: str) -> str:
    text = re.sub(r"\bL\{([^<}]+?)\s*<[^>]*>\}", r"\1", " ".join(epytext.split()))
    return re.sub(r"\b[CLI]\{([^}]*)\}", r"\1", text)


def _sentence(text: str) -> str:
    """
    The first one, or what stands before its semicolon.
    """
    return _CLAUSE_END.split(text + " ")[0].rstrip(" .") + "."


def _within_a_sentence(text: str) -> str:
    """
    A sentence that follows a colon: "Seconds" begins small there, "SYNs" does not.
    """
    return text if text[1:2].isupper() else text[0].lower() + text[1:]


def _what_it_means(text: str, value: bool) -> str:
    """
    The clause of a description that begins with C{True}, or the one with C{False}.
    """
    for clause in _CLAUSE_END.split(text + " "):
        first, _, rest = clause.partition(" ")
        if first == str(value):
            return rest.rstrip(" .") + "."
    return _sentence(text)
