"""
How large a datagram may be on this path (RFC 8899, Datagram PLPMTUD).

The search starts with what every path carries, so nothing ever waits for a size to be found.  Probes are ordinary DATA
packets whose payload fits the size that is known to work, made longer by padding: when a probe is lost its payload is
sent again without the padding, and the seq_nr that it took is no trouble.  (libutp and libtorrent probe with real
data, and a probe that gets lost stays too large for ever.)
"""

from __future__ import annotations

from twisted_utp.proto.constants import (
    INITIAL_RTO,
    MAX_MTU_PROBES,
    MTU_RAISE_INTERVAL,
    MTU_SEARCH_STOP,
    PREFERRED_MTU,
)


class PathMtu:
    """
    What the connections with one host know together.

    @ivar size: the largest size that any of them knows to arrive, 0 for none.
    @ivar bound: the largest that has not failed, 0 when the search has not ended, and C{raise_at} when to try larger
        ones again, µs.
    @ivar known_until: when all of this is too old to start with, µs.
    @ivar min_rtt: the shortest round trip of any of them, µs, 0 for none.
    @ivar latest_rtt: the last round trip that any of them has measured, µs, and C{measured_at} when.
    @ivar acked_bytes: payload bytes of theirs that have been acknowledged so far.
    @ivar paced_bytes: payload bytes that those whose packets are paced have sent so far.
    """

    __slots__ = (
        "acked_bytes", "bound", "known_until", "latest_rtt", "measured_at", "min_rtt", "paced_bytes", "raise_at",
        "size",
    )  # fmt: skip

    def __init__(self, known_until: int) -> None:
        self.known_until = known_until
        self.size = self.bound = self.raise_at = self.min_rtt = self.paced_bytes = self.acked_bytes = 0
        self.latest_rtt = self.measured_at = 0

    def shortest_round_trip(self, rtt: int) -> int:
        """
        The shortest that any of them has measured, µs, 0 for none.

        @param rtt: that of the one who asks, 0 for none.
        """
        if rtt and not 0 < self.min_rtt <= rtt:
            self.min_rtt = rtt
        return self.min_rtt

    def on_round_trip(self, rtt: int, now: int) -> None:
        """
        One of them has measured C{rtt}, µs.
        """
        self.latest_rtt, self.measured_at = rtt, now

    def late_by(self, smoothed: int, heard_at: int) -> int:
        """
        Do others with that host wait much longer for their answers than one that was last answered at C{heard_at}
        remembers?  The host has more to do since.

        @param smoothed: the round trip that it expects, µs.
        @return: how long it had better wait, µs: two of their round trips, but no longer than who knows nothing of the
            path would; 0 when they are as it expects.
        """
        if self.measured_at <= heard_at or self.latest_rtt <= 2 * smoothed:
            return 0
        return min(2 * self.latest_rtt, INITIAL_RTO)

    def forget(self) -> None:
        """
        It is not true any more.
        """
        self.size = self.bound = self.raise_at = 0


class MtuDiscovery:
    """
    The search on one connection.  Sizes are UDP payloads in bytes.

    @ivar size: the largest size known to arrive.
    @ivar probing: the size of the probe that is out, 0 when none is.
    @ivar path: what is known from others, and is told what this search finds.
    """

    __slots__ = ("_base", "_bound", "_bound_is_reported", "_limit", "_losses", "_raise_at", "path", "probing", "size")

    def __init__(self, *, base: int, limit: int, path: PathMtu | None = None) -> None:
        """
        @param base: what surely arrives.
        @param limit: what the interface carries; the same as C{base} for no search.
        @param path: what is known from others, and is told what this search finds.  No packet is as large without a
            probe of its own: were the path narrower now, it could not be sent again in smaller ones.
        """
        self.path = path = PathMtu(0) if path is None else path
        self._base = base
        self.size = base
        self._limit = limit
        self._bound = limit  # the largest size that has not failed
        self._bound_is_reported = False  # a router named it
        self._losses = 0
        self._raise_at = 0
        self.probing = 0

    def next_probe(self, now: int) -> int:
        """
        The size to try next, 0 when there is nothing to try now.
        """
        if self.probing:
            return 0
        if self.size < self.path.size <= self._bound:
            return self.path.size
        if self._bound - self.size <= MTU_SEARCH_STOP:
            if not self._raise_at or now < self._raise_at or self._limit - self.size <= MTU_SEARCH_STOP:
                return 0
            self._bound, self._raise_at = self._limit, 0  # the path may have become wider
            self._bound_is_reported = False
        if self._bound_is_reported:
            return self._bound
        if self.size < PREFERRED_MTU <= self._bound:
            return PREFERRED_MTU
        if self._bound == self._limit:
            return self._limit
        return (self.size + self._bound + 1) // 2

    def on_sent(self, size: int) -> None:
        """
        A probe has left.
        """
        self.probing = size

    def on_acked(self, size: int, now: int) -> bool:
        """
        A probe has arrived.

        @return: packets may be larger from now on.
        """
        self.probing = self._losses = 0
        if size <= self.size:
            return False
        self.size = size
        if size < self.path.size:
            return True
        if size == self.path.size and self.path.bound:
            # What others could not get through is believed at once only where little is to be gained: somebody behind
            # the same address, who acknowledges no large probe, would make everybody's packets small.
            if size >= PREFERRED_MTU:
                self._believe_bound()
            return True
        if size > self.path.bound:
            self.path.bound = self.path.raise_at = 0
        self.path.size = size
        self._finish(now)
        return True

    def on_lost(self, size: int, now: int) -> None:
        """
        A probe was lost while packets sent after it arrived.  That is no congestion (RFC 8899 (3), 7), and maybe
        chance: only repeated loss says that the size is too large.
        """
        self.probing = 0
        self._losses += 1
        if self._losses >= MAX_MTU_PROBES:
            self._losses = 0
            if size == self.path.size:
                self.path.forget()  # it was so; or two hosts share that address, and each finds out for itself
            self._lower_bound_to(size - 1)
            if self.size == self.path.size and 0 < self.path.bound <= self._bound:
                self._believe_bound()
            self._finish(now)

    def on_too_big(self, size: int, reported: int, now: int) -> bool:
        """
        A packet came back: a router, or our own interface, could not pass it on.  That is as good as lost probes, and
        what they say about the size that would have got through is worth trying next (RFC 8899 (4.6.2)).

        @param size: the packet's.
        @param reported: that would have got through, see L{is_plausible}; 0 when nobody says.
        @return: packets must be smaller from now on.
        """
        self.probing = self._losses = 0
        is_smaller = 0 < reported < self.size
        if is_smaller:
            self.size = self.path.size = reported
        self._lower_bound_to(reported or size - 1)
        self._bound_is_reported = bool(reported)
        self._finish(now)
        return is_smaller

    def is_plausible(self, size: int, reported: int) -> bool:
        """
        Can a packet of C{size} bytes have come back because only C{reported} get through?

        Not if it would have fitted, nor if what every path must carry would not (RFC 8201 (4), RFC 5927 (7.2)); and
        that a size which is known to arrive does not any more takes a better reason than a message that names none.
        """
        if not reported:
            return size > self.size
        return self._base <= reported < size

    def on_inconclusive(self) -> None:
        """
        The probe was lost together with everything else.
        """
        self.probing = 0

    def on_black_hole(self, now: int) -> bool:
        """
        Full-size packets are not acknowledged any more, however often they are sent: go back to what surely
        arrives, and search anew (RFC 8899 (4.3)).

        @return: packets must be smaller from now on.
        """
        self.path.forget()
        if self.size == self._base:
            return False
        self.size = self._base
        self._bound, self._losses, self._raise_at, self.probing = self._limit, 0, 0, 0
        self._bound_is_reported = False
        return True

    def _believe_bound(self) -> None:
        self._bound, self._raise_at = max(self.path.bound, self.size), self.path.raise_at

    def _lower_bound_to(self, size: int) -> None:
        self._bound = max(min(self._bound, size), self.size)
        self._bound_is_reported = False

    def _finish(self, now: int) -> None:
        if self._bound - self.size <= MTU_SEARCH_STOP:
            self._raise_at = self.path.raise_at = now + MTU_RAISE_INTERVAL
            self.path.bound = self._bound
