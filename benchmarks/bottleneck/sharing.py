"""
Who gets what of a bottleneck, and how long does a ping take meanwhile?

One run: nothing, then uTP alone, then kernel TCP (CUBIC) joins it, ends, uTP has the link again; then the same TCP
transfer alone.  A ping runs all the time.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.bottleneck.path import RECEIVER, Path
from benchmarks.bottleneck.series import Point
from benchmarks.child import Child
from twisted_utp.proto.config import UTPConfig

Span = tuple[float, float]

# More than any run sends; it is stopped.
_ENDLESS = 1 << 50

# Of the link, for TCP's transfer to take about as long as was asked for.
_ABOUT_PAYLOAD = 0.95

# How long the others wait for uTP's and TCP's last bytes.
_EMPTY = 1.0


@dataclass(frozen=True)
class Setting:
    """
    @ivar rate: of the bottleneck, bit/s.
    @ivar buffer: of the bottleneck, seconds.
    @ivar delay: of the path in each direction, seconds.
    @ivar seconds: that TCP's transfer takes, about.
    @ivar congestion: uTP's controller.
    @ivar offload: uTP with the kernel's help for trains of packets.
    @ivar loss: part of the packets that are lost on the way, in each direction; C{jitter} seconds that a packet takes
        longer than another at most, without overtaking it.  Both need a C{delay}.
    """

    rate: float = 20e6
    buffer: float = 0.5
    delay: float = 0.0
    seconds: float = 30.0
    congestion: str = UTPConfig().congestion
    offload: bool = True
    loss: float = 0.0
    jitter: float = 0.0


@dataclass
class Flow:
    """
    Bytes that had come, by when.
    """

    points: Sequence[Point]

    def rate(self, span: Span) -> float:
        """
        Bytes/s in that time.
        """
        return (self.at(span[1]) - self.at(span[0])) / (span[1] - span[0])

    def at(self, when: float) -> float:
        """
        How many by then.
        """
        index = bisect_right(self.points, (when, float("inf")))
        return self.points[index - 1][1] if index else 0.0

    def reaches(self, rate: float, since: float, until: float, over: float = 0.25) -> float | None:
        """
        From when on it had that rate, for at least so long.
        """
        start = bisect_left(self.points, (since, 0.0))
        moments = [since, *(when for when, _ in self.points[start:])]
        return next((when for when in moments if when + over <= until and self.rate((when, when + over)) >= rate), None)


@dataclass
class Seen:
    """
    What happened.  Times are seconds from the beginning.

    @ivar spans: from when to when what went on: C{idle}, C{utp}, C{both}, C{back}, C{tcp}.
    @ivar pings: the round trips by when they were sent, in seconds; C{lost} those that never came back.
    @ivar stats: the uTP sender's counters at its end.
    """

    setting: Setting
    utp: Flow
    tcp: Flow
    pings: Sequence[Point]
    lost: Sequence[float]
    spans: dict[str, Span]
    stats: dict[str, float] = field(default_factory=dict)

    def ping(self, span: str, quantile: float = 0.5, settle: float = 0.0) -> float:
        """
        The round trip that this part of the pings had at most, seconds.

        @param settle: this part of the span does not count.
        """
        start, end = self.spans[span]
        start += (end - start) * settle
        trips = sorted(trip for sent, trip in self.pings if start <= sent <= end)
        if len(trips) < 2:
            return float("nan")
        return trips[-1] if quantile >= 1 else statistics.quantiles(trips, n=100)[round(quantile * 100) - 1]


class _Programs:
    """
    Everything that runs on the path.
    """

    def __init__(self, path: Path, setting: Setting, running: contextlib.ExitStack) -> None:
        def start(where: str, module: str, *arguments: object, environment: dict[str, str] | None = None) -> Child:
            host = path.sender if where == "sender" else path.receiver
            program = host.start(f"benchmarks.bottleneck.{module}", *arguments, environment=environment)
            return running.enter_context(program)

        offload = {"TWISTED_UTP_OFFLOAD": "1" if setting.offload else "0"}
        echo = start("receiver", "ping", "echo", RECEIVER)
        self.utp_sink = start("receiver", "utp_flow", "serve", RECEIVER, environment=offload)
        self.tcp_sink = start("receiver", "tcp_flow", "serve", RECEIVER)
        echo_port, utp_port, tcp_port = (
            program.expect("listening")["port"] for program in (echo, self.utp_sink, self.tcp_sink)
        )
        congestion = f":congestion={setting.congestion}"
        self.utp = start("sender", "utp_flow", "send", RECEIVER, utp_port, congestion, environment=offload)
        self.tcp = start("sender", "tcp_flow", "send", RECEIVER, tcp_port)
        self.utp.expect("ready")
        self.ping = start("sender", "ping", "ping", RECEIVER, echo_port)

    def transfer_by_tcp(self, nbytes: int) -> Span:
        """
        @return: from the first packet to the last byte's arrival.
        """
        self.start_tcp(nbytes)
        return self.end_of_tcp()

    def start_tcp(self, nbytes: int) -> None:
        """
        Begin.
        """
        self.tcp.tell(f"start {nbytes}")

    def end_of_tcp(self) -> Span:
        """
        Wait for it.
        """
        ended: float = self.tcp_sink.expect("received")["last"]
        return self.tcp.expect("done")["started"], ended


def run(setting: Setting) -> Seen:
    """
    The whole run.

    @raise NotPossible: this machine does not let us.
    @raise MeasurementFailed: a program ended early.
    """
    nbytes = _transfer(setting)
    marks: dict[str, Span] = {}
    with _ready(setting) as programs:
        began = time.monotonic()
        time.sleep(min(2.0, setting.seconds / 4))
        marks["idle"] = began, time.monotonic()
        programs.utp.tell(f"start {_ENDLESS}")
        started = time.monotonic()
        time.sleep(setting.seconds)
        marks["both"] = programs.transfer_by_tcp(nbytes)
        marks["utp"] = started, marks["both"][0]
        time.sleep(max(setting.seconds / 4, 1.5))
        marks["back"] = marks["both"][1], time.monotonic()
        programs.utp.tell("stop")
        stats = programs.utp.expect("done")["stats"]
        programs.utp_sink.expect("received")
        time.sleep(_EMPTY)
        marks["tcp"] = programs.transfer_by_tcp(nbytes)
        time.sleep(setting.buffer + 2 * setting.delay)
        return _gather(setting, programs, began, marks, stats)


def run_late(setting: Setting) -> Seen:
    """
    The other way round: uTP joins when TCP has run for a third of its time, and may take TCP's queue for the path.

    @return: what happened, with the spans C{tcp} and C{both} only.
    @raise NotPossible: this machine does not let us.
    @raise MeasurementFailed: a program ended early.
    """
    with _ready(setting) as programs:
        began = time.monotonic()
        programs.start_tcp(_transfer(setting))
        time.sleep(setting.seconds / 3)
        programs.utp.tell(f"start {_ENDLESS}")
        joined = time.monotonic()
        tcp = programs.end_of_tcp()
        return _gather(setting, programs, began, {"tcp": (tcp[0], joined), "both": (joined, tcp[1])}, {})


def _transfer(setting: Setting) -> int:
    """
    TCP's, in bytes.
    """
    return round(setting.rate / 8 * _ABOUT_PAYLOAD * setting.seconds)


@contextlib.contextmanager
def _ready(setting: Setting) -> Iterator[_Programs]:
    with contextlib.ExitStack() as running:
        path = running.enter_context(Path(setting.delay))
        path.squeeze(setting.rate, setting.buffer)
        yield _Programs(path, setting, running)


def _gather(
    setting: Setting, programs: _Programs, began: float, marks: dict[str, Span], stats: dict[str, float]
) -> Seen:
    series = []
    for program in (programs.utp_sink, programs.tcp_sink, programs.ping):
        program.tell("series")
        series.append(program.expect("series"))
    utp, tcp, pings = ([(when - began, value) for when, value in told["points"]] for told in series)
    spans = {name: (start - began, end - began) for name, (start, end) in marks.items()}
    lost = [sent - began for sent in series[2]["lost"]]
    return Seen(setting, Flow(utp), Flow(tcp), pings, lost, spans, stats)
