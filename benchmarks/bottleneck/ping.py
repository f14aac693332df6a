"""
How long does somebody else's packet take?  A UDP ping, as a game or a call would send it::

    python -m benchmarks.bottleneck.ping echo HOST
    python -m benchmarks.bottleneck.ping ping HOST PORT

The pinging end answers C{series} with the round trip of each ping by the time when it was sent, in seconds, and the
times of those that never came back.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.peers.account import Account, obey, report

INTERVAL = 0.02  # seconds: fifty a second, as voice over IP
SIZE = 160  # bytes, the same

# A buffer that is longer has other problems.
_LOST_AFTER = 5.0

_SENT = struct.Struct("!d")


def echo(host: str) -> None:
    """
    Send everything back.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
        near.bind((host, 0))
        obey(Account())
        report("listening", port=near.getsockname()[1])
        while True:
            near.sendto(*near.recvfrom(2048))


class Pings:
    """
    What was sent, and what came back.
    """

    def __init__(self) -> None:
        self._under_way: set[float] = set()
        self._came_back: list[tuple[float, float]] = []

    def run(self, host: str, port: int) -> None:
        """
        For ever: this process is ended from outside.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
            near.connect((host, port))
            due = time.monotonic()
            while True:
                readable, _, _ = select.select([near], [], [], max(due - time.monotonic(), 0))
                if readable:
                    sent = _SENT.unpack_from(near.recv(2048))[0]
                    self._came_back.append((sent, time.monotonic() - sent))
                    self._under_way.discard(sent)
                if time.monotonic() >= due:
                    due += INTERVAL
                    self._send(near)

    def _send(self, near: socket.socket) -> None:
        now = time.monotonic()
        self._under_way.add(now)
        near.send(_SENT.pack(now).ljust(SIZE))

    def asked(self, line: str) -> None:
        """
        For L{obey}: the answer to C{series}.
        """
        if line == "series":
            long_ago = time.monotonic() - _LOST_AFTER
            lost = sorted(sent for sent in list(self._under_way) if sent < long_ago)
            report("series", points=sorted(self._came_back), lost=lost)


def ping(host: str, port: str) -> None:
    """
    Ping.
    """
    pings = Pings()
    obey(Account(), pings.asked)
    pings.run(host, int(port))


def main(words: Sequence[str]) -> None:
    """
    Play the role.
    """
    role, *arguments = words
    roles: dict[str, Callable[..., None]] = {"echo": echo, "ping": ping}
    roles[role](*arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
