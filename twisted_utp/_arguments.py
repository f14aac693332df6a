"""
Checks of what callers pass.

What cannot be used is refused where it is given, with the name of the argument: a C{TypeError} for a wrong type, a
C{ValueError} for a wrong value.  Later it would be an error among those of other connections, without its cause.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted_utp.proto.config import UTPConfig
from twisted_utp.udp.addresses import is_ipv4, is_numeric, without_brackets
from twisted_utp.udp.dscp import ALLOWED as ALLOWED_DSCP
from twisted_utp.udp.dscp import MAX_DSCP, dscp_number
from twisted_utp.udp.settings import SETTING_NAMES

_MAX_PORT = 65535

# What endpoints have arguments for, by both names.
_OF_SOCKETS = frozenset((*SETTING_NAMES, *SETTING_NAMES.values()))

# <linux/if.h>, IFNAMSIZ, less the zero at the end; and what dev_valid_name refuses.
_MAX_DEVICE = 15
_NOT_IN_DEVICES = frozenset("/:\0")

# What is asked of a factory, see IProtocolFactory.
_FACTORY_METHODS = ("buildProtocol", "doStart", "doStop")


def check_integer(name: str, value: object, unit: str = "", *, low: int, high: int | None = None) -> None:
    """
    An integer within a range.
    """
    limits = f"of {low} or more" if high is None else f"from {low} to {high}"
    expected = f"expected an integer {limits} {unit}".rstrip()
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r}: {expected}")
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name}={value!r}: {expected}")


def check_port(name: str, value: object, *, lowest: int = 1) -> None:
    """
    A UDP port's number.

    @param lowest: 0 where that means "any".
    """
    check_integer(name, value, low=lowest, high=_MAX_PORT)


def check_numeric_host(name: str, value: object) -> None:
    """
    An address.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r}: expected an IPv4 or IPv6 address, as str")
    if not is_numeric(value):
        raise ValueError(f"{name}={value!r}: expected an IPv4 or IPv6 address; UTPClientEndpoint resolves names")


def check_interface(name: str, value: object) -> None:
    """
    An address of this machine, or nothing for all.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r}: expected an IPv4 or IPv6 address of this machine, or '' for all, as str")
    if value and not is_numeric(value):
        reason = "to choose an interface, use device"
        raise ValueError(f"{name}={value!r}: expected an IPv4 or IPv6 address of this machine; {reason}")


def checked_host(name: str, value: object) -> str:
    """
    An address or a name; ASCII bytes will do.

    @return: it, as C{str}, and an address without brackets.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode("ascii")
        except UnicodeDecodeError:
            raise ValueError(f"{name}={value!r}: expected ASCII") from None
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r}: expected a name or an address, as str")
    if not value or "\0" in value:
        raise ValueError(f"{name}={value!r}: expected a name or an address")
    if is_numeric(value):
        return without_brackets(value)
    if ":" in value:
        raise ValueError(f"{name}={value!r}: expected a name or an address, and the port as an argument of its own")
    return value


def checked_bind_address(name: str, value: object) -> tuple[str, int] | None:
    """
    Our end: L{None}, an address, or an address and a port.

    @return: the latter.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = (value, 0)
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"{name}={value!r}: expected an address, or a tuple of an address and a port")
    interface, port = value
    check_interface(name, interface)
    check_port(name, port, lowest=0)
    return without_brackets(interface), port


def check_number(name: str, value: object, unit: str, *, low: float, high: float) -> None:
    """
    Any number within a range.
    """
    expected = f"expected {low} to {high} {unit}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={value!r}: {expected}")
    if not low <= value <= high:
        raise ValueError(f"{name}={value!r}: {expected}")


def check_flag(name: str, value: object) -> None:
    """
    A switch.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name}={value!r}: expected True or False")


def check_ip_version(name: str, value: object, host: str) -> None:
    """
    IPv4 or IPv6, of which a numeric host has to be; or L{None} for both.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r}: expected 4, 6 or None")
    if value not in (4, 6):
        raise ValueError(f"{name}={value!r}: expected 4 or 6")
    if is_numeric(host) and is_ipv4(host) != (value == 4):
        raise ValueError(f"{name}={value!r}: expected a name, or an IPv{value} address, as the host, not {host!r}")


def checked_dscp(name: str, value: object) -> int | None:
    """
    A code point, by number or by name; or L{None} to leave it to the system.

    @return: the number.
    """
    expected = f"expected {ALLOWED_DSCP}"
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return dscp_number(value)
        except ValueError:
            raise ValueError(f"{name}={value!r}: {expected}") from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r}: {expected}")
    if not 0 <= value <= MAX_DSCP:
        raise ValueError(f"{name}={value!r}: {expected}")
    return value


def check_device(name: str, value: object) -> None:
    """
    What could be the name of an interface, or nothing for any.
    """
    expected = f"expected the name of an interface, of at most {_MAX_DEVICE} bytes"
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r}: {expected}, as str")
    is_long = len(value.encode("utf-8", "surrogateescape")) > _MAX_DEVICE
    has_wrong = any(character in _NOT_IN_DEVICES or character.isspace() for character in value)
    if is_long or has_wrong or value in (".", ".."):
        raise ValueError(f"{name}={value!r}: {expected}, without spaces, slashes and colons")


def check_no_socket_settings(changes: Iterable[str]) -> None:
    """
    Settings that change on what is running are those of connections.
    """
    for name in changes:
        if name in _OF_SOCKETS:
            raise TypeError(f"{name}: belongs to the UDP socket, and is set by the endpoint that opens it")


def check_config(name: str, value: object) -> None:
    """
    Settings, or L{None} for those of the port.
    """
    if value is not None and not isinstance(value, UTPConfig):
        raise TypeError(f"{name}={value!r}: expected a UTPConfig, such as UTPConfig(target_delay=0.05), or None")


def check_reactor(name: str, value: object) -> None:
    """
    A reactor, as far as all of them, those of tests included, are alike.
    """
    if not callable(getattr(value, "callLater", None)):
        raise TypeError(f"{name}={value!r}: expected a reactor, such as twisted.internet.reactor")


def check_random(name: str, value: object) -> None:
    """
    A source of random numbers, or L{None} for the system's.
    """
    if value is not None and not callable(getattr(value, "getrandbits", None)):
        raise TypeError(f"{name}={value!r}: expected a random.Random, or None")


def check_factory(name: str, value: object) -> None:
    """
    What builds protocols: an object, not its class.
    """
    for method in _FACTORY_METHODS:
        if isinstance(value, type) or not callable(getattr(value, method, None)):
            raise TypeError(f"{name}={value!r}: expected an IProtocolFactory, such as Factory.forProtocol(MyProtocol)")


def check_datagram_protocol(name: str, value: object, *, optional: bool = True) -> None:
    """
    Another protocol for a UDP port, or L{None} where there need not be one.
    """
    if (value is not None or not optional) and (
        isinstance(value, type) or not callable(getattr(value, "datagramReceived", None))
    ):
        raise TypeError(f"{name}={value!r}: expected a DatagramProtocol")


def check_callable(name: str, value: Any, expected: str) -> None:
    """
    Something that can be called, or L{None} where there need not be one.
    """
    if value is not None and not callable(value):
        raise TypeError(f"{name}={value!r}: expected {expected}")


def check_dial(factory: object, host: object, port: object, config: object, source: object = "") -> None:
    """
    What it takes to connect to an address.
    """
    check_factory("factory", factory)
    check_numeric_host("host", host)
    check_port("port", port)
    check_interface("bindAddress", source)
    check_config("config", config)
