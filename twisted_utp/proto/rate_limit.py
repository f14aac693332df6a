"""
Keeps to a rate that a user has set.

By a token bucket for each limit: it fills at the rate, what is sent is taken out, and who finds too little waits.  What
counts is payload, whether sent for the first time or again: it is what the window bounds in the other direction, so
that one number means the same both ways.  Headers come on top (20 bytes of uTP, 28 or 48 of UDP and IP: 3 % of a full
packet), and so do packets without payload, which nothing holds back: acknowledgements, keepalives, SYN, FIN, RESET.

Several connections share a port's rate in L{Turns}: who waits longest is served first, and nobody takes what others
wait for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from twisted_utp.proto.constants import (
    MAX_RATE_DEBT,
    MAX_TRAIN_BYTES,
    RATE_BURST,
    RATE_BURST_PACKETS,
    RATE_QUANTUM,
    RATE_TURNS,
    WHOLE_PACKET,
)
from twisted_utp.proto.timers import NEVER

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection


class TokenBucket:
    """
    One limit.

    @ivar rate: bytes per µs.
    @ivar quantum: bytes that are worth a wake-up.
    """

    __slots__ = ("_credit", "_largest", "_stamp", "quantum", "rate")

    def __init__(self, rate: int) -> None:
        """
        @param rate: bytes per second, at least one.
        """
        self._credit = self._largest = 0.0
        self._stamp = -1  # nobody has asked yet; it is full then
        self.set_rate(rate)

    def set_rate(self, rate: int) -> None:
        """
        Another one, from the last time on that somebody asked.
        """
        self.rate = rate / 1e6
        self.quantum = min(self.rate * RATE_QUANTUM, float(MAX_TRAIN_BYTES))

    def credit(self, now: int, size: float) -> float:
        """
        Bytes that may be spent now.

        @param size: of the packet that waits.  The bucket holds at least one, and what comes in while a timer is late.
        """
        self._largest = max(size, self._largest)
        most = max(self.rate * RATE_BURST, RATE_BURST_PACKETS * self._largest)
        if self._stamp < 0:
            self._credit += most
        elif now > self._stamp:
            self._credit += (now - self._stamp) * self.rate
        self._credit = min(self._credit, most)
        self._stamp = max(now, self._stamp)
        return self._credit

    def spend(self, nbytes: float) -> None:
        """
        So many have been sent; a negative number takes that back.
        """
        self._credit = max(self._credit - nbytes, -self.rate * MAX_RATE_DEBT)

    def ready_at(self, size: float) -> int:
        """
        When there will be so many bytes, or what is worth a wake-up if that is more.  L{credit} was called just now.
        """
        wanted = max(size, self.quantum)
        return self._stamp + max(int((wanted - self._credit) / self.rate) + 1, 0)


class Taker:
    """
    A connection's part in a L{Turns}.

    @ivar connection: whose; L{None} once that is gone.
    @ivar least: bytes that are of use to it; C{most} what it could do with.
    """

    __slots__ = ("connection", "least", "most")

    def __init__(self, connection: Connection) -> None:
        self.connection: Connection | None = connection
        self.least = self.most = 0.0


T = TypeVar("T", bound=Taker)


class Turns(Generic[T]):
    """
    Connections that share one limit.

    @ivar bucket: what there is for all.
    """

    __slots__ = ("_waiting", "bucket")

    def __init__(self, rate: int) -> None:
        """
        @param rate: bytes per second.
        """
        self.bucket = TokenBucket(rate)
        self._waiting: dict[T, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, taker: object) -> bool:
        return taker in self._waiting

    def take(self, taker: T, least: float, most: float, now: int) -> float:
        """
        Bytes for it, at once if nobody waits; else it waits, and L{serve} names it when its turn comes.

        @param least: fewer are of no use.
        """
        taker.least, taker.most = least, most
        if not self._waiting:
            credit = self.bucket.credit(now, least)
            if credit >= least:
                amount = min(credit, most)
                self.bucket.spend(amount)
                return amount
        self._waiting[taker] = None  # who waits already keeps the place
        return 0.0

    def serve(self, now: int) -> Iterator[tuple[T, float]]:
        """
        Whose turn it is, and with how many bytes.

        A few are served at a time: a packet for each of a thousand would be as many trains of one packet.
        """
        waiting, bucket = self._waiting, self.bucket
        share = 0.0
        while waiting:
            taker = next(iter(waiting))
            least = max(taker.least, WHOLE_PACKET)
            credit = bucket.credit(now, least)
            # The same for those whose packets are small.
            share = share or credit / min(len(waiting), RATE_TURNS)
            turn = min(taker.most, max(share, least))
            if credit < turn:
                return
            del waiting[taker]
            bucket.spend(turn)
            yield taker, turn

    def next_at(self) -> int:
        """
        When somebody's turn comes, L{NEVER} when nobody waits.
        """
        if not self._waiting:
            return NEVER
        return self.bucket.ready_at(max(next(iter(self._waiting)).least, WHOLE_PACKET))

    def leave(self, taker: T) -> None:
        """
        It wants nothing any more.
        """
        self._waiting.pop(taker, None)


def lowest(*rates: int) -> int:
    """
    The lowest of several limits of which 0 is none.
    """
    return min((rate for rate in rates if rate), default=0)
