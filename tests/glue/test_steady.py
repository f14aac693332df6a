"""
Do deadlines hold although somebody sets the clock that the reactor's delayed calls go by?
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.base import ReactorBase
from twisted.internet.error import TimeoutError as ConnectTimedOut
from twisted.internet.task import Clock

from twisted_utp import UTPConfig, UTPProtocol, _steady
from twisted_utp._steady import LOOK_INTERVAL, ClockWatch, SteadyTimer, monotonic_us, steady_clock, unwatch, watch
from twisted_utp.testing.reactor import SimulatedReactor

PROGRAM = Path(__file__).parent / "clocks.py"
HOUR = 3600.0


class SetClock(Clock):
    """
    A reactor whose time of day can be set.

    @ivar steady: µs, on the clock that cannot.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = 1_000_000.0
        self.steady = 5_000_000

    def microseconds(self) -> int:
        return self.steady

    def let_pass(self, seconds: float) -> None:
        """On both clocks, in small steps."""
        for _ in range(round(seconds * 100)):
            self.steady += 10_000
            self.advance(0.01)

    def set(self, by: float) -> None:
        """Forward, or back when it is negative."""
        self.rightNow += by

    def callFromThread(self, callable: Any, *args: Any) -> None:
        self.callLater(0, callable, *args)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def timer_of(clock: SetClock, **keywords: Any) -> tuple[SteadyTimer, list[int]]:
    """A timer, and when it fired."""
    fired: list[int] = []
    return SteadyTimer(clock, clock.microseconds, lambda: fired.append(clock.steady), **keywords), fired


def watch_of(clock: SetClock, *timers: SteadyTimer) -> ClockWatch:
    """What looks, without its thread."""
    watching = ClockWatch(clock)
    watching.timers.update(timers)
    watching.look()
    return watching


# --- The timer -----------------------------------------------------------------------------------------------------


def test_fires_once(clock: SetClock) -> None:
    """At its time; a later deadline does not move the call, an earlier one does, and none clears it."""
    timer, fired = timer_of(clock)
    timer.arm(5_500_000, clock.steady)
    timer.arm(5_200_000, clock.steady)
    timer.arm(5_900_000, clock.steady)
    assert timer.due == 5_200_000 and len(clock.getDelayedCalls()) == 1
    clock.let_pass(1)
    assert fired == [5_200_000] and timer.due is None
    timer.arm(7_000_000, clock.steady)
    timer.arm(None, clock.steady)
    assert timer.due is None and clock.getDelayedCalls() == []
    timer.arm(7_000_000, clock.steady)
    timer.clear()
    timer.clear()
    clock.let_pass(2)
    assert len(fired) == 1 and clock.getDelayedCalls() == []


def test_overdue_call_does_not_stay(clock: SetClock) -> None:
    """Whoever is awake for another reason, after the deadline, gets a call that comes."""
    timer, fired = timer_of(clock)
    timer.arm(5_500_000, clock.steady)
    clock.set(-HOUR)
    clock.let_pass(1)
    assert fired == []
    timer.arm(6_300_000, clock.steady)
    clock.let_pass(1)
    assert fired == [6_300_000]


def test_set_back(clock: SetClock) -> None:
    """It fires at its time when the watch has looked, and not before."""
    timer, fired = timer_of(clock)
    watching = watch_of(clock, timer)
    timer.arm(10_000_000, clock.steady)
    clock.let_pass(1)
    clock.set(-HOUR)
    clock.let_pass(1)
    watching.look()
    clock.let_pass(2.9)
    assert fired == []
    clock.let_pass(0.2)
    assert fired == [10_000_000]


def test_set_back_and_looked_at_too_late(clock: SetClock) -> None:
    """It is late by no more than the time until the watch looks."""
    timer, fired = timer_of(clock)
    watching = watch_of(clock, timer)
    timer.arm(5_500_000, clock.steady)
    clock.set(-HOUR)
    clock.let_pass(LOOK_INTERVAL)
    watching.look()
    clock.let_pass(0.02)
    assert fired and fired[0] - 5_000_000 <= LOOK_INTERVAL * 1e6 + 20_000


def test_small_steps_are_left_alone(clock: SetClock) -> None:
    """A clock that is slewed by a time server costs nothing."""
    timer, _ = timer_of(clock)
    watching = watch_of(clock, timer)
    timer.arm(10_000_000, clock.steady)
    (call,) = clock.getDelayedCalls()
    for _ in range(20):
        clock.set(-0.01)
        watching.look()
        clock.advance(0)
    assert clock.getDelayedCalls() == [call]


def test_set_forward(clock: SetClock) -> None:
    """It is not early, unless its owner does not mind."""
    timer, fired = timer_of(clock)
    careless, fired_early = timer_of(clock, is_exact=False)
    for each in (timer, careless):
        each.arm(7_000_000, clock.steady)
    clock.let_pass(1)
    clock.set(HOUR)
    clock.let_pass(0.5)
    assert fired == [] and len(fired_early) == 1
    clock.let_pass(0.6)
    assert fired == [7_000_000]


def test_which_clock(machines: Any) -> None:
    """Real reactors' timers go by a clock that cannot be set, those in virtual time by the reactor's."""
    assert steady_clock(_reactor) is monotonic_us
    assert steady_clock(machines.client)() == machines.client.microseconds()
    plain = Clock()
    plain.advance(1.5)
    assert steady_clock(plain)() == 1_500_000
    assert 0 < monotonic_us() <= monotonic_us()


# --- The thread ----------------------------------------------------------------------------------------------------


def watches() -> list[threading.Thread]:
    """The threads that look."""
    return [thread for thread in threading.enumerate() if thread.name == "uTP clock watch"]


class OwnReactor(ReactorBase):
    """One that nobody else has timers with: ports of tests before this one may still be there."""

    def installWaker(self) -> None:
        """It is never run, so nobody has to wake it."""


def test_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for all timers of a reactor; it ends after the last one, and is there again for the next."""
    monkeypatch.setattr(_steady, "LOOK_INTERVAL", 0.01)
    reactor, others = OwnReactor(), watches()
    timers = [SteadyTimer(reactor, monotonic_us, print) for _ in range(3)]
    for _ in range(2):
        for timer in timers:
            watch(reactor, timer)
        (thread,) = [thread for thread in watches() if thread not in others]
        assert thread.daemon
        for timer in timers:
            unwatch(reactor, timer)
        thread.join(30)
        assert not thread.is_alive()


def test_no_thread_in_virtual_time(machines: Any) -> None:
    """Nobody sets a simulated reactor's clock."""
    before = watches()
    machines.pair()
    assert watches() == before and isinstance(machines.client, SimulatedReactor)


# --- The port ------------------------------------------------------------------------------------------------------


class Wire:
    """A UDP port of which nothing comes back."""

    def __init__(self) -> None:
        self.sent = 0

    def write(self, datagram: bytes, addr: Any = None) -> None:
        self.sent += 1

    def getHost(self) -> Any:
        from twisted.internet.address import IPv4Address

        return IPv4Address("UDP", "10.0.0.1", 1)


def dial(clock: SetClock, machines: Any) -> tuple[UTPProtocol, list[Any]]:
    """A dial that nobody answers, for four seconds; and its end, with the time."""
    protocol = UTPProtocol(clock, UTPConfig(connect_timeout=4))
    protocol.makeConnection(Wire())
    ended: list[Any] = []
    connecting = protocol.connect(machines.Building(), "10.0.0.2", 2)
    connecting.addErrback(lambda reason: ended.append((reason.type, clock.steady)))
    clock.let_pass(0.5)
    return protocol, ended


@pytest.mark.parametrize("by", [-HOUR, HOUR])
def test_connect_timeout(clock: SetClock, machines: Any, by: float) -> None:
    """A connect fails after its timeout although the clock was set."""
    protocol, ended = dial(clock, machines)
    watching = watch_of(clock, protocol._timer)
    clock.set(by)
    clock.let_pass(1)
    watching.look()
    clock.let_pass(2.4)
    assert ended == []
    clock.let_pass(0.2)
    assert ended == [(ConnectTimedOut, 9_000_000)]
    assert clock.getDelayedCalls() == []


def test_datagrams_wake_the_timer(clock: SetClock, machines: Any) -> None:
    """Before the watch has looked, anything that arrives after a deadline starts the timer again."""
    protocol, ended = dial(clock, machines)
    clock.set(-HOUR)
    clock.let_pass(2)
    protocol.datagramReceived(b"anything", ("10.0.0.3", 3))
    clock.let_pass(2)
    assert ended == [(ConnectTimedOut, 9_000_000)]


@pytest.mark.parametrize("reactor", ["select", "poll", "epoll", "asyncio"])
def test_real_reactors(start_python: Any, reactor: str) -> None:
    """The same on reactors that sleep in the kernel."""
    told = start_python(PROGRAM, reactor).wait_for_event("outcome")
    assert told["reason"] == "TimeoutError" and told["seconds"] < 10
