"""
Recognises late acknowledgements.

If the receiver, or our own process, had no processor for a while, one acknowledgement covers far more than usual.
Its delay says nothing about the path, so it is no sample.  The packets that it lets out at once make a queue in the
next round trips, which is our own.
"""

from __future__ import annotations

from twisted_utp.proto.constants import SCAVENGER_LATE_PACKETS, SCAVENGER_LATE_TRIPS


class LateAcks:
    """
    Compares acknowledgements with the usual ones.

    @ivar usual: bytes that an acknowledgement covers, smoothed.
    """

    __slots__ = ("_at", "_excess", "_lasts", "usual")

    def __init__(self) -> None:
        self.usual = 0.0
        self._excess = 0.0
        self._at = 0
        self._lasts = 1

    def on_ack(self, now: int, nbytes: int, mss: int, rtt: int) -> bool:
        """
        @param nbytes: bytes that are acknowledged.
        @return: whether the acknowledgement is late.
        """
        usual = self.usual or nbytes
        is_late = nbytes > max(2 * usual, SCAVENGER_LATE_PACKETS * mss)
        if is_late:
            # Not their sum: a peer whose acknowledgements are late all the time would explain any queue.
            self._excess = max(self.let_out(now), nbytes - usual)
            self._at, self._lasts = now, SCAVENGER_LATE_TRIPS * rtt
        # A single late one hardly changes what is usual.  If many are late, this peer acknowledges in that way.
        self.usual = usual + (min(nbytes, 3 * usual) - usual) / 4
        return is_late

    def let_out(self, now: int) -> float:
        """
        Bytes that were let out at once and may still be queued: all at first, and fewer with each round trip.
        """
        return self._excess * max(1 - (now - self._at) / self._lasts, 0.0)
