"""
Does the model BBR behave like the draft's?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.bbr import BBR, CYCLE, Mode
from twisted_utp.testing.meter import Meter, queue_in_ms
from twisted_utp.testing.queues import DropTail
from twisted_utp.testing.tcp import SEGMENT
from twisted_utp.testing.topology import Dumbbell

RTT = 50_000


def line(buffer: float = 500) -> Dumbbell:
    """20 Mb/s."""
    return Dumbbell(there={"rate": 20_000_000, "queue": DropTail(milliseconds=buffer)})


def bbr_of(dumbbell: Dumbbell) -> BBR:
    """The controller of a new flow."""
    tcp = dumbbell.add_tcp(RTT, window="bbr")
    assert isinstance(tcp.congestion, BBR)
    return tcp.congestion


def test_finds_the_path() -> None:
    """The rate to a few percent, the round trip exactly, and hardly a queue: that is what it is for."""
    dumbbell = line()
    tcp = dumbbell.add_tcp(RTT, window="bbr")
    meter = Meter(dumbbell.simulator, lambda: tcp.received, queue_in_ms(dumbbell.there), interval=5000)
    dumbbell.run_for(9)
    bbr = tcp.congestion
    assert isinstance(bbr, BBR)
    assert bbr.bandwidth * 8 == pytest.approx(20 * SEGMENT / 1500, rel=0.03)
    assert bbr.min_rtt == pytest.approx(RTT, rel=0.1)
    assert meter.rate(2, 9) * 8 / 20e6 > 0.93
    assert meter.percentile(0.5, 2, 9, 1) < 10 and dumbbell.there.counters.queue_drops == 0


def test_modes() -> None:
    """Startup, drain, then probing; after ten seconds a fifth of a second with four segments."""
    dumbbell = line()
    bbr = bbr_of(dumbbell)
    seen: list[Mode] = []
    least = float("inf")
    while len(seen) < 5 and dumbbell.now < 1_015_000_000:
        dumbbell.run_for(0.005)
        if not seen or seen[-1] is not bbr.mode:
            seen.append(bbr.mode)
        if bbr.mode is Mode.PROBE_RTT:
            least = min(least, bbr.cwnd)
    assert seen == [Mode.STARTUP, Mode.DRAIN, Mode.PROBE_BW, Mode.PROBE_RTT, Mode.PROBE_BW]
    assert least == 4 * SEGMENT


def test_cycle() -> None:
    """All eight phases, each about a round trip long."""
    assert len(CYCLE) == 8 and sum(CYCLE) == 8
    dumbbell = line()
    bbr = bbr_of(dumbbell)
    dumbbell.run_for(3)
    gains = []
    for _ in range(200):
        dumbbell.run_for(0.005)
        gains.append(round(bbr.pacing_rate / bbr.bandwidth, 2))
    assert {1.24, 0.74, 0.99} == set(gains)
    assert 0.05 < gains.count(1.24) / len(gains) < 0.25


def test_is_paced() -> None:
    """No more than a millisecond's worth, or two segments, leave at once, but for the first window."""
    dumbbell = line()
    bbr_of(dumbbell)
    dumbbell.run_for(1)
    trains: dict[int, int] = {}
    dumbbell.there.taps.append(lambda packet: trains.update({dumbbell.now: trains.get(dumbbell.now, 0) + 1}) or False)
    dumbbell.run_for(1)
    assert max(trains.values()) <= max(2, 1.25 * 20e6 / 8 / 1000 / SEGMENT)


def test_shallow_buffer() -> None:
    """It ignores losses: a buffer of 10 ms still gives it the link."""
    dumbbell = line(buffer=10)
    tcp = dumbbell.add_tcp(RTT, window="bbr")
    dumbbell.run_for(8)
    assert tcp.received * 8 / 8 / 20e6 > 0.85 and tcp.timeouts == 0


def test_outage() -> None:
    """After a second without anything it comes back by itself."""
    dumbbell = line()
    tcp = dumbbell.add_tcp(RTT, nbytes=12_000_000, window="bbr")
    dumbbell.run_for(2)
    dumbbell.there.down_for(1_000_000)
    dumbbell.simulator.run(lambda: tcp.done)
    assert tcp.timeouts >= 1 and tcp.seconds < 9


def test_changed_rate() -> None:
    """Ten rounds after the link has become half as fast it knows."""
    dumbbell = line()
    bbr = bbr_of(dumbbell)
    dumbbell.run_for(3)
    dumbbell.there.set_rate(10_000_000)
    dumbbell.run_for(4)
    assert bbr.bandwidth * 8 == pytest.approx(10 * SEGMENT / 1500, rel=0.1)
