"""
The base class of the phases: starting up, filling the link, draining, staying out of the way, returning.

A phase gets every acknowledgement, sets the window or the rate, and decides when another phase begins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from twisted_utp.proto.congestion.base import AckSample

if TYPE_CHECKING:
    from twisted_utp.proto.congestion.scavenger.controller import Scavenger


class Phase(ABC):
    """
    One thing that the sender does.

    @ivar name: for traces and tests.
    @ivar holds_back: we send less than the path may carry, so what comes through does not measure it.
    @ivar is_starting: the window doubles in each round trip.
    @ivar since: when it began, µs.
    """

    __slots__ = ("flow", "since")

    name = ""
    holds_back = False
    is_starting = False

    def __init__(self, flow: Scavenger, now: int) -> None:
        self.flow = flow
        self.since = now

    @abstractmethod
    def on_ack(self, now: int, sample: AckSample, delay: int | None) -> None:
        """
        Something new was acknowledged.

        @param delay: the queueing delay that the acknowledgement shows, µs; L{None} when it shows none.
        """

    def on_trip(self, now: int, sample: AckSample) -> None:
        """
        A round trip is over, and its figures are in C{flow.trips}.
        """
        return

    @abstractmethod
    def on_loss(self, now: int) -> None:
        """
        Packets were lost.  This is called once a round trip at the most.
        """
