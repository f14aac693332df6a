"""
Does one seeder of ours serve the clients of many people at once?
"""

from __future__ import annotations

import sys

import pytest
from harness.client import Client, Torrent, wait_until
from harness.exchange import EXAMPLES, LONGEST_TRANSFER, sha256, write_torrent
from harness.ktorrent import KTorrent
from harness.libtorrent import Libtorrent
from harness.network import OURS
from harness.qbittorrent import QBittorrent
from harness.rqbit import Rqbit
from harness.transmission import Transmission
from harness.webtorrent import WebTorrent

KINDS = (Transmission, QBittorrent, WebTorrent, Rqbit, Libtorrent, KTorrent)


@pytest.fixture
def clients(net, missing, tmp_path, start) -> list[Client]:
    """
    One of each kind, all on the same host.
    """
    started = []
    for kind in KINDS:
        reason = kind.why_missing()
        if reason is not None:
            missing(reason)
        folder = tmp_path / kind.__name__
        folder.mkdir()
        started.append(kind(net, folder, start))
    return started


def test_one_seeder_for_all(net, clients, tmp_path, start):
    """
    Each fetches 16 MB from one process of ours, all at the same time; it is still there for the next one.
    """
    original = write_torrent(tmp_path / "original", "several")
    ours = start(
        *net.ours.enter, sys.executable, EXAMPLES / "bittorrent_seed.py", original.data, "--listen",
        f"utp:0:interface={OURS}",
    )  # fmt: skip
    port = int(ours.wait_for_line(r"listening on .*port=(\d+)")[1])
    copies = []
    for client in clients:
        copy = Torrent(original.path, tmp_path / "copies" / client.name)
        copy.folder.mkdir(parents=True)
        client.add(copy, (OURS, port))
        copies.append(copy)
    for client, copy in zip(clients, copies, strict=True):
        wait_until(lambda: client.is_complete(copy), f"{client.name} is complete", LONGEST_TRANSFER)  # noqa: B023
        assert sha256(copy.data) == sha256(original.data), client.name
    again = start(
        *net.ours.enter, sys.executable, EXAMPLES / "bittorrent_leech.py", original.path, "-o", tmp_path / "again",
        "--peer", f"utp:{OURS}:{port}",
    )  # fmt: skip
    again.wait_for_exit(timeout=LONGEST_TRANSFER)
