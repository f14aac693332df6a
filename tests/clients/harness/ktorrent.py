"""
KTorrent's library, C{libktorrent}, which has a uTP of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from harness.network import Network, free_port
from harness.programmed import PROGRAMS, ProgrammedClient

# Debian 12 has it with KDE's fifth generation, Debian 13 with the sixth; later releases have a folder of their own.
_HEADERS = [Path("/usr/include", folder, "libktorrent/torrent/torrentcontrol.h") for folder in ("KF5", "KF6", "")]
_LONGEST_BUILD = 300


class KTorrent(ProgrammedClient):
    """
    KTorrent itself needs a desktop, so its library gets a program of ours, compiled on the spot.

    Whom it lets fetch it decides every ten seconds.

    Several connections at a time are more than its uTP can do, with whomever: a wake-up that comes between its
    C{poll()} and C{PollPipe::reset()} leaves that pipe written but no longer polled, as C{UTPServer::preparePolling()}
    takes a pipe that was written for one that is polled; then it reads nothing any more, of any connection, or writes
    only when it has just queued something (22.12.3, C{utp/utpserver.cpp} and C{net/poll.cpp}).  So there is one for
    each case.  Now and then it happens with one connection, too, on a lossy path in some of sixteen cases: then another
    process tries once more.
    """

    name = "KTorrent"
    leaves_at_once = True
    is_shared = False
    attempts = 3

    _building = threading.Lock()
    _built: tempfile.TemporaryDirectory[str] | None = None

    @staticmethod
    def why_missing() -> str | None:
        """
        Debian has it, to compile with.
        """
        for program, package in (("cmake", "cmake"), ("g++", "g++"), ("make", "make")):
            if shutil.which(program) is None:
                return f"{program} is not installed: apt-get install {package}"
        if not any(header.exists() for header in _HEADERS):
            return "KTorrent's library is not installed: apt-get install libktorrent-dev"
        return None

    def command(self, network: Network, folder: Path) -> Sequence[str | Path]:
        """
        Compiled by the first one.
        """
        with KTorrent._building:
            if KTorrent._built is None:
                KTorrent._built = tempfile.TemporaryDirectory()
                _build(KTorrent._built.name)
        return [Path(KTorrent._built.name) / "ktorrent_client", str(free_port(network.theirs)), folder]


def _build(folder: str) -> None:
    for words in (["cmake", "-S", str(PROGRAMS / "ktorrent"), "-B", folder], ["cmake", "--build", folder]):
        ran = subprocess.run(words, capture_output=True, text=True, timeout=_LONGEST_BUILD)
        assert ran.returncode == 0, ran.stdout + ran.stderr
