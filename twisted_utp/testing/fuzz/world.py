"""
Who lives in a session, and what happens next?

Virtual time, addresses, and the way of each datagram.  What is addressed to nobody is what strangers are sent, whose
addresses nobody has proved: it is counted against what came in their names.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Protocol

from twisted_utp.proto.values import Address, Datagram, Obstacle, ReturnedDatagram, host_and_port
from twisted_utp.testing.fuzz.dice import Plan
from twisted_utp.testing.fuzz.weather import Weather
from twisted_utp.testing.packet import overhead_of
from twisted_utp.testing.simulator import START
from twisted_utp.testing.wire import SYN

NEVER = 1 << 62
MAX_QUOTED = 520
# Bytes that the guessers of a session may get beyond their due: one guess in 65,536 is right, and then a first window
# leaves, and is repeated until nobody has answered for too long.
LUCK = 20_000


class Wrong(AssertionError):
    """
    A promise was broken.

    @ivar promise: which one, in a few words that are the same whenever it is broken.
    """

    def __init__(self, promise: str, details: object = "") -> None:
        super().__init__(f"{promise}: {details}" if details != "" else promise)
        self.promise = promise


class Inhabitant(Protocol):
    """
    Somebody with an address.

    @ivar public: the address that others see.
    @ivar deadline: when it wants to wake up, µs of the world's time.
    @ivar coalesce: µs for which datagrams gather before it receives them.
    @ivar up: what its datagrams go through, L{None} for nothing; C{down} what goes to it goes through.
    """

    name: str
    public: Address
    deadline: int
    coalesce: int
    up: Weather | None
    down: Weather | None

    def receive(self, datagrams: list[Datagram]) -> None:
        """
        Datagrams have arrived.
        """

    def wake(self) -> None:
        """
        The deadline has come.
        """

    def returned(self, returned: ReturnedDatagram) -> None:
        """
        One of its datagrams came back.
        """


class World:
    """
    All inhabitants, and the time.

    @ivar now: µs.
    @ivar datagrams: how many have been received by anybody.
    @ivar is_cut: nothing arrives any more.
    @ivar owed: bytes that came in the name of an address where nobody is, less those sent to it.
    @ivar factor: how many bytes may be sent to such an address for each that came from it.
    @ivar guessers: addresses in whose name somebody sent what he could only guess.
    @ivar former: addresses that inhabitants had before a NAT gave them others.
    @ivar on_carried: sees each datagram that an inhabitant sends.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.dice = plan.dice("world")
        self.now = START
        self.datagrams = 0
        self.is_cut = False
        self.inhabitants: list[Inhabitant] = []
        self.at: dict[Address, Inhabitant] = {}
        self.owed: dict[Address, int] = {}
        self.factor = 1
        self.on_carried: Callable[[Inhabitant, Address, bytes], object] | None = None
        self.icmp_chance = self.dice.pick((0.0, 0.5, 1.0))
        self.guessers: set[Address] = set()
        self._luck = LUCK
        self.former: set[Address] = set()
        self._heap: list[tuple[int, int, Any, Any]] = []
        self._pushed = 0

    def add(self, inhabitant: Inhabitant) -> None:
        """
        Somebody moves in.
        """
        self.inhabitants.append(inhabitant)
        self.at[inhabitant.public] = inhabitant

    def rebind(self, inhabitant: Inhabitant) -> None:
        """
        A NAT forgets: the inhabitant's datagrams come from another port from now on.
        """
        host, port = host_and_port(inhabitant.public)
        del self.at[inhabitant.public]
        self.former.add(inhabitant.public)
        inhabitant.public = (host, 1024 + (port - 1023 + self.dice.below(60_000)) % 64_000)
        self.former.discard(inhabitant.public)
        self.at[inhabitant.public] = inhabitant

    def tell(self, line: str) -> None:
        """
        Add to the story.  Ask C{plan.story} first: to make a line costs more than a datagram.
        """
        if self.plan.story is not None:
            self.plan.story.append(f"{self.now - START:>14,} {line}")

    def call_later(self, delay: int, function: Callable[[], object]) -> None:
        """
        Call something in so many µs.
        """
        self._pushed += 1
        heappush(self._heap, (self.now + delay, self._pushed, None, function))

    # --- Datagrams --------------------------------------------------------------------------------------------

    def carry(self, sender: Inhabitant, destination: Address, data: bytes, *, dont_fragment: bool = False) -> None:
        """
        Put a datagram on its way.
        """
        if self.on_carried is not None:
            self.on_carried(sender, destination, data)
        target = self.at.get(destination)
        if target is None:
            self._to_nobody(sender, destination, data)
            return
        if self.is_cut:
            return
        weather = sender.up if sender.up is not None else target.down
        if weather is None:
            self.arrive(self.now, target, data, sender.public)
            return
        mtu = weather.mtu
        if mtu and len(data) + overhead_of(destination[0]) > mtu and (dont_fragment or ":" in destination[0]):
            self._give_back(sender, destination, data, Obstacle.TOO_BIG, mtu - overhead_of(destination[0]))
            return
        for arrival in weather.fates(len(data), self.now):
            self.arrive(arrival, target, data, sender.public)

    def arrive(self, time: int, target: Inhabitant, data: bytes, source: Address, segment_size: int = 0) -> None:
        """
        Let a datagram arrive at C{time}.
        """
        self._pushed += 1
        heappush(self._heap, (time, self._pushed, target, Datagram(data, source, segment_size, time)))

    def forge(self, target: Inhabitant, data: bytes, source: Address, *, delay: int = 0, factor: int = 0) -> None:
        """
        Let somebody send a datagram in the name of C{source}.

        @param factor: for one who may have guessed right, more than the world's.
        """
        if data and data[0] >> 4 != SYN:
            self.guessers.add(source)
        if source not in self.at:
            self.owed[source] = self.owed.get(source, 0) + len(data) * max(factor, self.factor)
        self.arrive(self.now + delay, target, data, source)

    def _to_nobody(self, sender: Inhabitant, destination: Address, data: bytes) -> None:
        if destination in self.former:
            self._give_back(sender, destination, data, Obstacle.PORT_CLOSED, 0)
            return
        left = self.owed.get(destination, 0) - len(data)
        self.owed[destination] = left
        if left < 0 and destination in self.guessers and self._luck > 0:
            self._luck += left
            self.owed[destination] = 0
        elif left < 0:
            raise Wrong("nobody is sent more than came in his name", f"{-left} bytes more to {destination}")

    def _give_back(self, sender: Inhabitant, destination: Address, data: bytes, obstacle: Obstacle, size: int) -> None:
        if self.is_cut or not self.dice.chance(self.icmp_chance):
            return
        if self.plan.happens(f"icmp.{obstacle.name}"):
            returned = ReturnedDatagram(destination, data[:MAX_QUOTED], obstacle, max(size, 0))
            self.call_later(self.dice.below(20_000), lambda: sender.returned(returned))

    # --- Time -------------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool], *, limit: int) -> bool:
        """
        Let things happen until C{until()}, which is asked now and then, or for C{limit} µs.

        @return: it came true.
        """
        end, asked = self.now + limit, 0
        while True:
            asked += 1
            if asked % 32 == 0 and until():
                return True
            if not self._step(end):
                return until()

    def _step(self, end: int) -> bool:
        heap = self._heap
        sleeper = min(self.inhabitants, key=_deadline_of)
        due = heap[0][0] if heap else NEVER
        if sleeper.deadline <= due:
            if sleeper.deadline > end:
                self.now = end
                return False
            self.now = max(self.now, sleeper.deadline)
            sleeper.wake()
            return True
        if due > end:
            self.now = end
            return False
        time, _, target, thing = heappop(heap)
        self.now = max(self.now, time)
        if target is None:
            thing()
            return True
        batch = [thing]
        latest = time + target.coalesce
        while heap and heap[0][0] <= latest and heap[0][2] is target and len(batch) < 256:
            time, _, _, thing = heappop(heap)
            self.now = max(self.now, time)
            batch.append(thing)
        self.datagrams += len(batch)
        target.receive(batch)
        return True

    def silence(self) -> None:
        """
        Forget everything that is to come.
        """
        self._heap.clear()


def _deadline_of(inhabitant: Inhabitant) -> int:
    return inhabitant.deadline
