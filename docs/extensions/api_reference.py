"""
Builds the API reference with pydoctor, from the docstrings, while Sphinx builds the other pages.

What pydoctor complains about is a warning of the build.  Names on the page about the API become links to the reference.
Links to names of Python and of Twisted need no network, because their inventories are written here.
"""

from __future__ import annotations

import subprocess
import sys
import zlib
from importlib import import_module
from inspect import isclass, ismodule
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

import twisted_utp
from twisted_utp import UTPConfig

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PYTHON = "https://docs.python.org/3/library/"
TWISTED = "https://docs.twisted.org/en/stable/api/"

# Whatever a docstring may link to beside our own names.
BUILTINS = {"None": "constants.html#None", "True": "constants.html#True", "False": "constants.html#False"}
TWISTED_MODULES = (
    "twisted.application.service",
    "twisted.internet.defer",
    "twisted.internet.error",
    "twisted.internet.interfaces",
)

# It has not read zope.interface, so it does not know that what derives from Twisted's interfaces is one.
NOT_OURS = "is not an interface"

# The page whose names are links, and where they lead.
PAGE = "api"
FOLDER = "api"

logger = logging.getLogger(__name__)
linked: set[str] = set()


def _names_of_twisted() -> list[str]:
    """
    The classes and interfaces of these modules, and what they have.
    """
    found = []
    for module in TWISTED_MODULES:
        for name, value in vars(import_module(module)).items():
            if getattr(value, "__module__", None) == module:
                found += [f"{module}.{name}"]
                members = value.names() if hasattr(value, "names") else vars(value) if isinstance(value, type) else ()
                found += [f"{module}.{name}.{member}" for member in members]
    return found


def _page_of(name: str) -> str:
    """
    Where pydoctor has put a name of Twisted: a page for each class, and an anchor for each of its members.
    """
    module = next(one for one in TWISTED_MODULES if name.startswith(f"{one}."))
    page, _, member = name[len(module) + 1 :].partition(".")
    return f"{module}.{page}.html" + (f"#{member}" if member else "")


def write_inventory(path: Path, project: str, pages: dict[str, str]) -> None:
    """
    A Sphinx inventory (version 2) of names and their pages.
    """
    lines = "".join(f"{name} py:obj 1 {page} -\n" for name, page in sorted(pages.items()))
    head = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
    path.write_bytes(f"{head}# The remainder of this file is compressed using zlib.\n".encode())
    with path.open("ab") as inventory:
        inventory.write(zlib.compress(lines.encode()))


def page_of(name: str) -> str | None:
    """
    Where pydoctor puts a name that is public, as the page about the API has it: C{UTPProtocol.listen}, a setting, or a
    module or class with its full name.  L{None} for any other text.
    """
    if name in UTPConfig.__dataclass_fields__:
        return f"twisted_utp.UTPConfig.html#{name}"
    first, *rest = name.removeprefix("twisted_utp.").split(".")
    if first in twisted_utp.__all__:
        public = getattr(twisted_utp, first)
        if not (isclass(public) or hasattr(public, "names")):
            return f"twisted_utp.html#{first}"
        member = f"#{rest[0]}" if rest else ""
        # Of what is inherited, the anchor is on the page of the class that has it.
        owner = next((one for one in getattr(public, "__mro__", ()) if rest and rest[0] in vars(one)), public)
        home = f"twisted_utp.{first}" if owner is public else f"{owner.__module__}.{owner.__qualname__}"
        return f"{home}.html{member}"
    if not name.startswith("twisted_utp."):
        return None
    value: Any = twisted_utp
    for part in (first, *rest):
        value = getattr(value, part, None) or import_module(f"{value.__name__}.{part}")
    return f"{name}.html" if ismodule(value) or isclass(value) else None


class NamesAreLinks(SphinxTransform):
    """
    On the page about the API, turns public names into links to the reference.
    """

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        """
        All of them.
        """
        if self.env.docname != PAGE:
            return
        for literal in list(self.document.findall(nodes.literal)):
            page = page_of(literal.astext())
            if page is not None and not isinstance(literal.parent, nodes.reference):
                link = nodes.reference("", "", literal.deepcopy(), refuri=f"{FOLDER}/{page}", internal=True)
                literal.replace_self(link)
                linked.add(page)


def check_links(out: Path) -> None:
    """
    A link to a page or a name that pydoctor has not written is a warning.
    """
    for page in sorted(linked):
        file, _, anchor = page.partition("#")
        path = out / file
        if not path.exists() or (anchor and f'name="{anchor}"' not in path.read_text("utf-8")):
            logger.warning("%s.rst links to %s, which pydoctor has not written", PAGE, page)


def start(app: Sphinx) -> None:
    """
    Start pydoctor, when pages of HTML are built.
    """
    if app.builder.format != "html":
        return
    out = Path(app.outdir)
    inventories = Path(app.doctreedir)
    inventories.mkdir(parents=True, exist_ok=True)
    write_inventory(inventories / "python.inv", "Python", BUILTINS)
    write_inventory(inventories / "twisted.inv", "Twisted", {name: _page_of(name) for name in _names_of_twisted()})
    command = [
        *(sys.executable, "-m", "pydoctor", "--quiet", "--docformat=epytext", "--project-name=twisted-utp"),
        *(f"--project-version={app.config.release}", f"--project-base-dir={CHECKOUT}", "--sidebar-expand-depth=1"),
        *(f"--intersphinx-file={inventories}/python.inv::{PYTHON}",),
        *(f"--intersphinx-file={inventories}/twisted.inv::{TWISTED}",),
        *(f"--html-output={out / FOLDER}", str(CHECKOUT / "twisted_utp")),
    ]
    app.pydoctor = subprocess.Popen(  # type: ignore[attr-defined]
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(app: Sphinx, exception: Exception | None) -> None:
    """
    Wait for it, and pass on what it has to say.
    """
    running = getattr(app, "pydoctor", None)
    if running is None:
        return
    output, _ = running.communicate()
    for line in output.splitlines():
        if line.endswith(NOT_OURS):
            continue
        logger.warning("pydoctor: %s", line)
    if running.returncode and exception is None:
        logger.warning("pydoctor exited with %d", running.returncode)
    elif exception is None:
        check_links(Path(app.outdir) / FOLDER)


def setup(app: Sphinx) -> dict[str, Any]:
    """
    Tell Sphinx when.
    """
    app.add_transform(NamesAreLinks)
    app.connect("builder-inited", start)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
