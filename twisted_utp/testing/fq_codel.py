"""
A queue that gives every flow one of its own (FQ-CoDel, RFC 8290).

Flows take turns by deficit round robin, each behind a CoDel of its own, and a flow that has just begun goes first.
Whoever sends little waits for nobody; whoever queues, queues behind himself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from random import Random

from twisted_utp.testing.checks import check_whole
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.queues import CoDel, Queue
from twisted_utp.testing.simulator import MILLISECOND

QUANTUM = 1514  # (5.2.3)
MEMORY_PACKETS = 10_240  # (5.2.1)


class _Turn(CoDel):
    """
    One flow's queue.

    @ivar credit: bytes that it may still send in this turn.
    """

    def __init__(self, target: int, interval: int, quantum: int) -> None:
        super().__init__(target=target, interval=interval, packets=MEMORY_PACKETS)
        self.credit = quantum


class FQCoDel(Queue):
    """
    RFC 8290, but without collisions: a flow is a pair of addresses with ports, not one of 1024 hashes of it.

    @ivar flows: how many queues there are at present.
    """

    def __init__(
        self,
        *,
        target: int = 5 * MILLISECOND,
        interval: int = 100 * MILLISECOND,
        quantum: int = QUANTUM,
        packets: int = MEMORY_PACKETS,
    ) -> None:
        """
        @param target: acceptable standing delay of a flow, µs.
        @param interval: a worst-case round trip, µs.
        @param quantum: bytes that a flow may send in its turn.
        @param packets: room in packets; who queues most loses the first of his, when there is none.
        """
        super().__init__()
        check_whole("target", target, "µs", example="5 ms is 5_000")
        check_whole("interval", interval, "µs", lowest=1, example="100 ms is 100_000")
        check_whole("quantum", quantum, "bytes", lowest=1)
        check_whole("packets", packets, "packets", lowest=1)
        self.target, self.interval, self.quantum, self.limit_packets = target, interval, quantum, packets
        self._queues: dict[Hashable, _Turn] = {}
        self._names: dict[int, Hashable] = {}
        self._new: deque[_Turn] = deque()
        self._old: deque[_Turn] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def flows(self) -> int:
        """
        How many queues there are at present.
        """
        return len(self._queues)

    def admits(self, packet: Packet, *, now: int, random: Random) -> bool:
        """
        Whoever is dropped is not the newcomer, unless he queues most.
        """
        return True

    def enqueue(self, packet: Packet, *, now: int, random: Random) -> bool:
        """
        (4.1): join the flow's queue; a flow that had none is new.
        """
        flow = (packet.source, packet.destination)
        queue = self._queues.get(flow)
        if queue is None:
            queue = self._queues[flow] = _Turn(self.target, self.interval, self.quantum)
            self._names[id(queue)] = flow
            self._new.append(queue)
        queue.enqueue(packet, now=now, random=random)
        self._count += 1
        self.nbytes += packet.size
        self.most_bytes = max(self.most_bytes, self.nbytes)
        if self._count > self.limit_packets:
            return self._drop_from_fattest() is not packet
        return True

    def _drop_from_fattest(self) -> Packet:
        fattest = max(self._queues.values(), key=_waiting)
        packet = Queue.dequeue(fattest, now=0)
        assert packet is not None
        self.dropped += 1
        self._count -= 1
        self.nbytes -= packet.size
        return packet

    def dequeue(self, *, now: int) -> Packet | None:
        """
        (4.2): the new flows' turns first.
        """
        while self._new or self._old:
            turns = self._new or self._old
            queue = turns[0]
            if queue.credit <= 0:
                queue.credit += self.quantum
                self._old.append(turns.popleft())
                continue
            packet = self._take(queue, now)
            if packet is not None:
                queue.credit -= packet.size
                return packet
            turns.popleft()
            if turns is self._new and self._old:
                self._old.append(queue)  # it must not be new again at once, or it starved the others
            else:
                del self._queues[self._names.pop(id(queue))]
        return None

    def _take(self, queue: _Turn, now: int) -> Packet | None:
        before, waiting, dropped = queue.nbytes, len(queue), queue.dropped
        packet = queue.dequeue(now=now)
        self.nbytes -= before - queue.nbytes
        self._count -= waiting - len(queue)
        self.dropped += queue.dropped - dropped
        return packet


def _waiting(queue: _Turn) -> int:
    return queue.nbytes
