"""
Does it pay to lie about delay?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.packet import Packet
from twisted_utp.testing.scenarios import liars
from twisted_utp.testing.scenarios.sharing import _dumbbell, _shares
from twisted_utp.testing.topology import Dumbbell, Flow
from twisted_utp.testing.wire import STATE

# Lies that make LEDBAT++'s queue two targets long, until its flows have found each other.
SLOW = {"half-other-way"}


@pytest.mark.parametrize("controller", ["ledbat", "ledbat++", "scavenger"])
@pytest.mark.parametrize("lie", [name for name in liars.LIES if name != "truth"])
def test_lies_do_not_pay(lie: str, controller: str) -> None:
    """Ten points more than an honest receiver gets at the most, and a queue of twice the target."""
    settle, seconds = (10, 15) if lie in SLOW else (6, 9)
    outcome = liars.liar(controller, lie, settle=settle, seconds=seconds, rate=3)
    assert outcome.met, outcome.text


@pytest.mark.parametrize("lie", ["zero", "other-way", "step"])
def test_two_liars(lie: str) -> None:
    """Who both lie queue no more than twice the target, either."""
    _, queue = liars.share("ledbat++", lie, 6, 9, 3, both=True)
    assert queue <= 2 * liars.TARGETS["ledbat++"]


def undo_cuts(dumbbell: Dumbbell, flow: Flow) -> None:
    """Its receiver says of each loss that the original came, only late."""
    said: list[Packet] = []

    def say(packet: Packet) -> bool:
        if flow.source is None or packet.source != flow.receiver.address or packet.data[0] >> 4 != STATE:
            return False
        connection = flow.source.connection
        spurious_loss = connection.sender.spurious_loss
        repeated_at = 0 if spurious_loss is None else spurious_loss._repeated_at
        if repeated_at and not any(packet is one for one in said):
            lie, timestamp = packet.copy(), int.from_bytes(packet.data[4:8], "big")
            difference = timestamp - connection.writer.clock_offset - (repeated_at - 1) & 0xFFFFFFFF
            lie.data = packet.data[:8] + difference.to_bytes(4, "big") + packet.data[12:]
            said.append(lie)
            dumbbell.simulator.call_later(0, dumbbell.back.send, [lie])
        return False

    dumbbell.back.taps.append(say)


@pytest.mark.parametrize("controller", ["ledbat++", "cubic"])
def test_undoing_cuts(controller: str) -> None:
    """Ten points more than half, in a buffer that overflows below the target; it had nine tenths."""
    dumbbell = _dumbbell(controller, rate=3, buffer=50)
    flows = [dumbbell.add_flow(50_000), dumbbell.add_flow(50_000)]
    undo_cuts(dumbbell, flows[1])
    shares, _ = _shares(dumbbell, flows, 15, 30)
    assert shares[1] <= 0.5 + liars.MAX_GAIN
