"""
One end of a transfer by the kernel's TCP, with CUBIC unless told otherwise::

    python -m benchmarks.bottleneck.tcp_flow serve HOST
    python -m benchmarks.bottleneck.tcp_flow send HOST PORT [CONGESTION]

The sender obeys C{start BYTES}; each transfer is a connection.  The receiver answers C{series} with what had come by
when.
"""

from __future__ import annotations

import queue
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.bottleneck.series import Series
from benchmarks.peers.account import Account, obey, report

# What every system but this machine's may have as its default.
CONGESTION = b"cubic"
_AVAILABLE = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
_CHUNK = bytes(64 * 1024)


def serve(host: str) -> None:
    """
    Receive one transfer after the other.
    """
    series = Series()
    with socket.create_server((host, 0)) as listening:
        obey(series, series.asked)
        report("listening", port=listening.getsockname()[1])
        while True:
            connection, _ = listening.accept()
            with connection:
                while data := connection.recv(len(_CHUNK)):
                    series.count(len(data))
            report("received", last=series.last)


def available() -> list[str]:
    """
    The congestion controls of this kernel's TCP.
    """
    return _AVAILABLE.read_text("ascii").split() if _AVAILABLE.exists() else []


def send(host: str, port: str, congestion: str = CONGESTION.decode()) -> None:
    """
    Send when told to.
    """
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    # Whatever C{send} below waits for: when the input ends, the process does.
    obey(Account(), told.put)
    while True:
        length = int(told.get().split()[1])
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
            started = time.monotonic()
            connection.connect((host, int(port)))
            while length:
                length -= connection.send(_CHUNK[:length])
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
        report("done", started=started)


def main(words: Sequence[str]) -> None:
    """
    Play the role.
    """
    role, *arguments = words
    roles: dict[str, Callable[..., None]] = {"serve": serve, "send": send}
    roles[role](*arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
