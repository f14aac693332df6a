"""
Several flows that share one queue.

A dumbbell: every flow has a sending and a receiving host of its own and a round trip of its own, and all of them
share one link in each direction.  uTP flows and TCP flows mix.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted_utp.proto.config import UTPConfig
from twisted_utp.testing.checks import check_whole
from twisted_utp.testing.clock import HostClock
from twisted_utp.testing.link import Link
from twisted_utp.testing.network import Host, Network
from twisted_utp.testing.node import Node, Record
from twisted_utp.testing.pair import Transfer
from twisted_utp.testing.simulator import SECOND, Simulator
from twisted_utp.testing.tcp import TCPFlow

ENDLESS = 1 << 50
"""Bytes of a transfer that does not end."""


class Flow:
    """
    A uTP connection over the shared links, and the transfer on it, which starts as soon as it is connected.

    @ivar sender: the node that connects and sends.
    @ivar receiver: the node that accepts and receives.
    @ivar source: the sending end of the connection.
    """

    def __init__(self, sender: Node, receiver: Node, nbytes: int) -> None:
        self.sender = sender
        self.receiver = receiver
        self.nbytes = nbytes
        self.source: Record | None = None
        self.transfer: Transfer | None = None
        receiver.on_connected = self._accepted

    def start(self) -> None:
        """
        Connect now.
        """
        self.source = self.sender.connect(self.receiver.address)

    def _accepted(self, record: Record) -> None:
        assert self.source is not None
        if record.connection.recv_id != self.source.connection.send_id:
            return  # a SYN whose answer was lost has opened it
        self.transfer = Transfer(self.sender, self.source, record, self.nbytes)

    @property
    def received(self) -> int:
        """
        Payload bytes that have come out.
        """
        return 0 if self.transfer is None else self.transfer.received

    @property
    def done(self) -> bool:
        """
        Have all come out?
        """
        return self.transfer is not None and self.transfer.done


class Dumbbell:
    """
    Many hosts, one bottleneck.

    @ivar there: the shared link that data takes.
    @ivar back: the shared link that acknowledgements take.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        there: Mapping[str, Any],
        back: Mapping[str, Any] | None = None,
        config: UTPConfig | None = None,
    ) -> None:
        """
        @param there: settings of the shared link, see L{Link}.
        @param back: settings of the shared link for acknowledgements; infinitely fast by default.
        @param config: of all uTP flows that are given none of their own.
        """
        self.simulator = Simulator(seed)
        self.network = Network(self.simulator)
        self.there = Link(self.simulator, **there)
        self.back = Link(self.simulator, **(back or {}))
        self.config = config
        self._hosts = 0

    def add_hosts(self, rtt: int, clock: Mapping[str, Any] | None = None) -> tuple[Host, Host]:
        """
        A sending and a receiving host.

        @param rtt: their round trip without any queue, µs, beyond the delay of the shared links.
        @param clock: settings of the receiving host's L{HostClock}.
        """
        check_whole("rtt", rtt, "µs", example="50 ms is 50_000")
        self._hosts += 1
        number = self._hosts
        sender = self.network.add_host(f"10.1.{number >> 8}.{number & 255}")
        receiver = self.network.add_host(
            f"10.2.{number >> 8}.{number & 255}", clock=HostClock(self.simulator, **(clock or {}))
        )
        near, far = Link(self.simulator, delay=rtt // 2), Link(self.simulator, delay=rtt - rtt // 2)
        self.network.join(sender, receiver, there=[near, self.there], back=[far, self.back])
        return sender, receiver

    def add_flow(
        self,
        rtt: int,
        *,
        at: float = 0.0,
        nbytes: int = ENDLESS,
        config: UTPConfig | None = None,
        clock: Mapping[str, Any] | None = None,
    ) -> Flow:
        """
        A uTP transfer.

        @param rtt: its round trip without any queue, µs.
        @param at: when it begins to connect, seconds from now.
        """
        sender, receiver = self.add_hosts(rtt, clock)
        config = config if config is not None else self.config
        flow = Flow(Node(sender, config=config), Node(receiver, 9000, config=config, accepting=True), nbytes)
        self.simulator.call_later(round(at * SECOND), flow.start)
        return flow

    def add_tcp(self, rtt: int, *, at: float = 0.0, nbytes: int = ENDLESS, window: str = "cubic") -> TCPFlow:
        """
        A TCP transfer.

        @param at: when it begins, seconds from now.
        @param window: its congestion control, see L{WINDOWS <twisted_utp.testing.tcp.WINDOWS>}.
        """
        sender, receiver = self.add_hosts(rtt)
        return TCPFlow(sender, receiver, nbytes, window=window, at=self.simulator.now + round(at * SECOND))

    @property
    def now(self) -> int:
        """
        µs of the simulator's clock.
        """
        return self.simulator.now

    def run_for(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.simulator.run_for(round(seconds * SECOND))
