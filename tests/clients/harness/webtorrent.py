"""
WebTorrent, from npm, whose uTP is libutp by C{utp-native}.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from harness.network import Network
from harness.programmed import PROGRAMS, ProgrammedClient
from tests import npm

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
        return npm.why_missing(_HOME, ["webtorrent"], "--ignore-scripts")

    def command(self, network: Network, folder: Path) -> Sequence[str | Path]:
        """
        It listens on all addresses.
        """
        return ["node", _HOME / "client.js"]
