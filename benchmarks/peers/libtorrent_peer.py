"""
libtorrent over uTP as a measured program: C{serve sink BYTES} fetches a torrent of that length, C{bulk PORT BYTES 1}
seeds it.  It has no stream to write to, so there are no other roles.

Nothing but the transport is measured, as far as it lets us: no encryption, no hash checks, large buffers.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import libtorrent as lt

from benchmarks.peers.account import Account, cpu_seconds, obey, report

PIECE = 1 << 20
NAME = "data.bin"
SOCKET_BUFFER = 4 * 1024 * 1024
_WAIT_MS = 20


def session() -> Any:
    """
    uTP only, on loopback, with nobody to find peers with.
    """
    alerts = lt.alert.category_t.status_notification | lt.alert.category_t.connect_notification
    off = ("enable_incoming_tcp", "enable_outgoing_tcp", "enable_dht", "enable_lsd", "enable_upnp", "enable_natpmp")
    settings: Any = {
        **dict.fromkeys(off, False),
        "listen_interfaces": "127.0.0.1:0",
        "alert_mask": alerts,
        "allow_multiple_connections_per_ip": True,
        "in_enc_policy": int(lt.enc_policy.pe_disabled),
        "out_enc_policy": int(lt.enc_policy.pe_disabled),
        "disable_hash_checks": True,
        "recv_socket_buffer_size": SOCKET_BUFFER,
        "send_socket_buffer_size": SOCKET_BUFFER,
        "send_buffer_watermark": 16 * 1024 * 1024,
        "send_buffer_low_watermark": 1024 * 1024,
        "max_out_request_queue": 4000,
        "max_allowed_in_request_queue": 8000,
        "request_queue_time": 10,
        "max_queued_disk_bytes": 256 * 1024 * 1024,
    }
    return lt.session(settings)


def parameters(folder: str, nbytes: int, seeds: bool) -> Any:
    """
    The torrent.  Both sides make the same one up, since no hash is checked.
    """
    count = -(-nbytes // PIECE)
    pieces = b"".join(piece.to_bytes(20, "big") for piece in range(1, count + 1))
    info: Any = {b"name": NAME.encode(), b"length": nbytes, b"piece length": PIECE, b"pieces": pieces}
    given = lt.add_torrent_params()
    given.ti = lt.torrent_info(lt.bencode({b"info": info}))
    given.save_path = folder
    given.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if seeds:
        with (Path(folder) / NAME).open("wb") as file:
            file.truncate(nbytes)
        given.flags |= lt.torrent_flags.seed_mode
    return given


def serve(folder: str, what: str, length: str) -> None:
    """
    Fetch.
    """
    account, opened = Account(), session()
    obey(account)
    opened.add_torrent(parameters(folder, int(length), seeds=False))
    while not opened.listen_port():
        opened.wait_for_alert(_WAIT_MS)
    report("listening", port=opened.listen_port())
    while True:
        opened.wait_for_alert(1000)
        for alert in opened.pop_alerts():
            if isinstance(alert, lt.torrent_finished_alert):
                account.count(int(length))


def bulk(folder: str, port: str, nbytes: str, connections: str) -> None:
    """
    Seed, until the other side has everything and leaves, or is a seed itself now.
    """
    opened = session()
    obey(Account())
    handle = opened.add_torrent(parameters(folder, int(nbytes), seeds=True))
    while not handle.status().is_seeding:
        opened.wait_for_alert(_WAIT_MS)
    began = time.monotonic(), cpu_seconds()
    handle.connect_peer(("127.0.0.1", int(port)))
    while True:
        opened.wait_for_alert(1000)
        for alert in opened.pop_alerts():
            if isinstance(alert, lt.peer_disconnected_alert):
                report("done", cpu=cpu_seconds() - began[1], started=began[0])


ROLES: dict[str, Callable[..., None]] = {"serve": serve, "bulk": bulk}


def main(words: Sequence[str]) -> None:
    """
    Play the role.
    """
    role, *arguments = words
    with tempfile.TemporaryDirectory() as folder:
        ROLES[role](folder, *arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
