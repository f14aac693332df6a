"""
Is the path's MTU found, and does every byte arrive, when a link in the middle carries only 1280 bytes?

The link is as narrow from the start, or becomes so in the middle of a transfer; the router says so (ICMP), or something
keeps it from saying so.  In the middle our packets may be cut, so that a router has nothing to say about them; but a
TCP connection beside ours makes it say so, and the kernel heeds that for all sockets that do not ask it not to.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.bottleneck.path import RECEIVER, Path
from benchmarks.bottleneck.series import Point

NARROW = 1280  # what IPv6 asks of every link (RFC 8200 (5))

_A_FEW_PACKETS = 20_000

# IPv4's header and UDP's.
HEADERS = 28


@dataclass(frozen=True)
class Case:
    """
    @ivar says_so: the router sends ICMP messages.
    @ivar late: the link becomes narrow in the middle.
    @ivar beside: a short TCP transfer follows that.
    """

    name: str
    says_so: bool
    late: bool
    beside: bool = False
    offload: bool = True


CASES = (
    Case("ICMP", says_so=True, late=False),
    Case("ICMP blocked", says_so=False, late=False),
    Case("becomes narrow, ICMP blocked", says_so=False, late=True),
    Case("becomes narrow, ICMP for TCP beside", says_so=True, late=True, beside=True),
)


@dataclass
class Passage:
    """
    What became of a transfer.

    @ivar exact: every byte arrived as it was sent.
    @ivar longest_silence: seconds in which no byte came.
    @ivar datagram: the UDP payload of full packets at the end, bytes.
    @ivar icmp: messages that the sender had; C{too_long} is how many packets the router turned away, C{fragments} how
        many pieces others were cut into.
    """

    exact: bool
    seconds: float
    longest_silence: float
    datagram: int
    icmp: int
    too_long: int
    fragments: int
    stats: dict[str, float]


def run(case: Case, rate: float, seconds: float) -> Passage:
    """
    Send for about so long.

    @param rate: of the bottleneck, bit/s.
    @raise NotPossible: this machine does not let us.
    @raise MeasurementFailed: it stalled.
    """
    nbytes = round(rate / 8 * 0.93 * seconds)
    offload = {"TWISTED_UTP_OFFLOAD": "1" if case.offload else "0"}
    with contextlib.ExitStack() as running:
        path = running.enter_context(Path())
        path.squeeze(rate, buffer=0.5)
        if not case.says_so:
            path.silence_router()
        if not case.late:
            path.narrow(NARROW)
        module = "benchmarks.bottleneck.utp_flow"
        sink = running.enter_context(path.receiver.start(module, "serve", RECEIVER, environment=offload))
        port = sink.expect("listening")["port"]
        source = running.enter_context(path.sender.start(module, "send", RECEIVER, port, environment=offload))
        source.expect("ready")
        source.tell(f"start {nbytes}")
        if case.late:
            time.sleep(seconds / 2)
            path.narrow(NARROW)
        if case.beside:
            _transfer_by_tcp(path)
        done, received = source.expect("done"), sink.expect("received")
        sink.tell("series")
        points: list[Point] = [(done["started"], 0.0), *sink.expect("series")["points"]]
        return Passage(
            exact=received["bytes"] == nbytes and received["sha256"] == done["sha256"],
            seconds=points[-1][0] - points[0][0],
            longest_silence=_longest(points, lambda before, after: after[0] - before[0]),
            datagram=done["stats"]["mss"] + 20,
            icmp=path.icmp_received(),
            too_long=path.too_long(),
            fragments=path.fragments(),
            stats=done["stats"],
        )


def _transfer_by_tcp(path: Path) -> None:
    """
    Long enough for full packets.
    """
    module = "benchmarks.bottleneck.tcp_flow"
    with path.receiver.start(module, "serve", RECEIVER) as sink:
        port = sink.expect("listening")["port"]
        with path.sender.start(module, "send", RECEIVER, port) as source:
            source.tell(f"start {_A_FEW_PACKETS}")
            sink.expect("received")


def _longest(points: list[Point], length: Callable[[Point, Point], float]) -> float:
    return max(map(length, points, points[1:]))
