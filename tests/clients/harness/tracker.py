"""
How is a client told of a peer when its remote control cannot say one?

By a tracker (BEP 3) that runs beside it and answers with the address that stands in its own URL.
"""

from __future__ import annotations

import http.server
import threading
import urllib.parse
from pathlib import Path

from benchmarks.bottleneck.namespaces import Namespace
from bittorrent.metainfo import bdecode, bencode
from harness.network import Address, listen

_HOUR = 3600


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        _, host, port, _ = urllib.parse.urlsplit(self.path).path.split("/")
        peer = {b"ip": host.encode(), b"port": int(port), b"peer id": bytes(20)}
        body = bencode({b"interval": _HOUR, b"peers": [peer]})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Tracker:
    """
    Listens on loopback in that namespace, by TCP: it never leaves the namespace.
    """

    def __init__(self, namespace: Namespace) -> None:
        listening = listen(namespace)
        self._server = http.server.ThreadingHTTPServer(("", 0), _Answer, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listening
        self._port = listening.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def torrent_with_peer(self, torrent: Path, peer: Address) -> bytes:
        """
        That .torrent file, but with a tracker that knows this peer.
        """
        content = bdecode(torrent.read_bytes())
        assert isinstance(content, dict)
        announce = f"http://127.0.0.1:{self._port}/{peer[0]}/{peer[1]}/announce"
        return bencode({**content, b"announce": announce.encode()})
