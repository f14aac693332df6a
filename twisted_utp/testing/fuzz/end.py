"""
Who turns the wheel of a multiplexer, and does it stop?

An L{End} does what the Twisted side does with the core, in all the ways that it is allowed to: batches or the fast
path for one datagram, trains of any length, timers that ring late.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.values import Address, Datagram, ReturnedDatagram
from twisted_utp.testing.fuzz.account import check_deadlines, check_memory
from twisted_utp.testing.fuzz.application import Application
from twisted_utp.testing.fuzz.mutator import Mutator
from twisted_utp.testing.fuzz.telling import told, told_bytes, told_event
from twisted_utp.testing.fuzz.weather import Weather
from twisted_utp.testing.fuzz.world import NEVER, World, Wrong
from twisted_utp.testing.gro import merge
from twisted_utp.testing.simulator import START
from twisted_utp.testing.wire import SYN

# More rounds than this of "what happened, what is to be sent" in one turn never end.
MAX_ROUNDS = 5_000
# A deadline may lie in the past for once, when an estimate has changed, but not again and again.
MAX_RINGS = 20
# Datagrams between two weighings, and turns between two looks at timers: both take longer than a turn.
WEIGH_EACH = 3_000
LOOK_EACH = 16
MILLION = 1_000_000

NewApplication = Callable[["End", Connection], Application]


class End:
    """
    A L{Multiplexer} and its owner.

    @ivar host: the address whose ports its datagrams come from.
    @ivar applications: one for each connection that was ever heard of.
    @ivar living: those that have not yet heard the last of theirs.
    @ivar dialled: the applications of connections that it dialled, by the connection ids of their SYNs.
    @ivar mutator: what becomes of its datagrams before they leave, L{None} for an honest end.
    @ivar turns: how often the wheel was turned.
    @ivar wakeups: how often because of a timer.
    """

    coalesce = 0

    def __init__(
        self,
        world: World,
        name: str,
        address: Address,
        config: UTPConfig,
        *,
        new_application: NewApplication,
        accepting: bool = True,
    ) -> None:
        """
        @param new_application: makes the application of a connection that a peer opened.
        """
        self.world = world
        self.name = name
        self.public = address
        self.host = address[0]
        self.up: Weather | None = None
        self.down: Weather | None = None
        self.mutator: Mutator | None = None
        self.deadline = NEVER
        self.turns = self.wakeups = 0
        self.applications: list[Application] = []
        self.living: dict[Application, None] = {}
        self.dialled: dict[int, Application] = {}
        self.dice = dice = world.plan.dice(f"end {name}")
        tracer = _trace if dice.chance(0.2) else None
        self.multiplexer = Multiplexer(config, rng=world.plan.dice(f"core {name}"), tracer=tracer)
        self.multiplexer.accepting = accepting
        self.coalesce = dice.pick((0, 0, 100, 2_000, 20_000))
        self._new_application = new_application
        self._dialling: list[Application] = []
        self._merges = dice.chance(0.5)
        self._tells_times = dice.chance(0.5)
        self._fast = dice.pick((0.0, 0.5, 1.0))
        self._lateness = dice.pick((0, 0, 1_000, 15_000))
        self._limits = dice.pick(({}, {}, {"max_segments": 1}, {"max_transmits": 1}, {"max_bytes": 3000}))
        self._offset = dice.pick((0, dice.getrandbits(32), dice.getrandbits(44))) - START + 1
        self._rate = MILLION + dice.pick((0, 0, 50, -50, 3000))
        self._weigh_at = WEIGH_EACH
        self._look_at = LOOK_EACH
        world.add(self)

    # --- Time -------------------------------------------------------------------------------------------------

    def clock(self, time: int) -> int:
        """
        What its clock shows when it is C{time}.
        """
        return self._offset + time * self._rate // MILLION

    @property
    def now(self) -> int:
        """
        What it shows now, µs.
        """
        return self.clock(self.world.now)

    def _arm(self) -> None:
        due = self.multiplexer.poll_timeout()
        if due is None:
            self.deadline = NEVER
            return
        late = int(self.dice.random() * self._lateness) if self._lateness else 0
        self.deadline = -(-(due - self._offset) * MILLION // self._rate) + late

    # --- What moves it ----------------------------------------------------------------------------------------

    def dial(self, address: Address, application: Application, *, is_punching: bool = False) -> None:
        """
        Open a connection, for an application that has none yet.
        """
        connection = self.multiplexer.connect(address, now=self.now, is_punching=is_punching)
        self._dialling.append(application)
        self.adopt(connection, application)

    def adopt(self, connection: Connection, application: Application) -> None:
        """
        The connection is the application's.
        """
        connection.user_data = application
        application.connection = connection
        self.applications.append(application)
        self.living[application] = None

    def receive(self, datagrams: list[Datagram]) -> None:
        """
        Datagrams have arrived.
        """
        self._set_times(datagrams)
        if self.world.plan.story is not None:
            for datagram in datagrams:
                self.world.tell(f"{self.name} < {told(datagram)}")
        now = self.now
        if len(datagrams) == 1 and self._fast and self.dice.chance(self._fast):
            taken = self.multiplexer.receive_single(datagrams[0], now)
            if taken is not None:
                self._turn_for_one(*taken)
                return
        if self._merges:
            datagrams = merge_singles(datagrams)
        self.multiplexer.receive_datagrams(datagrams, now=now)
        self.turn()

    def _set_times(self, datagrams: list[Datagram]) -> None:
        for datagram in datagrams:
            datagram.received_at = self.clock(datagram.received_at) if self._tells_times else 0

    def wake(self) -> None:
        """
        A deadline has come.
        """
        self.wakeups += 1
        self.turn()

    def returned(self, returned: ReturnedDatagram) -> None:
        """
        A datagram came back, or somebody says so.
        """
        if self.world.plan.story is not None:
            self.world.tell(
                f"{self.name} < ICMP {returned.obstacle.name} {returned.size} {told_bytes(returned.quoted)}"
            )
        self.multiplexer.receive_returned([returned], now=self.now)
        self.turn()

    # --- The wheel --------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """
        Tell the applications, send, re-arm, check.
        """
        self.turns += 1
        for _ in range(MAX_RINGS):
            due = self.multiplexer.poll_timeout()
            if due is not None and due <= self.now:
                self.multiplexer.handle_timeout(now=self.now)
            self._exchange()
            due = self.multiplexer.poll_timeout()
            if due is None or due > self.now:
                break
        else:
            raise Wrong("timers let time pass", f"{self.name}: {due} at {self.now}")
        if self.multiplexer.faults:
            raise self.multiplexer.faults[0]
        self._arm()
        self._check()

    def _exchange(self) -> None:
        multiplexer, now = self.multiplexer, self.now
        for _ in range(MAX_ROUNDS):
            self._dispatch()
            transmits = multiplexer.poll_transmits(now=now, **self._limits)
            if not transmits:
                break
            for transmit in transmits:
                segments = transmit.segments()
                if len(segments) != transmit.count or (transmit.count > 1 and transmit.dont_fragment):
                    raise Wrong("a train has as many datagrams as it says", transmit)
                for segment in segments:
                    self._send(transmit.address, segment, transmit.dont_fragment)
        else:
            raise Wrong("what is to be sent comes to an end", f"{self.name}: {MAX_ROUNDS} rounds")
        self._dispatch()

    def _turn_for_one(self, connection: Connection, data: bytes) -> None:
        """
        The turn after the fast path, as the Twisted side has it.
        """
        application = cast(Application, connection.user_data)
        application.hear(data)
        transmit = self.multiplexer.poll_single(connection, self.now)
        if transmit is not None:
            self._send(transmit.address, transmit.payload, False)
        self.turn()

    def _dispatch(self) -> None:
        for _ in range(MAX_ROUNDS):
            events = self.multiplexer.poll_events()
            if not events:
                return
            for connection, event in events:
                application = cast("Application | None", connection.user_data)
                if application is None:
                    application = self._new_application(self, connection)
                    self.adopt(connection, application)
                if self.world.plan.story is not None:
                    self.world.tell(f"{self.name} {application.name}: {told_event(event)}")
                application.hear(event)
        raise Wrong("events come to an end", f"{self.name}: {MAX_ROUNDS} rounds")

    def _send(self, destination: Address, data: bytes, dont_fragment: bool) -> None:
        if data[0] >> 4 == SYN:
            self._note_syn(data[2] << 8 | data[3])
        world = self.world
        if world.plan.story is not None:
            world.tell(f"{self.name} > {told(Datagram(data, destination))}")
        if self.mutator is not None:
            self.mutator.send(self, destination, data, dont_fragment)
        else:
            world.carry(self, destination, data, dont_fragment=dont_fragment)

    def _note_syn(self, connection_id: int) -> None:
        for application in self._dialling:
            if application.connection.recv_id == connection_id:
                self.dialled[connection_id] = application

    def _check(self) -> None:
        if self.turns >= self._look_at:
            self._look_at = self.turns + LOOK_EACH + 2 * len(self.living)
            check_deadlines(self)
        if self.world.datagrams >= self._weigh_at:
            # With many connections it takes long.
            self._weigh_at = self.world.datagrams + WEIGH_EACH + 50 * len(self.living)
            check_memory(self)


def _trace(now: int, address: Address, connection_id: int, event: str, **data: object) -> None:
    """
    What is traced is not looked at, but it must not raise to say it.
    """


def merge_singles(datagrams: list[Datagram]) -> list[Datagram]:
    """
    What the kernel's GRO makes of a batch, in which some are merged already.
    """
    merged: list[Datagram] = []
    singles: list[Datagram] = []
    for datagram in datagrams:
        if datagram.segment_size:
            merged += merge(singles)
            merged.append(datagram)
            singles = []
        else:
            singles.append(datagram)
    return merged + merge(singles)
