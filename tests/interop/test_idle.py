"""
Is an idle connection with another stack kept while the other side is there, and given up when it is not?

Our keepalives ask for an answer, so a stack that gave none would be cut off although it is well.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.interop

HERE = Path(__file__).resolve().parent
OURS, LIBUTP, LIBTORRENT = HERE / "idle.py", HERE / "libutp_peer" / "exchange.js", HERE / "libtorrent_peer.py"
# libtorrent closes a connection without a handshake after ten seconds.
SETTINGS = ":keepalive=0.5:userTimeout=3"


def see_it_through(our, peer) -> None:
    """
    It lives for longer than a silent peer would be kept; then the peer is killed, and it ends.
    """
    our.wait_for_event("answered", timeout=60)
    peer.kill()
    assert our.wait_for_event("lost", timeout=60)["reason"] == "UTPPeerVanished"
    our.wait_for_exit()


@pytest.mark.parametrize("stack", ["utp-native", "utp"])
@pytest.mark.parametrize("we", ["connect", "listen"])
def test_libutp(start, start_python, node, we, stack):
    """
    libutp, and npm's uTP in JavaScript.
    """
    options = ["--send", "1", "--seed", "x", "--close", "second", "--stack", stack]
    if we == "connect":
        peer = start(node, LIBUTP, "listen", *options)
        port = peer.wait_for_event("listening")["port"]
        our = start_python(OURS, "connect", f"utp:127.0.0.1:{port}{SETTINGS}")
    else:
        our = start_python(OURS, "listen", f"utp:0:interface=127.0.0.1{SETTINGS}")
        peer = start(node, LIBUTP, "connect", str(our.wait_for_event("listening")["port"]), *options)
    see_it_through(our, peer)


@pytest.mark.usefixtures("libtorrent")
@pytest.mark.parametrize("we", ["connect", "listen"])
def test_libtorrent(start_python, checkout, tmp_path, we):
    """
    libtorrent, which has no keepalives of its own.
    """
    data = tmp_path / "data.bin"
    data.write_bytes(b"torrent" * 10_000)
    write = (
        "import sys; from pathlib import Path; from bittorrent.metainfo import Metainfo;"
        "Path(sys.argv[2]).write_bytes(Metainfo.of_file(Path(sys.argv[1])).to_bytes())"
    )
    torrent = tmp_path / "data.torrent"
    start_python("-c", write, data, torrent, env={"PYTHONPATH": str(checkout / "examples")}).wait_for_exit()
    if we == "connect":
        peer = start_python(LIBTORRENT, torrent, tmp_path)
        port = peer.wait_for_event("listening")["port"]
        our = start_python(OURS, "connect", f"utp:127.0.0.1:{port}{SETTINGS}")
    else:
        our = start_python(OURS, "listen", f"utp:0:interface=127.0.0.1{SETTINGS}")
        empty = tmp_path / "empty"
        empty.mkdir()
        port = our.wait_for_event("listening")["port"]
        peer = start_python(LIBTORRENT, torrent, empty, "--connect", str(port))
    see_it_through(our, peer)
