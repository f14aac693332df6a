"""
Compiles the core, if C{TWISTED_UTP_COMPILE=1} is set.

Otherwise the metadata in C{setup.cfg} is all there is, and the wheel is pure Python.  With the variable, mypyc makes an
extension of C{twisted_utp/proto}.  If that fails, the installation fails; it never falls back to Python silently.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from setuptools import setup

WISH = "TWISTED_UTP_COMPILE"

# Older releases treat some expressions differently; this is the one with which the tests have run.
COMPILER = "mypy >= 2.4"

CORE = Path("twisted_utp", "proto")

# What stays Python, and why.
INTERPRETED = {
    CORE / "config.py",  # checks what users pass itself, and says what would be right
    CORE / "stats.py",  # its frozen snapshots are public: dataclasses as Python makes them
    CORE / "outbox.py",  # a deque's layout in memory is no base for a compiled class
    *CORE.glob("congestion/**/*.py"),  # users derive their own controllers from these
    *CORE.rglob("__init__.py"),
}


def is_wanted() -> bool:
    """
    @raise SystemExit: when the variable has another value than 0 and 1.
    """
    value = os.environ.get(WISH, "")
    if value not in ("", "0", "1"):
        raise SystemExit(f"{WISH}={value}: expected 1, to compile the core, or 0")
    return value == "1"


def compiled() -> dict[str, Any]:
    """
    What C{setup()} needs for the extension.

    pip asks what is required to build (C{egg_info}), installs that, asks for the metadata (C{dist_info}) and only then
    builds.  Compiling takes a minute, so nothing is done before the last.

    @raise SystemExit: when it cannot be compiled.
    """
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    if command == "egg_info":
        return {"setup_requires": [COMPILER]}
    if command == "editable_wheel":
        raise SystemExit(f"{WISH}=1: an editable installation cannot be compiled, as it would not follow your edits")
    if command not in ("bdist_wheel", "build", "build_ext", "install"):
        return {}
    try:
        from mypyc.build import mypycify
    except ImportError as error:
        raise SystemExit(f"{WISH}=1: compiling needs {COMPILER} in the environment that builds ({error})") from None
    sources = sorted(str(path) for path in set(CORE.rglob("*.py")) - INTERPRETED)
    # Types are checked by the tests, with all of the configuration; here only the core and the standard library count.
    options = ["--config-file=", "--follow-imports=silent"]
    # A file in C for each module: one for all takes minutes and gigabytes, and gains nothing.
    return {
        "ext_modules": mypycify(
            [*options, *sources], opt_level="2", debug_level="0", multi_file=True, group_name="twisted_utp"
        )
    }


if __name__ == "__main__":
    setup(**(compiled() if is_wanted() else {}))
