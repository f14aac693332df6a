"""
What does libtorrent do when it exchanges a torrent with us?

C{libtorrent_peer.py FILE.torrent FOLDER [--transport utp|tcp] [--connect PORT] [--close-redundant]}

A libtorrent session on loopback with everything switched off but one transport.  It seeds when FOLDER holds the
whole file and fetches into it when not, prints JSON lines: "listening" with its port, "finished" when it has
everything, "connected" and "disconnected" with each peer and reason, and ends when its output is closed or it is
killed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import libtorrent as lt

ALERTS = lt.alert.category_t.status_notification | lt.alert.category_t.connect_notification
ALERTS |= lt.alert.category_t.error_notification


def report(event: str, **details: object) -> None:
    """
    Tell the test what happened.
    """
    print(json.dumps({"event": event, **details}), flush=True)


def settings(transport: str, close_redundant: bool) -> dict[str, object]:
    """
    One transport, no encryption, nobody to find peers with.
    """
    utp, tcp = transport == "utp", transport == "tcp"
    return {
        "listen_interfaces": "127.0.0.1:0",
        "alert_mask": ALERTS,
        "enable_incoming_utp": utp,
        "enable_outgoing_utp": utp,
        "enable_incoming_tcp": tcp,
        "enable_outgoing_tcp": tcp,
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "allow_multiple_connections_per_ip": True,
        "close_redundant_connections": close_redundant,
        "in_enc_policy": int(lt.enc_policy.pe_disabled),
        "out_enc_policy": int(lt.enc_policy.pe_disabled),
    }


def watch(session: lt.session) -> None:
    """
    Report what the session says, for ever.
    """
    while True:
        session.wait_for_alert(60_000)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.torrent_finished_alert):
                report("finished")
            elif isinstance(alert, lt.peer_connect_alert):
                report("connected", message=alert.message())
            elif isinstance(alert, lt.peer_disconnected_alert):
                report("disconnected", message=alert.message())
            elif isinstance(alert, lt.torrent_error_alert | lt.listen_failed_alert | lt.peer_error_alert):
                report("trouble", message=alert.message())


def main() -> None:
    """
    Start the session, add the torrent, connect when asked to.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("torrent", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--transport", choices=["utp", "tcp"], default="utp")
    parser.add_argument("--connect", type=int)
    parser.add_argument("--close-redundant", action="store_true")
    options = parser.parse_args()
    session = lt.session(settings(options.transport, options.close_redundant))
    parameters = lt.add_torrent_params()
    parameters.ti = lt.torrent_info(str(options.torrent))
    parameters.save_path = str(options.folder)
    parameters.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    handle = session.add_torrent(parameters)
    while not handle.status().is_seeding and handle.status().state != lt.torrent_status.states.downloading:
        session.wait_for_alert(100)
    while not session.listen_port():
        session.wait_for_alert(100)
    report("listening", port=session.listen_port(), seeding=handle.status().is_seeding)
    if options.connect:
        handle.connect_peer(("127.0.0.1", options.connect))
    watch(session)


if __name__ == "__main__":
    main()
