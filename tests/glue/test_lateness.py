"""
Does a process that had no processor for a while take the answers that wait in its socket for missing?
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.glue.test_moderation import Ends
from twisted_utp._lateness import LATE, read_if_late
from twisted_utp._moderation import SWITCH
from twisted_utp.testing.packet import Packet


class Pausing(Ends):
    """
    The source can lose its processor: nothing is read, no delayed call is served, until it gets it back.  Then delayed
    calls come first, as in a reactor.
    """

    def pause(self, seconds: float) -> None:
        """Have none for so long."""
        port, reactor = self.ports[0], self.reactors[0]
        waiting: list[Packet] = []
        socket = port._transport._port
        arrived, socket.receive = socket.receive, waiting.extend
        for call in reactor.getDelayedCalls():
            call.delay(seconds + 1)
        self.advance(seconds)
        socket.receive = arrived
        port.is_held = True  # they are in the socket, and the reactor has not looked there yet
        port._arrived(waiting)
        port.is_held = False
        for call in reactor.getDelayedCalls():
            call.reset(0)
        reactor.callLater(0.000_001, port.poll)


@pytest.mark.parametrize("seconds", [0.7, 3])
def test_a_pause(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is longer than any timeout, and all was acknowledged meanwhile: nothing is repeated, no window is cut."""
    monkeypatch.setenv(SWITCH, "0")  # a port that is held is read by the delayed call in any case
    ends = Pausing()
    filling = ends.fill(0.6)
    before = filling.transport.stats()
    ends.pause(seconds)
    ends.advance(0.001)
    after = filling.transport.stats()
    assert after.bytes_acked > before.bytes_acked
    assert after.timeouts == before.timeouts and after.window_cuts == before.window_cuts


class Port:
    """Counts reads."""

    reads = 0

    def poll(self) -> bool:
        """Nothing is there."""
        self.reads += 1
        return False


def test_when_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only ports that can read when they are told to, and only when it is late."""
    port: Any = Port()
    monkeypatch.setattr("twisted_utp._lateness.IHoldingPort.providedBy", lambda port: True)
    for due, reads in [(None, 0), (10_000, 0), (10_000 - LATE + 1, 0), (10_000 - LATE, 1)]:
        assert not read_if_late(port, due, 10_000)
        assert port.reads == reads
    monkeypatch.undo()
    assert not read_if_late(port, 0, 10_000) and not read_if_late(None, 0, 10_000)
    assert port.reads == 1
