"""
Two multiplexers, and a network between them.

A L{Pair} is a client and a server on two hosts, joined by one link in each direction, all in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.events import Event
from twisted_utp.proto.trace import Tracer
from twisted_utp.testing.clock import HostClock
from twisted_utp.testing.link import Link
from twisted_utp.testing.network import Network
from twisted_utp.testing.node import Node, Record
from twisted_utp.testing.packet_log import Filter, Matches, PacketLog
from twisted_utp.testing.pattern import Pattern
from twisted_utp.testing.simulator import SECOND, Simulator

CLIENT_HOST = "10.0.0.1"
SERVER_HOST = "10.0.0.2"
SERVER_PORT = 9000

TO_SERVER = "client"
"""Direction of the packets that the client sends."""

TO_CLIENT = "server"
"""Direction of the packets that the server sends."""

WRITE_SIZE = 65_536


class Transfer:
    """
    A stream of patterned bytes from one end of a connection to the other, written as fast as the sender's
    buffer takes them and compared as they come out.

    @ivar started: when, µs.
    @ivar finished: when the last byte came out, µs; 0 before.
    @ivar received: bytes that came out, and were right.
    """

    def __init__(self, sender: Node, source: Record, receiver: Record, nbytes: int, *, seed: int = 0) -> None:
        self.nbytes = nbytes
        self.started = sender.simulator.now
        self.finished = 0
        self._sender = sender
        self._source = source
        self._receiver = receiver
        self._written = Pattern(seed)
        self._checked = Pattern(seed)
        receiver.on_data = self._arrived
        source.on_event = self._pump
        self._pump()
        sender.flush()

    @property
    def received(self) -> int:
        """
        Bytes that came out, and were right.
        """
        return self._checked.position

    @property
    def done(self) -> bool:
        """
        Have all come out?
        """
        return bool(self.finished)

    @property
    def rate(self) -> float:
        """
        Bytes per second from start to end, or until now.
        """
        end = self.finished or self._sender.simulator.now
        return self.received * SECOND / max(1, end - self.started)

    def _pump(self, event: Event | None = None) -> None:
        connection = self._source.connection
        now = self._sender.now()
        while self._source.lost is None and self._written.position < self.nbytes and not connection.is_write_full():
            connection.write(self._written.read(min(WRITE_SIZE, self.nbytes - self._written.position)), now=now)

    def _arrived(self, data: bytes) -> None:
        self._checked.check(data)
        assert self._checked.position <= self._written.position, "more came out than was written"
        if self._checked.position >= self.nbytes and not self.finished:
            self.finished = self._sender.simulator.now


@dataclass(slots=True)
class Ends:
    """
    Both ends of one connection.
    """

    client: Record
    server: Record


def two_links(
    simulator: Simulator,
    link: Mapping[str, Any] | None,
    up: Mapping[str, Any] | None,
    down: Mapping[str, Any] | None,
) -> tuple[Link, Link]:
    """
    A link for each direction, of 10 ms of delay unless told otherwise.

    @param link: settings of both.
    @param up: settings of the first that differ; C{down} those of the second.
    """
    common = {"delay": 10_000, **(link or {})}
    return Link(simulator, **{**common, **(up or {})}), Link(simulator, **{**common, **(down or {})})


class Pair:
    """
    Two multiplexers and what is between them.

    @ivar client: the node that connects, at C{10.0.0.1}.
    @ivar server: the node that accepts, at C{10.0.0.2:9000}.
    @ivar up: the link from the client to the server.
    @ivar down: the link from the server to the client.
    @ivar log: the packets sent, by direction (L{TO_SERVER}, L{TO_CLIENT}).
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        link: Mapping[str, Any] | None = None,
        up: Mapping[str, Any] | None = None,
        down: Mapping[str, Any] | None = None,
        config: UTPConfig | None = None,
        server_config: UTPConfig | None = None,
        tracer: Tracer | None = None,
        gro: bool = False,
        log: bool = True,
        client_clock: Mapping[str, Any] | None = None,
        server_clock: Mapping[str, Any] | None = None,
    ) -> None:
        """
        @param link: settings of both links, see L{Link}; 10 ms of delay unless told otherwise.  Use C{up} and
            C{down} for models with a state (queues, burst loss), which must not be shared.
        @param up: settings of the link to the server that differ.
        @param down: settings of the link to the client that differ.
        @param config: of the client, and of the server unless C{server_config} is given.
        @param tracer: told what the client's core does, and the server's.
        @param gro: both kernels merge datagrams that arrive together.
        @param log: keep all packets.
        @param client_clock: settings of the client's L{HostClock}.
        @param server_clock: settings of the server's L{HostClock}.
        """
        self.simulator = Simulator(seed)
        self.network = Network(self.simulator)
        self.up, self.down = two_links(self.simulator, link, up, down)
        client_host = self.network.add_host(CLIENT_HOST, clock=HostClock(self.simulator, **(client_clock or {})))
        server_host = self.network.add_host(SERVER_HOST, clock=HostClock(self.simulator, **(server_clock or {})))
        self.network.join(client_host, server_host, there=[self.up], back=[self.down])
        self.log = PacketLog()
        if log:
            self.log.watch(self.up, TO_SERVER)
            self.log.watch(self.down, TO_CLIENT)
        self.client = Node(client_host, config=config, gro=gro, tracer=tracer)
        self.server = Node(
            server_host,
            SERVER_PORT,
            config=config if server_config is None else server_config,
            accepting=True,
            gro=gro,
            tracer=tracer,
        )

    # --- Time -------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """
        µs of the simulator's clock.
        """
        return self.simulator.now

    def step(self) -> bool:
        """
        Jump to the next event.

        @return: False when there is none.
        """
        return self.simulator.step()

    def drive(self, until: Callable[[], bool], *, limit: float = 600.0) -> float:
        """
        Run until something is true.

        @param limit: seconds of virtual time.
        @return: seconds that it took.
        @raise SimulationDidNotEnd: when it does not come true.
        """
        return self.simulator.run(until, limit=round(limit * SECOND)) / SECOND

    def drive_bounded(self, *, limit: float = 600.0) -> float:
        """
        Run until both sides are at rest: nothing under way, no timer but keepalives.

        @param limit: seconds of virtual time.
        @return: seconds that it took.
        @raise SimulationDidNotEnd: when they do not come to rest.
        """
        return self.drive(self._is_at_rest, limit=limit)

    def run_for(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.simulator.run_for(round(seconds * SECOND))

    def _is_at_rest(self) -> bool:
        """
        Nothing happens for longer than any timer but keepalive waits.
        """
        due = self.simulator.next_time()
        if due is None:
            return True
        ended = all(record.lost is not None for node in (self.client, self.server) for record in node.records)
        if ended:
            return not (len(self.client.multiplexer) or len(self.server.multiplexer))
        return due - self.simulator.now > QUIET

    # --- Connections ------------------------------------------------------------------------------------------

    def start_connect(self, *, config: UTPConfig | None = None) -> Record:
        """
        Let the client begin to connect.
        """
        return self.client.connect(self.server.address, config=config)

    def connect(self, *, config: UTPConfig | None = None, limit: float = 60.0) -> Ends:
        """
        Connect, and wait until both sides are.

        @param limit: seconds of virtual time.
        """
        client = self.start_connect(config=config)
        servers: list[Record] = []

        def is_over() -> bool:
            # A SYN whose answer was lost may have opened another connection at the server: ours has our id.
            wanted = client.connection.send_id
            servers[:] = [record for record in self.server.records if record.connection.recv_id == wanted]
            return client.lost is not None or (client.connected and bool(servers))

        self.drive(is_over, limit=limit)
        assert client.lost is None, f"not connected: {client.lost}"
        return Ends(client, servers[-1])

    def start_transfer(self, ends: Ends, nbytes: int, *, direction: str = TO_SERVER, seed: int = 0) -> Transfer:
        """
        Begin to send C{nbytes} in one direction.
        """
        if direction == TO_SERVER:
            return Transfer(self.client, ends.client, ends.server, nbytes, seed=seed)
        return Transfer(self.server, ends.server, ends.client, nbytes, seed=seed)

    def transfer(
        self, ends: Ends, nbytes: int, *, direction: str = TO_SERVER, limit: float = 600.0, seed: int = 0
    ) -> Transfer:
        """
        Send C{nbytes} in one direction, and wait until they came out.

        @param limit: seconds of virtual time.
        @raise WrongBytes: when they are others.
        """
        transfer = self.start_transfer(ends, nbytes, direction=direction, seed=seed)
        self.drive(lambda: transfer.done or ends.client.lost is not None or ends.server.lost is not None, limit=limit)
        assert transfer.done, f"{transfer.received} of {nbytes} bytes, then {ends.client.lost}, {ends.server.lost}"
        return transfer

    # --- Fingers on the wire ----------------------------------------------------------------------------------

    def drop(self, direction: str, matches: Matches, *, first: int = 1, count: int | None = 1) -> Filter:
        """
        Lose packets of one direction: those that match, from the C{first} on, C{count} of them.
        """
        return Filter(self.link(direction), matches, first=first, count=count)

    capture = drop
    """The same: what was taken is in C{taken}, and C{release()} lets it go."""

    def link(self, direction: str) -> Link:
        """
        The link of a direction.
        """
        return {TO_SERVER: self.up, TO_CLIENT: self.down}[direction]


# Longer than any timer of a live connection that waits for the peer, shorter than a keepalive.
QUIET = 11 * SECOND
