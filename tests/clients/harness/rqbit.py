"""
rqbit, by C{pyrqbit} from PyPI: uTP in Rust, C{librqbit-utp}.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.client import Start, Torrent
from harness.network import Address, Network, free_port
from harness.programmed import PROGRAMS, ProgrammedClient
from harness.tracker import Tracker


class Rqbit(ProgrammedClient):
    """
    It has no word for "dial this peer": a tracker says that.  It leaves a seed as soon as it has everything.
    """

    name = "rqbit"
    says_last = False

    @staticmethod
    def why_missing() -> str | None:
        """
        PyPI has it.
        """
        if importlib.util.find_spec("pyrqbit") is None:
            return 'pyrqbit is not installed: pip install "twisted-utp[interop]"'
        return None

    def __init__(self, network: Network, folder: Path, start: Start) -> None:
        self._tracker = Tracker(network.theirs)
        super().__init__(network, folder, start)

    def command(self, network: Network, folder: Path) -> Sequence[str | Path]:
        """
        It must be told its port.
        """
        return [sys.executable, PROGRAMS / "rqbit_client.py", folder, str(free_port(network.theirs))]

    def add(self, torrent: Torrent, peer: Address | None) -> None:
        """
        With a tracker in the file when it is to dial.
        """
        if peer is not None:
            path = torrent.folder.parent / "with-tracker.torrent"
            path.write_bytes(self._tracker.torrent_with_peer(torrent.path, peer))
            torrent = Torrent(path, torrent.folder)
        super().add(torrent, None)
