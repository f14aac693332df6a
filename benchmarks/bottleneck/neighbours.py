"""
What do a page, a download and a call notice of uTP, and what does it have for itself?  The goals of
C{python -m twisted_utp.testing.scenarios --rows}, with the kernel's TCP in place of a model.

Each part is a run of its own, of less than 80 seconds.  The path should be long (C{--delay 25}).
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.bottleneck.claims import Claim, payload_share
from benchmarks.bottleneck.path import ETHERNET, RECEIVER, SENDER, Path
from benchmarks.bottleneck.ping import INTERVAL, SIZE
from benchmarks.bottleneck.sharing import Flow, Setting, Span
from benchmarks.bottleneck.tcp_flow import available
from benchmarks.child import Child

ENDLESS = 1 << 50
UDP_HEADERS = 20 + 8  # with IP's
HEAD_START = 6.0  # seconds for which uTP has had the line when somebody comes
PAGES = 3
OBJECTS, OBJECT, AT_ONCE = 20, 100_000, 6
WORK, KEPT = 8.0, 15.0  # seconds of work for a TCP; seconds over which its rate is compared
BACK = 3.0
SETTLE, LAST = 20.0, 20.0  # seconds before flows are watched, and for how long
STARTS = {"two": (0.0, 0.0), "late": (0.0, 10.0), "four": (0.0, 2.0, 4.0, 6.0)}

MACHINE = "; paused {pauses:.1f} times a second, {longest_pause:.0f} ms at most"
"""What each row says of the machine: one that pauses is a path that does."""

Figures = dict[str, float]


@dataclass
class Stage:
    """
    The path, and what runs on it.
    """

    setting: Setting
    path: Path
    running: contextlib.ExitStack
    series: list[Child] = field(default_factory=list)

    def start(self, where: str, module: str, *arguments: object) -> Child:
        """
        A program at C{"near"} (the sending side) or C{"far"}.
        """
        host = self.path.sender if where == "near" else self.path.receiver
        offload = {"TWISTED_UTP_OFFLOAD": "1" if self.setting.offload else "0"}
        program = host.start(f"benchmarks.bottleneck.{module}", *arguments, environment=offload)
        return self.running.enter_context(program)

    def utp(self) -> tuple[Child, Child]:
        """
        A uTP sender and its receiver.
        """
        sink = self.start("far", "utp_flow", "serve", RECEIVER)
        congestion = f":congestion={self.setting.congestion}"
        source = self.start("near", "utp_flow", "send", RECEIVER, sink.expect("listening")["port"], congestion)
        source.expect("ready")
        return source, sink

    def tcp(self, congestion: str) -> tuple[Child, Child]:
        """
        A TCP sender and its receiver.
        """
        sink = self.start("far", "tcp_flow", "serve", RECEIVER)
        port = sink.expect("listening")["port"]
        return self.start("near", "tcp_flow", "send", RECEIVER, port, congestion), sink

    def ping(self) -> Child:
        """
        A call.
        """
        echo = self.start("far", "ping", "echo", RECEIVER)
        return self.start("near", "ping", "ping", RECEIVER, echo.expect("listening")["port"])

    def sleep(self, seconds: float) -> None:
        """
        For so long; less when the lab is told to be brief (C{--seconds} below its default).
        """
        time.sleep(seconds * self.scale)

    @property
    def scale(self) -> float:
        """
        Of all times.
        """
        return min(self.setting.seconds / Setting().seconds, 1.0)

    @property
    def full(self) -> float:
        """
        Payload, bytes/s, that fills the link.
        """
        return payload_share(self.setting) * self.setting.rate / 8

    @property
    def full_beside_a_call(self) -> float:
        """
        The same, of what a call's packets leave of it: at 4 Mb/s they take 1.9 %.
        """
        call = (SIZE + UDP_HEADERS + (0 if self.setting.delay else ETHERNET)) / INTERVAL
        return payload_share(self.setting) * (self.setting.rate / 8 - call)


def flow_of(sink: Child) -> Flow:
    """
    What had come by when, on the system's clock.
    """
    sink.tell("series")
    return Flow([(when, value) for when, value in sink.expect("series")["points"]])


def trips_of(ping: Child, span: Span) -> list[float]:
    """
    Round trips of the pings of that time, ms, sorted.
    """
    ping.tell("series")
    start, end = span
    return sorted(trip * 1e3 for sent, trip in ping.expect("series")["points"] if start <= sent <= end)


def quantile(values: list[float], share: float) -> float:
    """
    Of sorted values.
    """
    return values[min(int(share * len(values)), len(values) - 1)]


def waits_of(ping: Child, idle: Span, busy: Span) -> tuple[float, float]:
    """
    What the call's packets waited in the second span longer than in the first, ms: the median, and the 95th percentile.
    """
    base = quantile(trips_of(ping, idle), 0.5)
    trips = trips_of(ping, busy)
    return quantile(trips, 0.5) - base, quantile(trips, 0.95) - base


def alone(stage: Stage) -> Figures:
    """
    uTP alone, beside a call: what is used from one second on, and what the call's packets wait.
    """
    source, sink = stage.utp()
    ping = stage.ping()
    began = time.monotonic()
    stage.sleep(2.0)
    started = time.monotonic()
    source.tell(f"start {ENDLESS}")
    stage.sleep(15.0)
    ended = time.monotonic()
    p50, p95 = waits_of(ping, (began, started), (started + 5 * stage.scale, ended))
    return {"used": flow_of(sink).rate((started + 1, ended)) / stage.full_beside_a_call, "p50": p50, "p95": p95}


def page(stage: Stage) -> Figures:
    """
    Pages without uTP, then with it.
    """
    server = stage.start("near", "page", "serve", SENDER)
    browser = stage.start("far", "page", "load", SENDER, server.expect("listening")["port"])
    browser.expect("ready")
    source, _ = stage.utp()

    def load() -> float:
        browser.tell(f"load {OBJECTS} {OBJECT} {AT_ONCE}")
        seconds: float = browser.expect("loaded")["seconds"]
        return seconds

    without = []
    for _ in range(PAGES):
        without.append(load())
        stage.sleep(1.0)
    source.tell(f"start {ENDLESS}")
    stage.sleep(HEAD_START)
    beside = []
    for number in range(PAGES):
        beside.append(load())
        stage.sleep(4.0 + 0.37 * number)
    usual = statistics.median(without)
    return {
        "ratio": statistics.fmean(beside) / usual,
        "worst": max(beside) / usual,
        "without": usual,
        "beside": statistics.fmean(beside),
    }


def download(stage: Stage, congestion: str) -> Figures:
    """
    A TCP alone, then beside uTP, for fifteen seconds' work each: when eight seconds' worth had come, and what had come
    after fifteen seconds; then how soon uTP has the line again.
    """
    tcp, tcp_sink = stage.tcp(congestion)
    source, sink = stage.utp()
    nbytes = round(stage.setting.rate / 8 * 0.95 * KEPT * stage.scale)

    def transfer() -> tuple[Flow, float, float]:
        tcp.tell(f"start {nbytes}")
        ended: float = tcp_sink.expect("received")["last"]
        started: float = tcp.expect("done")["started"]
        flow = flow_of(tcp_sink)
        return flow, started, ended

    flow, alone_start, alone_end = transfer()
    work = nbytes * WORK / KEPT
    alone_work = _when(flow, 0, work) - alone_start
    time.sleep(stage.setting.buffer + 1.0)
    source.tell(f"start {ENDLESS}")
    stage.sleep(HEAD_START)
    flow, start, end = transfer()
    stage.sleep(BACK)
    ours = flow_of(sink)
    back = ours.reaches(0.9 * stage.full, end, time.monotonic())
    over = min(KEPT * stage.scale, alone_end - alone_start)
    return {
        "ratio": (_when(flow, nbytes, work) - start) / alone_work,
        "kept": (flow.at(start + over) - nbytes) / (flow.at(alone_start + over) or 1),
        "held": ours.rate((start, end)) / stage.full,
        "regained": float("inf") if back is None else back - end,
    }


def _when(flow: Flow, since: float, nbytes: float) -> float:
    """
    When so many bytes more had come.
    """
    return next(when for when, total in flow.points if total >= since + nbytes)


def fairness(stage: Stage, starts: tuple[float, ...]) -> Figures:
    """
    uTP flows that begin at these seconds.
    """
    flows = [stage.utp() for _ in starts]
    began = time.monotonic()
    for (source, _), start in zip(flows, starts, strict=True):
        time.sleep(max(began + start * stage.scale - time.monotonic(), 0))
        source.tell(f"start {ENDLESS}")
    stage.sleep(SETTLE + LAST)
    ended = time.monotonic()
    rates = [flow_of(sink).rate((ended - LAST * stage.scale, ended - 0.2)) for _, sink in flows]
    return {
        "jain": sum(rates) ** 2 / (len(rates) * sum(rate * rate for rate in rates)),
        "first": rates[0] / sum(rates),
        "used": sum(rates) / stage.full,
    }


@dataclass(frozen=True)
class Part:
    """
    One run.

    @ivar text: a format of its figures.
    """

    title: str
    goal: str
    text: str
    run: Callable[[Stage], Figures]
    met: Callable[[Figures], bool]
    needs: str = ""


def _download(congestion: str, title: str) -> Part:
    return Part(
        f"{title}: 8 s of work / alone; kept of 15 s; regained",
        "<= 1.05; >= 95 %; <= 1 s",
        "{ratio:.2f}; {kept:.1%}; {regained:.1f} s (we held {held:.0%})",
        lambda stage: download(stage, congestion),
        lambda seen: seen["ratio"] <= 1.05 and seen["kept"] >= 0.95 and seen["regained"] <= 1,
        needs=congestion,
    )


def _fairness(name: str, title: str) -> Part:
    return Part(
        f"{title}: Jain",
        ">= 0.95",
        "{jain:.3f} (first {first:.0%}, used {used:.1%})",
        lambda stage: fairness(stage, STARTS[name]),
        lambda seen: seen["jain"] >= 0.95,
    )


PARTS = {
    "alone": Part(
        "alone: used from 1 s on; a call's packets wait, p50 / p95",
        ">= 98 %; <= 8 / 15 ms",
        "{used:.1%}; {p50:.0f} / {p95:.0f} ms",
        alone,
        lambda seen: seen["used"] >= 0.98 and seen["p50"] <= 8 and seen["p95"] <= 15,
    ),
    "page": Part(
        "page of 20 x 100 kB, 6 at a time, beside / without",
        "<= 1.10",
        "{ratio:.2f} (worst {worst:.2f}; without {without:.2f} s)",
        page,
        lambda seen: seen["ratio"] <= 1.10,
    ),
    "cubic": _download("cubic", "CUBIC"),
    "bbr": _download("bbr", "BBR"),
    "reno": _download("reno", "Reno"),
    "two": _fairness("two", "two flows"),
    "late": _fairness("late", "a latecomer after 10 s"),
    "four": _fairness("four", "four flows"),
}


def run(setting: Setting, names: list[str]) -> Iterator[tuple[Claim, Figures]]:
    """
    These parts, one after the other.

    @raise NotPossible: this machine does not let us.
    @raise MeasurementFailed: a program ended early.
    """
    for name in names:
        part = PARTS[name]
        if part.needs and part.needs not in available():
            yield Claim(part.title, part.goal, f"not measured: this kernel has no {part.needs}", None), {}
            continue
        with contextlib.ExitStack() as running:
            path = running.enter_context(Path(setting.delay))
            path.squeeze(setting.rate, setting.buffer)
            pauses = running.enter_context(Child([sys.executable, "-m", "benchmarks.bottleneck.pauses"]))
            seen = part.run(Stage(setting, path, running))
            seen.update(_pauses(pauses))
        yield Claim(part.title, part.goal, (part.text + MACHINE).format(**seen), part.met(seen)), seen


def _pauses(child: Child) -> Figures:
    child.tell("pauses")
    seen = child.expect("pauses")
    return {"pauses": seen["per_second"], "longest_pause": seen["longest"] * 1e3}
