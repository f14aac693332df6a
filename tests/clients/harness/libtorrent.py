"""
libtorrent, from PyPI: the library of qBittorrent and many others, here in its current version.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.network import THEIRS, Network
from harness.programmed import PROGRAMS, ProgrammedClient


class Libtorrent(ProgrammedClient):
    """
    A session with uTP alone.
    """

    name = "libtorrent"

    @staticmethod
    def why_missing() -> str | None:
        """
        PyPI has it.
        """
        if importlib.util.find_spec("libtorrent") is None:
            return 'libtorrent is not installed: pip install "twisted-utp[interop]"'
        return None

    def command(self, network: Network, folder: Path) -> Sequence[str | Path]:
        """
        It listens on the address that we dial.
        """
        return [sys.executable, PROGRAMS / "libtorrent_client.py", THEIRS]
