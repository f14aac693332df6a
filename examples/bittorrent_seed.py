"""
Serve a file to BitTorrent peers over uTP, without a tracker::

    python examples/bittorrent_seed.py FILE --listen utp:6881

writes FILE.torrent beside the file.  Any BitTorrent program that speaks uTP can fetch it, see bittorrent_leech.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred

from bittorrent.meeting import add_arguments, meet
from bittorrent.metainfo import Metainfo
from bittorrent.seed import SeedPeer


async def main(reactor: Any, options: argparse.Namespace) -> None:
    """
    Serve for ever, or, with C{--once}, until one peer has everything.
    """
    metainfo = Metainfo.of_file(options.file)
    torrent = Path(f"{options.file}.torrent")
    torrent.write_bytes(metainfo.to_bytes())
    print(f"{torrent}: {len(metainfo.hashes)} pieces, info hash {metainfo.info_hash.hex()}", flush=True)
    leave_when = ("sent" if options.eager else "has") if options.once and not options.linger else None

    def serve() -> SeedPeer:
        return SeedPeer(metainfo, options.file.open("rb"), leave_when, options.hold_back)

    await meet(reactor, serve, options, ever=not options.once)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a file to BitTorrent peers.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--once", action="store_true", help="end when a peer has everything")
    parser.add_argument("--linger", action="store_true", help="with --once: let the peer close the connection")
    parser.add_argument(
        "--eager", action="store_true",
        help="with --once: close the connection when everything is sent, not when the peer says that it has it",
    )  # fmt: skip
    parser.add_argument(
        "--hold-back", metavar="N", type=int, default=0,
        help="do not offer the last N pieces, as a peer that has not yet got them itself",
    )  # fmt: skip
    add_arguments(parser)
    task.react(lambda reactor: Deferred.fromCoroutine(main(reactor, parser.parse_args())))
