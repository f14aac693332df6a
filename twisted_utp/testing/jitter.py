"""
Models of delay that varies from packet to packet.

Either by chance, whatever the time, or as on a radio, where packets wait for their turn on the channel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from random import Random

from twisted_utp.testing.checks import check_whole
from twisted_utp.testing.simulator import MILLISECOND

MS = "5 ms is 5_000"


class Jitter(ABC):
    """
    A model of varying delay.

    @ivar keeps_order: a packet that would overtake another waits for it, as in a queue.  Otherwise it overtakes,
        as on parallel paths.
    """

    def __init__(self, *, keeps_order: bool = False) -> None:
        self.keeps_order = keeps_order

    @abstractmethod
    def sample(self, random: Random) -> int:
        """
        µs added to the next packet's delay, 0 or more.
        """

    def sample_at(self, now: int, random: Random) -> int:
        """
        The same for a packet that leaves at C{now} µs, for models that know the time.
        """
        return self.sample(random)


class UniformJitter(Jitter):
    """
    Anything from nothing to C{width} µs, equally likely.
    """

    def __init__(self, width: int, *, keeps_order: bool = False) -> None:
        super().__init__(keeps_order=keeps_order)
        self.width: int = check_whole("width", width, "µs", example=MS)

    def sample(self, random: Random) -> int:
        """
        One throw.
        """
        return int(random.random() * (self.width + 1))


class NormalJitter(Jitter):
    """
    Normally distributed around C{mean} µs with deviation C{sigma} µs, cut off below at nothing.
    """

    def __init__(self, sigma: int, *, mean: int = 0, keeps_order: bool = False) -> None:
        super().__init__(keeps_order=keeps_order)
        self.sigma: int = check_whole("sigma", sigma, "µs", example=MS)
        self.mean = mean

    def sample(self, random: Random) -> int:
        """
        One throw.
        """
        return max(0, round(random.gauss(self.mean, self.sigma)))


class WiFi(Jitter):
    """
    Packets wait until the channel is theirs, then all that wait go together (an aggregate, IEEE 802.11n's A-MPDU).
    The channel is theirs again after some milliseconds, or after a stall: an access point that scans, a neighbour, a
    rate that is too high.  Order is kept, so what comes out comes in bursts with gaps between them.
    """

    def __init__(
        self,
        *,
        turns: tuple[int, int] = (1 * MILLISECOND, 6 * MILLISECOND),
        stall: int = 20 * MILLISECOND,
        stalls_every: int = 700 * MILLISECOND,
    ) -> None:
        """
        @param turns: µs from one turn to the next, at least and at most, equally likely.
        @param stall: µs of a stall.
        @param stalls_every: µs between two of them on average.
        """
        if not 0 < turns[0] <= turns[1]:
            raise ValueError(f"turns={turns!r}: expected 0 < least <= most µs")
        super().__init__(keeps_order=True)
        self.turns = turns
        self.stall = stall
        mean = sum(turns) / 2
        self._chance = mean / max(stalls_every - stall + mean, mean)
        self._next = 0

    def sample(self, random: Random) -> int:
        """
        µs until the turn after this one.
        """
        return self.stall if random.random() < self._chance else random.randint(*self.turns)

    def sample_at(self, now: int, random: Random) -> int:
        """
        µs until the next turn.
        """
        if self._next < now - self.turns[1]:
            self._next = now  # nothing has waited for a turn meanwhile
        while self._next < now:
            self._next += self.sample(random)
        return self._next - now
