"""
What does a forwarder tell Prometheus?
"""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry

from twisted_utp.forward.metrics import ForwardCollector

TWIST = Path(sys.executable).parent / "twist"


def test_counters(journey: Any) -> None:
    """Connections, bytes of those that live and of those that have ended, and failures by their cause."""
    between = journey()
    between.serve()
    registry = CollectorRegistry()
    registry.register(ForwardCollector(between.service.routes))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"utp_forward_{name}", {"listen": "utp:80", **labels})

    client = between.dial()
    client.wire.write(b"12345")
    between.servers[0].wire.write(b"123")
    between.advance(1)
    assert (value("connections"), value("accepted_total")) == (1, 1)
    assert (value("bytes_total", direction="sent"), value("bytes_total", direction="received")) == (5, 3)
    between.servers[0].wire.abortConnection()
    between.advance(1)
    assert (value("connections"), value("accepted_total"), value("refused_total")) == (0, 1, 0)
    assert (value("bytes_total", direction="sent"), value("bytes_total", direction="received")) == (5, 3)
    assert value("failed_total", cause="aborted by the peer") == 1


def test_by_http(start: Any) -> None:
    """A process with two forwards tells of both, and of its uTP ports; the web server logs no request."""
    ends = [
        word
        for scheme in ("utp", "tcp")
        for word in ("--listen", f"{scheme}:0:interface=127.0.0.1", "--connect", "tcp:127.0.0.1:9")
    ]
    program = start(TWIST, "utp-forward", *ends, "--metrics=tcp:0:interface=127.0.0.1")
    program.wait_for_line(r"listening on .*, utp:0")
    program.wait_for_line(r"listening on .*, tcp:0")
    where = program.wait_for_line(r"metrics on (\S+)$")[1]
    with urlopen(f"http://{where}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    assert 'utp_forward_connections{listen="utp:0:interface=127.0.0.1"} 0.0' in text
    assert 'utp_forward_accepted_total{listen="tcp:0:interface=127.0.0.1"} 0.0' in text
    assert re.search(r'utp_datagrams_received_total\{port="127\.0\.0\.1:\d+"\} 0\.0', text)
    program.interrupt()
    program.wait_for_line("stopped: 0 connections")
    program.wait_for_exit(code=None)
    assert not any("GET" in line or "HTTP" in line for line in program.output)


@pytest.mark.parametrize("problem", ["taken", "missing"])
def test_mistakes(start: Any, tmp_path: Path, problem: str) -> None:
    """A port in use, or no prometheus_client: one line with a remedy."""
    (tmp_path / "prometheus_client.py").write_text("raise ImportError('there is no prometheus_client')\n")
    env = {"PYTHONPATH": str(tmp_path)} if problem == "missing" else {}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        metrics = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        words = ["--listen=tcp:0:interface=127.0.0.1", "--connect=tcp:127.0.0.1:9", f"--metrics={metrics}"]
        program = start(TWIST, "utp-forward", *words, env=env)
        program.wait_for_exit(code=None)
    (line,) = (line for line in program.output if line.startswith("utp-forward: "))
    if problem == "missing":
        assert line == "utp-forward: --metrics: there is no prometheus_client; pip install 'twisted-utp[prometheus]'"
    else:
        assert line.startswith(f"utp-forward: --metrics {metrics}: cannot listen on 127.0.0.1:")
