"""
Decides when a packet counts as lost (RFC 8985, RACK-TLP).

Time decides, not counting: a packet is lost when one sent sufficiently later has been acknowledged.  "Sufficiently"
is nothing on a path that keeps order (three acknowledged packets then prove a loss, as in classic fast retransmit)
and grows on a path that does not, so jitter does not look like loss.
"""

from __future__ import annotations

from twisted_utp.proto.constants import (
    DUPLICATE_ACK_THRESHOLD,
    MAX_REORDER_MULTIPLIER,
    REORDER_WINDOW_PERSISTS_ROUNDS,
)
from twisted_utp.proto.rtt import RttEstimator
from twisted_utp.proto.scoreboard import Flight, NewlyAcked, Scoreboard


class LossDetector:
    """
    RACK's state for one connection.

    @ivar recovery_end: packets below this seq_nr were sent before the last window cut; losses among them belong
        to the same event and do not cut again.
    @ivar duplicate_acks: how many came in a row.
    """

    __slots__ = (
        "_declared",
        "_end",
        "_multiplier",
        "_multiplier_raised_until",
        "_persist",
        "_reordering_seen",
        "_rtt",
        "_spurious",
        "_xmit",
        "duplicate_acks",
        "recovery_end",
    )

    def __init__(self, first_seq: int) -> None:
        self._xmit = 0  # RACK.xmit_ts
        self._end = first_seq  # RACK.end_seq
        self._rtt = 0  # RACK.rtt
        self._reordering_seen = False
        self._multiplier = 1  # RACK.reo_wnd_mult
        self._multiplier_raised_until = first_seq
        self._persist = 0  # RACK.reo_wnd_persist
        self.duplicate_acks = 0
        self._declared = 0  # packets declared lost in this recovery
        self._spurious = 0  # of these, packets that were not
        self.recovery_end = first_seq

    def in_recovery(self, board: Scoreboard) -> bool:
        """
        Has what was in flight at the last window cut not been acknowledged yet?
        """
        return board.una < self.recovery_end

    def on_acked(self, acked: NewlyAcked, board: Scoreboard, next_seq: int, now: int, min_rtt: int) -> bool:
        """
        Learn from acknowledgements (RFC 8985 (6.2) steps 1 to 4).

        @return: every loss of this recovery has turned out to be none, so its window cut should be undone.
        """
        self.duplicate_acks = 0
        if acked.newest is not None:
            sent_at, end = acked.newest
            rtt = now - sent_at
            # A retransmission answered too soon tells nothing about the path's state now.
            if not (acked.newest_was_resent and rtt < min_rtt) and (sent_at, end) > (self._xmit, self._end):
                self._xmit, self._end, self._rtt = sent_at, end, rtt
        if acked.reordered:
            self._reordering_seen = True
        if acked.spurious:
            return self._on_spurious(acked.spurious, board, next_seq)
        return False

    def _on_spurious(self, packets: int, board: Scoreboard, next_seq: int) -> bool:
        """
        @return: see L{on_acked}.
        """
        self.widen(board, next_seq)
        self._spurious += packets
        if self._declared and self._spurious >= self._declared:
            self._declared = self._spurious = 0
            return True
        return False

    def widen(self, board: Scoreboard, next_seq: int) -> None:
        """
        What counted as lost was late: wait longer, raised once a round trip (RFC 8985 (6.2) step 4, where DSACK would
        tell).
        """
        self._reordering_seen = True
        self._persist = REORDER_WINDOW_PERSISTS_ROUNDS
        if board.una >= self._multiplier_raised_until:
            self._multiplier = min(self._multiplier + 1, MAX_REORDER_MULTIPLIER)
            self._multiplier_raised_until = next_seq

    def on_duplicate_ack(self) -> bool:
        """
        A STATE without selective ack repeated an old ack_nr while packets were in flight.

        @return: it was the third, so the first packet in flight is lost (RFC 5681 (3.2)); only for peers that
            send no selective acks.
        """
        self.duplicate_acks += 1
        return self.duplicate_acks == DUPLICATE_ACK_THRESHOLD

    def reorder_window(self, board: Scoreboard, rtt: RttEstimator) -> int:
        """
        µs that a packet may be overtaken by before it counts as lost (RFC 8985 (6.2) step 4).
        """
        if not self._reordering_seen and (self.in_recovery(board) or board.sacked_packets >= DUPLICATE_ACK_THRESHOLD):
            return 0
        return min(self._multiplier * rtt.minimum // 4, rtt.smoothed)

    def detect(self, board: Scoreboard, rtt: RttEstimator, now: int) -> tuple[list[Flight], int | None]:
        """
        Find the packets that count as lost now (RFC 8985 (6.2) step 5).

        @return: them, and when to look again (µs), L{None} when there is no need to.
        """
        newest = (self._xmit, self._end)
        flight = board.send_order.first
        if flight is None or (flight.sent_at, flight.end) >= newest:
            return [], None  # nothing was overtaken
        wait = self._rtt + self.reorder_window(board, rtt)
        lost: list[Flight] = []
        while flight is not None and (flight.sent_at, flight.end) < newest:
            if flight.sent_at + wait > now:
                return lost, flight.sent_at + wait
            lost.append(flight)
            flight = flight.later
        return lost, None

    def on_declared(self, packets: int) -> None:
        """
        So many packets were declared lost.
        """
        self._declared += packets

    def start_recovery(self, board: Scoreboard, next_seq: int) -> None:
        """
        The window was cut; everything sent so far belongs to this event.
        """
        self.recovery_end = next_seq
        self._spurious = 0
        self._declared = 0
        if self._persist:
            self._persist -= 1
            if not self._persist:
                self._multiplier = 1
