"""
How does the API reference come into being?

pydoctor writes it from the docstrings, beside Sphinx, which goes on meanwhile.  What it complains about is a warning of
the build.  Links to names of Python and of Twisted are known without asking a network for their inventories.
"""

from __future__ import annotations

import subprocess
import sys
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PYTHON = "https://docs.python.org/3/library/"
TWISTED = "https://docs.twisted.org/en/stable/api/"

# Whatever a docstring may link to beside our own names.
BUILTINS = {"None": "constants.html#None", "True": "constants.html#True", "False": "constants.html#False"}
TWISTED_MODULES = ("twisted.application.service", "twisted.internet.error", "twisted.internet.interfaces")

# It has not read zope.interface, so it does not know that what derives from Twisted's interfaces is one.
NOT_OURS = "is not an interface"

logger = logging.getLogger(__name__)


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
        *(f"--html-output={out / 'api'}", str(CHECKOUT / "twisted_utp")),
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


def setup(app: Sphinx) -> dict[str, Any]:
    """
    Tell Sphinx when.
    """
    app.connect("builder-inited", start)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
