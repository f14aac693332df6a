"""
The part of the one-way delay that is queueing (RFC 6817, section 3.4).

The peer echoes "my clock minus your timestamp".  Its absolute value is meaningless (two clocks), but its minimum
over some minutes is the empty path, and what exceeds that minimum is queue.  All of it modulo 2^32.

A peer may echo what it likes, and who echoes an empty path would have the link to itself.  So what our own round trips
have grown by bounds what is believed, see L{RoundTripGrowth}.
"""

from __future__ import annotations

from twisted_utp.proto.constants import (
    CURRENT_DELAY_FILTER,
    MAX_DRIFT_CORRECTION,
    MAX_REVERSE_QUEUE,
    MAX_UNEXPLAINED_DELAY,
    NO_DELAY_SAMPLE,
)
from twisted_utp.proto.delay_history import BaseDelayHistory
from twisted_utp.proto.drift import ClockDrift
from twisted_utp.proto.growth import RoundTripGrowth
from twisted_utp.proto.seqnum import signed_timestamp


def is_delay_sample(timestamp_difference: int) -> bool:
    """
    Does the field carry a measurement?  0 and 2^31 - 1 are the two ways in which peers say "none yet".
    """
    return timestamp_difference not in (0, NO_DELAY_SAMPLE)


class OneWayDelay:
    """
    The queueing delay on the path to the peer, from its echoes, with the clocks' drift taken out.

    @ivar queuing: the filtered queueing delay in µs, 0 before the first sample.
    @ivar is_disputed: the peer's echoes say much less than our round trips.
    @ivar peer_queue: that of the peer's last packet on its way to us, not filtered.
    @ivar raw: what the last acknowledgement's own echo says, µs; L{None} when it had none.
    @ivar growth: what our own round trips say; L{None} before the first.

    A connection that has sent nothing yet has no use for most of it, so that is made with the first sample.
    """

    __slots__ = ("_drift", "_ours", "_recent", "_theirs", "growth", "is_disputed", "peer_queue", "queuing", "raw")

    def __init__(self) -> None:
        self._ours: BaseDelayHistory | None = None
        self._theirs = BaseDelayHistory()
        self._drift: ClockDrift | None = None
        self._recent: tuple[int, ...] = ()
        self.growth: RoundTripGrowth | None = None
        self.is_disputed = False
        self.peer_queue = 0
        self.queuing = 0
        self.raw: int | None = None

    @property
    def base(self) -> int | None:
        """
        The base delay toward the peer, clock offset included.
        """
        return None if self._ours is None else self._ours.base

    @property
    def peer_base(self) -> int | None:
        """
        The base delay toward us, clock offset included.
        """
        return self._theirs.base

    def on_their_sample(self, sample: int, now: int) -> None:
        """
        Take the delay of a packet *from* the peer.

        Only its base matters.  When that falls, their clock gained on ours (nothing else makes an empty path
        shorter), so on our own direction the same drift looks like a growing queue: raise our base by as much.
        Larger steps are route or clock changes, not drift (libutp's rule).
        """
        before = self._theirs.base
        self._theirs.on_sample(sample, now)
        after = self._theirs.base
        if after is not None:
            self.peer_queue = signed_timestamp(sample - after)
        if after == before or before is None or after is None or self._ours is None:
            return
        fell = -signed_timestamp(after - before)
        if 0 < fell <= MAX_DRIFT_CORRECTION:
            self._ours.shift(fell)

    def on_ack(self, sample: int, rtt: int, smoothed: int, min_rtt: int, target: int, now: int) -> int | None:
        """
        Take an acknowledgement: an echoed timestamp_difference, and the round trip that came with it.

        @param rtt: the round trip in µs measured with this answer; 0 when there was none.
        @param smoothed: the smoothed one, µs, 0 when unknown.
        @param min_rtt: the connection's smallest round trip, µs.
        @param target: the queueing delay that is aimed for, µs.
        @return: the filtered queueing delay in µs; L{None} when nothing is known.
        """
        if rtt:
            self.round_trips().on_round_trip(rtt, now)
        self.raw = None
        claimed = self.on_our_sample(sample, rtt or smoothed, min_rtt, now)
        if not self._recent and not rtt:
            return None
        if claimed is None:
            claimed = self._claimed()
        measured = self._own_measure(target)
        self.is_disputed = measured > claimed + min(MAX_UNEXPLAINED_DELAY, target // 2)
        self.queuing = max(claimed, measured)
        return self.queuing

    def _claimed(self) -> int:
        """
        What the peer's echoes say, as far as they are consistent.
        """
        penalty = 0 if self._drift is None else self._drift.penalty
        return (max(min(self._recent), 0) if self._recent else 0) + penalty

    def round_trips(self) -> RoundTripGrowth:
        """
        C{growth}, for whoever has something to add.
        """
        growth = self.growth
        if growth is None:
            growth = self.growth = RoundTripGrowth()
        return growth

    @property
    def reverse_queue(self) -> int:
        """
        The queue on the way back as far as it is believed, µs.
        """
        return (
            max(min(self.peer_queue, self.growth.reverse_queue, MAX_REVERSE_QUEUE), 0) if self.growth is not None else 0
        )

    def _own_measure(self, target: int) -> int:
        """
        What our round trips say, less the queue on the way back as far as that is believed: what the peer claims, and
        no more than was still there when we stepped back.

        Little of it is nothing: jitter, late timers and delayed acknowledgements are in every round trip.
        """
        little = min(MAX_UNEXPLAINED_DELAY, target // 2)
        if self.growth is None or self.growth.growth <= little:
            return 0
        unexplained = self.growth.growth - self.reverse_queue
        return unexplained if unexplained > little else 0

    def on_our_sample(self, sample: int, rtt: int, min_rtt: int, now: int) -> int | None:
        """
        Take an echoed timestamp_difference for what it says.

        @param rtt: the round trip in µs measured with this answer, or the smoothed one; 0 when unknown.
        @param min_rtt: the connection's smallest round trip, µs.
        @return: the filtered queueing delay in µs; L{None} when the sample says nothing.
        """
        if not is_delay_sample(sample):
            return None
        ours, drift = self._ours, self._drift
        if ours is None or drift is None:
            ours, drift = self._ours, self._drift = BaseDelayHistory(), ClockDrift()
        base = ours.base
        current = 0 if base is None else signed_timestamp(sample - base)
        if abs(current) >= 1 << 30:
            return None  # a quarter of the range off, 18 minutes: no path and no drift does that
        ours.on_sample(sample, now)
        drift.on_sample(sample, now)
        if ours.base != base:
            assert ours.base is not None
            current = signed_timestamp(sample - ours.base)
        if rtt and current > rtt:
            # There alone cannot take longer than there and back, so a clock was set.  What the round trip has
            # grown by is the best guess at the queue that is left; the rest goes into the base.
            queue = max(rtt - min_rtt, 0)
            ours.shift(current - queue)
            self._recent = ()
            current = queue
        self._recent = (*self._recent[1 - CURRENT_DELAY_FILTER :], current)
        self.raw = max(current, 0) + drift.penalty
        self.queuing = self._claimed()
        return self.queuing
