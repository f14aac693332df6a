"""
What does a congestion controller hear, and what does it say?

It hears of bytes sent, acknowledged and lost, and says how many bytes may be in flight.  When packets count as
lost is not its business, nor is how a window is spread over time, unless it names a rate itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class AckSample:
    """
    What one batch of acknowledgements told.

    @ivar bytes_acked: payload bytes acknowledged for the first time, cumulatively or selectively.
    @ivar bytes_in_flight: before these acknowledgements.
    @ivar rtt: the smoothed round trip in µs, 0 when there is none yet.
    @ivar latest_rtt: round trip measured by this batch, µs; 0 when none was (Karn's rule).
    @ivar min_rtt: the connection's smallest round trip, µs.
    @ivar queuing_delay: filtered one-way queueing delay in µs; L{None} when the batch carried no sample.
    @ivar app_limited: the window was not filled, so these acknowledgements say nothing about its size.
    @ivar in_recovery: a window cut by loss is still being digested.
    @ivar is_disputed: our round trips say more than the peer's echoes: it lies, or there is a queue on the way back.
        To step back shows which.
    @ivar reverse_queue: what is believed to queue on the way back, µs.
    @ivar raw_delay: what this batch's own echo says of the queue on the way there, µs, not filtered: a burst or a late
        packet shows in it, and so does a queue that is one packet old.  A clock that seems to lose time for bandwidth
        counts as queue (L{ClockDrift <twisted_utp.proto.drift.ClockDrift>}); else it is the peer's word.  L{None} when
        the batch carried no echo.
    @ivar growth: C{latest_rtt} less the shortest round trip of the last minutes, µs: the queues of both ways, and late
        timers, by our own clock.  L{None} when no round trip was measured.
    @ivar has_more: unsent data waits, so what the window or the pace leaves unused is not for want of data.
    @ivar burst: what the bursts that such acknowledgements let out add to the queue, beyond what C{queuing_delay} shows
        of it, µs.
    @ivar ahead: bytes of our own burst that left before the packet that C{raw_delay} and C{growth} tell of.
    @ivar host_acked: payload bytes that all connections with the host have had acknowledged so far.
    @ivar is_near: one of these has had a round trip of less than two milliseconds.
    @ivar received_at: when the acknowledgement came to this machine, µs.  C{now} is when it was read, which on a busy
        machine, or after a wake-up that was put off, is later.
    """

    bytes_acked: int
    bytes_in_flight: int
    rtt: int
    latest_rtt: int
    min_rtt: int
    queuing_delay: int | None
    app_limited: bool
    in_recovery: bool
    is_disputed: bool = False
    reverse_queue: int = 0
    raw_delay: int | None = None
    growth: int | None = None
    has_more: bool = True
    burst: int = 0
    ahead: int = 0
    received_at: int = 0
    host_acked: int = 0
    is_near: bool = False


class CongestionController(ABC):
    """
    A strategy for one connection.  All sizes are payload bytes, all times µs.

    @ivar cwnd: the congestion window in bytes.
    @ivar ssthresh: slow start ends when C{cwnd} reaches it.
    @ivar pacing_rate: payload bytes per µs at which packets leave, however long a round trip is; 0 spreads the window
        over a round trip.  The window bounds what is in flight all the same.  It is for rates below a few packets a
        round trip, and for ramps: two packets a round trip of 5 ms are 4.6 Mb/s.  Who switches C{pacing} off has
        windows only.
    """

    __slots__ = ("cwnd", "mss", "pacing_rate", "ssthresh", "target_delay")

    def __init__(self, *, mss: int, target_delay: int) -> None:
        """
        @param mss: payload bytes of a full packet.
        @param target_delay: queueing delay to aim for, µs, for those that do.
        """
        self.mss = mss
        self.target_delay = target_delay
        self.cwnd = 0.0
        self.ssthresh = float("inf")
        self.pacing_rate = 0.0

    @abstractmethod
    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """
        New data was acknowledged.
        """

    @abstractmethod
    def on_loss(self, *, now: int, bytes_in_flight: int, bytes_lost: int = 0) -> None:
        """
        Packets were lost.  Called at most once per round trip.

        @param bytes_in_flight: with those that were lost.
        @param bytes_lost: what is known to be lost so far.
        """

    @abstractmethod
    def on_timeout(self, *, now: int, bytes_in_flight: int) -> None:
        """
        Nothing was heard for a whole retransmission timeout; everything in flight counts as lost.
        """

    def on_spurious_loss(self, *, now: int) -> None:
        """
        The last L{on_loss} or L{on_timeout} was a mistake: what counted as lost had only been late.
        """
        return

    def on_idle(self, *, now: int, timeouts: int) -> None:
        """
        Nothing was in flight for so many retransmission timeouts, at least one.
        """
        return

    def on_mss(self, mss: int) -> None:
        """
        Packets have another size now.
        """
        self.mss = mss

    def on_target_delay(self, target_delay: int) -> None:
        """
        Another queueing delay is to be aimed for, µs.
        """
        self.target_delay = target_delay

    @property
    def in_slow_start(self) -> bool:
        """
        Is the window still growing exponentially?
        """
        return self.cwnd < self.ssthresh


ControllerFactory = Callable[..., CongestionController]

_registry: dict[str, ControllerFactory] = {}


def register_congestion_controller(name: str, factory: ControllerFactory) -> None:
    """
    Make a controller available to configurations and endpoint strings.

    @param name: what C{congestion=} takes.
    @param factory: called with keyword arguments C{mss} (bytes) and C{target_delay} (µs).
    @raise ValueError: when the name is empty or taken by another factory.
    @raise TypeError: when the name is no C{str}, or the factory neither a class of controllers nor a function.
    """
    if not isinstance(name, str):
        raise TypeError(f"name={name!r}: expected a name for the congestion controller")
    kind: object = factory
    if isinstance(kind, type):
        is_usable = issubclass(kind, CongestionController) and not kind.__abstractmethods__
    else:
        is_usable = callable(kind)
    if not is_usable:
        raise TypeError(f"factory={factory!r}: expected a CongestionController with all its methods, or a function")
    if not name:
        raise ValueError("name='': expected a name for the congestion controller")
    if _registry.setdefault(name, factory) is not factory:
        raise ValueError(f"name={name!r}: a congestion controller of that name is registered already")


def congestion_controller_names() -> list[str]:
    """
    What C{congestion=} takes.
    """
    return sorted(_registry)


def make_congestion_controller(name: str, *, mss: int, target_delay: int) -> CongestionController:
    """
    A controller for one connection.

    @raise ValueError: when there is none of that name.
    @raise TypeError: when what was registered makes something else.
    """
    try:
        factory = _registry[name]
    except KeyError:
        raise ValueError(f"congestion={name!r}: expected one of {', '.join(congestion_controller_names())}") from None
    controller = factory(mss=mss, target_delay=target_delay)
    if type(controller) is not factory and not isinstance(controller, CongestionController):
        raise TypeError(f"congestion={name!r}: {controller!r} was made: expected a CongestionController")
    return controller
