"""
qBittorrent, by C{qbittorrent-nox}: libtorrent-rasterbar, in the version that Debian has.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from harness.client import Client, Start, Torrent, wait_until
from harness.network import Address, Network, free_port
from harness.web import form, post

_SETTINGS = r"""
[LegalNotice]
Accepted=true

[Preferences]
WebUI\Enabled=true
WebUI\Address=127.0.0.1
WebUI\Port={control}
WebUI\LocalHostAuth=false
WebUI\CSRFProtection=false
WebUI\HostHeaderValidation=false

[BitTorrent]
Session\Port={port}
Session\BTProtocol=UTP
Session\Encryption=2
Session\DHTEnabled=false
Session\LSDEnabled=false
Session\PeXEnabled=false
Session\QueueingSystemEnabled=false
Session\MultiConnectionsPerIp=true
Session\ReannounceWhenAddressChanged=false

[Network]
PortForwardingEnabled=false
"""

_COMPLETE = ("uploading", "stalledUP", "queuedUP", "forcedUP")
_DOWNLOADING = ("downloading", "stalledDL", "forcedDL")
_STARTS_WITHIN = 30.0


class QBittorrent(Client):
    """
    Its remote control is its web interface, which trusts loopback.

    It leaves a seed as soon as it has everything.
    """

    name = "qBittorrent"
    says_last = False

    @staticmethod
    def why_missing() -> str | None:
        """
        Debian has it.
        """
        if shutil.which("qbittorrent-nox") is None:
            return "qbittorrent-nox is not installed: apt-get install qbittorrent-nox"
        return None

    def __init__(self, network: Network, folder: Path, start: Start) -> None:
        self._namespace = network.theirs
        self.port = free_port(network.theirs)
        self._control = free_port(network.theirs)
        settings = folder / "qBittorrent" / "config" / "qBittorrent.conf"
        settings.parent.mkdir(parents=True)
        settings.write_text(_SETTINGS.format(port=self.port, control=self._control))
        self._daemon = start(*network.theirs.enter, "qbittorrent-nox", f"--profile={folder}")
        wait_until(self._answers, "the web interface of qBittorrent", _STARTS_WITHIN)

    def _answers(self) -> bool:
        try:
            return bool(self._call("app/version"))
        except ConnectionError:
            return False

    def add(self, torrent: Torrent, peer: Address | None) -> None:
        """
        The peer can be named only once the torrent is there.
        """
        content = torrent.path.read_bytes()
        self._call("torrents/add", torrents=content, savepath=str(torrent.folder), autoTMM="false")
        wait_until(lambda: self._state(torrent) is not None, "qBittorrent has the torrent", _STARTS_WITHIN)
        if peer is not None:
            wait_until(lambda: self.is_ready(torrent), "qBittorrent is ready", _STARTS_WITHIN)
            self._call("torrents/addPeers", hashes=torrent.info_hash, peers=f"{peer[0]}:{peer[1]}")

    def is_ready(self, torrent: Torrent) -> bool:
        """
        It has read what is there.
        """
        return self._state(torrent) in _COMPLETE + _DOWNLOADING

    def is_complete(self, torrent: Torrent) -> bool:
        """
        Its download has turned into seeding.
        """
        return self._state(torrent) in _COMPLETE

    def leave(self, torrent: Torrent) -> None:
        """
        Forget the torrent, keep the file.
        """
        self._call("torrents/delete", hashes=torrent.info_hash, deleteFiles="false")

    def account(self) -> str:
        """
        Its torrents with their peers, and its own log.
        """
        said = []
        for torrent in json.loads(self._call("torrents/info")):
            peers = json.loads(self._call("sync/torrentPeers", hash=torrent["hash"]))["peers"]
            said.append(f"{torrent['name']}: {torrent['state']} {torrent['progress']:.1%} {peers}")
        return "\n".join(said + [line["message"] for line in json.loads(self._call("log/main"))[-40:]])

    def _state(self, torrent: Torrent) -> Any:
        found = json.loads(self._call("torrents/info", hashes=torrent.info_hash))
        return found[0]["state"] if found else None

    def _call(self, method: str, **fields: str | bytes) -> bytes:
        body, kind = form(fields)
        status, _, answer = post(self._namespace, self._control, f"/api/v2/{method}", body, {"Content-Type": kind})
        assert status == 200, (method, status, answer)
        return answer
