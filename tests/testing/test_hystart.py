"""
When does the model of Linux' CUBIC leave slow start?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.hystart import LinuxCubic
from twisted_utp.testing.queues import DropTail
from twisted_utp.testing.tcp import SEGMENT, TCPFlow
from twisted_utp.testing.topology import Dumbbell

RTT = 50_000
PATH = 20e6 / 8 * 0.05 / 1500  # segments that fill the path


def left(rate: int, *, standing: float = 0.0, rtt: int = RTT) -> tuple[LinuxCubic, TCPFlow]:
    """A flow that has just left slow start, on a link of 500 ms buffer, beside a steady load that queues so many ms."""
    dumbbell = Dumbbell(there={"rate": rate, "queue": DropTail(milliseconds=500)})
    if standing:
        other = dumbbell.add_tcp(RTT, window="reno")
        other.congestion.cwnd = rate / 8 * (rtt / 1e6 + standing / 1000) * SEGMENT / 1500
        other.congestion.ssthresh = 0.0
        dumbbell.run_for(0.5)
    tcp = dumbbell.add_tcp(rtt, window="linux-cubic")
    cubic = tcp.congestion
    assert isinstance(cubic, LinuxCubic)
    dumbbell.simulator.run(lambda: not cubic.in_slow_start)
    return cubic, tcp


def test_train() -> None:
    """Alone on 20 Mb/s it is the train of acknowledgements that tells, near the path's window and before any drop."""
    cubic, tcp = left(20_000_000)
    assert cubic.left_by == "train"
    assert 0.9 * PATH <= cubic.cwnd / SEGMENT <= 2 * PATH and not tcp.retransmissions


def test_delay() -> None:
    """On 4 Mb/s acknowledgements are too far apart for a train: the queue tells."""
    cubic, tcp = left(4_000_000)
    assert cubic.left_by == "delay" and not tcp.retransmissions
    assert PATH / 5 <= cubic.cwnd / SEGMENT <= 3.5 * PATH / 5


def test_queue_of_others() -> None:
    """A queue that grows because it has come itself ends it early: why pages suffer beside a standing queue."""
    alone, _ = left(20_000_000)
    beside, _ = left(20_000_000, standing=30)
    assert beside.left_by == "delay" and beside.cwnd < 0.7 * alone.cwnd


def test_short_path() -> None:
    """Neither test speaks below 16 segments."""
    cubic, _ = left(2_000_000, rtt=10_000)
    assert cubic.cwnd >= 16 * SEGMENT


def test_loss_ends_it_too() -> None:
    """A buffer that is too short for the tests: as in any TCP."""
    dumbbell = Dumbbell(there={"rate": 2_000_000, "queue": DropTail(packets=4)})
    tcp = dumbbell.add_tcp(10_000, window="linux-cubic")
    dumbbell.run_for(1)
    cubic = tcp.congestion
    assert isinstance(cubic, LinuxCubic)
    assert not cubic.in_slow_start and cubic.left_by == "" and tcp.retransmissions


@pytest.mark.parametrize("rate", [4, 20, 100])
def test_fills_the_link(rate: int) -> None:
    """Leaving early costs little in the end."""
    dumbbell = Dumbbell(there={"rate": rate * 1_000_000, "queue": DropTail(milliseconds=200)})
    tcp = dumbbell.add_tcp(RTT, window="linux-cubic")
    dumbbell.run_for(4)
    assert tcp.received * 8 / 4 / (rate * 1e6) > 0.8


def test_five_percent() -> None:
    """Before the first loss the window grows by that in a round trip, which the curve alone would not."""
    cubic, tcp = left(100_000_000)
    before, since = cubic.cwnd, tcp.simulator.now
    tcp.simulator.run(lambda: cubic.cwnd >= 1.27 * before)  # 1.05 ** 5
    assert (tcp.simulator.now - since) / (5.5 * RTT) == pytest.approx(1, rel=0.3)
    assert not tcp.retransmissions
