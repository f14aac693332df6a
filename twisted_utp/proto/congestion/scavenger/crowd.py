"""
Tells whether we are one of many connections between two hosts that are near each other.

Between near hosts, on one machine or in one network, many connections keep both processes busy, and packets wait for
these rather than in a router.  That queue comes and goes with each turn of a process, and would look like somebody
else's; but all of it is our own connections'.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.constants import SCAVENGER_CROWD, SCAVENGER_CROWD_RATE


class Crowd:
    """
    Compares what is ours with what all connections with the host have.

    @ivar is_there: the others have many times as much.
    """

    __slots__ = ("_host_acked", "_ours", "is_there")

    def __init__(self) -> None:
        self._host_acked = -1  # when this round trip began
        self._ours = 0  # bytes acknowledged in this round trip
        self.is_there = False

    def on_ack(self, sample: AckSample) -> None:
        """
        Take an acknowledgement into account.
        """
        if self._host_acked < 0:
            self._host_acked = sample.host_acked - sample.bytes_acked
        self._ours += sample.bytes_acked

    def end_trip(self, sample: AckSample, duration: int) -> None:
        """
        A round trip of so many µs is over, with this acknowledgement.
        """
        total = sample.host_acked - self._host_acked
        others = total - self._ours
        is_busy = total >= SCAVENGER_CROWD_RATE * duration
        self.is_there = sample.is_near and is_busy and others > SCAVENGER_CROWD * self._ours
        self._host_acked, self._ours = sample.host_acked, 0
