"""
Does the model TCP behave like one?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.testing.loss import RandomLoss
from twisted_utp.testing.queues import DropTail
from twisted_utp.testing.tcp import SEGMENT, WINDOWS, Reno
from twisted_utp.testing.topology import Dumbbell

KINDS = pytest.mark.parametrize("window", sorted(WINDOWS))


@KINDS
def test_fills_a_link(window: str) -> None:
    """10 Mb/s for ten seconds: nearly all of it, with drops repaired without timeouts."""
    dumbbell = Dumbbell(there={"rate": 10_000_000, "queue": DropTail(milliseconds=100)})
    tcp = dumbbell.add_tcp(50_000, nbytes=12_000_000, window=window)
    dumbbell.simulator.run(lambda: tcp.done)
    assert tcp.seconds < 11.0 and tcp.timeouts == 0
    assert tcp.received >= 12_000_000


@KINDS
def test_delivers_in_spite_of_loss(window: str) -> None:
    """2 % loss both ways: everything arrives, and lost retransmissions are found as well."""
    dumbbell = Dumbbell(seed=4, there={"rate": 10_000_000, "loss": RandomLoss(0.02)}, back={"loss": RandomLoss(0.02)})
    tcp = dumbbell.add_tcp(20_000, nbytes=1_000_000, window=window)
    dumbbell.simulator.run(lambda: tcp.done)
    assert tcp.retransmissions >= 10 and tcp.timeouts <= 3


def test_outage() -> None:
    """Nothing passes for a second: it times out, backs off and goes on."""
    dumbbell = Dumbbell(there={"rate": 10_000_000})
    tcp = dumbbell.add_tcp(20_000, nbytes=2_000_000)
    dumbbell.run_for(0.5)
    dumbbell.there.down_for(1_000_000)
    dumbbell.simulator.run(lambda: tcp.done)
    assert tcp.timeouts >= 1 and tcp.seconds < 6


def test_two_flows_share() -> None:
    """Two Reno flows of one round trip get about the same."""
    dumbbell = Dumbbell(there={"rate": 10_000_000, "queue": DropTail(milliseconds=50)})
    flows = [dumbbell.add_tcp(50_000, window="reno"), dumbbell.add_tcp(50_000, window="reno", at=1.0)]
    dumbbell.run_for(60)
    shares = [flow.received for flow in flows]
    assert min(shares) / max(shares) > 0.5


def test_reno_window() -> None:
    """Doubles, then adds a segment per round trip; halves on loss; one segment after a timeout."""
    reno = Reno(mss=SEGMENT)
    whole = AckSample(int(reno.cwnd), 0, 50_000, 50_000, 50_000, 0, False, False)
    reno.on_ack(now=1, sample=whole)
    assert reno.cwnd == 20 * SEGMENT
    reno.on_loss(now=2, bytes_in_flight=0)
    assert reno.cwnd == reno.ssthresh == 10 * SEGMENT
    reno.on_ack(now=3, sample=whole)
    assert reno.cwnd == pytest.approx(11 * SEGMENT)
    reno.on_timeout(now=4, bytes_in_flight=0)
    assert reno.cwnd == SEGMENT and reno.ssthresh == pytest.approx(5.5 * SEGMENT)
