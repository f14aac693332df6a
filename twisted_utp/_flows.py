"""
Reads what a trace has that can be drawn.

A L{Flow} is one connection's trace as series over time: seconds on the wall clock, bytes, and seconds of delay.
"""

from __future__ import annotations

import itertools
import math
import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from twisted_utp.qlog import NAMESPACE, read_records

Point = tuple[float, float]

# So many round trips without a packet from the peer are a gap in what is measured by its packets: half a round trip of
# silence is usual, a delayed acknowledgement or one lost packet makes it two.
_GAP_ROUND_TRIPS = 4

# Of metrics_updated, and what makes them bytes, bytes per second or seconds.
_METRICS = {
    "congestion_window": 1.0,
    "bytes_in_flight": 1.0,
    "queuing_delay": 1e-3,
    "latest_rtt": 1e-3,
    "smoothed_rtt": 1e-3,
    "min_rtt": 1e-3,
}


class NotATrace(Exception):
    """
    The file has nothing that could be drawn; says why.
    """


@dataclass
class Flow:
    """
    What happened to one connection.

    @ivar label: whose it is, for the legend.
    @ivar target_delay: seconds of queueing delay that were aimed for, if any were.
    @ivar sent: time and payload bytes of what left, repetitions included.
    @ivar acked: likewise of what was acknowledged, and C{received} of what came.
    @ivar metrics: by name, time and value wherever it changed.
    @ivar measured_until: time of the last metrics.
    @ivar heard: times at which something came from the peer.
    @ivar marks: by cause, time and number of packets: of losses, of repetitions and of timeouts.
    """

    label: str = ""
    target_delay: float | None = None
    sent: list[Point] = field(default_factory=list)
    acked: list[Point] = field(default_factory=list)
    received: list[Point] = field(default_factory=list)
    metrics: dict[str, list[Point]] = field(default_factory=dict)
    marks: dict[str, list[Point]] = field(default_factory=dict)
    first: float = 0.0
    last: float = 0.0
    measured_until: float = 0.0
    heard: list[float] = field(default_factory=list)

    def note(self, time: float, event: str, data: dict[str, Any]) -> None:
        """
        Take an event in.
        """
        self.last = time
        if event in ("packet_received", "packets_acked"):
            self.heard.append(time)
        if event == "packet_sent":
            self._note_sent(time, data)
        elif event == "packet_received":
            if data["bytes"]:
                self.received.append((time, data["bytes"]))
        elif event == "packets_acked":
            self.acked.append((time, data["bytes"]))
        elif event == "metrics_updated":
            self.measured_until = time
            for name, factor in _METRICS.items():
                value = data.get(name)
                if value is not None:
                    self.metrics.setdefault(name, []).append((time, value * factor))
        elif event == "packet_lost":
            self._mark(f"lost: {data['trigger'].replace('_', ' ')}", time, data["count"])
        elif event == "timeout":
            self._mark(f"timer: {data['kind'].replace('_', ' ')}", time, 1)
        elif event == "connection_started":
            self.target_delay = data["target_delay"] / 1000
            self.label = f"{data['role']} of {data['peer_host']}:{data['peer_port']}, {data['congestion']}"

    def gaps(self, shortest: float) -> list[tuple[float, float]]:
        """
        When nothing came from the peer: an outage, or nobody had anything to say.  Nothing is known of delays then.

        @param shortest: seconds; anything shorter would not be seen, or is no longer than a few round trips.
        """
        trips = [value for _, value in self.metrics.get("smoothed_rtt", [])]
        least = max(shortest, _GAP_ROUND_TRIPS * statistics.median(trips)) if trips else shortest
        times = [*self.heard, self.last]
        return [(before, after) for before, after in itertools.pairwise(times) if after - before > least]

    def _note_sent(self, time: float, data: dict[str, Any]) -> None:
        if data["bytes"]:
            self.sent.append((time, data["bytes"]))
        if data["is_retransmission"]:
            self._mark("sent again", time, data["count"])

    def _mark(self, cause: str, time: float, packets: int) -> None:
        self.marks.setdefault(cause, []).append((time, packets))


def read_flow(path: str | os.PathLike[str]) -> Flow:
    """
    Read a trace.

    @raise NotATrace: when it is none, or nothing has happened in it.
    @raise OSError: when it cannot be read.
    """
    records = read_records(path)
    header = next(records, None)
    try:
        common = header["trace"]["common_fields"] if header is not None else {}
        reference = float(common["reference_time"]) / 1000
    except (KeyError, TypeError, ValueError):
        raise NotATrace("not a qlog trace of a uTP connection") from None
    flow = Flow(first=reference, last=reference)
    prefix = f"{NAMESPACE}:"
    try:
        for record in records:
            name = record["name"]
            if name.startswith(prefix):
                flow.note(reference + record["time"] / 1000, name[len(prefix) :], record["data"])
    except (AttributeError, KeyError, TypeError) as error:
        raise NotATrace(f"a record that does not match docs/qlog.rst: {error!r}") from None
    if flow.last == flow.first and not flow.sent:
        raise NotATrace("it has no events")
    return flow


def broken(points: Iterable[Point], gaps: Iterable[tuple[float, float]]) -> list[Point]:
    """
    A curve of steps that ends where a gap begins, and goes on after it with the value that holds then.

    @return: the points; a value that is not a number breaks the line.
    """
    kept: list[Point] = []
    waiting = sorted(points)[::-1]
    for start, end in gaps:
        while waiting and waiting[-1][0] <= start:
            kept.append(waiting.pop())
        value = kept[-1][1] if kept else math.nan
        kept += [(start, value), (start, math.nan)]
        while waiting and waiting[-1][0] < end:
            value = waiting.pop()[1]
        if not waiting or waiting[-1][0] > end:
            kept.append((end, value))
    return kept + waiting[::-1]


def rates(points: Iterable[Point], start: float, end: float, width: float) -> list[Point]:
    """
    Bytes per second in consecutive intervals of equal length.

    @param width: about how long, seconds.
    @return: C{(time, rate)} at the middle of each.
    """
    sums = [0.0] * max(round((end - start) / width), 1)
    width = max((end - start) / len(sums), 1e-6)
    for time, nbytes in points:
        sums[min(int((time - start) / width), len(sums) - 1)] += nbytes
    return [(start + (index + 0.5) * width, nbytes / width) for index, nbytes in enumerate(sums)]


def thinned(points: list[Point], width: float) -> list[Point]:
    """
    Far fewer points that look the same: of each interval of C{width} seconds the first, the last and the extremes.
    """
    kept: list[Point] = []
    index = 0
    while index < len(points):
        end = points[index][0] + width
        stop = index
        while stop < len(points) and points[stop][0] < end:
            stop += 1
        stop = max(stop, index + 1)
        group = range(index, stop)
        keep = {index, stop - 1, min(group, key=lambda at: points[at][1]), max(group, key=lambda at: points[at][1])}
        kept += [points[at] for at in sorted(keep)]
        index = stop
    return kept
