"""
Is everything public documented, and does the page about the API have all of it?
"""

from __future__ import annotations

import inspect
import os
import pydoc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import tcp
from twisted.internet.protocol import DatagramProtocol
from zope.interface.interface import InterfaceClass

import twisted_utp
from twisted_utp import UTPConfig, UTPPort, UTPProtocol, UTPTransport
from twisted_utp.proto.config import RANGES
from twisted_utp.udp import ITrainReceiver

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PUBLIC = [name for name in twisted_utp.__all__ if not name.startswith("_")]
CLASSES = [name for name in PUBLIC if inspect.isclass(getattr(twisted_utp, name))]
SHORTHANDS = {"set_send_buffer", "set_receive_buffer", "set_target_delay", "set_keepalive"}


def public_members(owner: type) -> Iterator[tuple[str, Any]]:
    """What a class has of this package, without what begins with an underscore."""
    for one in owner.__mro__:
        if one.__module__.startswith("twisted_utp"):
            yield from ((name, value) for name, value in vars(one).items() if not name.startswith("_"))


def documented_attributes(owner: type) -> set[str]:
    """Those that docstrings of the class name with C{@ivar} or C{@cvar}."""
    text = "".join(one.__doc__ or "" for one in owner.__mro__ if one.__module__.startswith("twisted_utp"))
    return set(re.findall(r"^\s*@[ic]var (\w+):", text, re.MULTILINE))


@pytest.fixture(scope="module")
def api_page() -> str:
    """C{docs/api.rst}."""
    return (CHECKOUT / "docs" / "api.rst").read_text("utf-8")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring(name: str) -> None:
    """Its own, not one that it inherits."""
    value = getattr(twisted_utp, name)
    assert value.__doc__ and value.__doc__.strip(), name


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_member_has_a_docstring(name: str) -> None:
    """Methods and properties one of their own, attributes an C{@ivar} in that of the class."""
    owner = getattr(twisted_utp, name)
    attributes = documented_attributes(owner)
    mute = []
    for member, value in public_members(owner):
        is_code = inspect.isroutine(value) or isinstance(value, (property, classmethod, staticmethod))
        is_twisted = any(hasattr(other, member) for other in (tcp.Server, tcp.Port, DatagramProtocol))
        has_text = inspect.getdoc(value) if is_code else member in attributes or is_twisted or name == "Verdict"
        if not has_text:
            mute.append(member)
    if owner is UTPProtocol:
        mute.remove("is_for_dialling")  # see ITrainReceiver
    assert mute == []


@pytest.mark.parametrize("name", [name for name in PUBLIC if isinstance(getattr(twisted_utp, name), InterfaceClass)])
def test_every_member_of_an_interface_has_a_docstring(name: str) -> None:
    """What applications program against."""
    interface = getattr(twisted_utp, name)
    assert [member for member in interface.names() if not interface[member].__doc__] == []


def test_the_protocol_shows_what_is_public(api_page: str) -> None:
    """What C{UTPProtocol} shows is on the page, or is what Twisted's reactor or the UDP port calls."""
    called = set(dir(DatagramProtocol)) | set(ITrainReceiver.names())
    shown = {name for name, _ in public_members(UTPProtocol)} - (called - {"getHost"})
    assert shown == set(re.findall(r"``UTPProtocol\.(\w+)``", api_page))


@pytest.mark.parametrize(
    ("owner", "twisteds", "interface"),
    [(UTPTransport, tcp.Server, twisted_utp.IUTPTransport), (UTPPort, tcp.Port, twisted_utp.IUTPListeningPort)],
)
def test_transports_and_ports_show_what_twisteds_do(owner: type, twisteds: type, interface: Any) -> None:
    """Beyond that only what their interfaces and the shorthands for settings add."""
    shown = {name for name, _ in public_members(owner)}
    assert shown - set(dir(twisteds)) - set(interface.names(all=True)) == SHORTHANDS


def test_every_public_name_is_on_the_page(api_page: str) -> None:
    """All of C{twisted_utp.__all__}."""
    assert [name for name in PUBLIC if f"``{name}``" not in api_page] == []


def test_settings_are_on_the_page_as_they_are(api_page: str) -> None:
    """All of C{UTPConfig}, in its order, with what is allowed and the defaults."""
    names = "|".join(UTPConfig.__dataclass_fields__)
    cells = re.findall(rf"^``({names})``\s{{2,}}(\S.*?)\s{{2,}}(\S.*?)\s{{2,}}(\S.*)$", api_page, re.MULTILINE)
    settings = [[cell.replace("``", "") for cell in row] for row in cells]
    assert [row[0] for row in settings] == list(UTPConfig.__dataclass_fields__)
    for name, allowed, default, _ in settings:
        value = getattr(UTPConfig(), name)
        if name in RANGES:
            assert [float(limit) for limit in allowed.split(" to ")] == [RANGES[name]["low"], RANGES[name]["high"]]
        written = "empty" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)
        assert default == written, name


def test_pydoc_explains_every_setting() -> None:
    """As the page says: C{pydoc twisted_utp.UTPConfig} has what the reference has."""
    text = pydoc.render_doc(UTPConfig, renderer=pydoc.plaintext)
    assert [name for name in UTPConfig.__dataclass_fields__ if f"@ivar {name}: " not in text] == []


def test_the_reference_explains_every_setting_and_counter() -> None:
    """pydoctor finds each field with its text: it takes fields whose default is a constant for aliases otherwise."""
    try:
        from pydoctor.model import System
    except ImportError as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))
    system = System()
    builder = system.systemBuilder(system)
    for module in ("config", "stats"):
        builder.addModuleString((CHECKOUT / f"twisted_utp/proto/{module}.py").read_text("utf-8"), module)
    builder.buildModules()
    for name, public in (("config.UTPConfig", UTPConfig), ("stats.ConnectionStats", twisted_utp.ConnectionStats),
                         ("stats.PortStats", twisted_utp.PortStats)):  # fmt: skip
        contents = system.allobjects[name].contents
        fields = list(public.__dataclass_fields__)
        assert fields and [one for one in fields if one not in contents or not contents[one].parsed_docstring] == []
