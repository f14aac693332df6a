"""
Clients that are libraries: each lives in a program of C{tests/clients/programs}.

The program reads a line for each command, C{add TORRENT FOLDER [HOST PORT]} or C{leave INFO_HASH}; there are tabs
between the words.  It prints JSON lines: "listening" with its port, "ready" and "complete" with an info hash, and
whatever may explain a failure.
"""

from __future__ import annotations

import abc
import json
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.client import Client, Start, Torrent
from harness.network import Address, Network

PROGRAMS = Path(__file__).resolve().parent.parent / "programs"


class ProgrammedClient(Client):
    """
    One of them.
    """

    def __init__(self, network: Network, folder: Path, start: Start) -> None:
        self._program = start(
            *network.theirs.enter, *map(str, self.command(network, folder)), stdin=subprocess.PIPE, cwd=folder
        )
        self.port = self._program.wait_for_event("listening")["port"]
        self._lock = threading.Lock()
        self._seen = 0
        self._states: dict[str, set[str]] = {"ready": set(), "complete": set()}

    @abc.abstractmethod
    def command(self, network: Network, folder: Path) -> Sequence[str | Path]:
        """
        The program, and its arguments.
        """

    def add(self, torrent: Torrent, peer: Address | None) -> None:
        """
        Each torrent is added once, so the program forgets nothing.
        """
        self._say("add", torrent.path, torrent.folder, *(peer or ()))

    def is_ready(self, torrent: Torrent) -> bool:
        """
        The program has said so.
        """
        return self._has_said("ready", torrent)

    def is_complete(self, torrent: Torrent) -> bool:
        """
        The program has said so.
        """
        return self._has_said("complete", torrent)

    def leave(self, torrent: Torrent) -> None:
        """
        More than once is not too often.
        """
        self._say("leave", torrent.info_hash)

    def account(self) -> str:
        """
        What it has printed.
        """
        return "\n".join(self._program.output[-40:])

    def _say(self, *words: object) -> None:
        with self._lock:
            self._program.say("\t".join(map(str, words)))

    def _has_said(self, state: str, torrent: Torrent) -> bool:
        with self._lock:
            output = self._program.output
            for line in output[self._seen : (end := len(output))]:
                event = _event(line)
                if event.get("event") in self._states:
                    self._states[event["event"]].add(event["torrent"])
            self._seen = end
            return torrent.info_hash in self._states[state]


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
