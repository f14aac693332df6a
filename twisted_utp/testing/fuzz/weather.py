"""
What becomes of a datagram on its way?

Less exact than L{Link <twisted_utp.testing.link.Link>}, and several times as fast: a datagram costs one random number
as long as nothing happens to it.
"""

from __future__ import annotations

from twisted_utp.testing.fuzz.dice import Plan
from twisted_utp.testing.simulator import MILLISECOND, SECOND

RATES = (0, 0, 256_000, 2_000_000, 20_000_000)
MTUS = (0, 0, 0, 576, 1000, 1280, 1400, 1492)


class Weather:
    """
    One direction between an end and the rest of the world.

    @ivar mtu: bytes of the largest IP packet; 0 for any.
    @ivar down_until: everything is lost until then, µs.
    """

    def __init__(self, plan: Plan, name: str, *, gentle: bool, least_mtu: int = 0) -> None:
        """
        @param least_mtu: what every link of this family carries (IPv6: 1280).
        @param gentle: nothing that an honest transport may not survive.
        """
        self.dice = dice = plan.dice(f"weather {name}")
        self.name = name
        self.gentle = gentle
        self.mtu = 0
        self._least_mtu = least_mtu
        self.down_until = 0
        self._plan = plan
        self._free_at = 0
        self.delay = dice.pick((0, 50, MILLISECOND, 10 * MILLISECOND, 100 * MILLISECOND))
        self._jitter = dice.pick((0, 0, 100, 5 * MILLISECOND))
        self._rate = dice.pick(RATES)
        self._queue = dice.pick((20, 100, 1000)) * MILLISECOND
        worst = 0.03 if gentle else 0.3
        self._loss = dice.pick((0.0, 0.0, worst / 10, worst))
        self._late = dice.pick((0.0, 0.0, 0.02, 0.2))
        self._lateness = dice.pick((100, 3 * MILLISECOND, 30 * MILLISECOND, SECOND if not gentle else 50 * MILLISECOND))
        self._twice = dice.pick((0.0, 0.0, 0.01, 0.2))
        self._trouble = self._loss + self._late + self._twice
        self.choose_mtu()

    def choose_mtu(self) -> None:
        """
        Another route has another one.
        """
        mtu = self.dice.pick(MTUS)
        self.mtu = max(mtu, self._least_mtu) if mtu else 0

    def change(self, now: int) -> str | None:
        """
        Another weather.

        @return: what is different; L{None} for nothing.
        """
        dice = self.dice
        kind = dice.pick(("delay", "mtu", "outage", "loss", "rate"))
        if self.gentle and kind != "delay":
            return None
        if not self._plan.happens(f"weather.{kind}"):
            return None
        if kind == "delay":
            self.delay = dice.below(100 * MILLISECOND)
        elif kind == "mtu":
            self.choose_mtu()
        elif kind == "outage":
            self.down_until = now + dice.below(dice.pick((1, 10, 60)) * SECOND)
        elif kind == "loss":
            self._loss = dice.pick((0.0, 0.01, 0.1, 0.5))
            self._trouble = self._loss + self._late + self._twice
        else:
            self._rate = dice.pick(RATES)
        return f"{self.name}: {kind}"

    def fates(self, nbytes: int, now: int) -> tuple[int, ...]:
        """
        When a datagram arrives: never, once or twice.
        """
        if now < self.down_until:
            return ()
        arrival = now + self.delay
        if self._rate:
            starts_at = max(self._free_at, now)
            if starts_at - now > self._queue:
                return ()
            self._free_at = starts_at + (nbytes + 28) * 8 * SECOND // self._rate
            arrival = self._free_at + self.delay
        if self._jitter:
            arrival += int(self.dice.random() * self._jitter)
        if self._trouble:
            luck = self.dice.random()
            if luck < self._trouble:
                return self._trouble_of(luck, arrival)
        return (arrival,)

    def _trouble_of(self, luck: float, arrival: int) -> tuple[int, ...]:
        happens = self._plan.happens
        if luck < self._loss:
            return () if happens(f"loss.{self.name}") else (arrival,)
        later = arrival + self.dice.below(self._lateness)
        if luck < self._loss + self._late:
            return (later,) if happens(f"late.{self.name}") else (arrival,)
        return (arrival, later) if happens(f"twice.{self.name}") else (arrival,)
