"""
Notices a small queue that never goes away.

Our own queue is gone after each drain, and others of our kind drain as well, so that all see the path without a queue.
So if nobody has seen it for seconds, there are two explanations.  The route has become a little longer; or a flow that
never steps back, as LEDBAT and libutp, was there before us, and most of its queue is part of the least delay that we
know.  Either way we would take less and less of the link.  Load tells which it is: see
L{Comeback <twisted_utp.proto.congestion.scavenger.comeback.Comeback>}.
"""

from __future__ import annotations

from twisted_utp.proto.constants import SCAVENGER_LASTING_TIME


class LastingQueue:
    """
    Remembers when the path was last seen without a queue.

    @ivar since: that time, µs.
    """

    __slots__ = ("_lowered_at", "_path", "since")

    def __init__(self) -> None:
        self._path = 0  # the least round trip, µs
        self._lowered_at = 0
        self.since = 0

    def begin(self, now: int) -> None:
        """
        We fill the link from now on.
        """
        self.since = now

    def on_sample(self, now: int, delay: int, growth: int | None, min_rtt: int, empty: float) -> None:
        """
        Take a sample, µs.

        @param growth: see L{AckSample <twisted_utp.proto.congestion.base.AckSample>}.  A peer that only claims a queue
            gains nothing: our own round trips show that there is none.
        @param min_rtt: the least round trip.  If it has just fallen, part of the queue was in it, and so may another
            part still be.
        @param empty: a queue up to this counts as none.
        """
        if not self._path:
            self._path = min_rtt
        elif min_rtt < self._path - empty:
            self._path, self._lowered_at = min_rtt, now
        is_empty = (delay if growth is None else min(delay, growth)) <= empty
        if is_empty and now - self._lowered_at > SCAVENGER_LASTING_TIME:
            self.since = now

    def is_there(self, now: int) -> bool:
        """
        Has nobody seen the path without a queue for long?
        """
        return now - self.since > SCAVENGER_LASTING_TIME
