"""
Do the commands of the container and of the Kubernetes manifest start what they should?
"""

from __future__ import annotations

import json
import re
import signal
import socket
from pathlib import Path
from typing import Any


def free_tcp_port() -> int:
    """One that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def words(text: str, name: str) -> list[str]:
    """The list behind a word, as JSON."""
    found = re.search(rf"^\s*{name}:? (\[.*\])$", text, re.MULTILINE)
    assert found is not None, name
    listed: list[str] = json.loads(found[1])
    return listed


def test_container(examples: Path, start_python: Any, free_port: int) -> None:
    """
    The image's entry point with the manifest's arguments listens, serves metrics, and ends well at SIGTERM.
    """
    dockerfile = (examples / "deployment" / "Dockerfile").read_text("utf-8")
    manifest = (examples / "deployment" / "utp-forward.yaml").read_text("utf-8")
    entry, arguments = words(dockerfile, "ENTRYPOINT"), words(manifest, "args")
    assert entry == ["twist", "utp-forward"]
    metrics = free_tcp_port()
    here = {"utp:9000": f"utp:{free_port}", "tcp:9100": f"tcp:{metrics}:interface=127.0.0.1"}
    program = start_python("-m", "twisted", *entry[1:], *(here.get(word, word) for word in arguments))
    program.wait_for_line("metrics on")
    with socket.create_connection(("127.0.0.1", metrics)) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert b"utp_forward_connections" in answer
    program.interrupt()
    program.wait_for_line("stopped: 0 connections, 0 failed")
    program.wait_for_exit(code=-signal.SIGTERM)  # twist ends as the signal would have ended it


def test_container_s_ports_are_the_manifest_s(examples: Path) -> None:
    """
    What the arguments listen on is what the container and the service have; the pod outlives the connections' grace.
    """
    dockerfile = (examples / "deployment" / "Dockerfile").read_text("utf-8")
    manifest = (examples / "deployment" / "utp-forward.yaml").read_text("utf-8")
    arguments = words(manifest, "args")
    assert "EXPOSE 9000/udp 9100/tcp" in dockerfile
    assert re.findall(r"containerPort: (\d+)", manifest) == ["9000", "9100"]
    assert {"utp:9000", "tcp:9100"} <= set(arguments)
    grace = re.search(r"terminationGracePeriodSeconds: (\d+)", manifest)
    assert grace is not None and int(grace[1]) > int(arguments[arguments.index("--grace") + 1])
