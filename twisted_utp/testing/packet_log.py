"""
Records which packets were sent, when, and what they said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from twisted_utp.testing.link import Link
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.wire import Header, decode_or_none

Matches = Callable[[Header], bool]
"""Is it this packet?"""


class LogEntry(NamedTuple):
    """
    One packet.

    @ivar time: when it was sent, µs of the simulator's clock.
    @ivar direction: the name of the link, as given to L{PacketLog.watch}.
    @ivar data: its bytes.
    """

    time: int
    direction: str
    data: bytes

    @property
    def header(self) -> Header | None:
        """
        What it says; L{None} when it is not uTP.
        """
        return decode_or_none(self.data)

    def __str__(self) -> str:
        header = self.header
        return f"{self.time:>13} {self.direction:<6} {header if header is not None else self.data[:16].hex()}"


class PacketLog:
    """
    All packets sent on the links that it watches, in order, also those that get lost later.
    """

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []
        self.enabled = True

    def watch(self, link: Link, direction: str) -> None:
        """
        Log what is sent on C{link} under the name C{direction}.
        """

        def note(packet: Packet) -> bool:
            if self.enabled:
                self.entries.append(LogEntry(link.simulator.now, direction, packet.data))
            return False

        link.taps.insert(0, note)

    def select(self, direction: str | None = None, *types: int, since: int = 0) -> list[Header]:
        """
        The uTP packets of one direction (or both) and of some types (or all), from C{since} µs on.
        """
        return [header for _, header in self.timed(direction, *types, since=since)]

    def timed(self, direction: str | None = None, *types: int, since: int = 0) -> Iterator[tuple[int, Header]]:
        """
        As L{select}, with the time of each.
        """
        for entry in self.entries:
            if entry.time < since or direction not in (None, entry.direction):
                continue
            header = entry.header
            if header is not None and (not types or header.type in types):
                yield entry.time, header

    def __str__(self) -> str:
        return "\n".join(str(entry) for entry in self.entries)


class Filter:
    """
    Takes packets off a link: drops them, or captures them for a later release.

    @ivar taken: the packets that it took.
    """

    def __init__(self, link: Link, matches: Matches, *, first: int = 1, count: int | None = 1) -> None:
        """
        @param matches: which packets it is about.
        @param first: the number of the first one to take, from 1.
        @param count: how many to take; L{None} takes all that follow.
        """
        self.link = link
        self.matches = matches
        self.seen = 0
        self.taken: list[Packet] = []
        self._first = first
        self._count = count
        link.taps.append(self._tap)

    def remove(self) -> None:
        """
        Take no more.
        """
        if self._tap in self.link.taps:
            self.link.taps.remove(self._tap)

    def release(self) -> None:
        """
        Take no more, and let go what was taken.
        """
        self.remove()
        packets, self.taken = self.taken, []
        if packets:
            self.link.send(packets)

    def _tap(self, packet: Packet) -> bool:
        header = decode_or_none(packet.data)
        if header is None or not self.matches(header):
            return False
        self.seen += 1
        if self.seen < self._first or (self._count is not None and len(self.taken) >= self._count):
            return False
        self.taken.append(packet)
        return True
