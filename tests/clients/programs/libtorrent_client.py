"""
How is libtorrent told what to do, line by line?  See C{harness/programmed.py}.

C{libtorrent_client.py HOST}
"""

from __future__ import annotations

import json
import sys
import threading

import libtorrent as lt

KINDS = lt.alert.category_t
SETTINGS = {
    "listen_interfaces": f"{sys.argv[1]}:0",
    "alert_mask": KINDS.status_notification | KINDS.connect_notification | KINDS.error_notification,
    "enable_incoming_tcp": False,
    "enable_outgoing_tcp": False,
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "allow_multiple_connections_per_ip": True,
    # All from one address at the same time.
    "connection_speed": 100,
    "active_limit": -1,
    "close_redundant_connections": False,
    "in_enc_policy": int(lt.enc_policy.pe_disabled),
    "out_enc_policy": int(lt.enc_policy.pe_disabled),
}


def report(event: str, **details: object) -> None:
    """
    Tell the test.
    """
    print(json.dumps({"event": event, **details}), flush=True)


def watch(session: lt.session) -> None:
    """
    Report what happens, for ever.
    """
    while True:
        session.wait_for_alert(60_000)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.torrent_checked_alert):
                report("ready", torrent=str(alert.handle.info_hash()))
            elif isinstance(alert, lt.torrent_finished_alert):
                # What is checked is finished as well, when it is all there.
                alert.handle.flush_cache()
            elif isinstance(alert, lt.cache_flushed_alert):
                report("complete", torrent=str(alert.handle.info_hash()))
            elif isinstance(alert, lt.peer_connect_alert | lt.peer_disconnected_alert | lt.torrent_error_alert):
                report("said", message=alert.message())


def add(session: lt.session, torrent: str, folder: str, host: str = "", port: str = "") -> None:
    """
    Seed or fetch.
    """
    parameters = lt.add_torrent_params()
    parameters.ti = lt.torrent_info(torrent)
    parameters.save_path = folder
    parameters.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    handle = session.add_torrent(parameters)
    if host:
        handle.connect_peer((host, int(port)))


def leave(session: lt.session, info_hash: str) -> None:
    """
    Closes its connections.
    """
    handle = session.find_torrent(lt.sha1_hash(bytes.fromhex(info_hash)))
    if handle.is_valid():
        session.remove_torrent(handle)


def main() -> None:
    """
    Obey.
    """
    session = lt.session(SETTINGS)
    while not session.listen_port():
        session.wait_for_alert(100)
    report("listening", port=session.listen_port())
    threading.Thread(target=watch, args=[session], daemon=True).start()
    for line in sys.stdin:
        command, *words = line.rstrip("\n").split("\t")
        {"add": add, "leave": leave}[command](session, *words)


if __name__ == "__main__":
    main()
