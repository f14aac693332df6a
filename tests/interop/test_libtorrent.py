"""
Do the examples exchange a real torrent with libtorrent, both ways, whoever connects and whoever closes first?
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("libtorrent")]

LIBTORRENT = Path(__file__).resolve().parent / "libtorrent_peer.py"
LENGTH = (16 << 20) + 1
TIMEOUT = 90

WRITE_TORRENT = """
import sys
from pathlib import Path
from bittorrent.metainfo import Metainfo
Path(sys.argv[2]).write_bytes(Metainfo.of_file(Path(sys.argv[1])).to_bytes())
"""


@pytest.fixture
def original(tmp_path, checkout, start_python) -> Path:
    """
    A file to exchange, its .torrent beside it: one byte more than 16 MB, so that the last piece is short.
    """
    path = tmp_path / "original" / "data.bin"
    path.parent.mkdir()
    path.write_bytes(hashlib.shake_256(b"torrent").digest(LENGTH))
    examples = {"PYTHONPATH": str(checkout / "examples")}
    start_python("-c", WRITE_TORRENT, path, f"{path}.torrent", env=examples).wait_for_exit()
    return path


def exchange(start_python, ours, theirs, *, we: str, first: str, transport: str, settings: str = ""):
    """
    Run our example and libtorrent until the connection between them has ended; libtorrent's account of its end.
    """
    ours = [*ours, *(["--linger"] if first == "they" else [])]
    theirs = [LIBTORRENT, *theirs, "--transport", transport, *(["--close-redundant"] if first == "they" else [])]
    if we == "listen":
        our = start_python(*ours, "--listen", f"{transport}:0:interface=127.0.0.1{settings}")
        port = our.wait_for_line(r"port=(\d+)")[1]
        their = start_python(*theirs, "--connect", port)
    else:
        their = start_python(*theirs)
        port = their.wait_for_event("listening")["port"]
        our = start_python(*ours, "--peer", f"{transport}:127.0.0.1:{port}{settings}")
    our.wait_for_exit(timeout=TIMEOUT)
    return their.wait_for_event("disconnected")["message"]


def expect_closed_by(first: str, message: str) -> None:
    """
    libtorrent names the end of a connection: its own decision, or the end of the stream that we closed.
    """
    assert ("End of file" in message) == (first == "we"), message


@pytest.mark.parametrize("first", ["we", "they"])
@pytest.mark.parametrize("we", ["connect", "listen"])
def test_we_seed(start_python, checkout, tmp_path, original, we, first):
    """
    libtorrent fetches 16 MB from our example, and checks every piece itself.
    """
    ours = [checkout / "examples" / "bittorrent_seed.py", original, "--once"]
    theirs = [f"{original}.torrent", tmp_path / "fetched"]
    message = exchange(start_python, ours, theirs, we=we, first=first, transport="utp")
    assert (tmp_path / "fetched" / original.name).read_bytes() == original.read_bytes()
    expect_closed_by(first, message)


@pytest.mark.parametrize("first", ["we", "they"])
@pytest.mark.parametrize("we", ["connect", "listen"])
def test_we_fetch(start_python, checkout, tmp_path, original, we, first):
    """
    Our example fetches 16 MB from libtorrent.
    """
    fetched = tmp_path / "fetched.bin"
    ours = [checkout / "examples" / "bittorrent_leech.py", f"{original}.torrent", "-o", fetched]
    theirs = [f"{original}.torrent", original.parent]
    message = exchange(start_python, ours, theirs, we=we, first=first, transport="utp")
    assert fetched.read_bytes() == original.read_bytes()
    expect_closed_by(first, message)


@pytest.mark.parametrize("we", ["connect", "listen"])
def test_we_fetch_no_faster_than_we_like(start_python, checkout, tmp_path, original, we):
    """
    libtorrent keeps to the window that a limit of ours shows it, and is not held up for longer.
    """
    fetched = tmp_path / "fetched.bin"
    ours = [checkout / "examples" / "bittorrent_leech.py", f"{original}.torrent", "-o", fetched]
    theirs = [f"{original}.torrent", original.parent]
    began = time.monotonic()
    exchange(start_python, ours, theirs, we=we, first="we", transport="utp", settings=":maxReceiveRate=4MB/s")
    assert fetched.read_bytes() == original.read_bytes()
    assert time.monotonic() - began >= LENGTH / 4_100_000 - 0.5  # however slow the machine is


def test_over_tcp(start_python, checkout, tmp_path, original):
    """
    The same example and the same libtorrent over TCP: when this passes and the others fail, it is our uTP.
    """
    fetched = tmp_path / "fetched.bin"
    ours = [checkout / "examples" / "bittorrent_leech.py", f"{original}.torrent", "-o", fetched]
    theirs = [f"{original}.torrent", original.parent]
    exchange(start_python, ours, theirs, we="connect", first="we", transport="tcp")
    assert fetched.read_bytes() == original.read_bytes()
