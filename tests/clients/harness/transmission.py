"""
Transmission, by C{transmission-daemon}: libutp, in the version that Transmission ships.
"""

from __future__ import annotations

import base64
import http.client
import json
import shutil
from pathlib import Path
from typing import Any

from harness.client import Client, Start, Torrent
from harness.network import Address, Network, free_port
from harness.tracker import Tracker
from harness.web import post

_DOWNLOAD_WAIT, _DOWNLOADING, _SEEDING = 3, 4, 6


class Transmission(Client):
    """
    Its remote control is JSON over HTTP, on loopback.  It has no word for "dial this peer": a tracker says that.

    It says what it has in batches of ten seconds, but leaves a seed half a second after it has everything.
    """

    name = "Transmission"
    says_last = False

    @staticmethod
    def why_missing() -> str | None:
        """
        Debian has it.
        """
        if shutil.which("transmission-daemon") is None:
            return "transmission-daemon is not installed: apt-get install transmission-daemon"
        return None

    def __init__(self, network: Network, folder: Path, start: Start) -> None:
        self._network = network
        self._tracker = Tracker(network.theirs)
        self._session = ""
        self.port = free_port(network.theirs)
        self._control = free_port(network.theirs)
        (folder / "settings.json").write_text(json.dumps(self._settings()))
        self._daemon = start(*network.theirs.enter, "transmission-daemon", "--foreground", "--config-dir", folder)
        self._daemon.wait_for_line("Saved ")

    def _settings(self) -> dict[str, object]:
        return {
            "peer-port": self.port,
            "rpc-port": self._control,
            "rpc-bind-address": "127.0.0.1",
            "utp-enabled": True,
            "encryption": 0,
            "dht-enabled": False,
            "lpd-enabled": False,
            "pex-enabled": False,
            "port-forwarding-enabled": False,
            "download-queue-enabled": False,
            "seed-queue-enabled": False,
        }

    def add(self, torrent: Torrent, peer: Address | None) -> None:
        """
        It looks at what is in the folder, then it announces itself to the tracker.
        """
        content = torrent.path.read_bytes() if peer is None else self._tracker.torrent_with_peer(torrent.path, peer)
        metainfo = base64.b64encode(content).decode()
        self._call("torrent-add", {"metainfo": metainfo, "download-dir": str(torrent.folder), "paused": False})

    def is_ready(self, torrent: Torrent) -> bool:
        """
        Neither waiting for its turn nor reading what is there.
        """
        return self._ask(torrent, "status") in (_DOWNLOADING, _SEEDING)

    def is_complete(self, torrent: Torrent) -> bool:
        """
        Its download has turned into seeding.
        """
        return self._ask(torrent, "status") == _SEEDING and self._ask(torrent, "leftUntilDone") == 0

    def leave(self, torrent: Torrent) -> None:
        """
        A torrent that is stopped has no peers.
        """
        self._call("torrent-stop", {"ids": [torrent.info_hash]})

    def account(self) -> str:
        """
        What it says on its standard error.
        """
        return "\n".join(self._daemon.output[-40:])

    def _ask(self, torrent: Torrent, field: str) -> Any:
        found = self._call("torrent-get", {"ids": [torrent.info_hash], "fields": [field]})["torrents"]
        return found[0][field] if found else None

    def _call(self, method: str, arguments: dict[str, object]) -> dict[str, Any]:
        """
        It wants each caller to repeat a word of its own; the first call brings it.
        """
        status, said = self._post({"method": method, "arguments": arguments})
        if status == http.client.CONFLICT:
            status, said = self._post({"method": method, "arguments": arguments})
        answer = json.loads(said)
        assert answer["result"] == "success", answer
        arguments = answer["arguments"]
        return arguments

    def _post(self, request: dict[str, object]) -> tuple[int, bytes]:
        word = {"X-Transmission-Session-Id": self._session}
        body = json.dumps(request).encode()
        status, headers, said = post(self._network.theirs, self._control, "/transmission/rpc", body, word)
        self._session = headers.get("X-Transmission-Session-Id", self._session)
        return status, said
