"""
Does C{twist utp-forward} carry TCP over uTP, between real programs?
"""

from __future__ import annotations

import hashlib
import queue
import re
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from twisted_utp import __version__

TWIST, TWISTD = Path(sys.executable).parent / "twist", Path(sys.executable).parent / "twistd"
ANY = "0:interface=127.0.0.1"
PORT = r"listening on 127\.0\.0\.1:(\d+), "


class Answering(threading.Thread):
    """
    A TCP server that, once a client has closed its side, sends back the digest of all it got, and the bytes again.

    @ivar outcomes: C{"answered"} or C{"reset"} for each client, as soon as it is known.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.outcomes: queue.Queue[str] = queue.Queue()
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
                try:
                    data = b"".join(iter(lambda c=client: c.recv(1 << 20), b""))
                    client.sendall(hashlib.sha256(data).digest() + data)
                except ConnectionResetError:
                    self.outcomes.put("reset")
                else:
                    self.outcomes.put("answered")


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
    """TCP, uTP, TCP: 8 MB arrive there and come back after a half close; the log has totals; it stops cleanly.

    Only the connection that is cut in the end looks broken off, and does so at both of its ends.
    """
    inner = start(TWIST, "utp-forward", "--listen", f"utp:{ANY}", "--connect", f"tcp:127.0.0.1:{answering.port}")
    port = inner.wait_for_line(PORT)[1]
    outer = start(TWIST, "utp-forward", "-l", f"tcp:{ANY}", "-c", f"utp:127.0.0.1:{port}", "--grace=1")
    port = int(outer.wait_for_line(PORT)[1])
    data = hashlib.shake_256(b"forward").digest(8_000_001)
    assert exchange(port, data) == hashlib.sha256(data).digest() + data
    for program in (outer, inner):
        program.wait_for_line(rf"#1 .*: closed .*, {len(data)} bytes sent, {len(data) + 32} bytes received")
    with socket.create_connection(("127.0.0.1", port)) as idle:
        outer.wait_for_line("#2 .*: connected to 127")
        outer.interrupt()
        outer.wait_for_line("stopping: waiting up to 1 s for 1 connections to end")
        outer.wait_for_line(f"stopped: 2 connections, 1 failed, 0 refused, {len(data)} bytes sent")
        outer.wait_for_exit(code=None)
        idle.settimeout(10)
        with pytest.raises(ConnectionResetError):
            assert idle.recv(1) == b"cut, not closed"
    assert [answering.outcomes.get(timeout=10) for _ in range(2)] == ["answered", "reset"]


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
        (["--listn", "tcp:0"], r"^utp-forward: option --listn not recognized; twist utp-forward --help shows"),
        (["-l", "tcp:0", "-c", "tcp:h:1", "more"], r"^utp-forward: wrong number of arguments; twist utp-forward --"),
        (["--grace"], r"^utp-forward: option --grace requires argument; twist utp-forward --help shows"),
        (["--listen", "tcp:0"], r"^utp-forward: --connect ENDPOINT is missing; twist utp-forward --help shows"),
        (
            ["--listen", "utp:99999", "--connect", "tcp:h:1"],
            r"^utp-forward: --listen utp:99999: port='99999'",
        ),
        (["--listen", "utp:0", "--connect", "xyz:h:1"], r"^utp-forward: --connect xyz:h:1: there is no xyz:; "),
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


def test_log_is_for_people(start: Any, answering: Answering) -> None:
    """Text in a pipe as on a terminal, and only lines that mean something: none about the UDP port of each dial."""
    inner = start(TWIST, "utp-forward", "--listen", f"utp:{ANY}", "--connect", f"tcp:127.0.0.1:{answering.port}")
    port = inner.wait_for_line(PORT)[1]
    outer = start(TWIST, "utp-forward", "-l", f"tcp:{ANY}", "-c", f"utp:127.0.0.1:{port}")
    port = int(outer.wait_for_line(PORT)[1])
    exchange(port, b"data")
    outer.wait_for_line("#1 .*: closed")
    outer.interrupt()
    outer.wait_for_line("stopped: 1 connections")
    outer.wait_for_exit(code=None)
    assert not any("UDP" in line or "UTPProtocol" in line or '"log_' in line for line in outer.output)


def test_json_if_asked(start: Any) -> None:
    """Who asks twist for JSON gets it."""
    program = start(TWIST, "--log-format=json", "utp-forward", "-l", f"tcp:{ANY}", "-c", "utp:127.0.0.1:9")
    assert '"log_namespace": "utp-forward"' in program.wait_for_line("listening on").string


@pytest.mark.parametrize(("scheme", "kind"), [("tcp", socket.SOCK_STREAM), ("utp", socket.SOCK_DGRAM)])
def test_port_in_use(start: Any, scheme: str, kind: socket.SocketKind) -> None:
    """One line with a remedy."""
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        program = start(TWIST, "utp-forward", "-l", f"{scheme}:{port}:interface=127.0.0.1", "-c", "utp:h:1")
        program.wait_for_exit(code=1)
    lines = [line for line in program.output if line.startswith("utp-forward:")]
    assert lines == [
        f"utp-forward: --listen {scheme}:{port}:interface=127.0.0.1: cannot listen on 127.0.0.1:{port}: "
        "address already in use; stop the program that uses it, or choose another port"
    ]
    assert not any("Traceback" in line for line in program.output)


@pytest.mark.parametrize(
    ("connect", "line"),
    [
        ("utp:nowhere.invalid:9", "cannot connect to {where}: name not found; check its spelling, or give an address"),
        (
            "tcp:127.0.0.1:{free}",
            "cannot connect to {where}: refused; check that a server listens on this port",
        ),
        (
            "utp:127.0.0.1:{silent}",
            "cannot connect to {where}: no answer in time; check that the other side is running, and",
        ),
    ],
)
def test_cannot_connect(start: Any, connect: str, line: str) -> None:
    """The client is broken off; one line in the log has the cause and a remedy; the next client is served as well."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as bound,  # it has the port, but does not listen
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
    ):
        for one in (bound, silent):
            one.bind(("127.0.0.1", 0))
        where = connect.format(free=bound.getsockname()[1], silent=silent.getsockname()[1])
        # Short where it is to pass; elsewhere a machine that stops for a moment must not be taken for silence.
        seconds = 0.3 if "no answer in time" in line else 20
        program = start(TWIST, "utp-forward", "-l", f"tcp:{ANY}", "-c", where, f"--connect-timeout={seconds}")
        port = int(program.wait_for_line(PORT)[1])
        for number in (1, 2):
            # A refusal may come back before connect() is done.
            with (
                pytest.raises(ConnectionResetError),
                socket.create_connection(("127.0.0.1", port), timeout=20) as client,
            ):
                assert client.recv(1) == b"broken off, not closed"
            program.wait_for_line(f"#{number} .*: failed: {re.escape(line.format(where=where))}")
    program.interrupt()
    program.wait_for_line("stopped: 2 connections, 2 failed")
    program.wait_for_exit(code=None)
    assert not any("Traceback" in line for line in program.output)


def test_help(start: Any) -> None:
    """It says what must be given, has examples and exit codes, and fits a terminal."""
    program = start(TWIST, "utp-forward", "--help")
    program.wait_for_exit()
    assert program.output[0] == "Usage: twist utp-forward --listen ENDPOINT --connect ENDPOINT [options]"
    text = "\n".join(program.output)
    for wanted in ("--connect utp:backup.example:9000", "[default: 1000]", "Exit codes: 64 wrong usage"):
        assert wanted in text, wanted
    assert max(map(len, program.output)) <= 80


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(start: Any, option: str) -> None:
    """Ours, and what matters besides."""
    program = start(TWIST, "utp-forward", option)
    program.wait_for_exit()
    (line,) = program.output
    assert re.fullmatch(
        rf"utp-forward {re.escape(__version__)} \(twisted-utp(, compiled)?; Twisted \S+, Python \S+\)", line
    )
