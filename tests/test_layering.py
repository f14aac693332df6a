"""
Who may import whom, and how long may a function or a file be?

The core is only sans-IO as long as nothing in it can reach a clock, a socket or Twisted, and C{--reactor=} only works
as long as the plugin loads nothing heavy.  This walks the syntax trees, so that it also sees what no test runs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = CHECKOUT / "twisted_utp"
PLUGINS = sorted((CHECKOUT / "twisted" / "plugins").glob("*.py"))
LONGEST_FUNCTION, LONGEST_FILE = 60, 1050

PROTO_STDLIB = {
    "__future__", "abc", "array", "bisect", "collections", "dataclasses", "difflib", "enum", "functools", "hashlib",
    "heapq", "ipaddress", "itertools", "math", "operator", "struct", "types", "typing",
}  # fmt: skip
LIGHT = {
    "twisted.application.service", "twisted.internet.interfaces", "twisted.plugin", "twisted_utp._parsers",
    "twisted_utp._tls_parsers", "twisted_utp.interfaces", "zope.interface",
}  # fmt: skip

LOADED_BY_EVERY_TWIST = [*PLUGINS, PACKAGE / "_parsers.py", PACKAGE / "_tls_parsers.py", PACKAGE / "__init__.py"]

# Twisted's IServiceMaker passes no reactor: what twist calls must take the global one.
CALLED_BY_TWIST = PACKAGE / "forward" / "plugin.py"

SOURCES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """
    C{twisted_utp/proto/packet.py} is C{twisted_utp.proto.packet}.
    """
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(node: ast.AST) -> bool:
    """
    Is this C{if TYPE_CHECKING:}?  What it imports is never loaded.
    """
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(node: ast.AST, *, inside_functions: bool) -> Iterator[str]:
    """
    The modules that a tree imports when it runs: all of them, or only those at module level.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative import"
            yield str(child.module)
        elif is_type_checking(child):
            yield from imports(ast.Module(child.orelse, []), inside_functions=inside_functions)
        elif inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(child, inside_functions=inside_functions)


def imported_by(path: Path, *, inside_functions: bool = True) -> set[str]:
    """
    What a file imports.
    """
    return set(imports(ast.parse(path.read_text("utf-8")), inside_functions=inside_functions))


def is_within(module: str, *packages: str) -> bool:
    """
    Is it one of the packages, or inside one?
    """
    return any(module == package or module.startswith(package + ".") for package in packages)


def sources_in(folder: str) -> list[Path]:
    """
    The files of a part of the package; an empty list would make a test pass for nothing.
    """
    found = sorted((PACKAGE / folder).rglob("*.py"))
    assert found, f"no files in twisted_utp/{folder}"
    return found


def test_core_reaches_nothing():
    """
    proto imports a few pure modules and itself: no Twisted, no clock, no randomness, no sockets.
    """
    for path in sources_in("proto"):
        strangers = {name for name in imported_by(path) if not is_within(name, "twisted_utp.proto", *PROTO_STDLIB)}
        assert not strangers, f"{module_name(path)} imports {', '.join(sorted(strangers))}"


def test_core_is_layered():
    """
    Inside proto only the multiplexer knows connections, and only connections know how data is sent and recovered.
    """
    lower = {"constants", "seqnum", "packet", "values", "config", "events", "states", "stats", "trace", "rtt", "delay"}
    upper = ("twisted_utp.proto.connection", "twisted_utp.proto.multiplexer")
    for path in sources_in("proto"):
        if path.stem in lower:
            assert not any(is_within(name, *upper) for name in imported_by(path)), module_name(path)
        if path.stem != "multiplexer" and path.stem != "__init__":
            assert upper[1] not in imported_by(path), module_name(path)


def test_udp_knows_no_utp():
    """
    udp moves datagrams: of the core it knows only the values that cross the border.
    """
    if not (PACKAGE / "udp").is_dir():
        pytest.skip("there is no twisted_utp/udp")
    allowed = ("twisted_utp.udp", "twisted_utp.proto.values")
    for path in sources_in("udp"):
        ours = {name for name in imported_by(path) if is_within(name, "twisted_utp")}
        assert all(is_within(name, *allowed) for name in ours), f"{module_name(path)} imports {ours}"


def test_testing_builds_on_the_core():
    """
    testing imports the core, the datagram layer and Twisted, never the glue that it is there to test.
    """
    allowed = ("twisted_utp.testing", "twisted_utp.proto", "twisted_utp.udp")
    for path in sources_in("testing"):
        ours = {name for name in imported_by(path) if is_within(name, "twisted_utp")}
        assert all(is_within(name, *allowed) for name in ours), f"{module_name(path)} imports {ours}"


@pytest.mark.parametrize("path", LOADED_BY_EVERY_TWIST, ids=lambda path: path.name)
def test_plugin_is_light(path):
    """
    What every C{twist} loads on a cold plugin cache imports neither a reactor nor the core at module level.
    """
    loaded = imported_by(path, inside_functions=False)
    strangers = {name for name in loaded - LIGHT if name.split(".")[0] not in sys.stdlib_module_names}
    assert not strangers, f"{path.name} imports {', '.join(sorted(strangers))} at module level"


def test_nobody_imports_the_reactor():
    """
    Nobody imports the global reactor: it is always an argument.
    """
    for path in SOURCES:
        if path == CALLED_BY_TWIST:
            assert "twisted.internet" not in imported_by(path, inside_functions=False)
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet":
                assert "reactor" not in {alias.name for alias in node.names}, f"{module_name(path)}:{node.lineno}"
        assert "twisted.internet.reactor" not in imported_by(path), module_name(path)


def test_no_package_shadows_twisted():
    """
    An C{__init__.py} in our C{twisted} folders would hide Twisted itself, or be installed over its own file.
    """
    assert not (CHECKOUT / "twisted" / "__init__.py").exists()
    assert not (CHECKOUT / "twisted" / "plugins" / "__init__.py").exists()


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_size(path):
    """
    A function fits on a screen and a file in a head.
    """
    text = path.read_text("utf-8")
    assert text.count("\n") <= LONGEST_FILE, f"{text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


def test_core_stdlib_is_stdlib():
    """
    The list above names no module that another distribution provides.
    """
    assert sys.stdlib_module_names >= PROTO_STDLIB


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_nothing_that_windows_lacks(path: Path) -> None:
    """The plain path works on any reactor, so nothing is loaded that only Unix has."""
    unix_only = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
    tree = ast.parse(path.read_text())
    assert not {name.partition(".")[0] for name in imports(tree, inside_functions=True)} & unix_only
