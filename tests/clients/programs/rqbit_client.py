"""
How is rqbit told what to do, line by line?  See C{harness/programmed.py}.

C{rqbit_client.py FOLDER PORT}
"""

from __future__ import annotations

import json
import sys
import threading
import time

import pyrqbit

POLL = 0.05


def report(event: str, **details: object) -> None:
    """
    Tell the test.
    """
    print(json.dumps({"event": event, **details}), flush=True)


def watch(handle: pyrqbit.TorrentHandle) -> None:
    """
    Report what becomes of a torrent; there is no way to be told.
    """
    said = None
    while said != "complete":
        stats = handle.stats()
        if stats["state"].lower().startswith("error"):
            report("said", torrent=handle.info_hash, message=stats["state"])
            return
        if said is None and stats["state"] == "Live":
            said = "ready"
            report(said, torrent=handle.info_hash)
        if said == "ready" and stats["downloaded_bytes"] == stats["total_bytes"]:
            said = "complete"
            report(said, torrent=handle.info_hash)
        time.sleep(POLL)


def add(session: pyrqbit.Session, torrent: str, folder: str) -> None:
    """
    Seed or fetch.  Peers come from the tracker in the file.
    """
    handle = session.add_torrent(torrent, output_folder=folder, overwrite=True)
    threading.Thread(target=watch, args=[handle], daemon=True).start()


def leave(session: pyrqbit.Session, info_hash: str) -> None:
    """
    Closes its connections.
    """
    for number, known in session.list_torrents():
        if known == info_hash:
            session.delete_torrent(number, False)


def main() -> None:
    """
    Obey.
    """
    folder, port = sys.argv[1], int(sys.argv[2])
    session = pyrqbit.Session(folder, listen_port=port, disable_dht=True)
    report("listening", port=port)
    for line in sys.stdin:
        command, *words = line.rstrip("\n").split("\t")
        {"add": add, "leave": leave}[command](session, *words)


if __name__ == "__main__":
    main()
