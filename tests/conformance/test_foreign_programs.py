"""
Do programs from PyPI that know nothing of uTP work when only a string is changed?
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.endpoints import quoteStringArgument

pytestmark = pytest.mark.conformance

FOREIGN = Path(__file__).resolve().parent / "foreign"
SCRIPTS = Path(sys.executable).parent


@pytest.fixture(autouse=True)
def installed() -> None:
    """In CI they must be."""
    for name in ("foolscap", "klein", "treq", "wormhole_transit_relay"):
        if importlib.util.find_spec(name) is None:
            missing = pytest.fail if os.environ.get("CI") else pytest.skip
            missing(f'{name} is not installed: pip install "twisted-utp[interop]"')


@pytest.fixture
def free_port() -> int:
    """A UDP port that nobody had a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def serving(start: Any, port: int, *arguments: Any) -> Any:
    """A program of Twisted's C{twist}, once it listens."""
    server = start(SCRIPTS / "twist", "--log-format=text", *arguments)
    server.wait_for_line(f" starting on {port}")
    return server


@pytest.mark.parametrize("kind", ["utp", "utps"])
def test_transit_relay(start: Any, start_python: Any, free_port: int, pem: Path, kind: str) -> None:
    """
    magic-wormhole's relay makes each connection of a pair the other's producer, and closes one when the other ends.
    """
    listen, dial = f"{kind}:{free_port}:interface=127.0.0.1", f"{kind}:127.0.0.1:{free_port}"
    if kind == "utps":
        listen += f":privateKey={quoteStringArgument(str(pem))}"
        dial += f":hostname=localhost:trustRoots={quoteStringArgument(str(pem))}"
    relay = serving(start, free_port, "transitrelay", "--port", listen, "--log-fd=1")
    clients = start_python(FOREIGN / "relayed.py", dial)
    # While a connection has a producer Twisted's TLS does not say goodbye on it; so it is over ssl: as well.
    other = {"utp": "ConnectionDone", "utps": "ConnectionLost"}[kind]
    for closer in ("sender", "receiver"):
        clients.wait_for_line(f"^{closer} first: ConnectionDone {other}$")
        # The relay accounts for a pair when it is over.
        account = json.loads(relay.wait_for_line(r'^\{.*"mood"').string)
        assert account["mood"] == "happy" and account["total_bytes"] == 8_000_000
    clients.wait_for_exit()
    assert not any("Traceback" in line for line in relay.output), relay.output


def test_klein_and_treq(start_python: Any, free_port: int) -> None:
    """A web application and a client for people: bodies of any size, several connections, kept alive."""
    server = start_python(FOREIGN / "digests.py", "serve", f"utp:{free_port}:interface=127.0.0.1")
    server.wait_for_line(f" starting on {free_port}")
    client = start_python(FOREIGN / "digests.py", "ask", f"utp:127.0.0.1:{free_port}")
    client.wait_for_line("all as expected")
    client.wait_for_exit()


def test_foolscap(start: Any, start_python: Any, free_port: int, tmp_path: Path) -> None:
    """C{flappserver} takes files, by calls that go both ways over one connection, with TLS begun in mid-stream."""
    server, drop, port = tmp_path / "server", tmp_path / "drop", f"utp:{free_port}:interface=127.0.0.1"
    drop.mkdir()
    flappserver = SCRIPTS / "flappserver"
    create = start(flappserver, "create", "--port", port, "--location", f"utp:127.0.0.1:{free_port}", server)
    create.wait_for_exit()
    furl = start(flappserver, "add", server, "upload-file", drop).wait_for_line("^FURL is (.*)")[1]
    start(flappserver, "start", server, "--nodaemon").wait_for_line(f" starting on {free_port}")
    files = [tmp_path / name for name in ("one", "two")]
    for file in files:
        file.write_bytes(hashlib.shake_256(file.name.encode()).digest(1_500_000))
    client = start_python(FOREIGN / "upload.py", furl, *files)
    client.wait_for_line("all uploaded")
    client.wait_for_exit()
    assert [(drop / file.name).read_bytes() for file in files] == [file.read_bytes() for file in files]
