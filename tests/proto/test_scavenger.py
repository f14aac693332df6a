"""
What does the scavenger do about a queue: its own, another's, one that is none?
"""

from __future__ import annotations

from typing import Any

import pytest

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.congestion.scavenger.comeback import Comeback
from twisted_utp.proto.congestion.scavenger.companion import Companion
from twisted_utp.proto.congestion.scavenger.controller import Scavenger
from twisted_utp.proto.congestion.scavenger.detector import is_radio, varies_by_itself
from twisted_utp.proto.congestion.scavenger.drain import Drain
from twisted_utp.proto.congestion.scavenger.lasting_queue import LastingQueue
from twisted_utp.proto.congestion.scavenger.startup import Startup
from twisted_utp.proto.congestion.scavenger.steady import Steady
from twisted_utp.proto.congestion.scavenger.trickle import Trickle
from twisted_utp.proto.constants import (
    SCAVENGER_BELIEVED_RATE,
    SCAVENGER_CERTAIN,
    SCAVENGER_COMPANION_TIME,
    SCAVENGER_DRAIN_INTERVAL,
    SCAVENGER_GUEST_GEAR,
    SCAVENGER_MAX_SUSPICION,
    SCAVENGER_PROBE_INTERVAL,
    SCAVENGER_QUIET,
    SCAVENGER_SOON,
    SCAVENGER_TRICKLE_INTERVAL,
)

MSS = 1000
PATH = 50_000
RATE = 2.0  # bytes per µs that come through
EVERY = 1000  # µs between two acknowledgements


class Drive:
    """
    A controller, a clock, and a path whose queue and rate the test makes up.
    """

    def __init__(self) -> None:
        self.now = 1_000_000_000
        self.controller = Scavenger(mss=MSS, target_delay=100_000)
        self.rate = RATE
        self.path = PATH

    @property
    def phase(self) -> str:
        """What it does."""
        return self.controller.phase.name

    @property
    def window(self) -> float:
        """Packets."""
        return self.controller.cwnd / MSS

    def ack(self, delay: int, *, every: int = EVERY, **changes: Any) -> None:
        """One acknowledgement of a packet that waited so long."""
        self.now += every
        rtt = self.path + delay
        sample = AckSample(
            **{
                "bytes_acked": round(self.rate * every),
                "bytes_in_flight": 1 << 30,
                "rtt": rtt,
                "latest_rtt": rtt,
                "min_rtt": self.path,
                "queuing_delay": delay,
                "app_limited": False,
                "in_recovery": False,
                "raw_delay": delay,
                "growth": delay,
                "received_at": self.now,
                **changes,
            }
        )
        self.controller.on_ack(now=self.now, sample=sample)

    def run(self, seconds: float, delay: int = 0, **changes: Any) -> None:
        """Acknowledgements for so long."""
        end = self.now + round(seconds * 1e6)
        while self.now < end:
            self.ack(delay, **changes)

    def until(self, kind: type, delay: int = 0, most: float = 20.0, *, waits: int = 0) -> float:
        """... until it is in that phase; the seconds that this took.  Every other packet waits for so long."""
        begin = self.now
        while not isinstance(self.controller.phase, kind):
            self.ack(delay + (self.now // EVERY) % 2 * waits)
            assert self.now < begin + most * 1e6, self.phase
        return (self.now - begin) / 1e6

    def lose(self) -> None:
        """Packets are lost."""
        self.controller.on_loss(now=self.now, bytes_in_flight=1 << 20, bytes_lost=MSS)


def begun(path: int = PATH) -> Drive:
    """In its stride: it has seen the link's rate, and a queue of 5 ms stands."""
    drive = Drive()
    drive.path = path
    drive.run(2.4 * path / 1e6)
    drive.until(Drain, 5000)
    drive.until(Steady)
    drive.controller.cwnd = RATE * (path + 5000)
    drive.run(18 * path / 1e6, 5000)
    assert drive.phase == "steady"
    return drive


def linger(drive: Drive, seconds: float, delay: int) -> None:
    """Beside somebody whose queue comes and goes, from this delay to twice of it."""
    end = drive.now + round(seconds * 1e6)
    while drive.now < end:
        drive.run(0.005, delay + (drive.now // 20_000) % 10 * delay // 10)


def away(delay: int = 40_000) -> Drive:
    """Out of the way of a queue that came suddenly."""
    drive = begun()
    drive.until(Trickle, delay)
    return drive


# --- The beginning --------------------------------------------------------------------------------------------------


def test_startup_doubles_until_a_queue_stands() -> None:
    """Each acknowledged byte adds one; a queue of most of the target ends it, and half of the window drains it."""
    drive = Drive()
    drive.run(0.05)
    assert drive.phase == "startup"
    assert drive.controller.in_slow_start
    assert drive.window == pytest.approx(110)
    drive.run(0.02, 5000)
    assert drive.phase == "drain"
    assert not drive.controller.in_slow_start
    assert drive.window < 75


def test_the_drain_of_the_overshoot_measures_the_link() -> None:
    """Then the window is what comes through in a round trip and half of the target."""
    drive = Drive()
    drive.run(0.08)
    drive.until(Drain, 5000)
    drive.until(Steady)
    assert drive.window == pytest.approx(RATE * (PATH + 0.6 * 5000) / MSS, rel=0.05)
    assert drive.controller.is_alone


def test_a_burst_does_not_end_startup() -> None:
    """A dozen samples at once are no queue."""
    drive = Drive()
    drive.run(0.03)
    for _ in range(12):
        drive.ack(20_000, every=1, queuing_delay=0)
    assert drive.phase == "startup"


def test_where_samples_scatter_a_few_late_ones_do_not_end_startup() -> None:
    """Ten ms of jitter: of the first packets four in a row are late now and then.  A queue ends it all the same."""
    drive = Drive()
    for number in range(60):
        drive.ack((0, 5000, 9000)[number % 3], queuing_delay=0)
    for number in range(60):
        drive.ack((0, 5000, 9000, 5000, 6000, 7000, 4000, 9000, 6000)[number % 9])
    assert drive.phase == "startup"
    drive.until(Drain, 12_000, most=0.1)


def test_nothing_to_send_is_no_startup() -> None:
    """Windows that are not filled do not grow."""
    drive = Drive()
    drive.run(0.1, app_limited=True, has_more=False)
    assert drive.window == 10


# --- Its own queue --------------------------------------------------------------------------------------------------


def test_the_window_grows_below_the_target_and_shrinks_above() -> None:
    """By a packet or so a round trip, and by half of the excess."""
    drive = begun()
    before = drive.window
    drive.run(0.2, 4000)
    assert 0.5 < drive.window - before < 20
    before = drive.window
    drive.run(0.2, 7000)
    assert drive.window < before
    assert drive.phase == "steady"


def test_an_empty_queue_lets_it_grow_by_a_part_of_itself() -> None:
    """After four round trips: a link that has become faster is filled within a second or so."""
    drive = begun()
    drive.rate = 10 * RATE
    before = drive.window
    drive.run(1.0)
    assert drive.window > 5 * before


def test_a_window_that_is_not_filled_does_not_grow_by_a_part_of_itself() -> None:
    """It is not the window that bounds the rate, but our processor; the next burst would be a queue."""
    drive = begun()
    drive.rate = 0.6 * RATE
    drive.run(0.5, 500)
    before = drive.window
    drive.run(0.5, 500)
    assert drive.window < before + 20


def test_a_window_that_random_losses_leave_unfilled_grows_by_a_part_of_itself() -> None:
    """Only a larger window helps against them."""
    drive = begun()
    drive.rate = 0.5 * RATE
    drive.run(0.5, 500)
    drive.lose()
    before = drive.window
    drive.run(0.5, 500)
    assert drive.window > before + 50


def test_a_radio_s_empty_queue_lets_it_grow_sooner() -> None:
    """Where the queue varies by itself the link may have become faster: half of the patience."""
    windows = []
    for variation in (0, 8000):
        drive = begun()
        drive.controller.trips.variation = variation
        drive.rate = 10 * RATE
        drive.run(0.21)
        windows.append(drive.window)
    assert windows[1] > windows[0] + 2


def test_drains() -> None:
    """Every ten seconds, by half of the window for a round trip, while nobody else is there."""
    drive = begun()
    before = drive.now
    drive.until(Drain, 5000)
    assert drive.now - before <= SCAVENGER_DRAIN_INTERVAL
    assert drive.window == pytest.approx(50, rel=0.1)
    assert drive.until(Steady) < 0.1


def test_the_end_of_startup_measures_the_link_though_the_window_still_doubled() -> None:
    """At 350 ms the round trip before carried half of it; all is known after the drain, not seconds later."""
    drive = Drive()
    drive.path = 350_000
    drive.rate = RATE / 2
    drive.run(0.8)
    drive.rate = RATE
    drive.until(Drain, 5000)
    drive.until(Steady)
    assert drive.controller.trips.capacity == pytest.approx(RATE, rel=0.05)
    assert drive.window == pytest.approx(RATE * 350, rel=0.05)


def test_the_end_of_startup_measures_nothing_of_short_round_trips() -> None:
    """Others may share the link: what came through at once after the startup is more than our part."""
    drive = Drive()
    drive.run(0.08)
    drive.until(Drain, 5000)
    drive.rate = 2 * RATE
    drive.run(0.056, 5000)
    drive.rate = RATE
    drive.run(0.06, 5000)
    drive.until(Steady)
    assert drive.controller.trips.capacity < 1.2 * RATE


def test_drains_of_long_round_trips() -> None:
    """Half of a window of 350 ms would leave the link empty for a third of a second; 30 ms of it empty the queue."""
    drive = begun(path=350_000)
    drive.until(Drain, 5000)
    assert drive.window == pytest.approx(RATE * 320, rel=0.02)


def test_drains_of_long_round_trips_empty_twice_the_target() -> None:
    """Where delays scatter, the queue is longer."""
    flow = begun(path=350_000).controller
    flow.trips.noise = 25_000
    flow.update_levels()
    assert flow.levels.target > 15_000
    flow.drain(1_010_000_000)
    assert flow.cwnd == pytest.approx(RATE * (350_000 - 2 * flow.levels.target), rel=0.02)


def test_on_a_slow_link_one_packet_s_time_is_no_queue() -> None:
    """It counted as one of 1 ms, so that the drain of the overshoot saw somebody else: a second of quiet."""
    drive = Drive()
    drive.path, drive.rate = 40_000, 0.1
    while drive.phase == "startup":
        drive.ack(20_000, every=10_000)
    assert not drive.controller.trips.capacity
    while drive.phase == "drain":
        drive.ack(12_000, every=10_000)
    assert drive.phase == "steady"
    assert drive.controller.levels.empty > 12_000


def test_near_the_known_rate_an_empty_queue_lets_it_grow_by_little() -> None:
    """An eighth of a window of 350 ms would make a queue of 40."""
    drive = begun(path=350_000)
    drive.run(0.35 * 5)
    before = drive.window
    drive.run(0.35)
    assert 5 < drive.window - before <= RATE * 10 * 1.2


def test_drains_beside_others() -> None:
    """Two packets for two round trips, each tenth of the time, when the last one has seen another's queue."""
    drive = begun()
    drive.controller.is_alone = False
    drive.controller.phase.drain_at = drive.now + 1_000_000  # type: ignore[attr-defined]
    drive.until(Drain, 5000)
    assert drive.window == 2
    assert 0.09 < drive.until(Steady, 8000) < 0.13
    assert not drive.controller.is_alone
    assert drive.until(Drain, 5000) < 2.5


# --- Another's ------------------------------------------------------------------------------------------------------


def test_a_sudden_queue_is_another_s() -> None:
    """Within ten milliseconds we are out of the way: two packets of window, and a fiftieth of the rate."""
    drive = begun()
    assert drive.until(Trickle, 15_000) < 0.012
    assert drive.window == 2
    assert drive.controller.pacing_rate == pytest.approx(RATE / 50, rel=0.05)
    assert drive.controller.known_rate == pytest.approx(RATE, rel=0.05)


def test_a_slowly_growing_queue_is_another_s_in_the_end() -> None:
    """By its height."""
    drive = begun()
    for delay in range(5000, 25_000, 100):
        drive.run(0.02, delay)
        if drive.phase == "trickle":
            break
    else:
        pytest.fail("never")
    assert delay < 21_000


def bursts(drive: Drive) -> None:
    """Some bursts of ten packets, which show what the link carries."""
    for _ in range(20):
        sent_at, others = drive.now, 3000
        for ahead in (0, 9):
            wait = others + ahead * round(MSS / RATE)
            drive.ack(wait, every=500, latest_rtt=drive.now + 500 - sent_at, ahead=ahead * MSS)


def with_a_quarter(*, knows_the_link: bool, is_guest: bool = False) -> Drive:
    """Others have the rest of the link, and a queue of 16 ms stands for a moment."""
    drive = begun()
    if knows_the_link:
        bursts(drive)
    drive.rate = RATE / 4
    drive.controller.cwnd = drive.rate * (PATH + 5000)
    drive.run(0.7, 5000)
    assert drive.phase == "steady"
    drive.controller.is_guest = is_guest
    drive.run(0.02, 16_000)
    return drive


def test_among_its_kind_a_flow_is_less_easily_alarmed() -> None:
    """Other scavengers' drains let the queue tremble: such alarms had four flows leave now and again."""
    drive = with_a_quarter(knows_the_link=True)
    assert drive.phase == "steady"
    drive.until(Trickle, 40_000, most=0.02)


def test_a_slow_link_of_its_own_is_not_shared() -> None:
    """Without bursts nothing shows that the link carries more than we have."""
    assert with_a_quarter(knows_the_link=False).phase == "trickle"


def test_a_guest_is_not_among_its_kind() -> None:
    """The others are not scavengers, so nothing is allowed them."""
    assert with_a_quarter(knows_the_link=True, is_guest=True).phase == "trickle"


def test_our_own_growth_is_no_alarm() -> None:
    """What the window has grown by explains as much queue."""
    drive = begun()
    drive.controller.cwnd += 20_000  # 10 ms
    drive.run(0.04, 15_000)
    assert drive.phase == "steady"


def distrusting() -> Drive:
    """Two alarms were false a moment ago."""
    drive = begun()
    for _ in range(2):
        drive.controller.levels.on_false_alarm()
    return drive


def test_a_pause_of_the_path_is_no_alarm() -> None:
    """The queue has grown, but all that comes through is ours: nobody's packets lie between."""
    drive = distrusting()
    drive.run(0.05, 17_000)
    assert drive.phase == "steady"
    drive.run(0.3, 5000)
    drive.run(0.05, 17_000)
    assert drive.phase == "steady", "the next one is no longer"


def test_a_pause_is_over_after_a_round_trip() -> None:
    """What the pause kept from leaving is missing then; a queue that stays is somebody's."""
    drive = distrusting()
    assert 0.05 < drive.until(Trickle, 17_000, most=0.2) < 0.09


def test_in_a_pause_s_queue_nobody_else_s_packets_lie() -> None:
    """With a fifth of the link somebody else's it is an alarm, and at once."""
    drive = distrusting()
    drive.rate = 0.8 * RATE
    assert drive.until(Trickle, 17_000, most=0.2) < 0.02


@pytest.mark.parametrize("false_alarms", [0, 1])
def test_the_first_alarms_are_trusted(false_alarms: int) -> None:
    """A burst of somebody who comes looks like a pause once it has passed."""
    drive = begun()
    for _ in range(false_alarms):
        drive.controller.levels.on_false_alarm()
    assert drive.until(Trickle, 20_000, most=0.2) < 0.02


def test_hours_without_a_queue() -> None:
    """A flow that sends a little now and then finds none for so long that doubling has no end."""
    drive = begun()
    for _ in range(4):
        drive.controller.early_drops.note()
    drive.controller.cwnd = 2 * RATE * PATH
    drive.controller.trips.empty = 100_000
    drive.run(0.1, app_limited=True)
    assert drive.phase == "steady"
    assert drive.controller.trips.empty > 100_000


def test_where_packets_are_dropped_early_a_queue_is_no_pause() -> None:
    """Others have cut their windows, so all that comes through is ours for a moment."""
    drive = distrusting()
    for _ in range(4):
        drive.controller.early_drops.note()
    assert drive.controller.early_drops.are_usual
    assert drive.until(Trickle, 17_000, most=0.2) < 0.02


def test_an_alarm_that_was_false() -> None:
    """Our own queue drains, nothing is left: back within some round trips, and harder to alarm."""
    drive = away()
    assert drive.until(Comeback) < 0.3
    assert drive.controller.levels.suspicion == pytest.approx(1.5, rel=0.02)
    assert drive.until(Steady) < 0.25
    assert drive.window == pytest.approx(RATE * PATH / MSS + 2, rel=0.05)


def test_an_alarm_that_was_right() -> None:
    """Another's queue stays; the link is free when it has been empty for a while."""
    drive = away()
    linger(drive, 1.0, 40_000)
    assert drive.phase == "trickle"
    drive.run(0.15)
    drive.run(0.01, 20_000)
    assert drive.phase == "trickle"
    assert drive.until(Comeback) >= SCAVENGER_QUIET / 1e6
    assert drive.controller.levels.suspicion < 1.01


def test_returning_by_gears() -> None:
    """A quarter, a half, nearly all of the known rate, a round trip each."""
    drive = away()
    drive.until(Comeback)
    rates = []
    while drive.phase == "comeback":
        rates.append(drive.controller.pacing_rate / RATE)
        drive.run(0.01)
    assert sorted({round(rate, 2) for rate in rates}) == pytest.approx([0.25, 0.5, 0.95], abs=0.03)
    assert drive.controller.pacing_rate == 0


def test_a_return_goes_on_to_what_the_link_carried_before() -> None:
    """Beside a competitor that has gone only a fourth was known: it doubles twice more, while no queue stands."""
    drive = away()
    drive.controller.known_rate = RATE / 4
    drive.controller.come_back(drive.now)  # while it is not proven that nobody is there
    assert drive.until(Steady) < 0.35
    assert drive.window == pytest.approx(RATE * PATH / MSS + 2, rel=0.05)


def test_a_return_goes_on_to_no_more_than_the_link_carried() -> None:
    """Twice the known rate may be more."""
    drive = away()
    drive.controller.known_rate = 0.6 * RATE
    drive.controller.come_back(drive.now)  # while it is not proven that nobody is there
    drive.until(Steady)
    assert drive.window == pytest.approx(RATE * PATH / MSS + 2, rel=0.05)


@pytest.mark.parametrize("why", ["trial", "starved", "radio"])
def test_a_return_that_shows_little_ends_at_the_known_rate(why: str) -> None:
    """A link that did not look free, too little to send, a rate that changes by itself."""
    drive = away()
    flow = drive.controller
    flow.known_rate = RATE / 4
    before = flow.levels.suspicion
    flow.come_back(drive.now, trying=why == "trial")
    if why == "radio":
        flow.trips.variation = 8000
    while drive.phase == "comeback":
        drive.ack(0, app_limited=why == "starved", has_more=False)
    assert drive.window == pytest.approx(RATE / 4 * PATH / MSS + 2, rel=0.05)
    assert flow.levels.suspicion > 1.3 * before


def test_a_guest_s_return_ends_at_the_known_rate() -> None:
    """What is more belongs to others."""
    drive = away()
    drive.controller.is_guest = True
    drive.controller.known_rate = RATE / 4
    drive.until(Comeback, waits=1500)
    drive.until(Steady, waits=1500)
    assert drive.window == pytest.approx(RATE / 4 * PATH / MSS + 2, rel=0.05)


def test_a_queue_in_the_middle_of_a_return() -> None:
    """Out again at once, for longer, and as a guest the next time: in smaller steps."""
    drive = away()
    drive.until(Comeback)
    drive.run(0.08, 0)
    assert drive.until(Trickle, 20_000) < 0.02
    assert drive.controller.is_guest
    assert drive.controller.known_rate < RATE
    drive.run(0.2, 20_000)
    assert drive.until(Comeback, waits=1500) >= 0.5
    assert drive.controller.pacing_rate < RATE / 20


def after_a_failed_return(path: int = PATH) -> Drive:
    """Out again after a return to a link that seemed free, whose queue has just gone."""
    drive = begun(path)
    drive.until(Trickle, 40_000)
    drive.until(Comeback)
    drive.until(Trickle, 20_000)
    drive.run(2 * path / 1e6, 20_000)
    return drive


def test_after_a_failed_return_a_proof_replaces_the_longer_quiet() -> None:
    """Flows that leave the link empty now and then make packets wait; at 350 ms ten quiet round trips were 3.5 s."""
    for path in (PATH, 350_000):
        drive = after_a_failed_return(path)
        assert drive.controller.quiet >= 10 * path
        assert 3 * path / 1e6 < drive.until(Comeback) < 7 * path / 1e6
        assert not drive.controller.is_guest
        drive = after_a_failed_return(path)
        assert drive.until(Comeback, waits=1500) > 9 * path / 1e6
        assert drive.controller.is_guest


def test_after_a_failed_return_packets_that_do_not_wait_are_followed_sooner() -> None:
    """Up to a fiftieth of the link, and five in a round trip, as no more count.  A first absence needs no proof."""
    for path, most in ((PATH, RATE / 50), (350_000, 5 * MSS / 350_000)):
        drive = after_a_failed_return(path)
        assert drive.controller.pacing_rate == MSS / SCAVENGER_TRICKLE_INTERVAL  # a constant queue proves nothing
        drive.run(2 * path / 1e6)
        assert drive.controller.pacing_rate == pytest.approx(most, rel=0.05)
    drive.run(0.005, 20_000)
    assert drive.controller.pacing_rate == MSS / SCAVENGER_TRICKLE_INTERVAL
    drive = away()
    before = drive.controller.pacing_rate
    drive.run(0.2)
    assert (drive.phase, drive.controller.pacing_rate) == ("trickle", before)


def test_after_a_flow_that_filled_the_buffer_no_longer_quiet_is_needed() -> None:
    """It has gone, although a return has failed before."""
    drive = after_a_failed_return()
    linger(drive, 5, 80_000)
    drive.controller.quiet = 2_000_000
    assert 0.2 < drive.until(Comeback, waits=1500) < 0.6


@pytest.mark.parametrize(("path", "trips"), [(PATH, 1.0), (350_000, 0.5)])
def test_a_return_when_nobody_is_there_hurries_on_long_round_trips(path: int, trips: float) -> None:
    """The full rate begins when the first step's answer is there, not a round trip later."""
    drive = begun(path)
    drive.until(Trickle, 40_000)
    drive.run(path / 1e6)
    drive.controller.come_back(drive.now, is_idle=True)
    begin = drive.now
    while drive.controller.phase.gear < 0.9:  # type: ignore[attr-defined]
        drive.ack(0)
    assert (drive.now - begin) / path == pytest.approx(2 * trips, rel=0.1)
    begin = drive.now
    drive.until(Steady)
    assert (drive.now - begin) / path == pytest.approx(1, rel=0.1)


def test_a_guest_who_is_alone_hurries_in_the_middle_of_a_return() -> None:
    """Somebody has left meanwhile; where delays vary by themselves it proves nothing."""
    gears = []
    for variation in (0, 8000):
        drive = away()
        drive.controller.is_guest = True
        drive.controller.known_rate = RATE / 50
        drive.controller.come_back(drive.now)
        drive.controller.trips.variation = variation
        while drive.controller.is_guest and drive.phase == "comeback":
            drive.ack(0)
        gears.append(drive.controller.pacing_rate / RATE)
    assert gears == [pytest.approx(0.25, rel=0.05), 0]


def test_a_deep_queue_is_not_made_deeper_to_see() -> None:
    """Patience grows while it stands."""
    drive = away()
    for delay in range(40_000, 240_000, 100):
        drive.run(0.005, delay)
    assert drive.phase == "trickle"
    assert drive.controller.probe_interval > 2 * SCAVENGER_PROBE_INTERVAL


def test_bursts_now_and_then_do_not_keep_us_away() -> None:
    """A short queue again and again costs us some seconds; then the path is tried, and alarms are rarer."""
    drive = away()
    waited = 0
    while drive.phase == "trickle":
        drive.ack(25_000 if waited % 110 > 100 else 0)
        waited += 1
        assert waited < 3000
    assert drive.phase == "comeback"
    assert drive.controller.levels.suspicion > 1.4


def test_a_small_queue_that_stays_is_our_own_kind_s() -> None:
    """Begin beside it with an eighth of what we had."""
    drive = away()
    known = drive.controller.known_window
    for number in range(5000):
        drive.ack(6000 + number % 20 * 150)
        if drive.phase != "trickle":
            break
    assert drive.phase == "steady"
    assert drive.controller.cwnd == pytest.approx(known / 8, rel=0.1)


# --- A guest --------------------------------------------------------------------------------------------------------


def guest() -> Drive:
    """On a link that somebody else leaves a part of."""
    drive = begun()
    drive.controller.is_guest = True
    drive.rate = RATE / 2
    drive.run(0.5, 500)
    assert drive.controller.is_guest
    return drive


def test_a_guest_halves_at_the_first_queue() -> None:
    """Long before a router drops anybody's packet; once a round trip."""
    drive = guest()
    before = drive.window
    drive.run(0.02, 3500)
    assert drive.window == pytest.approx(before / 2, rel=0.1)
    drive.run(0.15, 3500)
    assert drive.window < before / 6


def test_a_guest_grows_slowly_and_faster_when_nobody_is_there() -> None:
    """A quarter of a packet a round trip in the first half second, then a tenth of the window."""
    drive = guest()
    drive.run(0.02, 3500)
    before = drive.window
    drive.run(0.4, 500)
    assert 0 < drive.window - before < 4
    drive.run(0.8, 500)
    assert drive.window > 1.5 * before


def test_who_has_the_whole_link_is_no_guest() -> None:
    """Two round trips with nine tenths of what it ever carried."""
    drive = guest()
    drive.rate = RATE
    drive.run(0.2, 500)
    assert not drive.controller.is_guest


def test_a_guest_s_packet_takes_what_it_takes() -> None:
    """What counts as an empty queue depends on the link's rate, not on how little of it we have."""
    drive = guest()
    before = drive.controller.levels.empty
    drive.rate = RATE / 50
    drive.run(1.0, 500)
    assert drive.controller.levels.empty == pytest.approx(before, rel=0.1)


def test_who_shares_with_its_own_kind_is_no_guest() -> None:
    """A queue that is small and not once empty in four seconds."""
    drive = guest()
    drive.run(3.5, 3500)
    assert drive.controller.is_guest
    drive.run(1.0, 3500)
    assert not drive.controller.is_guest


def test_a_guest_s_kind_may_drain() -> None:
    """Then the queue is empty for a round trip or two."""
    drive = guest()
    for _ in range(8):
        drive.run(0.55, 3500)
        drive.run(0.1, 500)
    assert not drive.controller.is_guest


def test_a_guest_returns_as_a_host_after_a_flow_that_filled_the_buffer() -> None:
    """Such a flow does not leave the link empty, so it has gone; one that was there for a moment may not have."""
    for seconds, is_guest in ((1, True), (6, False)):
        drive = guest()
        drive.until(Trickle, 40_000)
        drive.controller.known_rate = RATE / 50
        linger(drive, seconds, 80_000)
        drive.until(Comeback, waits=600)
        assert drive.controller.is_guest == is_guest
        assert drive.until(Steady, waits=600) < 1
        assert (drive.window > 0.8 * RATE * PATH / MSS) != is_guest


def test_a_guest_for_whom_only_its_own_bursts_wait_is_alone() -> None:
    """The second packet of a pair waits for the first: seconds passed until nobody was known to be there."""
    drive = guest()
    drive.rate = RATE / 4
    begin = drive.now
    while drive.phase == "steady":
        drive.ack(500)
        drive.ack(1000, ahead=MSS, latest_rtt=PATH + 1500)
        assert drive.now - begin < 500_000
    assert drive.phase == "comeback"


def test_a_constant_queue_of_our_own_kind_proves_nobody_absent() -> None:
    """A guest with a small part of the link takes a quarter of a packet's time from its bursts, not from its part."""
    drive = with_a_small_peak(1 / 4)
    drive.controller.is_guest = True
    drive.rate = RATE / 10
    end = drive.now + 1_000_000
    while drive.now < end:
        drive.ack(2000 + drive.now // EVERY % 2 * 300)
        assert drive.phase == "steady"


# --- No queue at all ------------------------------------------------------------------------------------------------


def test_a_longer_route_is_found_out() -> None:
    """A queue that does not change, and does not grow when we add to it, is none: full rate within seconds."""
    drive = away(30_000)
    assert drive.until(Comeback, 30_000) < 1.5
    assert drive.until(Steady, 30_000) < 0.5
    assert drive.controller.delay_verifier.longer == pytest.approx(30_000, abs=1000)
    assert drive.window >= RATE * PATH / MSS
    drive.run(1.0, 34_000)
    assert drive.phase == "steady"


def test_a_flat_queue_that_grows_under_load_is_one() -> None:
    """Out again, and nothing is believed of the route."""
    drive = away(30_000)
    drive.until(Comeback, 30_000)
    drive.run(0.06, 30_000)
    drive.until(Trickle, 45_000)
    assert drive.controller.delay_verifier.longer == 0


def test_a_trial_loads_the_link_even_if_the_known_rate_is_small() -> None:
    """
    Returns that failed leave a hundredth of the link's rate as the known one.  Load of that size lets no queue grow:
    kernel BBR's queue of 20 ms passed for a longer route.
    """
    drive = away(30_000)
    drive.controller.known_rate = RATE / 100
    drive.until(Comeback, 30_000)
    assert drive.controller.pacing_rate >= RATE / 10
    drive.until(Steady, 30_000)
    assert drive.window >= RATE * PATH / MSS


def test_a_buffer_that_is_full_is_no_longer_route() -> None:
    """Its queue does not grow when we add to it; but not all that we add comes through, and packets are lost."""
    drive = away(100_000)
    drive.until(Comeback, 100_000)
    drive.rate = RATE / 8
    drive.until(Trickle, 100_000)
    assert drive.controller.delay_verifier.longer == 0
    drive = away(100_000)
    drive.until(Comeback, 100_000)
    drive.lose()
    assert drive.phase == "trickle"
    assert drive.controller.delay_verifier.longer == 0


def test_a_long_queue_that_has_grown_is_not_tried() -> None:
    """A full buffer: adding to it would only take packets from those who are there.  A route becomes longer at once."""
    drive = away(40_000)
    drive.run(0.5, 80_000)
    drive.run(5.0, 500_000)
    assert drive.phase == "trickle"
    drive = away(500_000)
    assert drive.until(Comeback, 500_000) < 3
    drive.until(Steady, 500_000)
    assert drive.controller.delay_verifier.longer == pytest.approx(500_000, abs=1000)


def companion(base: int = 100_000) -> Drive:
    """Beside a flow that keeps a constant queue, which grows when we try the path, and is constant again."""
    drive = away(base)
    begin = drive.now
    while not isinstance(drive.controller.phase, Companion):
        drive.ack(base + (20_000 if drive.phase == "comeback" else 0))
        assert drive.now - begin < 20_000_000
    drive.run(2.1, base)
    assert drive.now - begin > SCAVENGER_COMPANION_TIME
    return drive


def test_a_constant_queue_that_somebody_keeps() -> None:
    """We take a part of the link in some seconds, as room is made for us; not a guest's part for that."""
    drive = companion()
    before = drive.controller.pacing_rate
    drive.run(1.0, 100_000)
    assert before < drive.controller.pacing_rate < 0.2 * RATE
    drive.run(15.0, 102_000)
    assert drive.controller.pacing_rate == pytest.approx(0.3 * drive.controller.trips.peak, rel=0.05)
    assert not drive.controller.is_guest


def test_a_companion_takes_no_more_than_room_is_made() -> None:
    """A queue that grows under it holds it up, and drives it back."""
    drive = companion()
    drive.run(2.0, 100_000)
    held = drive.controller.pacing_rate
    drive.run(2.0, 145_000)
    assert drive.controller.pacing_rate == pytest.approx(held, rel=0.1)
    drive.run(1.0, 160_000)
    assert drive.controller.pacing_rate < 0.8 * held


def test_a_companion_that_has_gone() -> None:
    """Nothing queues: back to the whole link.  A long queue or a loss: somebody else."""
    drive = companion()
    assert drive.until(Comeback) < 0.1
    drive = companion()
    assert drive.until(Trickle, 200_000) < 0.1
    drive = companion()
    drive.lose()
    assert drive.phase == "trickle"
    assert drive.controller.flat_queue is None


def lasting(delay: int = 9_000) -> Drive:
    """Beside a small queue that never goes away, whatever we do; the next drain finds it."""
    drive = begun()
    while drive.phase != "comeback":
        drive.ack(delay)
        assert drive.now < 1_040_000_000
    return drive


def test_a_small_queue_that_never_goes_away_is_a_longer_route() -> None:
    """Load does not make it longer, so there is none; a route that was 9 ms longer cost two thirds of the link."""
    drive = lasting()
    drive.until(Steady, 9_000, 1.0)
    assert drive.controller.delay_verifier.longer == 9_000
    assert drive.controller.cwnd >= 0.9 * RATE * PATH
    drive.run(1.0, 9_000)
    assert drive.controller.queue.length == 0


def test_a_small_queue_that_never_goes_away_and_grows_under_load() -> None:
    """A flow was there before us, and keeps it; we share the link with it, after the second test."""
    drive = lasting()
    drive.until(Steady, 30_000, 1.0)
    assert drive.controller.delay_verifier.longer == 0
    assert drive.controller.cwnd < RATE * PATH / 2  # as before
    begin = drive.now
    while not isinstance(drive.controller.phase, Companion):
        drive.ack(30_000 if drive.phase == "comeback" else 9_000)
        assert drive.now - begin < 20_000_000
    assert drive.now - begin > SCAVENGER_COMPANION_TIME
    assert drive.controller.alarms == 0


def after_the_drain(drive: Drive) -> str:
    """What a flow does once a drain has not emptied the queue."""
    drive.until(Drain, 9_000)
    while drive.phase == "drain":
        drive.ack(9_000)
    return drive.phase


@pytest.mark.parametrize(("what", "then"), [("none", "comeback"), ("radio", "steady"), ("early drops", "steady")])
def test_a_small_queue_is_tested_only_where_a_drain_shows_others(what: str, then: str) -> None:
    """A radio's queue changes by itself, and behind CoDel anybody's may be as small: load would do harm for nothing."""
    drive = begun()
    drive.controller.phase.drain_at = drive.now + 4_000_000  # type: ignore[attr-defined]
    drive.run(3.9, 9_000)
    if what == "radio":
        drive.controller.trips.variation = 8000
    elif what == "early drops":
        drive.controller.early_drops.count = 4
    assert after_the_drain(drive) == then


def test_the_drain_of_the_overshoot_is_followed_by_no_test() -> None:
    """The path was never seen without a queue then, but no seconds have passed, either."""
    assert after_the_drain(Drive()) == "steady"


def test_a_peer_whose_echoes_hide_a_small_queue_is_not_tested() -> None:
    """Else what it hides would be subtracted from all delays."""
    drive = begun()
    drive.controller.phase.drain_at = drive.now + 4_000_000  # type: ignore[attr-defined]
    while drive.phase == "steady":
        drive.ack(9_000, raw_delay=0)
    assert drive.phase == "drain"
    while drive.phase == "drain":
        drive.ack(9_000, raw_delay=0)
    assert drive.phase == "steady"


def with_a_small_peak(part: float) -> Drive:
    """Bursts show what the link carries; only a part of that ever came through."""
    drive = begun()
    bursts(drive)
    drive.controller.trips.peak = RATE * part
    return drive


def test_bursts_show_the_rate_of_the_link_within_a_bound() -> None:
    """A peer may make up its echoes."""
    assert with_a_small_peak(1 / 4).controller.link_rate == pytest.approx(RATE, rel=0.1)
    flow = with_a_small_peak(1 / 100).controller
    assert flow.link_rate == pytest.approx(SCAVENGER_BELIEVED_RATE * RATE / 100)
    before = flow.least_empty
    flow.trips.noise += 3000
    assert flow.least_empty == before + 3000


def test_a_test_by_load_uses_the_rate_of_the_link() -> None:
    """Load of an eighth of our own part would let no queue grow.  If one grows, all is as before."""
    drive = with_a_small_peak(1 / 4)
    flow = drive.controller
    flow.known_rate = 0.0
    since = flow.lasting_queue.since
    flow.test_lasting_queue(drive.now, 9_000, 20_000.0)
    assert flow.pacing_rate == pytest.approx(RATE / 8, rel=0.1)
    flow.is_alone = True
    flow.on_failed_test(drive.now, 9_000, 20_000.0)
    assert (drive.phase, flow.cwnd, flow.pacing_rate, flow.is_alone) == ("steady", 20_000, 0, False)
    assert flow.lasting_queue.since == since


def test_a_companion_that_comes_from_a_test_begins_with_its_part() -> None:
    """Of the whole link, and nothing was paced before."""
    drive = with_a_small_peak(1 / 4)
    flow = drive.controller
    flow.pacing_rate = 0.0
    flow.phase = Companion(flow, drive.now, 9_000)
    assert flow.pacing_rate == pytest.approx(0.3 * RATE, rel=0.1)


def test_a_peer_that_only_claims_a_small_queue_is_not_tested() -> None:
    """Our own round trips show that the path is empty."""
    drive = begun()
    begin = drive.now
    while drive.now < begin + 20_000_000:
        drive.ack(9_000, latest_rtt=PATH, growth=0)
        assert drive.phase != "comeback"


def test_a_least_round_trip_that_falls_is_no_empty_queue() -> None:
    """Part of another's queue was in it; another part may still be."""
    queue = LastingQueue()
    queue.begin(1_000_000)
    for now in range(1_000_000, 2_000_000, 10_000):
        queue.on_sample(now, 9_000, 9_000, 140_000, 2_000)
    queue.on_sample(2_000_000, 0, 0, 130_000, 2_000)
    assert queue.since == 1_000_000
    queue.on_sample(6_000_000, 0, 0, 130_000, 2_000)
    assert queue.since == 6_000_000


def test_what_shows_that_a_small_queue_has_gone() -> None:
    """The echo or our round trips; a least round trip that falls by little says nothing about others."""
    for delay, growth, is_gone in ((9_000, None, False), (0, None, True), (9_000, 0, True), (0, 9_000, True)):
        queue = LastingQueue()
        queue.begin(1_000_000)
        queue.on_sample(4_000_000, 9_000, 9_000, 140_000, 2_000)
        queue.on_sample(5_000_000, delay, growth, 139_000, 2_000)
        assert (queue.since == 5_000_000) is is_gone


def test_a_fade_in_the_middle_of_a_return() -> None:
    """On a radio link the queue may be the fade's: a drain tells, not half a second away."""
    drive = away()
    drive.controller.trips.variation = 8000
    drive.until(Comeback)
    drive.run(0.08)
    drive.until(Steady, 120_000, most=0.02)
    assert not drive.controller.pacing_rate
    assert drive.window < RATE * PATH / MSS


def test_out_of_the_way_of_a_fade_it_is_quiet_sooner() -> None:
    """What remains of the queue may be the fade's, not another's."""
    drive = away()
    drive.controller.trips.variation = 8000
    linger(drive, 0.6, 150_000)
    assert drive.phase == "trickle"
    assert drive.until(Comeback) < 0.15


def test_where_delay_varies_by_itself_a_drain_tells() -> None:
    """A radio that slows down: what we had queued is gone after it, so nothing else happens."""
    drive = begun()
    drive.controller.trips.variation = 8000
    drive.controller.update_levels()
    drive.until(Drain, 140_000)
    drive.until(Steady, 0)
    assert drive.controller.alarms == 0


def test_where_delay_varies_a_queue_that_stays_is_another_s() -> None:
    """It is still there after the drain."""
    drive = begun()
    drive.controller.trips.variation = 8000
    drive.controller.update_levels()
    drive.until(Drain, 140_000)
    drive.until(Trickle, 140_000)


def faded(delay: int = 140_000) -> Drive:
    """The radio has become four times as slow, and an alarm is checked."""
    drive = begun()
    drive.controller.trips.variation = 8000
    drive.controller.update_levels()
    drive.rate = RATE / 4
    drive.run(0.25, 20_000)
    drive.until(Drain, delay)
    return drive


def test_a_check_goes_down_to_half_of_what_comes_through_now() -> None:
    """Half of what came through before the fade would keep a queue all the time, and pass for another's."""
    assert faded().window == pytest.approx(RATE / 4 * PATH / MSS / 2, rel=0.05)


def test_a_check_ends_when_a_later_packet_has_met_no_queue() -> None:
    """Not before: what was queued when it began is still to come."""
    drive = faded()
    drive.run(0.12, 140_000)
    assert drive.phase == "drain"
    drive.run(0.04, 0, latest_rtt=200_000)
    assert drive.phase == "drain"
    drive.until(Steady, 0, most=0.04)
    assert drive.controller.alarms == 0


def test_a_queue_of_any_length_is_checked_where_delay_varies() -> None:
    """A fade of a slow link makes one of half a second."""
    drive = faded(SCAVENGER_CERTAIN + 200_000)
    assert drive.controller.alarms == 0


def change_in_a_round_trip(variation: int, window: int, delay: int) -> float:
    """Packets."""
    drive = begun()
    drive.controller.trips.variation = variation
    drive.controller.update_levels()
    drive.run(0.006, delay)
    drive.controller.cwnd = window * MSS
    drive.run(window * MSS / RATE / 1e6, delay)
    return drive.window - window


def test_on_a_radio_the_window_follows_faster() -> None:
    """Both ways: its rate is another after a second."""
    assert 1.4 < change_in_a_round_trip(8000, 20, 100) < 2 * change_in_a_round_trip(0, 20, 100)
    # 9 ms above the target are 8 % of the round trip.  Half of that, less the growth, would be two packets.
    assert -5 < change_in_a_round_trip(8000, 100, 64_000) < -4


def test_on_a_slow_line_the_queue_varies_by_packets() -> None:
    """A packet of 20 ms more or less does not make a radio of it."""
    drive = begun()
    drive.controller.trips.variation = 8000
    assert is_radio(drive.controller)
    drive.controller.trips.peak = MSS / 20_000
    assert not is_radio(drive.controller)
    drive.controller.trips.variation = 11_000
    assert is_radio(drive.controller)


def test_a_peer_that_makes_up_its_echoes_has_no_radio() -> None:
    """They vary as a radio's queue does.  It got a queue of 90 ms on a line of 3 Mb/s, and had 20 before."""
    drive = begun()
    drive.controller.trips.variation = 8000
    drive.run(0.3, 5000, growth=45_000)
    assert drive.controller.delay_verifier.is_doubtful
    drive.controller.trips.variation = 8000
    assert not is_radio(drive.controller)
    drive.run(0.5, 5000)
    drive.controller.trips.variation = 8000
    assert is_radio(drive.controller)


def test_drains_of_a_radio_are_gentle() -> None:
    """What stood at the end of the last one may have been a fade's."""
    drive = begun()
    drive.controller.is_alone = False
    drive.controller.trips.variation = 8000
    drive.controller.drain(drive.now)
    assert drive.window == pytest.approx(50, rel=0.1)


# --- Losses ---------------------------------------------------------------------------------------------------------


def test_a_loss_without_a_queue_is_the_radio_s() -> None:
    """A fifth, and not below what comes through."""
    drive = begun()
    drive.run(0.3, 500)
    before = drive.window
    drive.lose()
    assert 0.8 * before - 0.001 <= drive.window < before
    drive.lose()
    drive.lose()
    assert drive.window >= RATE * PATH / MSS


def test_a_loss_with_a_small_queue_and_the_whole_link() -> None:
    """The buffer is shallow: a lower target, hardly less window."""
    drive = begun()
    before = drive.controller.levels.target
    drive.lose()
    assert drive.window == pytest.approx(0.95 * RATE * PATH / MSS, rel=0.05)
    drive.run(0.2, 2000)
    assert drive.controller.levels.target < 0.7 * before


def test_a_loss_with_a_small_queue_and_a_part_of_the_link() -> None:
    """Others have the rest: half; and as a guest, if we have just returned."""
    drive = begun()
    drive.rate = RATE / 2
    drive.run(0.6, 4900)
    before = drive.window
    drive.lose()
    assert drive.window == pytest.approx(before / 2)
    assert not drive.controller.is_guest
    drive.controller.returned_at = drive.now - SCAVENGER_SOON // 2
    drive.lose()
    assert drive.controller.is_guest


def test_a_loss_in_startup_ends_it() -> None:
    """With a queue: half."""
    drive = Drive()
    drive.run(0.1)
    drive.run(0.003, 20_000, queuing_delay=0)
    before = drive.window
    drive.lose()
    assert drive.phase == "steady"
    assert drive.window == pytest.approx(before / 2)


def test_a_loss_that_was_none_is_taken_back() -> None:
    """As if it had not been, in startup as well."""
    drive = Drive()
    drive.run(0.1)
    drive.run(0.003, 20_000, queuing_delay=0)
    before = drive.window
    drive.lose()
    drive.controller.on_spurious_loss(now=drive.now)
    assert isinstance(drive.controller.phase, Startup)
    assert drive.window == before


def test_a_timeout_that_was_none_is_taken_back() -> None:
    """A radio link paused.  What waited meanwhile raises no alarm, and the window is as before."""
    drive = begun()
    before = drive.window
    drive.controller.on_timeout(now=drive.now, bytes_in_flight=100_000)
    drive.controller.on_timeout(now=drive.now, bytes_in_flight=100_000)
    assert drive.phase == "comeback"
    drive.controller.on_spurious_loss(now=drive.now)
    assert (drive.phase, drive.window, drive.controller.pacing_rate) == ("steady", before, 0)
    drive.run(0.01, 60_000)
    assert drive.phase == "steady"


def test_a_timeout_of_startup_that_was_none_is_taken_back() -> None:
    """It goes on as before, whatever rate was known."""
    drive = Drive()
    drive.run(0.12)
    before = drive.window
    drive.controller.on_timeout(now=drive.now, bytes_in_flight=100_000)
    assert drive.phase == "comeback"
    drive.controller.on_spurious_loss(now=drive.now)
    assert (drive.phase, drive.window, drive.controller.pacing_rate) == ("startup", before, 0)


def test_losses_while_we_are_away_change_nothing() -> None:
    """Neither does one in a drain."""
    drive = away()
    drive.lose()
    assert (drive.phase, drive.window) == ("trickle", 2)
    drive = begun()
    drive.until(Drain, 5000)
    before = drive.window
    drive.lose()
    assert drive.window == before


def behind_codel() -> Drive:
    """Behind a router that drops at small queues, as has been found out."""
    drive = begun()
    for _ in range(3):
        drive.run(0.3, 5000)
        drive.lose()
    drive.run(1.0, 4000)
    assert drive.controller.early_drops.are_usual
    assert drive.phase == "steady"
    return drive


def test_where_drops_come_early_a_queue_that_varies_is_no_radio_s() -> None:
    """It varies with each drop.  Nor do false alarms say that it varies by itself."""
    flow = behind_codel().controller
    flow.trips.variation = 8000
    assert not is_radio(flow)
    flow.levels.suspicion = SCAVENGER_MAX_SUSPICION
    assert not varies_by_itself(flow)
    flow.early_drops.count = 0
    assert is_radio(flow)
    assert varies_by_itself(flow)


def test_where_drops_come_early_a_quiet_link_is_not_taken_for_a_free_one() -> None:
    """Who has just lost a packet there leaves it half empty for seconds: we wait for long, and return as a guest."""
    drive = behind_codel()
    drive.until(Trickle, 40_000)
    drive.run(0.2, 40_000)
    assert 1.9 < drive.until(Comeback, waits=1500) < 2.3
    assert drive.controller.is_guest
    assert drive.controller.phase.gear == SCAVENGER_GUEST_GEAR  # type: ignore[attr-defined]


def test_where_drops_come_early_a_link_on_which_no_packet_waits_is_free() -> None:
    """Half a link in use would make one of them wait.  The return is that of a flow that is alone."""
    drive = behind_codel()
    drive.until(Trickle, 40_000)
    drive.run(0.2, 40_000)
    assert drive.until(Comeback) < 0.5
    assert not drive.controller.is_guest


def test_a_guest_for_whom_no_packet_waits_is_alone() -> None:
    """What others have left is taken at once."""
    drive = behind_codel()
    drive.controller.is_guest = True
    drive.rate = RATE / 4
    drive.until(Comeback, 500, most=1.0)
    assert drive.controller.known_rate > 0.9 * RATE


def test_where_drops_come_early_a_small_queue_ends_a_return() -> None:
    """It is enough to lose somebody's packet."""
    drive = behind_codel()
    drive.until(Trickle, 40_000)
    drive.run(0.2, 40_000)
    drive.until(Comeback)
    drive.until(Trickle, 4000, most=0.3)


def test_where_drops_come_early_a_small_queue_that_stays_is_anybody_s() -> None:
    """CUBIC's plateau lasts as long as it takes our own kind to be known."""
    drive = behind_codel()
    drive.controller.is_guest = True
    drive.rate = RATE / 2
    drive.run(5.0, 3500)
    assert drive.controller.is_guest


# --- Interruptions --------------------------------------------------------------------------------------------------


def test_a_timeout_returns_by_gears_to_what_was_known() -> None:
    """Nothing is known in startup: from the beginning then."""
    drive = begun()
    drive.controller.on_timeout(now=drive.now, bytes_in_flight=0)
    assert drive.phase == "comeback"
    assert drive.until(Steady) < 0.3
    drive = Drive()
    drive.ack(0)
    drive.controller.on_timeout(now=drive.now, bytes_in_flight=0)
    assert (drive.phase, drive.window) == ("startup", 2)


def test_idle_returns_by_gears() -> None:
    """What the path carried a while ago says little about now; who is away stays away."""
    drive = begun()
    drive.controller.on_idle(now=drive.now + 1_000_000, timeouts=5)
    assert drive.phase == "comeback"
    drive = away()
    drive.controller.on_idle(now=drive.now + 1_000_000, timeouts=5)
    assert drive.phase == "trickle"


def test_settings_that_change() -> None:
    """Another bound of the target, other packets."""
    drive = begun()
    drive.controller.trips.noise = 30_000
    drive.controller.on_target_delay(6000)
    assert drive.controller.levels.target == 6000
    drive.until(Trickle, 120_000)
    drive.controller.on_mss(3000)
    assert drive.controller.cwnd == 6000


def test_a_liar_s_queue_counts() -> None:
    """Echoes of an empty path, round trips that grow: the queue is seen all the same."""
    drive = begun()
    end = drive.now + 400_000
    while drive.now < end and drive.phase == "steady":
        drive.ack(40_000, raw_delay=0, queuing_delay=0)
    assert drive.phase == "trickle"


def test_losses_leave_the_least_window() -> None:
    """Losses with a small queue cut the window by a part, but two packets stay."""
    flow = Scavenger(mss=1400, target_delay=60_000)
    flow.on_loss(now=900_000, bytes_in_flight=2800, bytes_lost=1400)
    flow.steady(1_000_000, 2_000_000)
    flow.trips.on_ack(1_000_000, 1400, 50_000, 50_000, 20_000, is_starved=False)
    for round_trip in range(10):
        flow.on_loss(now=1_000_000 + 100_000 * round_trip, bytes_in_flight=2800, bytes_lost=1400)
    assert flow.cwnd == flow.least_window


# --- Crowds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("others", "near", "rate", "then"),
    [(20, True, RATE, "steady"), (3, True, RATE, "trickle"), (20, False, RATE, "trickle"), (20, True, 0.25, "trickle")],
)
def test_one_of_many_between_near_hosts_is_not_alarmed(others: int, near: bool, rate: float, then: str) -> None:
    """There packets wait for busy processes; nobody else is there.  42 Mb/s keep no process busy: that is a link."""
    drive = begun()
    drive.rate = rate
    acked = 0
    for delay in [5000] * 110 + [40_000] * 110:
        acked += (1 + others) * round(rate * EVERY)
        drive.ack(delay, host_acked=acked, is_near=near)
    assert drive.phase == then
    assert drive.controller.crowd.is_there == (then == "steady")
    assert (drive.controller.levels.target == drive.controller.levels.upper) == (then == "steady")


def test_one_of_many_between_near_hosts_is_idle_while_others_have_their_turns() -> None:
    """That is no reason to begin again."""
    drive = begun()
    acked = 0
    for _ in range(110):
        acked += 20 * round(RATE * EVERY)
        drive.ack(5000, host_acked=acked, is_near=True)
    drive.controller.on_idle(now=drive.now + 1_000_000, timeouts=5)
    assert drive.phase == "steady"
