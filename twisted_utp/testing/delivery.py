"""
How fast a TCP flow's packets are delivered.

The rate samples of draft-cheng-iccrg-delivery-rate-estimation-00, and what a congestion control that is built on them
hears and says.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from twisted_utp.proto.congestion.base import CongestionController


@dataclass(slots=True)
class RateSample:
    """
    What an acknowledgement told.

    @ivar rate: bytes per µs between a packet's leaving and its acknowledgement; 0 when nothing was delivered.
    @ivar is_app_limited: there was not enough to send, so the path may carry more.
    @ivar prior_delivered: bytes that had been delivered when that packet left.
    @ivar delivered: bytes delivered so far.
    @ivar acked: bytes delivered by this acknowledgement.
    @ivar lost: bytes found lost by it.
    @ivar in_flight: bytes in flight after it.
    @ivar rtt: µs; 0 when it has no round trip.
    """

    rate: float
    is_app_limited: bool
    prior_delivered: int
    delivered: int
    acked: int
    lost: int
    in_flight: int
    rtt: int


class RateBasedController(CongestionController):
    """
    A congestion control that hears of rates and says one.

    @ivar pacing_rate: bytes per µs at which segments leave; 0 is not paced yet.
    """

    __slots__ = ("pacing_rate",)

    def __init__(self, *, mss: int, target_delay: int) -> None:
        super().__init__(mss=mss, target_delay=target_delay)
        self.pacing_rate = 0.0

    @abstractmethod
    def on_rate(self, *, now: int, sample: RateSample) -> None:
        """
        Called after each acknowledgement, after losses were found.
        """


class DeliveryRate:
    """
    Takes the samples of one flow.

    @ivar delivered: bytes delivered so far.
    """

    def __init__(self) -> None:
        self.delivered = 0
        self._delivered_at = 0
        self._first_sent_at = 0
        self._app_limited_until = 0  # what is delivered up to here was limited by the application

    def on_send(self, now: int, is_idle: bool) -> tuple[int, int, int, bool]:
        """
        A packet leaves.

        @param is_idle: nothing was in flight.
        @return: its stamp, for L{sample}.
        """
        if is_idle:
            self._delivered_at = self._first_sent_at = now
        return self.delivered, self._delivered_at, self._first_sent_at, bool(self._app_limited_until)

    def on_app_limited(self, in_flight: int) -> None:
        """
        There is nothing more to send.
        """
        self._app_limited_until = max(self.delivered + in_flight, 1)

    def sample(
        self, now: int, stamp: tuple[int, int, int, bool], sent_at: int, acked: int, lost: int, in_flight: int, rtt: int
    ) -> RateSample:
        """
        An acknowledgement came.

        @param stamp: of the packet that it acknowledged and that was sent last; C{sent_at} is when.
        """
        self.delivered += acked
        self._delivered_at = now
        if self._app_limited_until and self.delivered > self._app_limited_until:
            self._app_limited_until = 0
        prior, prior_at, first_sent_at, limited = stamp
        # The slower of both: acknowledgements that come in bursts would make it too high.
        interval = max(sent_at - first_sent_at, now - prior_at, 1)
        self._first_sent_at = sent_at
        rate = (self.delivered - prior) / interval
        return RateSample(rate, limited, prior, self.delivered, acked, lost, in_flight, rtt)
