"""
Fetch a file from a BitTorrent peer over uTP, without a tracker::

    python examples/bittorrent_leech.py FILE.torrent --peer utp:127.0.0.1:6881 -o OUT

Every piece is checked against the torrent's hashes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred

from bittorrent.leech import Download, LeechPeer
from bittorrent.meeting import add_arguments, meet
from bittorrent.metainfo import Metainfo


async def main(reactor: Any, options: argparse.Namespace) -> None:
    """
    Fetch everything, or exit 1.
    """
    metainfo = Metainfo.from_bytes(options.torrent.read_bytes())
    started = reactor.seconds()
    with options.output.open("wb") as file:

        def say() -> None:
            rate = metainfo.length / 1e6 / (reactor.seconds() - started)
            print(f"{options.output}: {metainfo.length} bytes, every piece correct, {rate:.1f} MB/s", flush=True)

        download = Download(metainfo, file, say)
        await meet(reactor, lambda: LeechPeer(download, options.linger), options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fetch a file from a BitTorrent peer.")
    parser.add_argument("torrent", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--linger", action="store_true", help="let the peer close the connection")
    add_arguments(parser)
    task.react(lambda reactor: Deferred.fromCoroutine(main(reactor, parser.parse_args())))
