"""
Where are the examples, and which port is free?
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest


@pytest.fixture
def examples() -> Path:
    """The folder."""
    return Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def free_port() -> int:
    """
    A UDP port that nobody had a moment ago.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
