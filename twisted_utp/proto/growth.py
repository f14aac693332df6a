"""
By how much round trips exceed those of the empty path, and which part may be queued on the reverse path.

Our own clock tells the first, and no peer can make it less.  The second is the peer's word: it may claim that all of
the growth is queue on the way to us, and its timestamps can be made to fit.  What tells the two apart is to step back.
With hardly anything of ours in flight, what a round trip still takes longer is not our doing: no more than that is
believed to be the way back's until the next time.
"""

from __future__ import annotations

from twisted_utp.proto.constants import CURRENT_DELAY_FILTER, QUIET_PACKETS
from twisted_utp.proto.delay_history import BaseDelayHistory


class RoundTripGrowth:
    """
    The queues of both ways together.

    @ivar latest: what the last round trip exceeds the empty path's by, µs.
    @ivar growth: what the shortest of the last round trips exceeds the empty path's by, µs.
    @ivar reverse_queue: what it did when we were last out of the way, µs.
    """

    __slots__ = ("_base", "_in_evidence", "_quiet_since", "_recent", "growth", "latest", "reverse_queue")

    def __init__(self) -> None:
        self._base = BaseDelayHistory()
        self._recent: tuple[int, ...] = ()
        self._quiet_since = 0
        self._in_evidence = False
        self.latest = 0
        self.growth = 0
        self.reverse_queue = 0

    def on_in_flight(self, packets: float, now: int) -> None:
        """
        So many packets were in flight when an acknowledgement came.
        """
        if packets > QUIET_PACKETS:
            self._quiet_since = 0
            self._in_evidence = False
        elif not self._quiet_since:
            self._quiet_since = now

    def on_round_trip(self, rtt: int, now: int) -> None:
        """
        Take a measured round trip, µs.
        """
        self._base.on_sample(rtt, now)
        recent = self._recent = (*self._recent[1 - CURRENT_DELAY_FILTER :], rtt)
        base = self._base.base
        assert base is not None
        self.latest = rtt - base
        self.growth = min(recent) - base
        if self._quiet_since and now - rtt >= self._quiet_since:
            # It left when nothing else of ours was on its way.
            self.reverse_queue = min(self.reverse_queue, rtt - base) if self._in_evidence else rtt - base
            self._in_evidence = True
