"""
What does the scavenger make of delays and of what comes through?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.congestion.base import AckSample
from twisted_utp.proto.congestion.scavenger.delay_verifier import DelayVerifier
from twisted_utp.proto.congestion.scavenger.early_drops import EarlyDrops
from twisted_utp.proto.congestion.scavenger.idleness import Idleness
from twisted_utp.proto.congestion.scavenger.late_acks import LateAcks
from twisted_utp.proto.congestion.scavenger.levels import Levels
from twisted_utp.proto.congestion.scavenger.own_bursts import OwnBursts
from twisted_utp.proto.congestion.scavenger.standing import StandingQueue
from twisted_utp.proto.congestion.scavenger.trips import Trips
from twisted_utp.proto.constants import (
    MAX_REVERSE_QUEUE,
    SCAVENGER_EARLY_MEMORY,
    SCAVENGER_EMPTY,
    SCAVENGER_IDLE_SAMPLES,
    SCAVENGER_JUMP,
    SCAVENGER_LARGE_LIE,
    SCAVENGER_LATE_TRIPS,
    SCAVENGER_LIE_TRIPS,
    SCAVENGER_MAX_SUSPICION,
    SCAVENGER_MAX_TARGET,
    SCAVENGER_MIN_TARGET,
    SCAVENGER_REVERSE_QUEUE_MEMORY,
    SCAVENGER_UNEXPLAINED,
)

NOW = 5_000_000
RTT = 50_000
SPAN = 6_000


def sample(claim: int | None, growth: int | None) -> AckSample:
    """What the peer says, and what our clock says."""
    return AckSample(1000, 1000, RTT, RTT, RTT, 0, False, False, raw_delay=claim, growth=growth)


# --- Whose word counts ----------------------------------------------------------------------------------------------


def told(delay_verifier: DelayVerifier, claim: int | None, growth: int | None, tolerance: int = 0) -> int | None:
    """What a few round trips of such samples end with."""
    for _ in range(SCAVENGER_LIE_TRIPS):
        delay_verifier.delay(sample(claim, growth))
        delay_verifier.end_trip(tolerance)
    return delay_verifier.delay(sample(claim, growth))


def test_an_honest_peer_is_believed() -> None:
    """Round trips have the same queue in them."""
    assert told(DelayVerifier(), 7000, 8000) == 7000


def test_without_echoes_the_round_trip_counts() -> None:
    """No sample is no way to hide a queue."""
    assert told(DelayVerifier(), None, 8000) == 8000
    assert told(DelayVerifier(), None, None) is None


def test_what_an_echo_hides_is_added() -> None:
    """Whoever says that there is no queue hides no more than late timers could explain, and beyond that nothing."""
    assert told(DelayVerifier(), 0, 30_000) == 30_000
    assert told(DelayVerifier(), 0, 30_000, tolerance=5000) == 30_000
    assert told(DelayVerifier(), 0, SCAVENGER_UNEXPLAINED) == 0
    assert told(DelayVerifier(), 0, 5000, tolerance=5000) == 0
    assert told(DelayVerifier(), 15_000, 30_000) == 30_000, "half of it as well"


def test_late_acknowledgements_of_a_round_trip_are_no_lie() -> None:
    """A peer that reads in batches acknowledges late now and then.  A lie has to last."""
    delay_verifier = DelayVerifier()
    for number in range(20):
        is_late = number % SCAVENGER_LIE_TRIPS > 0
        delay_verifier.delay(sample(8000, 12_000 if is_late else 8500))
        delay_verifier.end_trip(2000)
        assert delay_verifier.hidden == 0


def test_a_large_lie_counts_at_once() -> None:
    """Late acknowledgements do not explain it, so it need not last."""
    for excess, hidden in ((2000 + SCAVENGER_LARGE_LIE, 0), (2001 + SCAVENGER_LARGE_LIE, 2001 + SCAVENGER_LARGE_LIE)):
        delay_verifier = DelayVerifier()
        delay_verifier.delay(sample(8000, 8000 + excess))
        delay_verifier.end_trip(2000)
        assert delay_verifier.hidden == hidden


def test_a_queue_on_the_way_back_is_what_is_left_when_we_are_away() -> None:
    """With nothing of ours in the queue, round trips tell the way back's."""
    delay_verifier = DelayVerifier()
    delay_verifier.note_absence(sample(0, 45_000))
    delay_verifier.note_absence(sample(0, 40_000))
    assert told(delay_verifier, 5000, 45_000) == 45_000, "once we are back"
    delay_verifier.end_absence()
    assert told(delay_verifier, 5000, 45_000) == 5000
    delay_verifier.on_loss()
    assert told(delay_verifier, 5000, 45_000) > 40_000, "after a loss it wants proof once more"


def test_the_way_back_has_a_limit_and_is_forgotten() -> None:
    """Who delays acknowledgements while we are away gains no more than that, for a few absences."""
    delay_verifier = DelayVerifier()
    delay_verifier.note_absence(sample(0, 10 * MAX_REVERSE_QUEUE))
    delay_verifier.end_absence()
    assert told(delay_verifier, 0, 10 * MAX_REVERSE_QUEUE) == 9 * MAX_REVERSE_QUEUE
    for _ in range(SCAVENGER_REVERSE_QUEUE_MEMORY):
        delay_verifier.note_absence(sample(0, 0))
        delay_verifier.end_absence()
    assert told(delay_verifier, 0, 10 * MAX_REVERSE_QUEUE) == 10 * MAX_REVERSE_QUEUE


def test_a_longer_route_is_no_queue_until_it_is_short_again() -> None:
    """What was found out is subtracted; a shorter delay than it shows that it is over."""
    delay_verifier = DelayVerifier()
    delay_verifier.longer = 30_000
    assert delay_verifier.delay(sample(34_000, 34_000)) == 4000
    assert delay_verifier.delay(sample(1000, 1000)) == 0
    assert delay_verifier.longer == 1000


# --- The queue that stands ------------------------------------------------------------------------------------------


def standing(*delays: int, every: int = 1000) -> StandingQueue:
    """Samples at regular times."""
    queue = StandingQueue()
    for number, delay in enumerate(delays):
        queue.on_sample(NOW + number * every, delay, SPAN, 4)
    return queue


def test_the_least_of_the_last_moments() -> None:
    """A single long one changes nothing; once all of them are long, so is the queue."""
    assert standing(0, 0, 0, 9000, 9000).length == 0
    queue = standing(0, 0, *[9000] * 8)
    assert (queue.length, queue.highest, queue.is_known) == (9000, 9000, True)


def test_a_burst_is_no_queue() -> None:
    """Samples that came together span no time, however many they are."""
    assert not standing(*[9000] * 20, every=1).is_known
    assert standing(*[9000] * 20, every=300).is_known


def test_rare_samples_are_waited_for() -> None:
    """With one acknowledgement in many packets four of them count, however long that takes."""
    queue = standing(0, 9000, 9000, 9000, every=8000)
    assert queue.is_known
    assert queue.length == 0
    assert standing(0, 9000, 9000, 9000, 9000, every=8000).length == 9000


def test_forgotten() -> None:
    """Nothing is known after that."""
    queue = standing(*[9000] * 8)
    queue.forget()
    assert not queue.is_known
    queue.on_sample(NOW + 100_000, 3000, SPAN, 4)
    assert queue.length == 3000


def test_what_comes_through_while_the_queue_stands() -> None:
    """From the first of the samples on: what came before it came in an earlier time."""
    queue = StandingQueue()
    assert queue.rate == 0
    queue.on_sample(NOW, 9000, SPAN, 4, 100_000)
    assert queue.rate == 0, "one sample takes no time"
    for number in range(1, 5):
        queue.on_sample(NOW + number * 1000, 9000, SPAN, 4, 2000)
    assert queue.rate == 2
    queue.on_sample(NOW + 4000 + SPAN, 9000, SPAN, 1, 2000)
    assert queue.rate == pytest.approx(2000 / SPAN, rel=0.25)


# --- What is our own ------------------------------------------------------------------------------------------------

PACKET = 1000
PER_PACKET = 600  # µs
CARRIED = PACKET / 1000  # bytes per µs: less than the link's rate, as others have a part of it


def burst(ahead: int, raw: int, *, sent_at: int = NOW) -> tuple[int, AckSample]:
    """An acknowledgement of a packet that so many others of its burst left before."""
    at = sent_at + RTT + raw
    return at, AckSample(
        PACKET, PACKET, RTT, RTT + raw, RTT, 0, False, False, raw_delay=raw, growth=raw, ahead=ahead * PACKET
    )


def test_the_wait_behind_our_own_burst() -> None:
    """Two packets of a burst tell what the link takes for those in between."""
    own = OwnBursts()
    assert own.on_ack(*burst(9, 9000), PACKET, CARRIED) == 0, "nothing is known yet"
    assert own.link_rate == 0
    own.on_ack(*burst(0, 3000, sent_at=NOW + 6000), PACKET, CARRIED)
    assert own.on_ack(*burst(9, 3000 + 9 * PER_PACKET, sent_at=NOW + 6000), PACKET, CARRIED) == 8 * PER_PACKET
    assert own.on_ack(*burst(1, 3600, sent_at=NOW + 12_000), PACKET, CARRIED) == 0, "the levels allow for pairs"


def test_a_part_of_a_link_is_no_slower_link() -> None:
    """A burst stands in the queue in one piece, so others' packets are not between ours; jitter changes little."""
    own = OwnBursts()
    for number in range(20):
        sent_at = NOW + 10_000 * number
        late = 2000 * (number % 4 == 0)
        own.on_ack(*burst(0, 3000, sent_at=sent_at), PACKET, CARRIED)
        waited = own.on_ack(*burst(9, 3000 + 9 * PER_PACKET + late, sent_at=sent_at), PACKET, CARRIED)
    assert waited == pytest.approx(8 * PER_PACKET, rel=0.1)
    assert 0 < own.usual < waited
    assert own.link_rate == pytest.approx(PACKET / PER_PACKET, rel=0.1)


def test_jitter_makes_no_faster_link_of_the_mean() -> None:
    """Packets that arrive together count as well, or only pairs that jitter has torn apart would."""
    own = OwnBursts()
    for number in range(100):
        sent_at, apart = NOW + 10_000 * number, 2 * PER_PACKET * (number % 2)
        own.on_ack(*burst(0, 3000, sent_at=sent_at), PACKET, CARRIED)
        own.on_ack(*burst(1, 3000 + apart, sent_at=sent_at), PACKET, CARRIED)
    assert own.mean_rate == pytest.approx(PACKET / PER_PACKET, rel=0.2)
    assert own.link_rate == pytest.approx(PACKET / PER_PACKET / 2, rel=0.2)


def test_a_peer_cannot_make_the_link_slower_than_what_came_through() -> None:
    """It tells of 30 ms between packets that the link carries in 1 ms; while nothing is known, it gains nothing."""
    own = OwnBursts()
    for number in range(20):
        for carried, most in ((CARRIED, 1000), (0.0, 0)):
            own.on_ack(*burst(0, 0, sent_at=NOW + 10_000 * number), PACKET, carried)
            waited = own.on_ack(*burst(3, 90_000, sent_at=NOW + 10_000 * number), PACKET, carried)
            assert waited <= 2 * most


def test_a_late_acknowledgement_covers_far_more_than_usual() -> None:
    """What it lets out is ours for some round trips, less with each."""
    late_acks = LateAcks()
    for number in range(20):
        assert not late_acks.on_ack(NOW + 6000 * number, 10 * PACKET, PACKET, RTT)
    now = NOW + 150_000
    assert late_acks.on_ack(now, 40 * PACKET, PACKET, RTT)
    assert late_acks.let_out(now) == pytest.approx(30 * PACKET)
    assert late_acks.let_out(now + RTT * SCAVENGER_LATE_TRIPS // 2) == pytest.approx(15 * PACKET)
    assert late_acks.let_out(now + RTT * SCAVENGER_LATE_TRIPS) == 0


def test_who_always_acknowledges_much_at_once_is_not_late() -> None:
    """After the first few."""
    late_acks = LateAcks()
    late_acks.on_ack(NOW, PACKET, PACKET, RTT)
    found = [late_acks.on_ack(NOW + 4000 * number, 40 * PACKET, PACKET, RTT) for number in range(20)]
    assert found[0]
    assert not any(found[10:])


def test_a_small_flow_is_never_late() -> None:
    """A few packets more than usual are chance."""
    late_acks = LateAcks()
    assert not any(late_acks.on_ack(NOW + 4000 * n, (1 + n % 8) * PACKET, PACKET, RTT) for n in range(40))


# --- Levels ---------------------------------------------------------------------------------------------------------


def levels(target: int = 100_000, packet: float = 600, noise: float = 0, variation: float = 0) -> Levels:
    """Those of a path."""
    made = Levels(target)
    made.update(packet, noise, variation)
    return made


def test_a_quiet_fast_path() -> None:
    """5 ms, and 4 ms more is an alarm."""
    quiet = levels()
    assert (quiet.target, quiet.jump) == (SCAVENGER_MIN_TARGET, SCAVENGER_JUMP)
    assert SCAVENGER_EMPTY <= quiet.empty < quiet.target < quiet.level


@pytest.mark.parametrize("uncertain", [{"packet": 6000}, {"noise": 9000}, {"variation": 9000}])
def test_uncertain_paths(uncertain: dict[str, float]) -> None:
    """Slow links, noise and variation raise all of them."""
    quiet, other = levels(), levels(**uncertain)  # type: ignore[arg-type]
    assert other.target > quiet.target
    assert other.jump > quiet.jump
    assert other.level - other.target > quiet.level - quiet.target


def test_our_own_bursts_are_part_of_the_target() -> None:
    """Others wait behind them; but some queue has to stand."""
    quiet, bursty = levels(), levels()
    bursty.update(600, 0, 0, own_wait=2000)
    assert bursty.target == quiet.target - 2000
    bursty.update(600, 0, 0, own_wait=9000)
    assert bursty.target == SCAVENGER_EMPTY


def test_the_target_has_an_upper_bound() -> None:
    """C{targetDelay} where it is given, LEDBAT++'s target else."""
    assert levels(variation=1e6).target == SCAVENGER_MAX_TARGET
    assert levels(target=20_000, variation=1e6).target == 20_000
    changed = levels(variation=1e6)
    changed.bound(7000)
    changed.update(600, 0, 1e6)
    assert changed.target == 7000


def test_false_alarms_make_deaf_and_time_makes_keen() -> None:
    """Up to eight times, and for some minutes."""
    one = levels()
    for _ in range(20):
        one.on_false_alarm()
    one.update(600, 0, 0)
    assert one.jump == SCAVENGER_JUMP * SCAVENGER_MAX_SUSPICION
    one.on_true_alarm()
    assert one.suspicion == pytest.approx(SCAVENGER_MAX_SUSPICION / 1.5)
    for _ in range(180):
        one.pass_time(1_000_000)
    assert one.suspicion < 1.1


def test_a_shallow_buffer_lowers_the_target_for_half_a_minute() -> None:
    """To a quarter at the least."""
    one = levels(noise=40_000)
    for _ in range(5):
        one.on_shallow_buffer()
    one.update(600, 40_000, 0)
    assert one.target == 10_000
    for _ in range(60):
        one.pass_time(1_000_000)
    one.update(600, 40_000, 0)
    assert one.target == 40_000


# --- Round trips ----------------------------------------------------------------------------------------------------


def trip(
    trips: Trips,
    *delays: int,
    nbytes: int = 50_000,
    starved: bool = False,
    steady: bool = True,
    starting: bool = False,
    grown: int | None = None,
) -> None:
    """One round trip with these delays; our own clock says the same, or always C{grown}."""
    begin = trips.since or NOW
    trips.since = begin
    duration = 0
    for number, delay in enumerate(delays, 1):
        at = begin + RTT * number // len(delays)
        growth = delay if grown is None else grown
        duration = trips.on_ack(at, nbytes // len(delays), delay, growth, RTT, is_starved=starved)
    assert duration == RTT
    is_steady = steady and not starting
    trips.end(begin + RTT, 1e5, 2000, holds_back=not steady, is_steady=is_steady, is_starting=starting)


def test_rate_and_capacity() -> None:
    """The last round trip's and the largest of eight; those in which we hold back measure nothing."""
    trips = Trips()
    trip(trips, 0, 0, nbytes=100_000)
    trip(trips, 0, 0, nbytes=50_000)
    assert (trips.rate, trips.capacity) == (1.0, 2.0)
    trip(trips, 0, 0, nbytes=1000, steady=False)
    assert trips.rate == 1.0
    for _ in range(8):
        trip(trips, 0, 0, nbytes=50_000)
    assert trips.capacity == 1.0
    assert 1.9 < trips.peak < 2.0


def test_who_has_nothing_to_send_measures_nothing() -> None:
    """Unless more came through than ever."""
    trips = Trips()
    trip(trips, 0, 0, nbytes=100_000)
    trip(trips, 0, 0, nbytes=1000, starved=True)
    assert trips.rate == 2.0
    trip(trips, 0, 0, nbytes=200_000, starved=True)
    assert trips.rate == 4.0


def test_noise_and_variation() -> None:
    """Scattering within a round trip is noise; the least ones' change is variation."""
    trips = Trips()
    for _ in range(30):
        trip(trips, 1000, 9000, 9000, 9000)
    assert trips.noise == pytest.approx(6000, rel=0.05)
    assert trips.variation == 0
    for _ in range(30):
        trip(trips, 1000, 1000, 1000, 1000)
        trip(trips, 9000, 9000, 9000, 9000)
    assert trips.variation == pytest.approx(8000, rel=0.05)


def test_the_first_changes_are_averaged_over_as_many_as_there_were() -> None:
    """A radio is known as one after some round trips, not after seconds; but one change may be chance."""
    trips = Trips()
    trip(trips, 1000, 1000)
    trip(trips, 9000, 9000)
    assert trips.variation == 1000
    for _ in range(3):
        trip(trips, 1000, 1000)
        trip(trips, 9000, 9000)
    assert trips.variation > 4500
    trips = Trips()
    trips.is_short = False  # there they are startup's
    trip(trips, 1000, 1000)
    trip(trips, 9000, 9000)
    assert trips.variation == 500


def test_what_comes_through_now() -> None:
    """Less than in the last round trip counts as soon as half of the present one is over."""
    trips = Trips()
    trip(trips, 0, 0, nbytes=100_000)
    trip(trips, 0, 0, nbytes=100_000)
    trips.on_ack(trips.since + RTT // 4, 1000, 0, 0, RTT, is_starved=False)
    assert trips.present(trips.since + RTT // 4, RTT) == trips.rate == 2.0
    assert trips.present(trips.since + RTT // 2 + 1, RTT) == pytest.approx(1000 / (RTT // 2 + 1))


def test_the_first_round_trips_tell_how_samples_scatter() -> None:
    """The queue that ends the startup is no noise, so of the first round trips the less scattered ones count."""
    trips = Trips()
    for least in (0, 500, 0):
        trip(trips, least, 6000, 3000, 3000, starting=True)
        assert trips.noise == 0
        assert trips.spread > 2000
    trip(trips, 1000, 20_000, 40_000, 60_000, starting=True)
    assert 2000 < trips.noise <= 3000
    assert trips.variation == 0
    for _ in range(3):
        trip(trips, 1000, 1000, 1000, 1000)
    assert trips.spread == 0
    trip(trips, 1000, 9000)
    assert trips.spread == 0, "too few samples"


def test_scattering_that_only_the_peer_tells_of() -> None:
    """Echoes of anything would make the target as long as it may be; our own round trips say that there is no such."""
    trips = Trips()
    for number in range(30):
        trip(trips, 1000 + number % 2 * 8000, 9000, 9000, 30_000, grown=5000)
    assert trips.noise <= SCAVENGER_UNEXPLAINED
    assert trips.variation == 0


def test_empty_round_trips() -> None:
    """In a row."""
    trips = Trips()
    trip(trips, 500, 8000)
    trip(trips, 1000, 9000)
    assert trips.empty == 2
    trip(trips, 3000, 3000)
    assert trips.empty == 0
    assert trips.highest == 3000
    assert trips.minima == [500, 1000, 3000]


# --- Drops at small queues ------------------------------------------------------------------------------------------


def test_losses_without_a_queue_are_no_router_s() -> None:
    """Where they happen as well, those at a small queue say nothing, however they come."""
    early = EarlyDrops()
    for _ in range(20):
        early.note()
        early.doubt()
    early.note()
    early.note()
    assert not early.are_usual
    assert early.are_random


def test_early_drops_are_known_after_some_and_forgotten_slowly() -> None:
    """Once is chance; minutes later it is still that router."""
    early = EarlyDrops()
    for _ in range(2):
        assert not early.are_usual
        early.note()
    assert early.are_usual
    assert not early.are_random
    for _ in range(100):
        early.note()
    early.pass_time(SCAVENGER_EARLY_MEMORY * 9 // 10)
    assert early.are_usual
    early.pass_time(SCAVENGER_EARLY_MEMORY)
    assert not early.are_usual


# --- Is anybody there though no queue stands? -------------------------------------------------------------------------


def seen(*delays: int, every: int = RTT // 2) -> Idleness:
    """Delays of packets that take 1000 µs, one in so many µs."""
    idleness = Idleness()
    for number, delay in enumerate(delays):
        idleness.on_sample(NOW + number * every, delay, delay, 1000.0, RTT)
    return idleness


def test_packets_that_never_wait_prove_that_nobody_is_there() -> None:
    """All of them, and little more than the least is no wait."""
    assert not seen(*[700] * (SCAVENGER_IDLE_SAMPLES - 1)).is_proven
    assert seen(*[700, 900] * (SCAVENGER_IDLE_SAMPLES // 2)).is_proven


def test_one_packet_that_waited_says_that_somebody_is_there() -> None:
    """Also when the first ones were those that waited."""
    assert not seen(*[700] * 10, 1200, *[700] * 10).is_proven
    assert not seen(*[1700] * 10, *[700] * 10).is_proven


def test_a_packet_behind_its_own_burst_says_nothing() -> None:
    """It has waited, but for our own."""
    idleness = seen(*[700] * (SCAVENGER_IDLE_SAMPLES - 1))
    later = NOW + SCAVENGER_IDLE_SAMPLES * RTT
    idleness.on_sample(later, 1700, 1700, 1000.0, RTT, ahead=1400)
    assert idleness.without_wait == SCAVENGER_IDLE_SAMPLES - 1
    idleness.on_sample(later, 700, 700, 1000.0, RTT)
    assert idleness.is_proven


def test_others_may_come_together_once_a_round_trip() -> None:
    """So many packets within a moment prove little."""
    assert not seen(*[700] * SCAVENGER_IDLE_SAMPLES * 2, every=RTT // 50).is_proven


@pytest.mark.parametrize("waits", [[12_000] * 10, [9000] * 15 + [12_000]])
def test_round_trips_that_waited_prove_nothing(waits: list[int]) -> None:
    """Whether the first ones or the last one waited; fifteen more are one too few."""
    idleness = Idleness()
    for number, growth in enumerate([*waits, *[9000] * (SCAVENGER_IDLE_SAMPLES - 1)]):
        idleness.on_sample(NOW + number * RTT, 700, growth, 1000.0, RTT)
    assert not idleness.is_proven


@pytest.mark.parametrize(
    ("growths", "is_proven"),
    [([9000, 9300, 10_900, 9000], True), ([9000, 9300, 12_000, 9000], False), ([None] * 4, False)],
)
def test_constant_echoes_alone_prove_nothing(growths: list[int | None], is_proven: bool) -> None:
    """A peer may make them up, but not the round trips."""
    idleness = Idleness()
    for number in range(2 * SCAVENGER_IDLE_SAMPLES):
        idleness.on_sample(NOW + number * RTT, 700, growths[number % 4], 1000.0, RTT)
    assert idleness.is_proven is is_proven
