"""
What must a BitTorrent client be able to do for these tests?

A file of this folder for each client: a subclass of L{Client}.  C{test_*.py} next to the folder runs the same matrix
with each of them.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bittorrent.metainfo import Metainfo
from harness.network import Address, Network

_POLL = 0.05

Start = Callable[..., Any]
"""The C{start} of C{tests/conftest.py}."""


class Torrent:
    """
    A .torrent file, and where its one file belongs.

    @ivar path: the .torrent file.
    @ivar folder: the folder in which the client finds the file, or in which it is to write it.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder
        self.metainfo = Metainfo.from_bytes(path.read_bytes())

    @property
    def info_hash(self) -> str:
        """
        In hexadecimal, as remote controls like it.
        """
        return self.metainfo.info_hash.hex()

    @property
    def data(self) -> Path:
        """
        The file.
        """
        return self.folder / self.metainfo.name


class Client(abc.ABC):
    """
    One running client in I{theirs}, used for many torrents, also at the same time.

    It listens for uTP on C{port}, speaks plain text, and looks for peers nowhere: no DHT, no local discovery, no peer
    exchange.  All methods may be called from several threads.

    @cvar name: for people.
    @cvar says_last: it says that it has the last piece before it closes the connection to a seed itself.  When it does
        not, our seed closes first only if it does not wait for that.
    @cvar leaves_at_once: it leaves a seed in the moment in which it has everything, before the seed can know, and loses
        what it has not yet read when the seed leaves first.  A seed that is to close first keeps the last piece back.
    @cvar is_shared: one process of it does for all cases, also several at a time.
    @cvar attempts: how often a case is tried with a new process, for a client that sometimes stands still by itself.
    @ivar port: its UDP port in I{theirs}.
    """

    name: str
    says_last = True
    leaves_at_once = False
    is_shared = True
    attempts = 1
    port: int

    @staticmethod
    @abc.abstractmethod
    def why_missing() -> str | None:
        """
        Why it cannot run on this machine, with the remedy; L{None} when it can.
        """

    @abc.abstractmethod
    def __init__(self, network: Network, folder: Path, start: Start) -> None:
        """
        Start it.

        @param folder: an empty one, for its settings.
        @param start: starts a program that ends with the tests of this client.
        """

    @abc.abstractmethod
    def add(self, torrent: Torrent, peer: Address | None) -> None:
        """
        Take up a torrent: seed it when the file is there, fetch it when not.

        @param peer: dial this peer, which is listening.
        """

    @abc.abstractmethod
    def is_ready(self, torrent: Torrent) -> bool:
        """
        Has it looked at the file, so that a peer may dial now?
        """

    @abc.abstractmethod
    def is_complete(self, torrent: Torrent) -> bool:
        """
        Does it have everything, on disk?
        """

    @abc.abstractmethod
    def leave(self, torrent: Torrent) -> None:
        """
        Close the connections of this torrent, and take no new ones.
        """

    def account(self) -> str:
        """
        What may explain a failure: the end of its log.
        """
        return ""


def wait_until(condition: Callable[[], object], what: str, within: float) -> None:
    """
    Ask until it holds.

    @raise AssertionError: it does not, in time.
    """
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(_POLL)
