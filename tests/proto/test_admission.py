"""
Who gets in: do the limits and the policy hold before anything is kept?
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from twisted_utp.proto.acceptance import PortLoad, Verdict
from twisted_utp.proto.admission import Admission, Gate
from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import MIN_LINGER
from twisted_utp.proto.events import LossReason
from twisted_utp.proto.stats import PortCounters
from twisted_utp.testing import RawPeer
from twisted_utp.testing.wire import RESET

HERE = ("192.0.2.1", 1)
CONFIG = UTPConfig(backlog=2, max_connections=4, max_per_host=3)


def gate(policy: Any = None) -> Gate:
    """A gate that nobody has passed yet."""
    made = Gate(Random(1), PortCounters())
    made.policy = policy
    return made


def test_open() -> None:
    """Nobody is refused without a reason."""
    assert gate().judge(HERE, CONFIG, []) is Admission.OPEN


@pytest.mark.parametrize("silently", [False, True])
@pytest.mark.parametrize("why", ["connections", "known", "host"])
def test_limits(why: str, silently: bool) -> None:
    """Connections, those that linger besides, and connections with one host; refused as the setting says."""
    config = CONFIG.replace(refuse_silently=silently)
    full, known = gate(), range(8 if why == "known" else 7)
    for number in range({"connections": 4, "host": 3, "known": 2}[why]):
        full.connection_counts.enter(HERE[0] if why != "connections" else str(number))
    assert full.judge(HERE, config, known) is (Admission.SILENCE if silently else Admission.RESET)
    full.connection_counts.leave(HERE[0] if why != "connections" else "0")
    assert (full.judge(HERE, config, range(7)) is Admission.OPEN) or why == "known"


def test_backlog() -> None:
    """Beyond it a cookie; whoever has confirmed its address passes."""
    full = gate()
    full.connection_counts.half_open = 2
    assert full.judge(HERE, CONFIG, []) is Admission.COOKIE
    assert full.judge(HERE, CONFIG, [], is_confirmed=True) is Admission.OPEN


@pytest.mark.parametrize(
    ("said", "silently", "becomes"),
    [
        (True, False, Admission.OPEN),
        (Verdict.ACCEPT, False, Admission.OPEN),
        (False, False, Admission.RESET),
        (False, True, Admission.SILENCE),
        (Verdict.RESET, True, Admission.RESET),
        (Verdict.SILENCE, False, Admission.SILENCE),
        (None, False, Admission.RESET),  # a policy that forgot to say
    ],
)
def test_policy(said: Any, silently: bool, becomes: Admission) -> None:
    """It sees the address and the load, and its word is the last."""
    asked: list[Any] = []
    asking = gate(lambda address, load: asked.append((address, load)) or said)
    asking.connection_counts.enter("192.0.2.1")
    asking.connection_counts.enter("192.0.2.2")
    asking.connection_counts.half_open = 1
    assert asking.judge(HERE, CONFIG.replace(refuse_silently=silently), []) is becomes
    assert asked == [(HERE, PortLoad(connections=2, half_open=1, from_host=1))]
    assert asking._counters.policy_refusals == (becomes is not Admission.OPEN)


def test_policy_is_not_asked_in_vain() -> None:
    """What a limit refuses the policy does not see."""
    full = gate(lambda address, load: 1 / 0)
    for _ in range(3):
        full.connection_counts.enter(HERE[0])
    assert full.judge(HERE, CONFIG, []) is Admission.RESET


@pytest.mark.parametrize("silently", [False, True])
def test_refused_on_the_wire(silently: bool) -> None:
    """A refused SYN leaves no trace but a count, and gets RESET or nothing."""
    peer = RawPeer.facing(config=UTPConfig(max_per_host=2, refuse_silently=silently))
    for number in range(2):
        peer.handshake(1000 + 2 * number)
    for number in range(2, 4):
        peer.syn(1000 + 2 * number)
    kinds = [header.type for header in peer.drain()]
    assert kinds == ([] if silently else [RESET, RESET])
    assert len(peer.node.multiplexer) == 2 and peer.node.multiplexer.stats.syns_refused == 2


def test_lingering_connections_do_not_count() -> None:
    """A connection that both sides have finished makes room at once, although it still answers repeated packets."""
    peer = RawPeer.facing(config=UTPConfig(max_connections=1))
    peer.handshake(500)
    peer.node.close(peer.record)
    peer.fin()
    peer.ack_nr = peer.expect_until(1).seq_nr
    peer.state()
    peer.run_for(0.1)
    assert peer.record.reason is LossReason.DONE and len(peer.node.multiplexer) == 1
    peer.drain()
    peer.handshake(600)
    assert len(peer.node.multiplexer) == 2
    peer.run_for(2 * MIN_LINGER / 1_000_000)
    assert len(peer.node.multiplexer) == 1
