"""
What do a page, a download and a call notice?
"""

from __future__ import annotations

from functools import partial

from twisted_utp.testing.call import Call
from twisted_utp.testing.meter import Meter
from twisted_utp.testing.page import Page
from twisted_utp.testing.scenarios.neighbour.alone import alone
from twisted_utp.testing.scenarios.neighbour.line import USUAL, Line, page_seconds, tcp_bytes, tcp_seconds
from twisted_utp.testing.scenarios.neighbour.rows import Figures, Row
from twisted_utp.testing.simulator import MILLISECOND, SECOND
from twisted_utp.testing.topology import Dumbbell

HEAD_START = 8.0
"""Seconds for which the controller has the line before anybody comes."""

PAUSES = (5.0, 5.37, 5.74)
"""Seconds after each page: no multiple of one another, so that pages meet the flow in other states."""

LONGEST_WAIT = 5.0
"""Seconds in which the line should be regained."""

FULL_AGAIN = 0.9

WINDOWS = {"bbr": "bbr", "cubic": "linux-cubic", "reno": "reno"}


def page(controller: str, line: Line = USUAL, pages: int = 3, head: float = HEAD_START) -> Figures:
    """
    Pages, one after the other: how much longer they take than without us, on average, and what we hold meanwhile.
    """
    dumbbell = line.open(controller)
    flow = dumbbell.add_flow(line.microseconds)
    dumbbell.run_for(head)
    times, held = [], []
    for pause in PAUSES[:pages]:
        before = flow.received
        times.append(_load(dumbbell, line))
        held.append((flow.received - before) / times[-1] / line.bytes_per_second)
        dumbbell.run_for(pause)
    alone = page_seconds(line)
    return {
        "ratio": sum(times) / len(times) / alone,
        "worst": max(times) / alone,
        "alone": alone,
        "held": sum(held) / len(held),
    }


def _load(dumbbell: Dumbbell, line: Line) -> float:
    one = Page(dumbbell, line.microseconds)
    dumbbell.simulator.run(lambda: one.done, limit=600 * SECOND)
    return one.seconds


def completion(
    controller: str, window: str = "cubic", line: Line = USUAL, seconds: float = 8, head: float = HEAD_START
) -> Figures:
    """
    So many seconds of work for a TCP: how much longer it takes, what share of the line we hold, and how soon we have
    it again.
    """
    nbytes = round(line.rate * 1e6 / 8 * seconds)
    alone = tcp_seconds(line, WINDOWS[window], nbytes)
    dumbbell = line.open(controller)
    flow = dumbbell.add_flow(line.microseconds)
    dumbbell.run_for(head)
    tcp = dumbbell.add_tcp(line.microseconds, nbytes=nbytes, window=WINDOWS[window])
    meter = Meter(dumbbell.simulator, lambda: flow.received, interval=25 * MILLISECOND)
    dumbbell.simulator.run(lambda: tcp.done)
    end = tcp.seconds
    dumbbell.run_for(LONGEST_WAIT)
    back = meter.reaches(FULL_AGAIN * line.bytes_per_second, over=0.25, since=end)
    return {
        "ratio": end / alone,
        "held": meter.rate(0, end) / line.bytes_per_second,
        "regained": float("inf") if back is None else max(back - 0.25 - end, 0.0),
    }


def kept(
    controller: str, window: str = "cubic", line: Line = USUAL, seconds: float = 15, head: float = HEAD_START
) -> float:
    """
    What a TCP brings beside us, as a share of what it brings alone.
    """
    dumbbell = line.open(controller)
    dumbbell.add_flow(line.microseconds)
    dumbbell.run_for(head)
    tcp = dumbbell.add_tcp(line.microseconds, window=WINDOWS[window])
    dumbbell.run_for(seconds)
    return tcp.received / tcp_bytes(line, WINDOWS[window], seconds)


def download(controller: str, window: str = "cubic", line: Line = USUAL, seconds: float = 8) -> Figures:
    """
    L{completion} and L{kept}.
    """
    return {
        **completion(controller, window, line, seconds),
        "kept": kept(controller, window, line, seconds * 15 / 8),
    }


def both(controller: str, line: Line = USUAL) -> Figures:
    """
    A page and a download by CUBIC on another line than usual, and the line alone.
    """
    settled = 1 + 15 * line.rtt / 1000
    quiet = alone(controller, line, seconds=settled + 15, since=settled)
    loaded = page(controller, line, pages=2)
    loading = completion(controller, "cubic", line)
    return {"used": quiet["used"], "p95": quiet["p95"], "page": loaded["ratio"], "ratio": loading["ratio"]}


def call(controller: str, line: Line = USUAL, seconds: float = 30, head: float = HEAD_START) -> Figures:
    """
    What we add to a call's round trips, ms.
    """
    dumbbell = line.open(controller)
    dumbbell.add_flow(line.microseconds)
    talk = Call(dumbbell, line.microseconds)
    dumbbell.run_for(seconds)
    p50, p95 = (talk.percentile(share, head) - line.rtt for share in (0.5, 0.95))
    return {"p50": p50, "p95": p95}


ROWS = [
    Row(
        "page",
        "page of 20 x 100 kB, 6 at a time, beside it / without",
        "<= 1.10",
        page,
        "{ratio:.2f} (worst {worst:.2f})",
        lambda seen, _: seen["ratio"] <= 1.10,
    ),
    *[
        Row(
            window,
            f"{title}: 8 s of work / alone; kept of 15 s",
            "<= 1.05; >= 95 %",
            partial(download, window=window),
            "{ratio:.2f}; {kept:.1%}",
            lambda seen, _: seen["ratio"] <= 1.05 and seen["kept"] >= 0.95,
        )
        for window, title in (("cubic", "CUBIC"), ("bbr", "BBR"), ("reno", "Reno"))
    ],
    Row("call", "a call, p95 added", "<= 15 ms", call, "{p95:.0f} ms", lambda seen, _: seen["p95"] <= 15),
    Row(
        "regain",
        "regains 90 % of the line after CUBIC",
        "<= 1 s",
        completion,
        "{regained:.2f} s",
        lambda seen, _: seen["regained"] <= 1,
    ),
]
