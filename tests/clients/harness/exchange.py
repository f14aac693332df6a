"""
What happens in one case: our example and a client, one seeds, one fetches, one dials, one closes first?
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bittorrent.metainfo import Metainfo
from harness.client import Client, Start, Torrent, wait_until
from harness.closing import Closings
from harness.network import DELAY, LATE, LATE_BY, LOSS, LOST_AT_MOST, OURS, THEIRS, Address, Network

CHECKOUT = Path(__file__).resolve().parents[3]
EXAMPLES = CHECKOUT / "examples"

LENGTH = (16 << 20) + 1
"""One byte more than 16 MB, so that the last piece is short."""

LOSSY_LENGTH = (8 << 20) + 1
"""On a lossy path.  Of its 6000 packets more than a hundred are lost."""

BLOCK = 1 << 18
"""Of it, bytes that are random; the rest is made of them."""

LONGEST_TRANSFER = 120.0
# Of a client that now and then stands still, and is tried once more then: it takes ten seconds when it does not.
LONGEST_TRY = 40.0
LONGEST_ENDING = 60.0
PATIENCE = 60.0


@dataclass(frozen=True)
class Case:
    """
    @ivar we: C{seed} or C{fetch}.
    @ivar dials: C{we} or C{they}.
    @ivar first: who closes first, C{we} or C{they}.
    @ivar path: C{clean} or C{lossy}.
    """

    we: str
    dials: str
    first: str
    path: str

    def __str__(self) -> str:
        return f"we-{self.we}-{self.dials}-dial-{self.first}-close-{self.path}"


CASES = tuple(
    itertools.starmap(
        Case, itertools.product(("seed", "fetch"), ("we", "they"), ("we", "they"), ("clean", "lossy"))
    )
)  # fmt: skip


def content(name: str, length: int) -> bytes:
    """
    Bytes that follow from a name.  Cheap, and no two of its pieces are alike.
    """
    block = hashlib.shake_256(name.encode()).digest(BLOCK)
    return b"".join(block[at:] + block[:at] for at in range(-(-length // BLOCK)))[:length]


def write_torrent(folder: Path, name: str, length: int = LENGTH) -> Torrent:
    """
    A file, and the torrent of it, in that folder.
    """
    folder.mkdir(parents=True)
    data = folder / f"{name}.bin"
    data.write_bytes(content(name, length))
    path = folder / f"{name}.bin.torrent"
    path.write_bytes(Metainfo.of_file(data).to_bytes())
    return Torrent(path, folder)


class Exchange:
    """
    One case with one client.

    @param folder: an empty one.
    @param within: how many seconds the transfer may take.
    """

    def __init__(
        self, network: Network, client: Client, case: Case, folder: Path, start: Start, within: float = LONGEST_TRANSFER
    ) -> None:
        self._network = network
        self._client = client
        self._case = case
        self._folder = folder
        self._start = start
        self._within = within
        self._relays: list[Any] = []
        # Then it is not our program but the packets that say who closed first.
        self._closings = Closings(network) if case.we == "seed" and client.leaves_at_once else None
        self._holds_back = self._closings is not None and case.first == "we"

    def run(self) -> None:
        """
        From the first packet to the last, and everything checked.

        @raise AssertionError: with what both sides say about it.
        """
        name = f"{self._client.name}-{self._case}".lower().replace(" ", "-")
        self._original = write_torrent(
            self._folder / "original", name, LENGTH if self._case.path == "clean" else LOSSY_LENGTH
        )
        self._copy = Torrent(self._original.path, self._folder / "copy")
        self._copy.folder.mkdir()
        self._theirs = self._copy if self._case.we == "seed" else self._original
        ours: Any = None
        try:
            ours = self._meet()
            self._transfer(ours)
            self._close(ours)
            self._check(ours)
        except AssertionError as error:
            said = "\n".join(ours.output[-20:]) if ours else ""
            raise AssertionError(f"{error}\nours:\n{said}\n{self._client.name}:\n{self._client.account()}") from None
        finally:
            self._client.leave(self._theirs)
            if self._closings is not None:
                self._closings.stop()
            shutil.rmtree(self._folder)

    def _meet(self) -> Any:
        if self._case.dials == "they":
            ours = self._run_ours("--listen", f"utp:0:interface={OURS}")
            port = int(ours.wait_for_line(r"listening on .*port=(\d+)")[1])
            self._client.add(self._theirs, self._through_the_path((OURS, port), "10.77.2.1"))
        else:
            self._client.add(self._theirs, None)
            wait_until(lambda: self._client.is_ready(self._theirs), f"{self._client.name} is ready", PATIENCE)
            host, port = self._through_the_path((THEIRS, self._client.port), "10.77.1.1")
            ours = self._run_ours("--peer", f"utp:{host}:{port}", "--patience", str(PATIENCE))
        return ours

    def _run_ours(self, *meeting: str) -> Any:
        linger = ["--linger"] if self._case.first == "they" else []
        if self._case.we == "seed":
            eager = [] if linger or self._client.says_last else ["--eager"]
            held = ["--hold-back", "1"] if self._holds_back else []
            words = [EXAMPLES / "bittorrent_seed.py", self._original.data, "--once", *eager, *held]
        else:
            words = [EXAMPLES / "bittorrent_leech.py", self._original.path, "-o", self._copy.data]
        return self._start(*self._network.ours.enter, sys.executable, *words, *linger, *meeting)

    def _through_the_path(self, server: Address, host: str) -> Address:
        """
        The address to dial to come to that server: its own, or that of a relay on the way.
        """
        if self._case.path == "clean":
            return server
        options = ["--server", server[0], "--bind", host, "--delay", DELAY, "--loss", LOSS, "--late", LATE]
        options += ["--late-by", LATE_BY, "--at-most", LOST_AT_MOST]
        relay = self._start(
            *self._network.path.enter, sys.executable, "-m", "benchmarks.relays.udp_relay", server[1], *options,
            stdin=subprocess.PIPE, env={"PYTHONPATH": str(CHECKOUT)},
        )  # fmt: skip
        self._relays.append(relay)
        return host, relay.wait_for_event("listening")["port"]

    def _transfer(self, ours: Any) -> None:
        if self._holds_back:
            ours.wait_for_line("we closed first", timeout=self._within)
        elif self._case.we == "seed":
            wait_until(lambda: self._client.is_complete(self._theirs), f"{self._client.name} is complete", self._within)
        else:
            ours.wait_for_line("every piece correct", timeout=self._within)

    def _close(self, ours: Any) -> None:
        if self._case.first == "they":
            self._client.leave(self._theirs)
        ours.wait_for_exit(timeout=LONGEST_ENDING)

    def _check(self, ours: Any) -> None:
        if self._holds_back:
            # But for the last piece, which is one byte.
            original, copy = (torrent.data.read_bytes() for torrent in (self._original, self._copy))
            assert copy[: len(original) - 1] == original[:-1], "the copy is not the original"
        else:
            assert sha256(self._copy.data) == sha256(self._original.data), "the copy is not the original"
        closed = f"{self._case.first} closed first".replace("they", "the peer")
        assert any(line.startswith(closed) for line in ours.output), f"not so: {closed}"
        for relay in self._relays:
            relay.say("counts")
            counts = relay.wait_for_event("counts")
            assert counts["lost"] > 50 and counts["late"] > 50, counts
        if self._closings is not None:
            first = self._closings.first(self._client.port)
            assert first == self._case.first, f"the first FIN was not theirs who should close first, but of: {first}"


def sha256(path: Path) -> str:
    """
    Of a file.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()
