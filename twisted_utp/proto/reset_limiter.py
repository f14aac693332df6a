"""
Limits how many RESETs go out.

Whoever forges a source address can make us send RESETs to it.  They are no larger than what provoked them, so
nothing is amplified, but they are still unwanted: so few per source, and few in total.
"""

from __future__ import annotations

from collections.abc import Hashable

from twisted_utp.proto.budget import Budget
from twisted_utp.proto.constants import (
    RESET_BURST,
    RESET_SOURCE_INTERVAL,
    RESET_SOURCES_REMEMBERED,
    RESETS_PER_SECOND,
    RESETS_PER_SOURCE,
)


class ResetLimiter:
    """
    L{RESETS_PER_SOURCE} in L{RESET_SOURCE_INTERVAL} for each source, and a token bucket for all together.
    """

    __slots__ = ("_sources", "_total")

    def __init__(self) -> None:
        self._sources: dict[Hashable, tuple[int, int]] = {}  # since when, how many
        self._total = Budget(RESET_BURST, 1_000_000 // RESETS_PER_SECOND)

    def is_spent(self, source: Hashable, now: int) -> bool:
        """
        Has the source used up its budget?  This takes nothing.

        @param now: µs.
        """
        since, count = self._sources.get(source, (now, 0))
        return count >= RESETS_PER_SOURCE and now - since < RESET_SOURCE_INTERVAL

    def allow(self, source: Hashable, now: int) -> bool:
        """
        Take one from the budgets.

        @param now: µs.
        """
        if self.is_spent(source, now) or not self._total.take(now):
            return False
        self.count(source, now)
        return True

    def count(self, source: Hashable, now: int) -> None:
        """
        Take one from the source's budget, whatever is left of the one for all together.

        @param now: µs.
        """
        since, count = self._sources.get(source, (now, 0))
        if now - since >= RESET_SOURCE_INTERVAL:
            since, count = now, 0
        self._remember(source, since, count + 1)

    def _remember(self, source: Hashable, since: int, count: int) -> None:
        sources = self._sources
        if source not in sources and len(sources) >= RESET_SOURCES_REMEMBERED:
            del sources[next(iter(sources))]  # the longest known; the total budget still holds
        sources[source] = (since, count)
