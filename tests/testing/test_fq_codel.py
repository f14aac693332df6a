"""
Does everybody queue behind himself only?
"""

from __future__ import annotations

from random import Random

import pytest

from twisted_utp.testing.call import Call
from twisted_utp.testing.fq_codel import QUANTUM, FQCoDel
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.topology import Dumbbell

RANDOM = Random(1)


def packet(flow: int, size: int = 1500) -> Packet:
    """Of one of many flows."""
    return Packet(b"", (f"10.0.0.{flow}", 1), ("10.0.1.1", 2), size)


def fill(queue: FQCoDel, *packets: Packet, now: int = 0) -> None:
    """Let them join."""
    for one in packets:
        assert queue.enqueue(one, now=now, random=RANDOM)


def order(queue: FQCoDel, count: int, now: int = 0) -> list[int]:
    """The flows of the next packets."""
    taken = [queue.dequeue(now=now) for _ in range(count)]
    return [int(one.source[0].rpartition(".")[2]) for one in taken if one is not None]


def test_takes_turns() -> None:
    """Full packets of two flows alternate, whoever came first."""
    queue = FQCoDel()
    fill(queue, *[packet(1) for _ in range(4)], *[packet(2) for _ in range(4)])
    served = order(queue, 8)
    assert sorted(served) == [1, 1, 1, 1, 2, 2, 2, 2]
    assert all(abs(served[:n].count(1) - served[:n].count(2)) <= 2 for n in range(9))
    assert queue.dequeue(now=0) is None and len(queue) == queue.nbytes == 0


def test_turns_are_bytes() -> None:
    """Ten packets of 150 bytes are one of 1500."""
    queue = FQCoDel()
    fill(queue, *[packet(1) for _ in range(30)], *[packet(2, 150) for _ in range(300)])
    served = order(queue, 110)
    assert served.count(2) / served.count(1) == pytest.approx(10, rel=0.15)


def test_new_flow_first() -> None:
    """Who begins to send waits for no more than the packet that is on the wire."""
    queue = FQCoDel()
    fill(queue, *[packet(1) for _ in range(50)])
    order(queue, 5)
    fill(queue, packet(2))
    assert order(queue, 1) == [2]


def test_is_new_only_once() -> None:
    """Whoever sends one packet whenever his last has gone does not starve the others."""
    queue = FQCoDel()
    fill(queue, *[packet(1) for _ in range(100)])
    served = []
    for _ in range(100):
        fill(queue, packet(2))
        served += order(queue, 1)
    assert served.count(1) >= 40


def test_flows_are_forgotten() -> None:
    """No queue is left when nothing waits."""
    queue = FQCoDel()
    for flow in range(1, 200):
        fill(queue, packet(flow))
    assert queue.flows == 199
    assert len(order(queue, 300)) == 199
    assert queue.flows == 0


def test_no_room() -> None:
    """The longest queue loses its first, not whoever comes."""
    queue = FQCoDel(packets=10)
    fill(queue, *[packet(1) for _ in range(10)], packet(2))
    assert queue.dropped == 1 and len(queue) == 10
    assert sorted(order(queue, 10)) == [1] * 9 + [2]
    assert queue.nbytes == 0


def test_codel_each() -> None:
    """Who queues for longer than the interval loses packets; who does not, does not."""
    queue = FQCoDel()
    now = 0
    for _ in range(400):
        now += 1000
        fill(queue, packet(1), packet(1), now=now)
        if now % 20_000 == 0:
            fill(queue, packet(2, 200), now=now)
        order(queue, 1, now)
    assert queue.dropped > 3
    assert len(queue) == 800 + 20 - queue.dropped - 400
    assert queue.nbytes > 0


def test_quantum() -> None:
    """As in the RFC, one full Ethernet frame."""
    assert FQCoDel().quantum == QUANTUM == 1514


def test_a_call_beside_cubic() -> None:
    """It hardly notices, and TCP is held near CoDel's target."""
    dumbbell = Dumbbell(there={"rate": 10_000_000, "queue": FQCoDel()})
    call = Call(dumbbell, 40_000)
    tcp = dumbbell.add_tcp(40_000, window="cubic")
    dumbbell.run_for(8)
    assert call.percentile(0.95, 1) < 45
    assert tcp.received * 8 / 8 / 10e6 > 0.85
    assert dumbbell.there.counters.queue_drops > 5
