"""
Two Twisted reactors on two hosts, joined by one link in each direction: what most tests of an application need.

The pytest fixtures (L{twisted_utp.testing.fixtures}) make such pairs; with C{trial} a test case makes its own.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from twisted_utp.testing.network import Network
from twisted_utp.testing.pair import CLIENT_HOST, SERVER_HOST, two_links
from twisted_utp.testing.reactor import SimulatedReactor
from twisted_utp.testing.simulator import SECOND, Simulator

_T = TypeVar("_T")

# Names of the two hosts, by which they find each other.
CLIENT_NAME = "client.example"
SERVER_NAME = "server.example"

# Seconds that stop() gives to shutdown triggers: more than any shutdown_timeout allows.
_LONGEST_STOP = 3600


class ReactorPair:
    """
    Two machines and what is between them, in virtual time.

    @ivar client: the reactor of the host C{client.example}, at C{10.0.0.1}.
    @ivar server: the reactor of the host C{server.example}, at C{10.0.0.2}.
    @ivar up: the link from the client to the server.
    @ivar down: the link from the server to the client.
    @ivar simulator: the virtual time of both.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        link: Mapping[str, Any] | None = None,
        up: Mapping[str, Any] | None = None,
        down: Mapping[str, Any] | None = None,
    ) -> None:
        """
        @param seed: the same seed gives the same packets at the same microseconds.
        @param link: settings of both links, see L{Link <twisted_utp.testing.link.Link>}; 10 ms of delay unless told
            otherwise.  Use C{up} and C{down} for models with a state (queues, burst loss), which must not be shared.
        @param up: settings of the link to the server that differ.
        @param down: settings of the link to the client that differ.
        @raise TypeError: naming the setting that is of the wrong type.
        @raise ValueError: naming the setting that is out of range.
        """
        self.simulator = Simulator(seed)
        network = Network(self.simulator)
        self.up, self.down = two_links(self.simulator, link, up, down)
        client, server = network.add_host(CLIENT_HOST), network.add_host(SERVER_HOST)
        network.join(client, server, there=[self.up], back=[self.down])
        names = {CLIENT_NAME: (CLIENT_HOST,), SERVER_NAME: (SERVER_HOST,)}
        self.client = SimulatedReactor(client, names=names)
        self.server = SimulatedReactor(server, names=names)

    def advance(self, seconds: float) -> None:
        """
        Let time pass, at both ends.
        """
        self.simulator.run_for(round(seconds * SECOND))

    def wait_for(self, awaitable: Deferred[_T] | Coroutine[Any, Any, _T], *, limit: float = 600.0) -> _T:
        """
        Run both ends until a L{Deferred} has fired, or a coroutine that awaits Deferreds has returned.

        @param limit: seconds of virtual time.
        @return: its result.
        @raise Exception: its failure.
        @raise SimulationDidNotEnd: when it does not fire.
        """
        return self.client.wait_for(awaitable, limit=limit)

    def assert_clean(self, *, after: float = 60.0) -> None:
        """
        Nothing is left in either reactor: no UDP port, no delayed call.

        @param after: seconds of virtual time to let pass before, for closed connections to say goodbye.
        @raise AssertionError: naming what is left.
        """
        self.advance(after)
        for name, reactor in ((CLIENT_NAME, self.client), (SERVER_NAME, self.server)):
            left = [*map(str, reactor.getReaders()), *map(str, reactor.getDelayedCalls())]
            assert not left, f"left on {name} after {after} s: {'; '.join(left)}"

    def stop(self) -> None:
        """
        Stop both reactors, as programs do at their end: shutdown triggers run, and all ports are closed.  Harmless when
        they have stopped.
        """
        running = [reactor for reactor in (self.client, self.server) if reactor.running]
        for reactor in running:
            reactor.stop()
        if running:
            self.simulator.run(self._is_stopped, limit=_LONGEST_STOP * SECOND)

    def _is_stopped(self) -> bool:
        return not (self.client.running or self.server.running)
