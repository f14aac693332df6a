"""
What does a program see that has better things to do than to read its socket all the time?

What arrives waits in the socket's buffer, and what has no room there is lost.  A read brings what waits, within reason;
then the program is busy with it.
"""

from __future__ import annotations

from twisted_utp.testing.network import UDPPort
from twisted_utp.testing.packet import Packet


class SocketBuffer:
    """
    The buffer of a UDP port on a simulated host, between the network and whoever has bound it.

    @ivar capacity: bytes of UDP payload that it holds.
    @ivar cost: µs that the program is busy with each packet that it has read.
    @ivar read_size: bytes after which a read ends.
    @ivar dropped: packets for which there was no room.
    @ivar longest: the most bytes that ever waited.
    """

    def __init__(self, port: UDPPort, *, capacity: int, cost: int, read_size: int = 256 * 1024) -> None:
        self.capacity = capacity
        self.cost = cost
        self.read_size = read_size
        self.dropped = self.longest = 0
        self._simulator = port.host.network.simulator
        self._receive, port.receive = port.receive, self._arrived
        self._waiting: list[Packet] = []
        self._nbytes = 0
        self._is_busy = False

    def _arrived(self, packets: list[Packet]) -> None:
        for packet in packets:
            if self._nbytes + len(packet.data) > self.capacity:
                self.dropped += 1
                continue
            self._nbytes += len(packet.data)
            self._waiting.append(packet)
        self.longest = max(self.longest, self._nbytes)
        if not self._is_busy:
            self._read()

    def _read(self) -> None:
        self._is_busy = bool(self._waiting)
        if not self._waiting:
            return
        count = room = 0
        while count < len(self._waiting) and room < self.read_size:
            room += len(self._waiting[count].data)
            count += 1
        packets, self._waiting = self._waiting[:count], self._waiting[count:]
        self._nbytes -= room
        self._simulator.call_later(max(self.cost * count, 1), self._read)
        self._receive(packets)
