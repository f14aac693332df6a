"""
Does virtual time pass as promised?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.clock import HostClock
from twisted_utp.testing.simulator import SECOND, START, SimulationDidNotEnd, Simulator


def test_events_happen_in_order_of_time_and_then_of_asking() -> None:
    """Earlier events come first; at one instant the order of scheduling decides."""
    simulator, seen = Simulator(), []
    simulator.call_later(20, seen.append, "late")
    simulator.call_later(10, seen.append, "first")
    simulator.call_later(10, seen.append, "second")
    assert simulator.run() == 20
    assert seen == ["first", "second", "late"]
    assert simulator.now == START + 20


def test_start_is_configurable() -> None:
    """Virtual time may start anywhere above 0."""
    assert Simulator(start=7).now == 7
    with pytest.raises(ValueError, match="start=0"):
        Simulator(start=0)


def test_cancelled_calls_do_not_happen() -> None:
    """A cancelled call is gone, and cancelling twice or too late is harmless."""
    simulator, seen = Simulator(), []
    call = simulator.call_later(10, seen.append, "cancelled")
    kept = simulator.call_later(11, seen.append, "kept")
    assert call.active
    call.cancel()
    call.cancel()
    assert not call.active and simulator.pending == 1
    simulator.run()
    kept.cancel()
    assert seen == ["kept"] and simulator.pending == 0


def test_many_cancelled_calls_are_swept_out() -> None:
    """Timers that are re-armed for ever do not fill the heap."""
    simulator = Simulator()
    for _ in range(100_000):
        simulator.call_later(1000, print).cancel()
    assert len(simulator._heap) < 10_000
    assert simulator.pending == 0


def test_sweeping_keeps_the_count_and_the_order() -> None:
    """After a sweep the live calls still happen in order."""
    simulator, seen = Simulator(), []
    for number in range(3000):
        simulator.call_later(3000 - number, seen.append, 3000 - number)
        for _ in range(5):
            simulator.call_later(number, print).cancel()
    assert simulator.pending == 3000
    simulator.run()
    assert seen == sorted(seen) and len(seen) == 3000


def test_the_past_cannot_be_scheduled() -> None:
    """Time does not go back."""
    simulator = Simulator()
    with pytest.raises(ValueError, match="5 µs ago"):
        simulator.call_at(START - 5, print)


def test_run_until_includes_the_instant_and_lands_on_it() -> None:
    """Everything due at the given time happens, nothing later does."""
    simulator, seen = Simulator(), []
    simulator.call_later(10, seen.append, 10)
    simulator.call_later(11, seen.append, 11)
    simulator.run_until(START + 10)
    assert seen == [10] and simulator.now == START + 10
    simulator.run_for(100)
    assert seen == [10, 11] and simulator.now == START + 110


def test_step_says_when_nothing_is_left() -> None:
    """step() is one event, and False when idle."""
    simulator = Simulator()
    simulator.call_later(1, int)
    assert simulator.step()
    assert not simulator.step()


def test_run_until_condition() -> None:
    """run(until) stops as soon as the condition holds, and reports the time it took."""
    simulator, seen = Simulator(), []
    for delay in (1, 2, 3):
        simulator.call_later(delay * SECOND, seen.append, delay)
    assert simulator.run(lambda: 2 in seen) == 2 * SECOND
    assert seen == [1, 2]


def test_endless_activity_fails_loudly() -> None:
    """What never goes idle exceeds the limit instead of hanging."""
    simulator = Simulator()

    def again() -> None:
        simulator.call_later(SECOND, again)

    again()
    with pytest.raises(SimulationDidNotEnd, match="before idle; 1 events are pending"):
        simulator.run(limit=10 * SECOND)


def test_idle_before_the_condition_fails_loudly() -> None:
    """A condition that can never come true any more is an error at once."""
    with pytest.raises(SimulationDidNotEnd, match="idle after"):
        Simulator().run(lambda: False)


def test_time_that_stands_still_fails_loudly() -> None:
    """A timer that re-arms itself for now is found out."""
    simulator = Simulator()

    def again() -> None:
        simulator.call_later(0, again)

    again()
    with pytest.raises(SimulationDidNotEnd, match="events at"):
        simulator.run()


def test_same_seed_same_numbers() -> None:
    """The one source of randomness is seeded."""
    assert Simulator(3).random.random() == Simulator(3).random.random() != Simulator(4).random.random()


def test_host_clock_offset() -> None:
    """A clock may be ahead of, or behind, the simulator's."""
    simulator = Simulator()
    clock = HostClock(simulator, offset=5 * SECOND)
    assert clock.now() == START + 5 * SECOND
    assert clock.when(START + 6 * SECOND) == START + SECOND
    assert HostClock(simulator, offset=-SECOND).now() == START - SECOND
    with pytest.raises(ValueError, match="offset="):
        HostClock(simulator, offset=-START)


@pytest.mark.parametrize("drift", [200.0, -200.0, 0.5, 0.0])
def test_host_clock_drift(drift: float) -> None:
    """A clock may run fast or slow, and its timers ring when it says so, never early."""
    simulator = Simulator()
    clock = HostClock(simulator, drift_ppm=drift)
    simulator.run_for(1000 * SECOND)
    assert clock.now() - START == 1000 * SECOND + drift * 1000
    for reading in (clock.now() + 1, clock.now() + 12345, clock.now() + SECOND):
        time = clock.when(reading)
        assert clock.at(time) >= reading > clock.at(time - 1)


def test_host_clock_never_rings_in_the_past() -> None:
    """A timer for a time that has passed rings now."""
    simulator = Simulator()
    assert HostClock(simulator).when(1) == simulator.now


def test_host_clock_changes_rate_and_steps() -> None:
    """A change of drift does not make the clock jump; a step does, and only ahead."""
    simulator = Simulator()
    clock = HostClock(simulator)
    simulator.run_for(SECOND)
    before = clock.now()
    clock.set_drift(1000)
    assert clock.now() == before
    simulator.run_for(SECOND)
    assert clock.now() == before + SECOND + 1000
    clock.step(500_000)
    assert clock.now() == before + SECOND + 501_000
    with pytest.raises(ValueError, match="monotonic"):
        clock.step(-1)
