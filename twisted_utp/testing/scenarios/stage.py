"""
How is one flow over one bottleneck set up and measured?
"""

from __future__ import annotations

from typing import Any

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.stats import ConnectionStats
from twisted_utp.testing.link import Link
from twisted_utp.testing.meter import Meter, queue_in_ms
from twisted_utp.testing.queues import DropTail, Queue
from twisted_utp.testing.topology import Dumbbell, Flow

MEGABIT = 1_000_000
MEGABYTE = 1_000_000
WIRE_OVERHEAD = 48 / 1430
"""What uTP, UDP and IPv4 headers take of a default packet: 96.6 % of payload is a full link."""


class Solo:
    """
    One flow alone.

    @ivar meter: counter 0 is payload bytes received, counter 1 the queue in ms.
    """

    def __init__(
        self,
        controller: str,
        *,
        rate: float,
        rtt: float,
        buffer: float = 300,
        queue: Queue | None = None,
        seed: int = 1,
        clock: dict[str, Any] | None = None,
        **weather: Any,
    ) -> None:
        """
        @param rate: Mb/s.
        @param rtt: ms.
        @param buffer: ms of tail-drop queue.
        @param weather: of the shared link, see L{Link}.
        """
        self.rate = rate * MEGABIT
        queue = queue if queue is not None else DropTail(milliseconds=buffer)
        self.dumbbell = Dumbbell(
            seed=seed,
            there={"rate": round(self.rate), "queue": queue, **weather},
            config=UTPConfig(congestion=controller),
        )
        self.flow: Flow = self.dumbbell.add_flow(round(rtt * 1000), clock=clock)
        self.meter = Meter(self.dumbbell.simulator, lambda: self.flow.received, queue_in_ms(self.bottleneck))

    @property
    def bottleneck(self) -> Link:
        """
        The shared link.
        """
        return self.dumbbell.there

    @property
    def stats(self) -> ConnectionStats:
        """
        The sender's.
        """
        assert self.flow.source is not None
        return self.flow.source.connection.stats()

    @property
    def drops(self) -> int:
        """
        Packets that found no room in the queue.
        """
        return self.bottleneck.counters.queue_drops

    def run_for(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.dumbbell.run_for(seconds)

    def utilisation(self, first: float, last: float) -> float:
        """
        Share of the link's bytes that was payload, headers of that payload included.
        """
        return self.meter.rate(first, last) * 8 / self.rate / (1 - WIRE_OVERHEAD)
