"""
Which other uTP implementations are there to talk to, and what if one is missing?
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from tests import npm
from tests.interop.dante import PROGRAM

HERE = Path(__file__).resolve().parent
LIBUTP_PEER = HERE / "libutp_peer"


def peer_is_missing(reason: str) -> None:
    """
    In CI a peer that cannot be installed fails the tests, so that nobody believes we talk to it; elsewhere they skip.
    """
    if os.environ.get("CI"):
        pytest.fail(f"CI must have every peer: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def node() -> str:
    """
    Node.js with libutp, C{utp-native}, and with C{utp}, which is JavaScript: installed here on first use.
    """
    if (reason := npm.why_missing(LIBUTP_PEER, ["utp-native", "utp"])) is not None:
        peer_is_missing(f"libutp comes through Node.js: {reason}")
    program = shutil.which("node")
    assert program is not None
    return program


@pytest.fixture(scope="session")
def libtorrent() -> None:
    """
    The libtorrent of the Python that runs the tests.
    """
    if importlib.util.find_spec("libtorrent") is None:
        peer_is_missing('libtorrent is not installed: pip install "twisted-utp[interop]"')


@pytest.fixture(scope="session")
def danted() -> None:
    """
    Dante, a SOCKS5 proxy that relays UDP; as root, because it gets accounts and networks of its own.
    """
    if PROGRAM is None:
        peer_is_missing("danted is not installed: apt-get install dante-server")
    if os.geteuid() != 0:
        peer_is_missing("danted gets accounts and networks of its own, which takes root")
