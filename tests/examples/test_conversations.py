"""
Do the examples of protocols, ours and others', talk over uTP, and over TCP with another endpoint string?
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = "0:interface=127.0.0.1"


@pytest.fixture(params=["utp", "tcp"])
def kind(request: Any) -> str:
    """Which transport."""
    name: str = request.param
    return name


@pytest.fixture
def served(start_python: Any, examples: Path, kind: str) -> Any:
    """
    C{served(example, *words)} starts an example's server; the endpoint string for its clients.
    """

    def serve(example: str, *words: str | Path) -> str:
        roles, rest = (words[:1], words[1:]) if "serve" in words else ((), words)
        server = start_python(examples / example, *roles, f"{kind}:{HERE}", *rest)
        port = server.wait_for_line(r"on .*port=(\d+)")[1]
        return f"{kind}:127.0.0.1:{port}"

    return serve


def test_chat(served: Any, start_python: Any, examples: Path) -> None:
    """What one types the other reads, and not the one who typed it; Ctrl-D leaves."""
    endpoint = served("chat_server.py")
    ada = start_python(examples / "chat_client.py", endpoint, "Ada", stdin=subprocess.PIPE)
    ada.wait_for_line("^. Ada came, 1 here$")
    bob = start_python(examples / "chat_client.py", endpoint, "Bob", stdin=subprocess.PIPE)
    bob.wait_for_line("^. Bob came, 2 here$")
    ada.say("good morning, Bob")
    bob.wait_for_line("^Ada: good morning, Bob$")
    bob.say("hello")
    ada.wait_for_line("^Bob: hello$")
    bob.hang_up()
    bob.wait_for_exit()
    ada.wait_for_line("^. Bob left$")
    ada.hang_up()
    ada.wait_for_exit()
    assert ada.output == ["* Ada came, 1 here", "* Bob came, 2 here", "Bob: hello", "* Bob left"]


def test_amp(served: Any, start_python: Any, examples: Path) -> None:
    """A command's answer, and its error, cross the connection."""
    endpoint = served("amp_over_utp.py", "serve")
    asking = start_python(examples / "amp_over_utp.py", "divide", endpoint, "355", "113")
    asking.wait_for_exit()
    assert asking.output == [str(355 / 113)]
    failing = start_python(examples / "amp_over_utp.py", "divide", endpoint, "1", "0")
    failing.wait_for_exit(code=1)
    assert failing.output == ["by zero, says the server"]


def test_pb(served: Any, start_python: Any, examples: Path) -> None:
    """The server calls an object of the client's, and then answers."""
    asking = start_python(examples / "pb_over_utp.py", "count", served("pb_over_utp.py", "serve"), "3")
    asking.wait_for_exit()
    assert asking.output == ["1", "2", "3", "counted to 3"]


def test_websocket(served: Any, start_python: Any, examples: Path) -> None:
    """autobahn's server echoes, and both say goodbye."""
    endpoint = served("websocket_over_utp.py", "serve")
    text = "hello over WebSocket " * 5000
    asking = start_python(examples / "websocket_over_utp.py", "say", endpoint, text)
    asking.wait_for_exit()
    assert asking.output == [text]


def test_ssh(served: Any, start_python: Any, examples: Path, tmp_path: Path) -> None:
    """Logged in by key, a command runs; a server with another key is not talked to, a guest with another not let in."""
    keys, others = tmp_path / "keys", tmp_path / "others"
    endpoint, other = served("ssh_server.py", keys), served("ssh_server.py", others)
    running = start_python(examples / "ssh_client.py", endpoint, keys, "hello over SSH")
    running.wait_for_exit()
    assert running.output == ["HELLO OVER SSH"]
    assert (keys / "host").stat().st_mode & 0o777 == 0o600
    wrong = start_python(examples / "ssh_client.py", other, keys, "hello")
    wrong.wait_for_line("the server did not let us in")
    wrong.wait_for_exit(code=1)
    (keys / "host.pub").write_bytes((others / "host.pub").read_bytes())
    stranger = start_python(examples / "ssh_client.py", other, keys, "hello")
    stranger.wait_for_exit(code=1)
    assert "HELLO" not in stranger.output


def test_files(served: Any, start_python: Any, examples: Path, tmp_path: Path) -> None:
    """The downloader shows how far it is and gets the file; what is not there is one line."""
    original, copy = tmp_path / "files" / "original", tmp_path / "copy"
    original.parent.mkdir()
    original.write_bytes(os.urandom(2_000_003))
    endpoint = served("file_server.py", original.parent)
    fetching = start_python(examples / "download.py", endpoint, "/original", "-o", copy)
    fetching.wait_for_exit()
    assert copy.read_bytes() == original.read_bytes()
    shown = re.findall(r"(\d+) % of 2000003 bytes", "\n".join(fetching.output))
    assert len(shown) > 3 and shown[-1] == "100" and shown == sorted(set(shown), key=int)
    missing = start_python(examples / "download.py", endpoint, "/missing", "-o", copy)
    missing.wait_for_exit(code=1)
    assert missing.output == ["/missing: 404 Not Found"]
