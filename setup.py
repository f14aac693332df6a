"""
Compiles the core, if C{TWISTED_UTP_COMPILE=1} is set.

Without the variable only the metadata in C{setup.cfg} is used, and the wheel is pure Python.  With it, mypyc compiles
C{twisted_utp/proto} to an extension.  If that fails, the installation fails; it never falls back to Python silently.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from setuptools import setup

WISH = "TWISTED_UTP_COMPILE"

# Older releases treat some expressions differently.  The tests have run with this one.
COMPILER = "mypy >= 2.4"

CORE = Path("twisted_utp", "proto")

# What stays Python, and why.
INTERPRETED = {
    CORE / "config.py",  # checks by itself what users pass, and says what would be right
    CORE / "stats.py",  # its frozen snapshots are public dataclasses, as Python makes them
    CORE / "outbox.py",  # subclasses deque, which a compiled class cannot
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

    pip runs this file several times: it asks what is required to build (C{egg_info}), installs that, asks for the
    metadata (C{dist_info}), and builds.  Compiling takes a minute, so it is done in the last step only.

    @raise SystemExit: when the core cannot be compiled.
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
    # The tests check types, with all of the configuration.  Here only the core and the standard library count.
    options = ["--config-file=", "--follow-imports=silent"]
    # One C file per module: a single one for all takes minutes and gigabytes to compile, and gains nothing.
    return {
        "ext_modules": mypycify(
            [*options, *sources], opt_level="2", debug_level="0", multi_file=True, group_name="twisted_utp"
        )
    }


if __name__ == "__main__":
    setup(**(compiled() if is_wanted() else {}))
