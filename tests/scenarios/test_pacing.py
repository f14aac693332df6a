"""
Are trains as short as the pacing rate says?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import (
    HEADER_SIZE,
    MIN_BURST_PACKETS,
    PACING_BURST,
    PACING_MAX,
    PACING_PACKETS,
    PACING_RTT_SHARE,
    PACING_STEADY,
    PACING_STEADY_PACKETS,
)
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.pair import Ends, Pair
from twisted_utp.testing.queues import DropTail
from twisted_utp.testing.wire import DATA


def longest_stride(packet: float, rtt: int) -> float:
    """A burst on that path, once slow start is over; all times in µs, C{packet} that of a full one."""
    wanted = max(min(PACING_STEADY, packet * PACING_STEADY_PACKETS), packet * PACING_PACKETS)
    return max(min(wanted, PACING_MAX, rtt / PACING_RTT_SHARE), PACING_BURST)


class Trains:
    """
    What one sender puts on the wire in one instant.

    @ivar longest: the most payload of one instant, in units of what was allowed then.
    @ivar count: how many instants there were.
    """

    def __init__(self, pair: Pair, ends: Ends) -> None:
        self.longest = 0.0
        self.count = 0
        self._pair = pair
        self._ends = ends
        self._at = 0
        self._bytes = 0
        self._burst = 0.0
        pair.up.taps.append(self._note)

    def _note(self, packet: Packet) -> bool:
        # MTU probes are single packets that no window holds back.
        if packet.data[0] >> 4 != DATA or packet.dont_fragment:
            return False
        stats, now = self._ends.client.connection.stats(), self._pair.now
        rate = stats.pacing_rate or 2e6 * stats.cwnd / stats.rtt
        burst = max(rate * longest_stride(stats.mss / rate * 1e6, stats.rtt) / 1e6, MIN_BURST_PACKETS * stats.mss)
        if now != self._at:
            self._at, self._bytes = now, 0
            self.count += 1
            self._burst, burst = burst, max(burst, self._burst)  # a loss has cut the rate, not what was saved
        self._bytes += len(packet.data) - HEADER_SIZE
        self.longest = max(self.longest, self._bytes / burst)
        return False


def trains(controller: str, rate: int, rtt: int, loss: float, *, pacing: bool = True) -> Trains:
    """Of two seconds of a transfer over so many Mb/s and ms."""
    pair = Pair(
        seed=1,
        link={"delay": rtt * 500},
        up={"rate": rate * 1_000_000, "queue": DropTail(milliseconds=200), "loss": loss or None},
        config=UTPConfig(congestion=controller, pacing=pacing),
        log=False,
    )
    ends = pair.connect()
    measured = Trains(pair, ends)
    pair.start_transfer(ends, 1 << 40)
    pair.run_for(2)
    assert measured.count > 50
    return measured


@pytest.mark.parametrize(
    ("controller", "rate", "rtt", "loss"),
    [
        ("scavenger", 30, 20, 0),
        ("ledbat++", 30, 20, 0),
        ("ledbat++", 2, 50, 0),
        ("ledbat", 20, 100, 0.01),
        ("cubic", 50, 20, 0.005),
    ],
)
def test_trains(controller: str, rate: int, rtt: int, loss: float) -> None:
    """Never more in one instant than a stride of the pacing rate, or two packets, whatever happens."""
    assert trains(controller, rate, rtt, loss).longest <= 1.001


def test_without_pacing() -> None:
    """The same measure finds trains that are too long."""
    assert trains("ledbat++", 20, 50, 0, pacing=False).longest > 2
