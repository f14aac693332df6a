"""
Do the examples run as written?
"""

from __future__ import annotations

import hashlib
import importlib
import os
import struct
import sys
from pathlib import Path

import pytest
from twisted.internet import endpoints
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TWIST, TWISTD = Path(sys.executable).parent / "twist", Path(sys.executable).parent / "twistd"
LISTEN = "utp:0:interface=127.0.0.1"


def test_every_example_is_tested():
    """
    A new example needs a test here, and a line in the examples' README.
    """
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    index = (EXAMPLES / "README.rst").read_text("utf-8")
    names = [path.name for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".rpy", ".tac", ".service", ".socket")
             and path.parent.name != "bittorrent"]  # fmt: skip
    assert len(names) > 20
    assert [name for name in names if f'"{name}"' not in tests] == []
    assert [name for name in names if name not in index and name != "utp-echo.socket"] == []


def test_echo(start_python):
    """
    The echo client's line comes back from the echo server.
    """
    server = start_python(EXAMPLES / "echo_server.py", LISTEN)
    port = server.wait_for_line(r"echoing on .*port=(\d+)")[1]
    client = start_python(EXAMPLES / "echo_client.py", f"utp:127.0.0.1:{port}", "hello over uTP")
    client.wait_for_exit()
    assert client.output == ["hello over uTP"]


def test_shared_dht_port(start_python):
    """
    One program pings the other's DHT node and connects to it by uTP, both over one UDP port at each end.
    """
    server = start_python(EXAMPLES / "shared_dht_port.py", LISTEN)
    found = server.wait_for_line(r"DHT node (\w{40}) and uTP on .*port=(\d+)")
    asking = start_python(EXAMPLES / "shared_dht_port.py", LISTEN, "--ping", f"127.0.0.1:{found[2]}")
    asking.wait_for_exit()
    assert asking.output[1:] == [f"node {found[1]} answers", "uTP beside a DHT"]


def test_simulate_and_plot(start_python, tmp_path):
    """
    The simulation's two transfers become a picture.
    """
    pytest.importorskip("matplotlib")
    picture = tmp_path / "two.svg"
    process = start_python(EXAMPLES / "simulate_and_plot.py", "-o", picture, "--seconds", "9", "--loss", "0.01")
    process.wait_for_exit()
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "command"), [("test_with_trial.py", ["twisted.trial"]), ("test_with_pytest.py", ["pytest", "-q"])]
)
def test_testing(start_python, tmp_path, name, command):
    """
    Tests in virtual time, run as their docstrings say.
    """
    process = start_python("-m", *command, EXAMPLES / name)
    process.wait_for_line(r"PASSED \(successes=3\)|5 passed")
    process.wait_for_exit()


def test_service(start, start_python, free_port):
    """
    The daemon echoes where its environment says.
    """
    listen = {"UTP_LISTEN": f"utp:{free_port}:interface=127.0.0.1"}
    daemon = start(TWISTD, "-n", "--pidfile=", "-y", EXAMPLES / "service.tac", env=listen)
    daemon.wait_for_line("Starting factory")
    client = start_python(EXAMPLES / "echo_client.py", f"utp:127.0.0.1:{free_port}", "hello daemon")
    client.wait_for_exit()
    assert client.output == ["hello daemon"]


def test_web(start_python):
    """
    A web server and an Agent in one process.
    """
    program = start_python(EXAMPLES / "web_over_utp.py", LISTEN)
    program.wait_for_line(r"^http://127\.0\.0\.1:\d+/: 200 hello IPv4Address\(type='UDP', host='127\.0\.0\.1'")
    program.wait_for_exit()


@pytest.mark.skipif(not hasattr(endpoints, "wrapServerTLS"), reason="this Twisted has no wrapServerTLS yet")
def test_tls(start_python):
    """
    TLS with a certificate that the client verifies.
    """
    program = start_python(EXAMPLES / "tls_over_utp.py", LISTEN)
    program.wait_for_line("^hello guest, said CN=localhost$")
    program.wait_for_exit()


def test_download(start, start_python, tmp_path, free_port):
    """
    A file fetched from C{twist web} is the file.
    """
    original, copy = tmp_path / "served" / "file.bin", tmp_path / "copy.bin"
    original.parent.mkdir()
    original.write_bytes(os.urandom(3_000_001))
    server = start(TWIST, "web", "--listen", f"utp:{free_port}:interface=127.0.0.1", "--path", original.parent)
    server.wait_for_line("Starting factory")
    start_python(EXAMPLES / "download.py", f"utp:127.0.0.1:{free_port}", "/file.bin", "-o", copy).wait_for_exit()
    assert copy.read_bytes() == original.read_bytes()


def test_metrics(start, start_python, tmp_path, free_port):
    """
    A web server, on uTP, that tells how uTP fares: its second answer knows of the first.
    """
    endpoint = f"utp:{free_port}:interface=127.0.0.1"
    server = start(TWIST, "web", "--listen", endpoint, "--resource-script", EXAMPLES / "metrics.rpy")
    server.wait_for_line("Starting factory")
    for count in ("1", "2"):
        start_python(
            EXAMPLES / "download.py", f"utp:127.0.0.1:{free_port}", "/", "-o", tmp_path / count
        ).wait_for_exit()
        text = (tmp_path / count).read_text()
        assert f'utp_connections_accepted_total{{port="127.0.0.1:{free_port}"}} {count}.0' in text
    assert f'utp_overhead_bytes_total{{kind="close",port="127.0.0.1:{free_port}"}}' in text


def test_bittorrent(start_python, tmp_path):
    """
    Our leech fetches a torrent from our seed, and every piece is checked.
    """
    original, copy = tmp_path / "original.bin", tmp_path / "copy.bin"
    original.write_bytes(hashlib.shake_256(b"torrent").digest(3_000_001))
    seed = start_python(EXAMPLES / "bittorrent_seed.py", original, "--listen", LISTEN, "--once")
    port = seed.wait_for_line(r"listening on .*port=(\d+)")[1]
    torrent = f"{original}.torrent"
    leech = start_python(EXAMPLES / "bittorrent_leech.py", torrent, "--peer", f"utp:127.0.0.1:{port}", "-o", copy)
    leech.wait_for_exit(timeout=60)
    seed.wait_for_exit()
    assert copy.read_bytes() == original.read_bytes()


def test_seed_counts_what_it_sent(tmp_path, monkeypatch):
    """
    libtorrent may leave before it says that it has the last piece: a piece that was sent whole counts.
    """
    monkeypatch.syspath_prepend(str(EXAMPLES))
    metainfo = importlib.import_module("bittorrent.metainfo").Metainfo
    seed, wire = importlib.import_module("bittorrent.seed"), importlib.import_module("bittorrent.wire")
    original = tmp_path / "data.bin"
    original.write_bytes(b"x" * 40_000)
    torrent = metainfo.of_file(original)
    peer = seed.SeedPeer(torrent, original.open("rb"), None)
    peer.makeConnection(StringTransport())
    peer.dataReceived(wire.HANDSHAKE.pack(19, wire.PROTOCOL_NAME, bytes(8), torrent.info_hash, bytes(20)))
    for begin in (0, 20_000):
        peer.dataReceived(struct.pack(">IBIII", 13, wire.Message.REQUEST, 0, begin, 20_000))
    assert not peer.has
    peer.connectionLost(Failure(ConnectionDone()))
    assert peer.ended.result == 1


def test_seed_keeps_a_piece_back(tmp_path, monkeypatch):
    """
    What it does not offer nobody may ask for, and it leaves when the peer has the rest.
    """
    monkeypatch.syspath_prepend(str(EXAMPLES))
    metainfo = importlib.import_module("bittorrent.metainfo").Metainfo
    seed, wire = importlib.import_module("bittorrent.seed"), importlib.import_module("bittorrent.wire")
    original = tmp_path / "data.bin"
    original.write_bytes(b"x" * 600_000)
    torrent = metainfo.of_file(original)
    handshake = wire.HANDSHAKE.pack(19, wire.PROTOCOL_NAME, bytes(8), torrent.info_hash, bytes(20))
    for told in (
        [struct.pack(">IBI", 5, wire.Message.HAVE, index) for index in (0, 1)],
        [struct.pack(">IBIII", 13, wire.Message.REQUEST, 2, 0, 16_384)],
    ):
        peer = seed.SeedPeer(torrent, original.open("rb"), "has", 1)
        transport = StringTransport()
        peer.makeConnection(transport)
        peer.dataReceived(handshake)
        assert not peer.left_first
        peer.dataReceived(b"".join(told))
        assert peer.left_first
        assert struct.pack(">IB", 16_393, wire.Message.PIECE) not in transport.value()
        peer.connectionLost(Failure(ConnectionDone()))
    assert peer.ended.result == 0


def test_leech_is_interested_in_what_the_peer_has(tmp_path, monkeypatch):
    """
    WebTorrent does not hear an interest that comes in one packet with the handshake, and would not unchoke us for ten
    seconds: we are interested when it has said what it has, once.
    """
    monkeypatch.syspath_prepend(str(EXAMPLES))
    metainfo = importlib.import_module("bittorrent.metainfo").Metainfo
    leech, wire = importlib.import_module("bittorrent.leech"), importlib.import_module("bittorrent.wire")
    original = tmp_path / "data.bin"
    original.write_bytes(b"x" * 600_000)
    torrent = metainfo.of_file(original)
    with (tmp_path / "copy.bin").open("wb") as copy:
        peer = leech.LeechPeer(leech.Download(torrent, copy, lambda: None), linger=False)
        transport = StringTransport()
        peer.makeConnection(transport)
        peer.dataReceived(wire.HANDSHAKE.pack(19, wire.PROTOCOL_NAME, bytes(8), torrent.info_hash, bytes(20)))
        assert len(transport.value()) == wire.HANDSHAKE.size
        transport.clear()
        peer.dataReceived(struct.pack(">IBB", 2, wire.Message.BITFIELD, 0b11100000))
        assert transport.value() == struct.pack(">IB", 1, wire.Message.INTERESTED)
        transport.clear()
        peer.dataReceived(struct.pack(">IBI", 5, wire.Message.HAVE, 2))
        assert transport.value() == b""
