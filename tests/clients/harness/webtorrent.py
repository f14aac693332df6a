"""
WebTorrent, from npm, whose uTP is libutp by C{utp-native}.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.network import Network
from harness.programmed import PROGRAMS, ProgrammedClient

_HOME = PROGRAMS / "webtorrent"


class WebTorrent(ProgrammedClient):
    """
    The last version that runs on Debian's Node.js.
    """

    name = "WebTorrent"

    @staticmethod
    @functools.cache
    def why_missing() -> str | None:
        """
        npm has it; it is installed here on first use.
        """
        program, installer = shutil.which("node"), shutil.which("npm")
        if program is None or installer is None:
            return "node and npm are not installed: apt-get install nodejs npm"
        if not (_HOME / "node_modules" / "webtorrent").is_dir():
            command = [installer, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
            ran = subprocess.run(command, cwd=_HOME, capture_output=True, text=True, timeout=300)
            if ran.returncode:
                return f"npm cannot install webtorrent: {ran.stderr[-500:]}"
        loads = subprocess.run([program, "-e", "require('utp-native')"], cwd=_HOME, capture_output=True, text=True)
        return f"utp-native does not load: {loads.stderr[-500:]}" if loads.returncode else None

    def command(self, network: Network, folder: Path) -> Sequence[str | Path]:
        """
        It listens on all addresses.
        """
        return ["node", _HOME / "client.js"]
