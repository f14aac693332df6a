"""
A path that is long, or loses packets: a UDP relay in a process of its own::

    python -m benchmarks.relays.udp_relay PORT [--server HOST] [--bind HOST]
        [--delay SECONDS] [--loss FRACTION] [--late FRACTION] [--late-by SECONDS] [--at-most TIMES]
        [--every N --again TIMES [--packets N]] [--seed N]

Each datagram is lost with that probability, or leaves that much later, in either direction; some leave later still, and
so behind others that came after them.  There is no bottleneck.  The line C{counts} on its standard input asks for the
numbers of those, where there are any.  With C{--every}, uTP's DATA packets whose seq_nr is a multiple of that number
are lost again and again: the first so many times that each of them is sent.
Where the kernel can, datagrams come and go in trains, so that the relay itself costs little and a train that survives
arrives as one; each of its datagrams is lost on its own all the same.
"""

from __future__ import annotations

import argparse
import heapq
import random
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.peers.account import Account, obey, report
from twisted_utp.udp.offload import CONTROL_SPACE, offload, segment_message, segment_size
from twisted_utp.udp.options import SOL_UDP, UDP_GRO

BUFFER = 4 * 1024 * 1024
READ_SIZE = 65_536
READS_IN_A_ROW = 64
LARGE_DATA = 500
"""Bytes.  Packets with what somebody fetches have more, those that ask for it fewer."""

Address = tuple[str, int]


@dataclass(frozen=True)
class Weather:
    """
    What happens to datagrams.

    @ivar delay: of all, seconds.
    @ivar loss: the fraction that is lost.
    @ivar late: the fraction that is late, by another C{late_by} seconds.
    @ivar every: DATA packets with these multiples for a seq_nr are lost; 0 for none.
    @ivar again: so many times each.
    @ivar packets: so many of them at most.
    @ivar at_most: no uTP packet is lost more often than this, however often it is sent again.  Deployed
        stacks give a connection up after three or four losses of one packet.
    """

    delay: float
    loss: float
    late: float
    late_by: float
    at_most: int
    every: int = 0
    again: int = 1
    packets: int = 1_000_000


def open_socket(host: str) -> socket.socket:
    """
    On any port there, with room for bursts.
    """
    created = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    created.bind((host, 0))
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
    @ivar seen: datagrams so far; of them C{lost} and C{late}.
    """

    def __init__(self, server: Address, host: str, weather: Weather, rng: random.Random) -> None:
        self.near = open_socket(host)
        self.seen = self.lost = self.late = 0
        self._server = server
        self._host = host
        self._weather = weather
        self._rng = rng
        self._far: dict[Address, socket.socket] = {}  # by client
        self._client: dict[socket.socket, Address] = {}
        # A heap by the time to leave, and then in the order of arrival.
        self._waiting: list[tuple[float, int, socket.socket, Address, bytes, int]] = []
        self._arrivals = 0
        self._losses: Counter[bytes] = Counter()
        # How often each of those that are lost again and again was, by where to, connection id and seq_nr.
        self._lost_again: Counter[tuple[socket.socket, bytes, bytes]] = Counter()

    def lost_again(self) -> dict[str, int]:
        """
        By times: how many packets were lost so many times, of those with C{--every}.
        """
        return {str(times): count for times, count in Counter(self._lost_again.values()).items()}

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
                _, _, sender, address, data, size = heapq.heappop(self._waiting)
                _send(sender, address, data, size)

    def _read(self, ready: socket.socket) -> None:
        for _ in range(READS_IN_A_ROW):
            try:
                data, messages, _, source = ready.recvmsg(READ_SIZE, CONTROL_SPACE)
            except OSError:
                return  # nothing more; or a message that a port is closed
            due = time.monotonic() + self._weather.delay
            outgoing, address = self._other_side(ready, source)
            size = segment_size(messages) or len(data)
            for piece, later in self._fates(outgoing, data, size):
                self._arrivals += 1
                heapq.heappush(self._waiting, (due + later, self._arrivals, outgoing, address, piece, size))

    def _other_side(self, ready: socket.socket, source: Address) -> tuple[socket.socket, Address]:
        if ready is not self.near:
            return self.near, self._client[ready]
        if source not in self._far:
            far = self._far[source] = open_socket(self._host)
            self._client[far] = source
        return self._far[source], self._server

    def _may_be_lost(self, packet: bytes) -> bool:
        """
        Remembers packets by type and version, connection id, sequence number and size.
        """
        sort = packet[:1] + packet[2:4] + packet[16:18] + len(packet).to_bytes(2, "big")
        self._losses[sort] += 1
        return self._losses[sort] <= self._weather.at_most

    def _is_lost_again(self, outgoing: socket.socket, packet: bytes) -> bool:
        every = self._weather.every
        if not every or packet[:1] != b"\x01" or int.from_bytes(packet[16:18], "big") % every:
            return False
        known = (outgoing, packet[2:4], packet[16:18])
        if known not in self._lost_again:
            if len(packet) < LARGE_DATA or len(self._lost_again) >= self._weather.packets:
                return False
        elif self._lost_again[known] >= self._weather.again:
            return False
        self._lost_again[known] += 1
        return True

    def _fates(self, outgoing: socket.socket, data: bytes, size: int) -> Iterator[tuple[bytes, float]]:
        """
        The stretches of a train between those datagrams that are lost or late, and those that are late, with by how
        much.
        """
        weather = self._weather
        if not weather.loss and not weather.late and not weather.every:
            yield data, 0.0
            return
        start = 0
        for at in range(0, len(data), size):
            self.seen += 1
            drawn = self._rng.random()
            again = self._is_lost_again(outgoing, data[at : at + size])
            if not again and drawn >= weather.loss + weather.late:
                continue
            if at > start:
                yield data[start:at], 0.0
            start = at + size
            if again:
                self.lost += 1
            elif drawn >= weather.loss:
                self.late += 1
                yield data[at:start], weather.late_by
            elif self._may_be_lost(data[at:start]):
                self.lost += 1
            else:
                yield data[at:start], 0.0
        if start < len(data):
            yield data[start:], 0.0


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
    parser.add_argument("--server", default="127.0.0.1")
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--late", type=float, default=0.0)
    parser.add_argument("--late-by", type=float, default=0.001)
    parser.add_argument("--at-most", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=0)
    parser.add_argument("--again", type=int, default=1)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    weather = Weather(
        options.delay, options.loss, options.late, options.late_by, options.at_most,
        options.every, options.again, options.packets,
    )  # fmt: skip
    relay = Relay((options.server, options.port), options.bind, weather, random.Random(options.seed))

    def answer(line: str) -> None:
        if line == "counts":
            report("counts", seen=relay.seen, lost=relay.lost, late=relay.late, again=relay.lost_again())

    obey(Account(), answer)
    report("listening", port=relay.near.getsockname()[1])
    relay.run()


if __name__ == "__main__":
    main(sys.argv[1:])
