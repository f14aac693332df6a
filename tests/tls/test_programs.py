"""
Does C{twist web --listen utps:...} serve HTTPS over uTP?
"""

from __future__ import annotations

import hashlib
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.endpoints import quoteStringArgument

LISTENING = r"listening on 127\.0\.0\.1:(\d+)"
UCAT = Path(sys.executable).parent / "ucat"
TEXT = "--log-format=text"
TWIST = Path(sys.executable).parent / "twist"


def test_https(start: Any, start_python: Any, checkout: Path, tmp_path: Path, localhost: Any) -> None:
    """A file of 3 MB arrives at a client that verifies the certificate; one that does not trust it gets nothing."""
    original, copy = tmp_path / "served" / "file.bin", tmp_path / "copy.bin"
    original.parent.mkdir()
    original.write_bytes(hashlib.shake_256(b"https").digest(3_000_001))
    files = f"privateKey={quoteStringArgument(str(localhost.both))}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = start(TWIST, "web", "--listen", f"utps:{port}:{files}:interface=127.0.0.1", "--path", original.parent)
    server.wait_for_line("Starting factory")
    download, where = checkout / "examples" / "download.py", f"utps:127.0.0.1:{port}:hostname=localhost"
    trust = f"trustRoots={quoteStringArgument(str(localhost.certificate))}"
    start_python(download, f"{where}:{trust}", "/file.bin", "-o", copy).wait_for_exit()
    assert copy.read_bytes() == original.read_bytes()
    refused = start_python(download, where, "/file.bin", "-o", tmp_path / "nothing.bin")
    assert refused.wait_for_exit(code=None) != 0
    assert any("certificate verify failed" in line for line in refused.output), refused.output


def test_forward(start: Any, localhost: Any) -> None:
    """C{twist utp-forward} carries TCP over TLS over uTP, and refuses what is too much also there."""
    server = socket.create_server(("127.0.0.1", 0))
    where = f"tcp:127.0.0.1:{server.getsockname()[1]}"
    files = f"privateKey={quoteStringArgument(str(localhost.both))}"
    listen = f"utps:0:{files}:interface=127.0.0.1"
    inner = start(TWIST, TEXT, "utp-forward", "-l", listen, "-c", where, "--max-connections=1")
    port = inner.wait_for_line(r"listening on 127\.0\.0\.1:(\d+)")[1]
    trust = f"hostname=localhost:trustRoots={quoteStringArgument(str(localhost.certificate))}"
    outer = start(TWIST, TEXT, "utp-forward", "-l", "tcp:0:interface=127.0.0.1", "-c", f"utps:127.0.0.1:{port}:{trust}")
    port = int(outer.wait_for_line(r"listening on 127\.0\.0\.1:(\d+)")[1])
    with server, socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        served, _ = server.accept()
        with served:
            client.sendall(b"question")
            assert served.recv(100) == b"question"
            served.sendall(b"answer")
            assert client.recv(100) == b"answer"
            with socket.create_connection(("127.0.0.1", port), timeout=20) as second, suppress(ConnectionResetError):
                assert second.recv(100) == b""
            inner.wait_for_line("refused: 1 connections are open")
        assert client.recv(100) == b""
    inner.wait_for_line("#1 .*: closed .* s, 8 bytes sent, 6 bytes received")
    assert not any("Traceback" in line for line in inner.output + outer.output), inner.output


def test_forward_that_does_not_trust(start: Any, localhost: Any) -> None:
    """Each side's log has one line that says what to do; the client is broken off, and the service hears nothing."""
    with socket.create_server(("127.0.0.1", 0)) as service:
        files = f"privateKey={quoteStringArgument(str(localhost.both))}"
        there = f"tcp:127.0.0.1:{service.getsockname()[1]}"
        inner = start(TWIST, TEXT, "utp-forward", "-l", f"utps:0:{files}:interface=127.0.0.1", "-c", there)
        port = inner.wait_for_line(LISTENING)[1]
        across = f"utps:127.0.0.1:{port}:hostname=localhost"
        outer = start(TWIST, TEXT, "utp-forward", "-l", "tcp:0:interface=127.0.0.1", "-c", across)
        port = int(outer.wait_for_line(LISTENING)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(b"secret")
            with pytest.raises(ConnectionResetError):
                assert client.recv(1) == b"broken off, not closed"
        trust = "the certificate is not trusted; trust it, or its issuer, with trustRoots=FILE"
        outer.wait_for_line(f"#1 .*: failed: service side: {trust} .* s, 6 bytes sent, 0 bytes received")
        inner.wait_for_line(r"#1 .*: failed: client side: the peer does not trust our certificate; it needs trust")
    assert not any("Traceback" in line for line in inner.output + outer.output), inner.output + outer.output


def test_ucat(start: Any, localhost: Any, tmp_path: Path) -> None:
    """A file passes through ucat and TLS, and whoever does not trust the certificate ends with 7 and a remedy."""
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.write_bytes(hashlib.shake_256(b"secret").digest(2_000_001))
    files = f"privateKey={quoteStringArgument(str(localhost.both))}"
    listen = f"exec {UCAT} -v -l utps:0:{files}:interface=127.0.0.1"
    server = start("/bin/sh", "-c", f"{listen} > {copy}")
    where = f"utps:127.0.0.1:{server.wait_for_line(LISTENING)[1]}:hostname=localhost"
    trust = f"trustRoots={quoteStringArgument(str(localhost.certificate))}"
    client = start("/bin/sh", "-c", f"exec {UCAT} {where}:{trust} < {original}")
    client.wait_for_exit()
    server.wait_for_exit()
    assert copy.read_bytes() == original.read_bytes()
    server = start("/bin/sh", "-c", listen)
    where = f"utps:127.0.0.1:{server.wait_for_line(LISTENING)[1]}:hostname=localhost"
    client = start("/bin/sh", "-c", f"exec {UCAT} {where} < {original}")
    client.wait_for_exit(code=7)
    assert re.search(r"^ucat: .*: the certificate is not trusted; trust it, .* with trustRoots=FILE$", client.output[0])
    server.wait_for_exit(code=7)


def test_ucat_and_https(start: Any, localhost: Any, tmp_path: Path) -> None:
    """A request whose end must not be taken for a goodbye."""
    (tmp_path / "page").write_text("the page")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    files = f"privateKey={quoteStringArgument(str(localhost.both))}"
    server = start(TWIST, "web", "--listen", f"utps:{port}:{files}:interface=127.0.0.1", "--path", tmp_path)
    server.wait_for_line("Starting factory")
    where = f"utps:127.0.0.1:{port}:hostname=localhost:trustRoots={quoteStringArgument(str(localhost.certificate))}"
    client = start("/bin/sh", "-c", rf"printf 'GET /page HTTP/1.0\r\n\r\n' | {UCAT} -q --no-shutdown {where}")
    client.wait_for_exit()
    assert client.output[-1] == "the page"


def test_bad_string(start: Any, tmp_path: Path) -> None:
    """A string that cannot work ends C{twist}, and the last line says why."""
    server = start(TWIST, "web", "--listen", "utps:0:privateKey=/nowhere/key.pem", "--path", tmp_path)
    assert server.wait_for_exit(code=None) != 0
    assert "privateKey='/nowhere/key.pem': No such file" in server.output[-1]
