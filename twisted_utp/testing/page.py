"""
A web page, and how long it takes across a line.

Objects of one size, some at a time, each on a TCP connection of its own: SYN, SYN-ACK, request, data.  All that comes
from the server waits in the shared queue, the SYN-ACK as well, so a page feels both the queue that stands when it
begins and the slow starts that a queue ends early.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_utp.testing.network import Host
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.simulator import SECOND, ScheduledCall
from twisted_utp.testing.tcp import TCPFlow
from twisted_utp.testing.topology import Dumbbell

SYN_ON_WIRE = 60
REQUEST_ON_WIRE = 352
"""Bytes of a GET with a few headers, and of TCP's and IP's."""

FIRST_TIMEOUT = SECOND  # RFC 6298 (2.1); doubles


class Fetch:
    """
    One object.

    @ivar started: when the SYN left, µs.
    @ivar finished: when the last byte had come, µs; 0 before.
    @ivar flow: the data's way, once the request has come to the server.
    """

    def __init__(
        self, server: Host, client: Host, nbytes: int, *, window: str, on_finished: Callable[[], object]
    ) -> None:
        """
        @param window: congestion control of the server, see L{TCPFlow}.
        @param on_finished: called when all has come.
        """
        self.simulator = server.network.simulator
        self.started = self.simulator.now
        self.finished = 0
        self.flow: TCPFlow | None = None
        self._nbytes = nbytes
        self._window = window
        self._on_finished = on_finished
        self._network = server.network
        self._server, self._client = server, client
        self._near = client.bind(self._answered)
        self._far = server.bind(self._asked)
        self._is_answered = False
        self._timeout = FIRST_TIMEOUT
        self._timer: ScheduledCall | None = None
        self._ask()

    def _ask(self) -> None:
        """
        The SYN, or once that has an answer the request; again until data comes.
        """
        size = REQUEST_ON_WIRE if self._is_answered else SYN_ON_WIRE
        self._network.send([Packet(b"", self._near.address, self._far.address, size)])
        self._timer = self.simulator.call_later(self._timeout, self._ask)
        self._timeout *= 2

    def _asked(self, packets: list[Packet]) -> None:
        for packet in packets:
            if packet.size == SYN_ON_WIRE:
                self._network.send([Packet(b"", self._far.address, self._near.address, SYN_ON_WIRE)])
            elif self.flow is None:
                self.flow = TCPFlow(self._server, self._client, self._nbytes, window=self._window)
                self.flow.on_received = self._received

    def _answered(self, packets: list[Packet]) -> None:
        if not self._is_answered:
            self._is_answered = True
            self._timeout = FIRST_TIMEOUT
            self._stop_timer()
            self._ask()

    def _received(self, nbytes: int) -> None:
        self._stop_timer()
        if nbytes >= self._nbytes and not self.finished:
            self.finished = self.simulator.now
            self._near.close()
            self._far.close()
            self._on_finished()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Page:
    """
    Some objects, a few at a time.

    @ivar started: when the first SYNs left, µs.
    @ivar finished: when the last byte of the last object had come, µs; 0 before.
    """

    def __init__(
        self,
        dumbbell: Dumbbell,
        rtt: int,
        *,
        objects: int = 20,
        size: int = 100_000,
        parallel: int = 6,
        window: str = "linux-cubic",
    ) -> None:
        """
        Begin to load it.

        @param rtt: round trip between browser and server without any queue, µs.
        @param size: of each object, bytes.
        @param parallel: objects that are fetched at the same time.
        @param window: congestion control of the server, see L{TCPFlow}.
        """
        self.simulator = dumbbell.simulator
        self.started = self.simulator.now
        self.finished = 0
        self._server, self._client = dumbbell.add_hosts(rtt)
        self._size = size
        self._window = window
        self._to_fetch = self._unfinished = objects
        for _ in range(min(parallel, objects)):
            self._fetch()

    def _fetch(self) -> None:
        self._to_fetch -= 1
        Fetch(self._server, self._client, self._size, window=self._window, on_finished=self._fetched)

    def _fetched(self) -> None:
        self._unfinished -= 1
        if self._to_fetch:
            self._fetch()
        elif not self._unfinished:
            self.finished = self.simulator.now

    @property
    def done(self) -> bool:
        """
        Has everything come?
        """
        return bool(self.finished)

    @property
    def seconds(self) -> float:
        """
        How long it took, or has taken.
        """
        return ((self.finished or self.simulator.now) - self.started) / SECOND
