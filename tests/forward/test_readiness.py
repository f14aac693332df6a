"""
Does systemd hear when a forwarder is ready, and when it stops?
"""

from __future__ import annotations

import socket
import uuid
from pathlib import Path
from typing import Any

import pytest

from twisted_utp.forward.readiness import VARIABLE, notify


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What listens on the socket that the environment names."""
    name = f"@{uuid.uuid4()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if name.startswith("@") else name)
        listening.setblocking(False)
        monkeypatch.setenv(VARIABLE, name)
        yield listening


def test_service(systemd: socket.socket, journey: Any) -> None:
    """Ready once it listens, stopping before its connections have ended."""
    between = journey()
    assert systemd.recv(100) == b"READY=1"
    between.serve()
    between.dial()
    between.service.stopService()
    assert between.service.relays
    assert systemd.recv(100) == b"STOPPING=1"
    with pytest.raises(BlockingIOError):
        systemd.recv(100)


@pytest.mark.parametrize("name", ["", "vsock:2:1", "/nowhere/notify"])
def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Where nobody listens nothing happens."""
    monkeypatch.setenv(VARIABLE, name)
    assert not notify("READY=1")
