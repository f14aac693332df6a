"""
Who is compared, how is each started, and is it there at all?

Every program takes the same roles: C{serve sink|echo BYTES}, C{bulk PORT BYTES CONNECTIONS}, C{ping PORT SECONDS},
C{churn PORT COUNT AT_ONCE} and C{idle PORT AT_ONCE}; so that any one can be put before any other that speaks uTP.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from benchmarks.child import ROOT, Child

PEERS = Path(__file__).resolve().parent / "peers"
NODE_MODULES = ROOT / "tests" / "interop" / "libutp_peer" / "node_modules"


def _always_there() -> str | None:
    return None


def _missing_module(name: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        found = importlib.util.find_spec(name) is not None
        return None if found else f"not installed: pip install {name}"

    return missing


@lru_cache(maxsize=1)
def _missing_libutp() -> str | None:
    node = shutil.which("node")
    if node is None:
        return "node is not installed"
    where = "tests/interop/libutp_peer"
    if not (NODE_MODULES / "utp-native").is_dir():
        return f"utp-native is not installed: npm install in {where}"
    environment = {**os.environ, "NODE_PATH": str(NODE_MODULES)}
    loads = subprocess.run([node, "-e", "require('utp-native')"], env=environment, capture_output=True, timeout=60)
    return None if loads.returncode == 0 else f"utp-native does not load: npm install in {where}"


@dataclass(frozen=True)
class Contender:
    """
    One of those that are compared.

    @ivar name: as in the tables.
    @ivar program: its command line, less the role.
    @ivar missing: why it cannot run here; L{None} when it can.
    """

    name: str
    program: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    missing: Callable[[], str | None] = _always_there

    def start(self, *role: object, cpus: frozenset[int] | None = None) -> Child:
        """
        Start it in a role.
        """
        return Child([*self.program, *map(str, role)], self.environment, cpus)


def _python(module: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.peers.{module}", *words)


OFFLOAD_ON = {"TWISTED_UTP_OFFLOAD": "1"}
OFFLOAD_OFF = {"TWISTED_UTP_OFFLOAD": "0"}

OURS = Contender("ours", _python("twisted_peer", "utp"), OFFLOAD_ON)
OURS_ONE_PORT = Contender("ours, one UDP port", _python("twisted_peer", "utp-one-port"), OFFLOAD_ON)
OURS_ALL_ADDRESSES = Contender("ours, all addresses", _python("twisted_peer", "utp-all"), OFFLOAD_ON)
OURS_ONE_ADDRESS = Contender("ours, one address", _python("twisted_peer", "utp-one"), OFFLOAD_ON)
OURS_PLAIN = Contender("ours, plain path", _python("twisted_peer", "utp"), OFFLOAD_OFF)
TCP = Contender("Twisted TCP", _python("twisted_peer", "tcp"))
LIBUTP = Contender(
    "libutp",
    ("node", "--expose-gc", str(PEERS / "libutp_peer.js")),
    {"NODE_PATH": str(NODE_MODULES)},
    _missing_libutp,
)
LIBTORRENT = Contender("libtorrent", _python("libtorrent_peer"), missing=_missing_module("libtorrent"))
AIOQUIC = Contender("aioquic", _python("aioquic_peer"), missing=_missing_module("aioquic"))
