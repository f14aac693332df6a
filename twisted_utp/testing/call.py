"""
A voice call's packets, and how long they take across a line.

160 bytes fifty times a second, as voice over IP sends them, from one host to another and back.
"""

from __future__ import annotations

from twisted_utp.testing.packet import IPV4_OVERHEAD, Packet
from twisted_utp.testing.simulator import MILLISECOND, SECOND
from twisted_utp.testing.topology import Dumbbell

PAYLOAD = 160
INTERVAL = 20 * MILLISECOND


class Call:
    """
    A call that goes on as long as the simulation does.

    @ivar started: when it began, µs.
    @ivar trips: when each packet that came back was sent, in seconds after the start, and its round trip in ms.
    @ivar sent: how many packets were sent.
    """

    def __init__(self, dumbbell: Dumbbell, rtt: int) -> None:
        """
        Begin now.

        @param rtt: round trip without any queue, µs.
        """
        self.simulator = dumbbell.simulator
        self.started = self.simulator.now
        self.trips: list[tuple[float, float]] = []
        self.sent = 0
        near, far = dumbbell.add_hosts(rtt)
        self._network = near.network
        self._near = near.bind(self._came_back)
        self._far = far.bind(self._echo)
        self._send()

    def _send(self) -> None:
        size = PAYLOAD + IPV4_OVERHEAD
        data = self.simulator.now.to_bytes(8, "big")
        self._network.send([Packet(data, self._near.address, self._far.address, size)])
        self.sent += 1
        self.simulator.call_later(INTERVAL, self._send)

    def _echo(self, packets: list[Packet]) -> None:
        self._network.send([Packet(one.data, self._far.address, one.source, one.size) for one in packets])

    def _came_back(self, packets: list[Packet]) -> None:
        for packet in packets:
            sent = int.from_bytes(packet.data, "big")
            self.trips.append(((sent - self.started) / SECOND, (self.simulator.now - sent) / MILLISECOND))

    def percentile(self, share: float, first: float = 0.0, last: float = float("inf")) -> float:
        """
        The round trip in ms that C{share} of the packets sent between two instants (seconds after the start) do not
        exceed, of those that came back.

        @raise ValueError: when there is none.
        """
        trips = sorted(trip for sent, trip in self.trips if first <= sent <= last)
        if not trips:
            raise ValueError(f"first={first!r}, last={last!r}: no packet of that time has come back")
        return trips[min(int(share * len(trips)), len(trips) - 1)]
