"""
Which line do the rows share, and what is it like without a controller to be judged?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from twisted_utp.proto.config import UTPConfig
from twisted_utp.testing.fq_codel import FQCoDel
from twisted_utp.testing.jitter import UniformJitter, WiFi
from twisted_utp.testing.page import Page
from twisted_utp.testing.queues import RED, CoDel, DropTail, Queue
from twisted_utp.testing.scenarios.neighbour import libutp_like
from twisted_utp.testing.simulator import MILLISECOND, SECOND
from twisted_utp.testing.topology import Dumbbell

HEADERS = 48 / 1500
"""What IPv4, UDP and uTP headers take of a full packet: so much of a full line is no payload."""


OTHERS = ("ledbat", libutp_like.NAME)
"""What else speaks uTP."""


def config_of(controller: str) -> UTPConfig:
    """
    @param controller: a name, or C{name@MS} with a target delay.
    @raise ValueError: when there is none of that name, or the target is out of range.
    """
    name, _, target = controller.partition("@")
    if not target:
        return UTPConfig(congestion=name)
    try:
        milliseconds = float(target)
    except ValueError:
        raise ValueError(f"{controller!r}: expected a controller's name, or NAME@MILLISECONDS") from None
    return UTPConfig(congestion=name, target_delay=milliseconds / 1000)


@dataclass(frozen=True)
class Line:
    """
    A bottleneck.

    @ivar rate: Mb/s.
    @ivar rtt: of all flows, ms.
    @ivar buffer: of the drop-tail queue, ms.
    @ivar queue: C{tail}, C{codel}, C{fq_codel} or C{red}.
    @ivar jitter: up to so many ms are added to each packet's delay.
    @ivar wifi: a radio behind the bottleneck, see L{WiFi}.
    @ivar loss: probability.
    """

    rate: float = 20
    rtt: float = 50
    buffer: float = 500
    queue: str = "tail"
    jitter: float = 0
    wifi: bool = False
    loss: float = 0
    seed: int = 1

    @property
    def bytes_per_second(self) -> float:
        """
        Payload that fits through.
        """
        return self.rate * 1e6 / 8 * (1 - HEADERS)

    @property
    def microseconds(self) -> int:
        """
        The round trip.
        """
        return round(self.rtt * MILLISECOND)

    def open(self, controller: str | None = None) -> Dumbbell:
        """
        With uTP flows that have this controller.
        """
        weather: dict[str, Any] = {"loss": self.loss or None}
        if self.jitter:
            weather["jitter"] = UniformJitter(round(self.jitter * MILLISECOND))
        if self.wifi:
            weather["jitter"] = WiFi()
        there = {"rate": round(self.rate * 1e6), "queue": self._make_queue(), **weather}
        return Dumbbell(seed=self.seed, there=there, config=None if controller is None else config_of(controller))

    def _make_queue(self) -> Queue:
        kinds: dict[str, Callable[[], Queue]] = {
            "codel": CoDel,
            "fq_codel": FQCoDel,
            "red": lambda: RED(nbytes=round(self.rate * 1e6 / 8 * 0.1)),
            "tail": lambda: DropTail(milliseconds=self.buffer),
        }
        return kinds[self.queue]()


USUAL = Line()


@lru_cache
def tcp_seconds(line: Line, window: str, nbytes: int) -> float:
    """
    What a TCP transfer takes alone.
    """
    dumbbell = line.open()
    tcp = dumbbell.add_tcp(line.microseconds, nbytes=nbytes, window=window)
    dumbbell.simulator.run(lambda: tcp.done)
    return tcp.seconds


@lru_cache
def tcp_bytes(line: Line, window: str, seconds: float) -> int:
    """
    What a TCP transfer brings alone in that time.
    """
    dumbbell = line.open()
    tcp = dumbbell.add_tcp(line.microseconds, window=window)
    dumbbell.run_for(seconds)
    return tcp.received


@lru_cache
def page_seconds(line: Line) -> float:
    """
    What a page takes alone.
    """
    dumbbell = line.open()
    page = Page(dumbbell, line.microseconds)
    dumbbell.simulator.run(lambda: page.done, limit=600 * SECOND)
    return page.seconds
