"""
What do both ends of a transfer cost on a line, where packets arrive one by one?

Loopback does not show it: there a train arrives as one buffer.  Here each contender fills the bottleneck for some
seconds while a ping runs beside it, and the kernel says what it took: processor time and wake-ups of both processes.
A second experiment asks questions over the same path, alone and beside a bulk flow on the same port.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File

from benchmarks.bottleneck.path import RECEIVER, Path
from benchmarks.bottleneck.sharing import Setting
from benchmarks.child import Child
from benchmarks.contenders import NODE_MODULES, PEERS

# Seconds until the rate has been found; what went before is not counted.
SETTLE = 2.0

_ENDLESS = 1 << 45
_PEERS = 50

# IP's, UDP's and uTP's headers, and what a full packet carries.
_HEADERS, _PAYLOAD = 48, 1452 - 20


@dataclass(frozen=True)
class Cost:
    """
    What one end took, for each second.

    @ivar cpu: of one core, 1 is all of it.
    @ivar wakeups: how often it went to sleep (voluntary context switches).
    """

    cpu: float
    wakeups: float


@dataclass(frozen=True)
class Row:
    """
    What came of one contender.

    @ivar used: of the link's rate, payload that the sink's application got.
    @ivar ping: 95th percentile beside it, seconds; C{idle} is the median before.
    @ivar acks: packets that the sink sent for each that it got; 0 where it does not say.
    """

    who: str
    used: float
    source: Cost
    sink: Cost
    ping: float
    idle: float
    acks: float


@dataclass(frozen=True)
class Contender:
    """
    @ivar programs: C{serve} and what follows it; C{send}, after which come host and port, and what follows these.
    """

    name: str
    serve: tuple[str, ...]
    send: tuple[str, ...]
    environment: Mapping[str, str]


def _ours(name: str, *after: str, environment: Mapping[str, str] | None = None) -> Contender:
    return Contender(name, ("utp", "serve"), ("utp", "send", *after), environment or {"TWISTED_UTP_OFFLOAD": "1"})


def contenders(setting: Setting) -> dict[str, Contender]:
    """
    All that can be measured, by name.
    """
    packets = round(0.97 * setting.rate / 8 / (_HEADERS + _PAYLOAD))
    found = [
        _ours("ours", "1"),
        _ours("ours, plain", "1", environment={"TWISTED_UTP_OFFLOAD": "0"}),
        _ours("ours, both ways", "1", "both"),
        _ours(f"ours, {_PEERS} peers", str(_PEERS)),
        Contender("libutp", (), (), {}),
        Contender("libutp to ours", ("utp", "serve"), (), {}),
        Contender("ours to libutp", (), ("utp", "send", "1"), {}),
        Contender("Twisted TCP", ("tcp", "serve"), ("tcp", "send", "1"), {}),
        Contender("plain UDP", ("floor", "serve"), ("floor", "send", str(packets)), {}),
    ]
    return {contender.name: contender for contender in found}


NAMES = tuple(contenders(Setting()))
USUAL = ("ours", "libutp", "Twisted TCP", "plain UDP")


def run(setting: Setting, names: Sequence[str] = USUAL) -> list[Row]:
    """
    One after the other.

    @raise NotPossible: this machine does not let us.
    @raise MeasurementFailed: a program ended early.
    """
    return [_measure(setting, contenders(setting)[name]) for name in names]


def _measure(setting: Setting, who: Contender) -> Row:
    with _on_path(setting) as (path, running):
        sink, port = _serve(path, running, who)
        ping = _ping(path, running)
        time.sleep(1.0)
        began = time.monotonic()
        source = running.enter_context(_send(path, who, port))
        time.sleep(SETTLE)
        before = _Moment(source, sink)
        time.sleep(setting.seconds)
        after = _Moment(source, sink)
        acks = 0.0
        if who.serve[:1] == ("utp",):
            sink.tell("stats")
            told = sink.expect("stats")
            acks = told["sent"] / max(told["received"], 1)
        trips = _trips(ping)
    beside = [trip for sent, trip in trips if before.at <= sent <= after.at]
    return Row(
        who.name,
        (after.received - before.received) * 8 / (after.at - before.at) / setting.rate,
        before.cost_until(after, "source"),
        before.cost_until(after, "sink"),
        _quantile(beside, 0.95),
        statistics.median(trip for sent, trip in trips if sent < began),
        acks,
    )


@contextlib.contextmanager
def _on_path(setting: Setting) -> Iterator[tuple[Path, contextlib.ExitStack]]:
    with contextlib.ExitStack() as running:
        path = running.enter_context(Path(setting.delay, loss=setting.loss, jitter=setting.jitter))
        path.squeeze(setting.rate, setting.buffer)
        yield path, running


def _serve(path: Path, running: contextlib.ExitStack, who: Contender) -> tuple[Child, int]:
    if who.serve:
        kind, role, *after = who.serve
        sink = path.receiver.start(
            "benchmarks.bottleneck.wire_flow", kind, role, RECEIVER, *after, environment=who.environment
        )
    else:
        sink = _libutp(path.receiver.enter, "serve", "sink")
    running.enter_context(sink)
    port: int = sink.expect("listening")["port"]
    return sink, port


def _send(path: Path, who: Contender, port: int) -> Child:
    if not who.send:
        return _libutp(path.sender.enter, "bulk", port, _ENDLESS, 1)
    kind, role, *after = who.send
    return path.sender.start(
        "benchmarks.bottleneck.wire_flow", kind, role, RECEIVER, port, *after, environment=who.environment
    )


def _libutp(enter: Sequence[str], *words: object) -> Child:
    program = ["node", "--expose-gc", str(PEERS / "libutp_peer.js"), *map(str, words)]
    return Child([*enter, *program], {"NODE_PATH": str(NODE_MODULES), "PEER_HOST": RECEIVER})


def _ping(path: Path, running: contextlib.ExitStack) -> Child:
    echo = running.enter_context(path.receiver.start("benchmarks.bottleneck.ping", "echo", RECEIVER))
    port = echo.expect("listening")["port"]
    return running.enter_context(path.sender.start("benchmarks.bottleneck.ping", "ping", RECEIVER, port))


def _trips(ping: Child) -> list[tuple[float, float]]:
    ping.tell("series")
    return [(sent, trip) for sent, trip in ping.expect("series")["points"]]


class _Moment:
    """
    What both processes had taken by then.
    """

    def __init__(self, source: Child, sink: Child) -> None:
        self.received = sink.now()["received"]
        self.at = time.monotonic()
        self._used = {"source": _used(source.pid), "sink": _used(sink.pid)}

    def cost_until(self, later: _Moment, end: str) -> Cost:
        """
        Of one end.
        """
        seconds = later.at - self.at
        cpu, wakeups = (after - before for before, after in zip(self._used[end], later._used[end], strict=True))
        return Cost(cpu / seconds, wakeups / seconds)


def _used(pid: int) -> tuple[float, int]:
    """
    Seconds of processor time, and voluntary context switches, of all threads.
    """
    cpu, switches = 0, 0
    for task in File(f"/proc/{pid}/task").iterdir():
        cpu += int((task / "schedstat").read_text().split()[0])
        status = (task / "status").read_text()
        switches += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return cpu / 1e9, switches


@dataclass(frozen=True)
class Answers:
    """
    How long answers took, seconds.

    @ivar size: of an answer, bytes; C{beside} says that a bulk flow ran on the same port.
    """

    who: str
    size: int
    beside: bool
    count: int
    p50: float
    p95: float


SIZES = (1, 10_000)


def ask(setting: Setting, *, offload: bool = True) -> list[Answers]:
    """
    Questions of one byte, alone and beside a bulk flow.

    @raise NotPossible: this machine does not let us.
    @raise MeasurementFailed: a program ended early.
    """
    environment = {"TWISTED_UTP_OFFLOAD": "1" if offload else "0"}
    who = "ours" if offload else "ours, plain"
    found = []
    for size in SIZES:
        for beside in (0, 1):
            with _on_path(setting) as (path, running):
                _, port = _serve(path, running, Contender("", ("utp", "serve"), (), environment))
                asking = running.enter_context(
                    path.sender.start(
                        "benchmarks.bottleneck.wire_flow",
                        *("utp", "ask", RECEIVER, port, size, beside),
                        environment=environment,
                    )
                )
                asking.expect("ready")
                time.sleep(setting.seconds + (SETTLE if beside else 0))
                asking.tell("answers")
                took = asking.expect("answers")["took"]
            found.append(Answers(who, size, bool(beside), len(took), _quantile(took, 0.5), _quantile(took, 0.95)))
    return found


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] if values else float("nan")


def format_rows(rows: Sequence[Row]) -> str:
    """
    The table of costs.
    """
    head = f"{'':18} {'used':>6} {'source':>7} {'sink':>7} {'ping p95':>9} {'wake-ups/s':>14} {'acks':>5}"
    lines = [
        f"{row.who:18} {row.used:6.1%} {row.source.cpu:7.1%} {row.sink.cpu:7.1%} {row.ping * 1e3:6.1f} ms"
        f" {row.source.wakeups:7.0f}{row.sink.wakeups:7.0f} {row.acks:5.2f}"
        for row in rows
    ]
    return "\n".join([head, *lines])


def format_answers(answers: Sequence[Answers]) -> str:
    """
    The table of answers.
    """
    return "\n".join(
        f"{row.who:12} {row.size:6} bytes {'beside a flow' if row.beside else 'alone':14} "
        f"p50 {row.p50 * 1e3:6.1f} ms  p95 {row.p95 * 1e3:6.1f} ms  ({row.count})"
        for row in answers
    )
