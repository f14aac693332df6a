"""
Measures the last round trips: how much came through, which queue stood throughout each, and how it varies.
"""

from __future__ import annotations

from typing import TypeVar

from twisted_utp.proto.constants import (
    SCAVENGER_MAX_VARIATION,
    SCAVENGER_PEAK_MEMORY,
    SCAVENGER_UNEXPLAINED,
)

FAR = 1 << 60
MEMORY = 8
"""Round trips that are looked back on: a queue that others make grows within fewer."""

WINDOWS = 4
"""Round trips in which a growth of the window may still show as a growth of the queue."""

CHANGES = 16
"""Round trips over which the variation is smoothed."""

FIRST_CHANGES = 8
"""
On short paths the first ones are averaged over as many as there were, but over so many at least: with four, a latecomer
that met others' drains took a cable for a radio, and too much of it (Jain 0.948).
"""

NOISE_SAMPLES = 4
"""Samples in a round trip from which its mean says something."""

Number = TypeVar("Number", int, float)


class Trips:
    """
    Remembers the last round trips.

    @ivar minima: the queue that stood in each of the last round trips in which we sent as usual, µs.
    @ivar windows: cwnd at the end of the last round trips, bytes.
    @ivar rate: bytes per µs that came through in the last round trip in which we did not hold back.
    @ivar capacity: the largest of the last few rates.
    @ivar peak: the largest capacity of the last minute or so; it fades.
    @ivar noise: by how much a typical sample exceeds its round trip's least, µs, smoothed.
    @ivar variation: by how much the standing queue changes from one round trip to the next, µs, smoothed.  Noise and
        variation allow for longer queues, so only what our own round trips confirm counts: a peer whose echoes scatter
        gains nothing.
    @ivar changes: of how many changes it is the average, C{CHANGES} at the most.
    @ivar is_short: the path is so short that startup's queue is gone after a few of them.
    @ivar spread: by how much a typical sample of the last round trip exceeded its least, µs; 0 when it had too few.
    @ivar least: the least delay of the last round trip, µs; L{None} when it had no sample.
    @ivar empty: round trips in a row in which the queue was empty.
    @ivar since: when the present one began, µs.
    """

    __slots__ = (
        "_acked", "_before", "_count", "_grown", "_grown_before", "_grown_count", "_grown_sum", "_highest",
        "_highest_before", "_is_noise_known", "_is_starved", "_least", "_rates", "_spreads", "_sum", "capacity",
        "changes", "empty", "is_short", "least", "minima", "noise", "peak", "rate", "since", "spread", "variation",
        "windows",
    )  # fmt: skip

    def __init__(self) -> None:
        self.minima: list[int] = []  # empty deques take 600 bytes each
        self.windows: list[float] = []
        self._rates: list[float] = []
        self._spreads: list[float] = []
        self._is_noise_known = False
        self.rate = self.capacity = self.peak = self.noise = self.spread = self.variation = 0.0
        self._highest_before = self.empty = self.changes = 0
        self.is_short = True
        self.least: int | None = None
        self._before: int | None = None  # the least delay of the previous round trip, while steady
        self._grown_before: int | None = None  # ... and the least growth of the round trips
        self._begin(0)

    def _begin(self, now: int) -> None:
        self.since = now
        self._acked = self._sum = self._count = self._highest = 0
        self._grown_sum = self._grown_count = 0
        self._least = self._grown = FAR
        self._is_starved = False

    def on_ack(
        self, now: int, nbytes: int, delay: int | None, growth: int | None, rtt: int, *, is_starved: bool
    ) -> int:
        """
        Take an acknowledgement into account.

        @param growth: see L{AckSample}.
        @param is_starved: there was not enough to send, so what came through says little about the path.
        @return: the duration of the round trip that ended with it, µs; 0 when none has.
        """
        if delay is not None:
            self._least = min(self._least, delay)
            self._highest = max(self._highest, delay)
            self._sum += delay
            self._count += 1
        if growth is not None:
            self._grown = min(self._grown, growth)
            self._grown_sum += growth
            self._grown_count += 1
        if not self.since:
            self.since = now
            return 0
        self._acked += nbytes
        self._is_starved |= is_starved
        return now - self.since if now - self.since >= rtt and now > self.since else 0

    def end(
        self, now: int, cwnd: float, empty: float, *, holds_back: bool, is_steady: bool, is_starting: bool = False
    ) -> None:
        """
        The round trip is over.

        @param empty: a queue up to this counts as none, µs.
        @param holds_back: we sent less than we could.
        @param is_steady: the changes of the queue are the path's.
        @param is_starting: only its noise is.
        """
        duration = now - self.since
        _remember(self.windows, cwnd, WINDOWS)
        if not holds_back:
            self.note_rate(self._acked / duration)
        self.peak *= 1 - min(duration / SCAVENGER_PEAK_MEMORY, 0.5)
        self.peak = max(self.peak, self.capacity)
        self._highest_before = self._highest
        self.least = self._least if self._count else None
        self.spread = self._measure_spread()
        if self.least is not None:
            if not holds_back:
                _remember(self.minima, self.least, MEMORY)
            if is_steady or is_starting:
                self._note_noise()
            if is_steady:
                self._note_variation(self.least)
            self.empty = self.empty + 1 if self.least <= empty else 0
        if not is_steady:
            self._before = self._grown_before = None
        self._begin(now)

    @property
    def highest(self) -> int:
        """
        The largest delay of the present round trip and the one before, µs.
        """
        return max(self._highest, self._highest_before)

    def present(self, now: int, rtt: int) -> float:
        """
        What comes through now, bytes per µs: in the last round trip, or in the present one if that is less and half of
        it is over.
        """
        if now - self.since > rtt / 2:
            return min(self.rate or self.capacity, self._acked / (now - self.since))
        return self.rate

    def note_present(self, now: int, rtt: int) -> None:
        """
        Count the present round trip's rate as well, if half of it is over.
        """
        if now - self.since > rtt / 2:
            self.rate = self._acked / (now - self.since)
            _remember(self._rates, self.rate, MEMORY)
            self.capacity = max(self._rates)

    def note_rate(self, rate: float) -> None:
        """
        So many bytes per µs came through in a round trip.
        """
        if self._is_starved and rate < self.capacity:
            return
        self.rate = rate
        _remember(self._rates, rate, MEMORY)
        self.capacity = max(self._rates)

    def _note_variation(self, least: int) -> None:
        grown = self._grown if self._grown_count else None
        if self._before is not None:
            change = abs(least - self._before)
            if grown is not None and self._grown_before is not None:
                change = min(change, abs(grown - self._grown_before))
            self.note_change(change)
        self._before, self._grown_before = least, grown

    def _note_noise(self) -> None:
        if self._count < NOISE_SAMPLES:
            return
        spreads = self._spreads
        _remember(spreads, self.spread, MEMORY)
        if len(spreads) < MEMORY // 2:
            return
        # The growth of a queue is a spread as well, and of the first round trips one or two may have had it.
        typical = sorted(spreads)[(len(spreads) - (len(spreads) < MEMORY)) // 2]
        self.noise += (typical - self.noise) / (4 if self._is_noise_known else 1)
        self._is_noise_known = True

    def _measure_spread(self) -> float:
        if self._count < NOISE_SAMPLES:
            return 0.0
        spread = self._sum / self._count - self._least
        if self._grown_count >= NOISE_SAMPLES:
            spread = min(spread, self._grown_sum / self._grown_count - self._grown + SCAVENGER_UNEXPLAINED)
        return spread

    def note_change(self, change: float) -> None:
        """
        The standing queue changed by so much, µs.
        """
        self.changes = min(self.changes + 1, CHANGES)
        share = max(self.changes, FIRST_CHANGES) if self.is_short else CHANGES
        self.variation += (min(abs(change), SCAVENGER_MAX_VARIATION) - self.variation) / share


def _remember(values: list[Number], value: Number, most: int) -> None:
    del values[: max(len(values) - most + 1, 0)]
    values.append(value)
