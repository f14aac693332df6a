"""
How long does a web page take across the bottleneck?  Objects of one size, some at a time, each on a connection of its
own by the kernel's TCP::

    python -m benchmarks.bottleneck.page serve HOST
    python -m benchmarks.bottleneck.page load HOST PORT

The loading end obeys C{load OBJECTS BYTES AT_ONCE} and answers C{loaded} with the seconds that it took.
"""

from __future__ import annotations

import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks.bottleneck.tcp_flow import CONGESTION
from benchmarks.peers.account import Account, obey, report

# A GET with a few headers, as far as its length goes: how many bytes are wanted, and spaces.
REQUEST = 300
_CHUNK = 64 * 1024


def serve(host: str) -> None:
    """
    Answer requests, each connection in a thread.
    """
    with socket.create_server((host, 0), backlog=64) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONGESTION)
        obey(Account())
        report("listening", port=listening.getsockname()[1])
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection:
        wanted = int(_read(connection, REQUEST))
        connection.sendall(bytes(wanted))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionResetError("ended early")
        data += piece
    return data


def fetch(host: str, port: int, nbytes: int) -> None:
    """
    One object.
    """
    with socket.create_connection((host, port)) as connection:
        connection.sendall(str(nbytes).encode().ljust(REQUEST))
        left = nbytes
        while left and (piece := connection.recv(min(left, _CHUNK))):
            left -= len(piece)
    if left:
        raise ConnectionResetError(f"{left} bytes are missing")


def load(host: str, port: str) -> None:
    """
    Load pages when told to.
    """
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    obey(Account(), told.put)
    report("ready")
    while True:
        objects, nbytes, at_once = map(int, told.get().split()[1:])
        with ThreadPoolExecutor(at_once) as browser:
            started = time.monotonic()
            list(browser.map(partial(fetch, host, int(port)), [nbytes] * objects))
            report("loaded", seconds=time.monotonic() - started)


def main(words: Sequence[str]) -> None:
    """
    Play the role.
    """
    role, *arguments = words
    roles: dict[str, Callable[..., None]] = {"serve": serve, "load": load}
    roles[role](*arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
