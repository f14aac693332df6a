"""
Do several flows share one bottleneck, and do the meters read right?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.meter import Meter, queue_in_ms
from twisted_utp.testing.topology import Dumbbell


def test_flows_of_two_kinds() -> None:
    """uTP and TCP over one queue: both get through, and the queue is theirs together."""
    dumbbell = Dumbbell(there={"rate": 10_000_000})
    flow, tcp = dumbbell.add_flow(20_000, nbytes=500_000), dumbbell.add_tcp(40_000, nbytes=500_000, at=0.5)
    meter = Meter(dumbbell.simulator, lambda: flow.received, queue_in_ms(dumbbell.there))
    dumbbell.run_for(10)
    assert flow.done and tcp.done and flow.received == 500_000
    assert meter.percentile(1.0, 0, 10, 1) > 0


def test_round_trips() -> None:
    """Each flow has the round trip that it was given."""
    dumbbell = Dumbbell(there={})
    flows = [dumbbell.add_flow(rtt, nbytes=1000) for rtt in (20_000, 200_001)]
    dumbbell.run_for(2)
    assert [flow.source.connection.stats().min_rtt for flow in flows if flow.source] == [20_000, 200_001]


def test_meter() -> None:
    """Rates, percentiles and the first time that a rate is reached."""
    dumbbell = Dumbbell(there={})
    simulator = dumbbell.simulator
    started = simulator.now
    meter = Meter(simulator, lambda: max(simulator.now - started - 1_000_000, 0) / 1e6)
    dumbbell.run_for(3)
    assert meter.rate(0, 1) == 0 and meter.rate(1, 3) == pytest.approx(1)
    assert meter.reaches(0.99, over=0.5) == pytest.approx(1.5)
    assert meter.reaches(2, over=0.5) is None
    assert meter.percentile(0.5, 0, 3) == pytest.approx(0.5, abs=0.06)


def test_queue_of_an_endless_link() -> None:
    """A link without a rate has no queue."""
    assert queue_in_ms(Dumbbell(there={}).there)() == 0
