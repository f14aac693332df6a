"""
How much a connection may send where it or its port has a limit.

The congestion window and the pacer are asked first, so nobody waits for a port's turn who could not use it.  Every
packet with payload counts, repeated ones as well.  The few that do not wait, a tail-loss probe, an MTU probe, or one
packet that asks for a window, are made up for by those that follow.

While packets wait for their limit nobody waits for the peer, so no timeout runs (see L{Sender.arm_retransmission
<twisted_utp.proto.sender.Sender.arm_retransmission>}), and the congestion window, which is not filled, does not grow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto.rate_limit import Taker, TokenBucket, Turns
from twisted_utp.proto.timers import NEVER

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection


class SendLimit(Taker):
    """
    A connection's own limit and its part in the port's.

    @ivar own: its own, L{None} for none.
    @ivar turns: the port's, L{None} for none.
    @ivar is_waiting: something waits for a limit.
    @ivar wake_at: when the connection has to ask again, µs; L{NEVER} when its port calls it.
    """

    __slots__ = ("_granted", "is_waiting", "own", "turns", "wake_at")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.own: TokenBucket | None = None
        self.turns: Turns[SendLimit] | None = None
        self.is_waiting = False
        self.wake_at = NEVER
        self._granted = 0.0

    def allowance(self, now: int, size: int, wanted: int) -> float:
        """
        Bytes that may be sent now.

        @param size: of a packet; C{wanted} of all that the windows let go.
        """
        least, credit = min(size, wanted), float(wanted)
        self.wake_at = NEVER
        self.is_waiting = True
        if self.own is not None:
            credit = self.own.credit(now, least)
            if credit < least:
                self.wake_at = self.own.ready_at(least)
                return 0.0
        if self.turns is not None:
            if self._granted < least:
                most = min(credit, wanted)
                self._granted += self.turns.take(self, least - self._granted, most - self._granted, now)
                if self._granted < least:
                    return 0.0
            credit = min(credit, self._granted)
        self.is_waiting = False
        return credit

    def has_some(self, now: int) -> bool:
        """
        Is there anything left, if not enough?  An MTU probe is content with that, or connections that share a low
        limit, with nothing on its way when their turn comes, would never find out how large packets may be.
        """
        if self.own is not None and self.own.credit(now, 0) <= 0:
            return False
        return self.turns is None or self._granted > 0 or (not self.turns and self.turns.bucket.credit(now, 0) > 0)

    def grant(self, amount: float) -> None:
        """
        It is its turn in the port's.
        """
        self._granted += amount

    def on_sent(self, nbytes: int) -> None:
        """
        So much has left.
        """
        if self.own is not None:
            self.own.spend(nbytes)
        if self.turns is not None:
            self._granted -= nbytes
            if self._granted < 0:
                self.end_turn()

    def end_turn(self) -> None:
        """
        What is left of a turn belongs to the others.
        """
        if self.turns is not None:
            self.turns.bucket.spend(-self._granted)
        self._granted = 0.0

    def leave(self) -> None:
        """
        The connection is gone, or the port has no limit any more.
        """
        self.end_turn()
        if self.turns is not None:
            self.turns.leave(self)
        self.turns = None
