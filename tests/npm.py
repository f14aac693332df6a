"""
Installs programs of others that npm has, once for all workers of a test run.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


def why_missing(home: Path, names: Sequence[str], *options: str) -> str | None:
    """
    Install what the C{package.json} of a folder asks for, on first use.

    Workers run at the same time: one installs, and the others wait, since a package whose folder is there may still be
    half unpacked.

    @param names: packages that show that it has been done.
    @param options: for npm, beside the usual ones.
    @return: why C{utp-native} cannot be used.
    """
    program, installer = shutil.which("node"), shutil.which("npm")
    if program is None or installer is None:
        return "node and npm are not installed: apt-get install nodejs npm"
    with (home / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((home / "node_modules" / name).is_dir() for name in names):
            command = [installer, "install", "--no-audit", "--no-fund", "--no-package-lock", *options]
            ran = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=300)
            if ran.returncode:
                return f"npm cannot install {' and '.join(names)}: {ran.stderr[-500:]}"
    loads = subprocess.run([program, "-e", "require('utp-native')"], cwd=home, capture_output=True, text=True)
    return f"utp-native does not load: {loads.stderr[-500:]}" if loads.returncode else None
