"""
Who meets whom in a session, and what must have come of it?

A session is drawn from its mode and its seed: ends with settings and weather, applications, speakers and strangers.
They do as they like for a while, then everything is closed or cut off, and a week passes in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted_utp.proto.acceptance import Verdict
from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.congestion.base import congestion_controller_names
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.events import LossReason
from twisted_utp.proto.values import Address
from twisted_utp.testing.fuzz.account import check_cut_off, check_deadlines, check_memory, check_nothing_left
from twisted_utp.testing.fuzz.application import Application
from twisted_utp.testing.fuzz.dice import Dice, Plan
from twisted_utp.testing.fuzz.end import End
from twisted_utp.testing.fuzz.mutator import Mutator
from twisted_utp.testing.fuzz.speaker import Speaker
from twisted_utp.testing.fuzz.strangers import Strangers
from twisted_utp.testing.fuzz.weather import Weather
from twisted_utp.testing.fuzz.world import World, Wrong
from twisted_utp.testing.simulator import SECOND

HOUR = 3600 * SECOND
WEEK = 7 * 24 * HOUR
# For so long others go on talking to those who close.
CLOSING = 10 * SECOND
# Datagrams after which a session comes to its end, whatever else was to happen.
LONG_ENOUGH = 4_000
# A patient one, when everything is polite: much more than it takes.
TOO_LONG = 300_000
# Applications of strangers' connections that do something; those of the others wait for what comes.
BUSY_STRANGERS = 30
# With early_byte a forged SYN is answered with a SYN-ACK and a packet of one byte.
EARLY_BYTE_FACTOR = 3
# One guess in 65,536 is right, so once in a long time one of a session's strangers gets in; three never do.
LUCKY_GUESSES = 2
VERDICTS = (True, True, True, False, *Verdict)
# An end wakes up at most so often while nothing arrives.
MAX_WAKEUPS = 20_000


@dataclass(frozen=True, slots=True)
class Mode:
    """
    A kind of session.

    @ivar gentle: the honest ones are polite and their network is fair, so that each of their connections must succeed;
        L{None} for either.
    @ivar mutated: ends whose packets are mutated.
    @ivar speakers: peers without a core, at the most.
    @ivar strangers: there are strangers.
    """

    gentle: bool | None
    mutated: int = 0
    speakers: int = 0
    strangers: bool = False


MODES = {
    "honest": Mode(gentle=None),
    "mutated": Mode(gentle=None, mutated=1, speakers=2),
    "strangers": Mode(gentle=True, strangers=True),
    "everything": Mode(gentle=True, mutated=1, speakers=1, strangers=True),
}


class Session:
    """
    One seed's session.

    @ivar world: where it happens.
    @ivar ends: the server first.
    """

    def __init__(self, mode: str, seed: int, plan: Plan | None = None) -> None:
        """
        @param mode: one of L{MODES}.
        @param plan: of that mode and seed, in which some things may not happen.
        """
        self.mode = MODES[mode]
        self.plan = plan if plan is not None else Plan(mode, seed)
        self.dice = dice = self.plan.dice("session")
        self.world = world = World(self.plan)
        self.gentle = self.mode.gentle if self.mode.gentle is not None else dice.chance(0.5)
        self.ends: list[End] = []
        self.speakers: list[Speaker] = []
        self.is_silent = False
        self._numbers = self._strangers_let_in = 0
        self._ipv6 = dice.chance(0.3)
        server = self._add_end("server", dice)
        for number in range(dice.between(1, 2)):
            self._with_weather(self._add_end(f"client{number}", dice))
        for number in range(self.mode.mutated):
            self._with_weather(self._add_end(f"mutated{number}", dice, mutated=True))
        for number in range(dice.between(0, self.mode.speakers)):
            targets = [server.public]
            self.speakers.append(Speaker(world, f"speaker{number}", self._address(100 + number, 7000), targets))
        honest = [end for end in self.ends if end.mutator is None]
        self.strangers = Strangers(world, honest) if self.mode.strangers else None
        if any(end.multiplexer.config.early_byte for end in self.ends):
            world.factor = EARLY_BYTE_FACTOR

    # --- Who is there -----------------------------------------------------------------------------------------

    def _address(self, number: int, port: int) -> Address:
        return (f"fd00::{number}" if self._ipv6 else f"10.0.0.{number}"), port

    def _add_end(self, name: str, dice: Dice, *, mutated: bool = False) -> End:
        gentle = self.gentle and not mutated
        config = gentle_config(dice, crowded=self.mode.strangers) if gentle else any_config(dice)
        address = self._address(1 + len(self.ends), 9000)
        end = End(self.world, name, address, config, new_application=self._accepted)
        if not gentle and dice.chance(0.1):
            end.multiplexer.gate.policy = lambda address, load: self.dice.pick(VERDICTS)
        if mutated:
            end.mutator = Mutator(self.world, name)
        self.ends.append(end)
        return end

    def _with_weather(self, end: End) -> None:
        gentle = self.gentle and end.mutator is None
        least = 1280 if self._ipv6 else 0
        end.up = Weather(self.plan, f"{end.name} up", gentle=gentle, least_mtu=least)
        end.down = Weather(self.plan, f"{end.name} down", gentle=gentle, least_mtu=least)

    def _accepted(self, end: End, connection: Connection) -> Application:
        """
        The application of a connection that was accepted: who dialled it?
        """
        peer = self._dialler_of(connection)
        if peer is None:
            self._count_strangers(connection)
            application = self._application(end, polite=False, is_checked=False)
            application.is_quiet = application.number > BUSY_STRANGERS
            return application
        application = self._application(end, polite=peer.polite)
        self._join(peer, application)
        return application

    def _count_strangers(self, connection: Connection) -> None:
        """
        Nobody is at this address: has somebody guessed what was sent there?
        """
        if connection.address not in self.world.at and connection.address not in self.world.former:
            self._strangers_let_in += 1
            if self._strangers_let_in > LUCKY_GUESSES:
                raise Wrong("who has not proved his address reaches no application", connection.address)

    def _dialler_of(self, connection: Connection) -> Application | None:
        host = connection.address[0]
        dialler = next((end for end in self.ends if end.host == host), None)
        return dialler.dialled.get(connection.send_id) if dialler is not None else None

    def _connected(self, application: Application) -> None:
        """
        Both have dialled, and the peer's SYN has won?  Then this one has become the acceptor.
        """
        if application.dialled and not application.peers:
            peer = self._dialler_of(application.connection)
            if peer is not None and peer is not application:
                self._join(peer, application)

    def _join(self, one: Application, other: Application) -> None:
        one.peers.append(other)
        other.peers.append(one)
        one.is_checked = one.is_checked and other.end.mutator is None
        other.is_checked = other.is_checked and one.end.mutator is None

    def _application(self, end: End, *, polite: bool, is_checked: bool = True) -> Application:
        self._numbers += 1
        application = Application(end, self._numbers, polite=polite, is_checked=is_checked)
        application.on_connected = self._connected
        return application

    # --- What happens -----------------------------------------------------------------------------------------

    def _dial(self) -> None:
        dice = self.dice
        end, other = self._two_ends()
        polite = self.gentle and end.mutator is None and other.mutator is None
        application = self._application(end, polite=polite)
        application.dialled = True
        application.is_checked = other.mutator is None
        if self.plan.story is not None:
            self.world.tell(f"{end.name} dials {other.name} for {application.name}")
        try:
            end.dial(other.public, application, is_punching=not polite and dice.chance(0.1))
        except LookupError as error:
            raise Wrong("there are enough connection ids", error) from None
        end.turn()

    def _two_ends(self) -> tuple[End, End]:
        server, client = self.ends[0], self.dice.pick(self.ends[1:])
        return (client, server) if self.dice.chance(0.7) else (server, client)

    def _something(self) -> None:
        """
        What no application decides: weather, NATs, ICMP, doors that close.
        """
        if self.is_silent:
            return
        dice, end = self.dice, self.dice.pick(self.ends[1:])
        kind = dice.pick(("weather", "weather", "rebind", "unreachable", "door"))
        told = None
        if kind == "weather":
            weather = dice.pick((end.up, end.down))
            told = weather.change(self.world.now) if weather is not None else None
        elif not self.gentle and self.plan.happens(f"happen.{kind}"):
            told = f"{end.name}: {kind}"
            if kind == "rebind":
                self.world.rebind(end)
            elif kind == "door":
                end.multiplexer.accepting = not end.multiplexer.accepting
        if told is not None:
            self.world.tell(told)
        self.world.call_later(1 + dice.below(5 * SECOND), self._something)

    def _schedule(self) -> int:
        """
        @return: µs until everybody is to come to an end.
        """
        dice = self.dice
        duration = dice.pick((2, 10, 60)) * SECOND
        for _ in range(dice.between(1, 6)):
            self.world.call_later(dice.below(duration // 2), self._dial)
        self.world.call_later(dice.below(SECOND), self._something)
        return duration

    def run(self) -> int:
        """
        All of it.

        @return: datagrams received.
        @raise Wrong: when a promise was broken; any other exception is one out of the core.
        """
        world = self.world
        world.run(lambda: world.datagrams > LONG_ENOUGH, limit=self._schedule())
        if self.gentle:
            self._see_them_through()
        self._check_all(check_memory, check_deadlines)
        if self.gentle or self.dice.chance(0.5):
            world.tell("everything that is left is closed")
            self._finish()
            enough = world.datagrams + LONG_ENOUGH // 4
            world.run(lambda: world.datagrams > enough, limit=CLOSING)
            self._fall_silent()
        else:
            world.tell("nothing arrives any more")
            world.is_cut = True
            self._fall_silent()
            self._finish()
        self._wait(HOUR)
        self._check_all(check_deadlines)
        if world.is_cut:
            self._check_all(check_cut_off)
        for end in self.ends:
            for application in list(end.living):
                application.finish_now()
        self._wait(WEEK)
        self._check_all(check_nothing_left)
        return world.datagrams

    def _finish(self) -> None:
        for end in self.ends:
            for application in list(end.living):
                application.finish()

    def _see_them_through(self) -> None:
        """
        Whoever is polite comes to his end, whatever others do meanwhile.
        """
        world = self.world

        def is_done() -> bool:
            if world.datagrams > 2 * LONG_ENOUGH:
                self._fall_silent()
            waiting = any(one.polite and one.dialled for end in self.ends for one in end.living)
            return not waiting or world.datagrams > TOO_LONG

        world.run(is_done, limit=HOUR)
        for end in self.ends:
            for application in end.applications:
                if application.polite and application.dialled:
                    self._check_polite(application)

    def _check_polite(self, application: Application) -> None:
        """
        Of who has dialled: what the network made of a repeated SYN may have ended without a word.
        """
        lost, peers, told = application.lost, application.peers, f"{application.end.name} {application.name}"
        if lost is None:
            raise Wrong("who is polite comes to his end", f"{told}: {application.connection.stats()}")
        if lost.reason is not LossReason.DONE:
            raise Wrong("who is polite is not cut off", f"{told}: {lost}")
        if not any(peer.written == application.heard and peer.heard == application.written for peer in peers):
            counted = [(peer.name, peer.written, peer.heard) for peer in peers]
            raise Wrong("who is polite is heard", f"{told}: {application.written}, {application.heard}, {counted}")

    def _fall_silent(self) -> None:
        """
        Only applications go on.
        """
        self.is_silent = True
        if self.strangers is not None:
            self.strangers.is_silent = True
        for speaker in self.speakers:
            speaker.fall_silent()
        if self.gentle:
            return
        for end in self.ends:
            for weather in (end.up, end.down):
                if weather is not None:
                    weather.down_until = 0

    def _wait(self, limit: int) -> None:
        before = [end.wakeups for end in self.ends]
        self.world.run(lambda: False, limit=limit)
        for end, wakeups in zip(self.ends, before, strict=True):
            if end.wakeups - wakeups > MAX_WAKEUPS:
                raise Wrong("timers ring rarely while nothing happens", f"{end.name}: {end.wakeups - wakeups}")

    def _check_all(self, *checks: Callable[[End], object]) -> None:
        for end in self.ends:
            for check in checks:
                check(end)


def any_config(dice: Dice) -> UTPConfig:
    """
    Any settings, the odd ones oftener than others.
    """
    settings: dict[str, Any] = {
        "congestion": dice.pick(congestion_controller_names()),
        "target_delay": dice.pick((0.005, 0.1, 1.0)),
        "receive_buffer": dice.pick((16_384, 16_384, 100_000, 1 << 20)),
        "send_buffer": dice.pick((4_096, 65_536)),
        "mtu": dice.pick((None, None, None, 150, 548, 1400, 9000)),
        "keepalive": dice.pick((0, 5, 29)),
        "connect_timeout": dice.pick((0.5, 5, 30)),
        "user_timeout": dice.pick((1, 5, 30)),
        "min_rto": dice.pick((0.01, 0.2, 1)),
        "no_delay": dice.chance(0.3),
        "pacing": dice.chance(0.7),
        "backlog": dice.pick((1, 2, 1024)),
        "max_connections": dice.pick((1, 3, 64)),
        "max_per_host": dice.pick((1, 64, 64)),
        "refuse_silently": dice.chance(0.3),
        "early_byte": dice.chance(0.2),
        "stall_timeout": dice.pick((0, 3, 600)),
        "linger": dice.pick((0, 0, 0.5, 10)),
    }
    return UTPConfig(**settings)


def gentle_config(dice: Dice, *, crowded: bool) -> UTPConfig:
    """
    Settings with which a transfer over a fair network succeeds.

    @param crowded: strangers may take what is there.
    """
    return UTPConfig(
        congestion=dice.pick(congestion_controller_names()),
        receive_buffer=dice.pick((16_384, 100_000, 1 << 20)),
        send_buffer=dice.pick((4_096, 65_536)),
        mtu=dice.pick((None, None, 150, 548)),
        keepalive=dice.pick((0, 5, 29)),
        min_rto=dice.pick((0.2, 1)),
        no_delay=dice.chance(0.3),
        pacing=dice.chance(0.7),
        backlog=dice.pick((1, 3, 1024)) if crowded else 1024,
    )
