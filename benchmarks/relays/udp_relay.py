"""
A path that is long, or loses packets: a UDP relay in a process of its own::

    python -m benchmarks.relays.udp_relay PORT [--delay SECONDS] [--loss FRACTION] [--seed N]

Each datagram is lost with that probability, or leaves that much later, in either direction.  There is no bottleneck.
Where the kernel can, datagrams come and go in trains, so that the relay itself costs little and a train that survives
arrives as one; each of its datagrams is lost on its own all the same.
"""

from __future__ import annotations

import argparse
import random
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence

from benchmarks.peers.account import Account, obey, report
from twisted_utp.udp.offload import CONTROL_SPACE, offload, segment_message, segment_size
from twisted_utp.udp.options import SOL_UDP, UDP_GRO

BUFFER = 4 * 1024 * 1024
READ_SIZE = 65_536
READS_IN_A_ROW = 64

Address = tuple[str, int]


def open_socket() -> socket.socket:
    """
    On loopback, with room for bursts.
    """
    created = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    created.bind(("127.0.0.1", 0))
    created.setblocking(False)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        created.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    if offload().gro:
        created.setsockopt(SOL_UDP, UDP_GRO, 1)
    return created


class Relay:
    """
    Between whoever sends to C{near} and the server.

    @ivar near: the socket that clients send to.
    """

    def __init__(self, server: Address, delay: float, loss: float, rng: random.Random) -> None:
        self.near = open_socket()
        self._server = server
        self._delay = delay
        self._loss = loss
        self._rng = rng
        self._far: dict[Address, socket.socket] = {}  # by client
        self._client: dict[socket.socket, Address] = {}
        self._waiting: deque[tuple[float, socket.socket, Address, bytes, int]] = deque()

    def run(self) -> None:
        """
        For ever: this process is ended from outside.
        """
        while True:
            timeout = max(self._waiting[0][0] - time.monotonic(), 0) if self._waiting else None
            readable, _, _ = select.select([self.near, *self._client], [], [], timeout)
            for ready in readable:
                self._read(ready)
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                _, sender, address, data, size = self._waiting.popleft()
                _send(sender, address, data, size)

    def _read(self, ready: socket.socket) -> None:
        for _ in range(READS_IN_A_ROW):
            try:
                data, messages, _, source = ready.recvmsg(READ_SIZE, CONTROL_SPACE)
            except OSError:
                return  # nothing more; or a message that a port is closed
            due = time.monotonic() + self._delay
            outgoing, address = self._other_side(ready, source)
            size = segment_size(messages) or len(data)
            for piece in self._survivors(data, size):
                self._waiting.append((due, outgoing, address, piece, size))

    def _other_side(self, ready: socket.socket, source: Address) -> tuple[socket.socket, Address]:
        if ready is not self.near:
            return self.near, self._client[ready]
        if source not in self._far:
            far = self._far[source] = open_socket()
            self._client[far] = source
        return self._far[source], self._server

    def _survivors(self, data: bytes, size: int) -> Iterator[bytes]:
        """
        The stretches of a train between those datagrams that are lost.
        """
        if not self._loss:
            yield data
            return
        start = 0
        for at in range(0, len(data), size):
            if self._rng.random() < self._loss:
                if at > start:
                    yield data[start:at]
                start = at + size
        if start < len(data):
            yield data[start:]


def _send(sender: socket.socket, address: Address, data: bytes, size: int) -> None:
    """
    What finds no room is lost, as on a real path.
    """
    try:
        if len(data) <= size:
            sender.sendto(data, address)
        elif offload().gso:
            sender.sendmsg([data], segment_message(size), 0, address)
        else:
            for at in range(0, len(data), size):
                sender.sendto(data[at : at + size], address)
    except OSError:
        return


def main(words: Sequence[str]) -> None:
    """
    Relay.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    relay = Relay(("127.0.0.1", options.port), options.delay, options.loss, random.Random(options.seed))
    obey(Account())
    report("listening", port=relay.near.getsockname()[1])
    relay.run()


if __name__ == "__main__":
    main(sys.argv[1:])
