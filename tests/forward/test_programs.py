"""
Does C{twist utp-forward} carry TCP over uTP, between real programs?
"""

from __future__ import annotations

import hashlib
import re
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TWIST, TWISTD = Path(sys.executable).parent / "twist", Path(sys.executable).parent / "twistd"
ANY = "0:interface=127.0.0.1"
PORT = r"listening on 127\.0\.0\.1:(\d+), "
TEXT = "--log-format=text"


class Answering(threading.Thread):
    """
    A TCP server that, once a client has closed its side, sends back the digest of all it got, and the bytes again.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self) -> None:
        """
        One client after the other.
        """
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client:
                data = b"".join(iter(lambda c=client: c.recv(1 << 20), b""))
                client.sendall(hashlib.sha256(data).digest() + data)


@pytest.fixture
def answering() -> Iterator[Answering]:
    """A TCP server."""
    server = Answering()
    yield server
    server.socket.close()


def exchange(port: int, data: bytes) -> bytes:
    """
    Send, close our side, read to the end.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        sending = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        sending.start()
        answer = b"".join(iter(lambda: client.recv(1 << 20), b""))
        sending.join(30)
    return answer


def test_tcp_over_utp(start: Any, answering: Answering) -> None:
    """TCP, uTP, TCP: 8 MB arrive there and come back after a half close; the log has totals; it stops cleanly."""
    inner = start(TWIST, TEXT, "utp-forward", "--listen", f"utp:{ANY}", "--connect", f"tcp:127.0.0.1:{answering.port}")
    port = inner.wait_for_line(PORT)[1]
    outer = start(TWIST, TEXT, "utp-forward", "-l", f"tcp:{ANY}", "-c", f"utp:127.0.0.1:{port}", "--grace=1")
    port = int(outer.wait_for_line(PORT)[1])
    data = hashlib.shake_256(b"forward").digest(8_000_001)
    assert exchange(port, data) == hashlib.sha256(data).digest() + data
    for program in (outer, inner):
        program.wait_for_line(rf"#1 .*: done after .* s, {len(data)} bytes there, {len(data) + 32} bytes back")
    with socket.create_connection(("127.0.0.1", port)) as idle:
        outer.wait_for_line("#2 .*: carried to 127")
        outer.interrupt()
        outer.wait_for_line("stopping: 1 connections may take 1 s more")
        outer.wait_for_line(f"stopped: 2 connections, 1 failed, 0 refused, {len(data)} bytes there")
        outer.wait_for_exit(code=None)
        idle.settimeout(10)
        with pytest.raises(ConnectionResetError):
            assert idle.recv(1) == b"cut, not closed"


def test_twistd(start: Any, answering: Answering, tmp_path: Path) -> None:
    """The older twistd runs it too."""
    where = ["--listen", f"tcp:{ANY}", "--connect", f"tcp:127.0.0.1:{answering.port}"]
    daemon = start(TWISTD, "-n", "--pidfile=", "utp-forward", *where, cwd=tmp_path)
    port = int(daemon.wait_for_line(PORT)[1])
    assert exchange(port, b"over twistd")[32:] == b"over twistd"
    daemon.interrupt()
    daemon.wait_for_line("stopped: 1 connections, 0 failed")
    daemon.wait_for_exit(code=None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--listen", "tcp:0"], r"^utp-forward: --connect ENDPOINT is missing; twist utp-forward --help shows"),
        (
            ["--listen", "utp:99999", "--connect", "tcp:h:1"],
            r"^utp-forward: --listen utp:99999: port='99999'",
        ),
        (["--listen", "utp:0", "--connect", "xyz:h:1"], r"^utp-forward: --connect xyz:h:1: Unknown endpoint type"),
        (["--listen", "utp:0", "--connect", "tcp:h"], r"^utp-forward: --connect tcp:h: "),
        (
            ["--listen", "utp:0", "--connect", "tcp:h:1", "--grace=soon"],
            r"^utp-forward: --grace soon: expected 0 to",
        ),
    ],
)
def test_mistakes(start: Any, arguments: list[str], message: str) -> None:
    """One line, and exit code 64 as twist has it for usage."""
    program = start(TWIST, "utp-forward", *arguments)
    program.wait_for_exit(code=64)
    (line,) = program.output
    assert re.search(message, line)


def test_port_in_use(start: Any) -> None:
    """One line with a remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = start(TWIST, "utp-forward", "-l", f"tcp:{port}:interface=127.0.0.1", "-c", "utp:h:1")
        program.wait_for_exit(code=1)
    lines = [line for line in program.output if line.startswith("utp-forward:")]
    assert lines == [
        f"utp-forward: --listen tcp:{port}:interface=127.0.0.1: cannot listen on 127.0.0.1:{port}: "
        "address already in use; end the program that has it, or choose another port"
    ]
    assert not any("Traceback" in line for line in program.output)


def test_help(start: Any) -> None:
    """It has examples, and fits a terminal."""
    program = start(TWIST, "utp-forward", "--help")
    program.wait_for_exit()
    assert any("--connect utp:backup.example:9000" in line for line in program.output)
    assert max(map(len, program.output)) <= 90
