"""
Fills a link that nobody else uses, and leaves it to any other flow that comes.

The controller keeps a queue of a few milliseconds, so that others' packets hardly wait.  It steps aside altogether
when a queue grows that is not its own.  docs/scavenger.rst explains it with pictures; each phase has a file.
"""

from __future__ import annotations

from twisted_utp.proto.congestion.base import AckSample, CongestionController, register_congestion_controller
from twisted_utp.proto.congestion.scavenger.comeback import Comeback
from twisted_utp.proto.congestion.scavenger.companion import Companion
from twisted_utp.proto.congestion.scavenger.crowd import Crowd
from twisted_utp.proto.congestion.scavenger.delay_verifier import DelayVerifier, less
from twisted_utp.proto.congestion.scavenger.detector import varies_by_itself
from twisted_utp.proto.congestion.scavenger.drain import Drain
from twisted_utp.proto.congestion.scavenger.early_drops import EarlyDrops
from twisted_utp.proto.congestion.scavenger.lasting_queue import LastingQueue
from twisted_utp.proto.congestion.scavenger.late_acks import LateAcks
from twisted_utp.proto.congestion.scavenger.levels import Levels
from twisted_utp.proto.congestion.scavenger.own_bursts import OwnBursts
from twisted_utp.proto.congestion.scavenger.phase import Phase
from twisted_utp.proto.congestion.scavenger.standing import StandingQueue
from twisted_utp.proto.congestion.scavenger.startup import Startup
from twisted_utp.proto.congestion.scavenger.steady import Steady
from twisted_utp.proto.congestion.scavenger.trickle import Trickle
from twisted_utp.proto.congestion.scavenger.trips import Trips
from twisted_utp.proto.constants import (
    CUT_WITHOUT_QUEUE,
    INITIAL_WINDOW_PACKETS,
    MIN_WINDOW_PACKETS,
    SCAVENGER_BELIEVED_RATE,
    SCAVENGER_COMPANION_QUEUE,
    SCAVENGER_COMPANION_TIME,
    SCAVENGER_DRAIN_INTERVAL,
    SCAVENGER_EMPTY,
    SCAVENGER_FIRST_GEAR,
    SCAVENGER_GUEST_GEAR,
    SCAVENGER_LONGEST_QUIET,
    SCAVENGER_LOOK_BACK,
    SCAVENGER_MAX_TARGET,
    SCAVENGER_MAX_VARIATION,
    SCAVENGER_NOISY,
    SCAVENGER_PROBE_INTERVAL,
    SCAVENGER_QUIET,
    SCAVENGER_QUIET_TRIPS,
    SCAVENGER_SAMPLES,
    SCAVENGER_SETTLED_PATH,
    SCAVENGER_SOON,
)


class Scavenger(CongestionController):
    """
    Holds what the phases share, and the present one in C{phase}.

    @ivar path: the round trip without any queue, µs.
    @ivar rtt: the latest round trip, or the smoothed one if that is shorter, µs.
    @ivar early_drops: does the router drop packets at small queues?
    @ivar flat_queue: when a constant queue was first found to grow under load, and its length, µs.
    @ivar is_alone: nobody else's queue was seen in the last drain.
    @ivar is_guest: others use the link as well, so we must make no queue at all.
    @ivar known_rate: bytes per µs that the path carried when we last stepped aside.
    @ivar known_window: cwnd at that time, bytes.
    @ivar quiet: µs for which the queue must be empty before we return.
    @ivar probe_interval: µs after which we try the path although the queue was not empty for so long.
    @ivar returned_at: when we last returned, µs.
    @ivar alarms: how often we have stepped aside.
    """

    __slots__ = (
        "_before_loss",
        "_has_begun",
        "alarms",
        "crowd",
        "delay_verifier",
        "early_drops",
        "flat_queue",
        "is_alone",
        "is_guest",
        "known_rate",
        "known_window",
        "lasting_queue",
        "late_acks",
        "levels",
        "own_bursts",
        "path",
        "phase",
        "probe_interval",
        "queue",
        "quiet",
        "returned_at",
        "rtt",
        "trips",
    )  # fmt: skip

    def __init__(self, *, mss: int, target_delay: int) -> None:
        super().__init__(mss=mss, target_delay=min(target_delay, SCAVENGER_MAX_TARGET))
        self.cwnd = float(INITIAL_WINDOW_PACKETS * mss)
        self.path = self.rtt = 1
        self.is_alone = self.is_guest = False
        self.known_rate = self.known_window = 0.0
        self.quiet = SCAVENGER_QUIET
        self.probe_interval = SCAVENGER_PROBE_INTERVAL
        self.returned_at = 0
        self.alarms = 0
        self.flat_queue: tuple[int, int] | None = None
        self._before_loss: tuple[Phase, float] | None = None
        self.phase: Phase = Startup(self, 0)
        self._has_begun = False

    def _begin(self) -> None:
        """
        Make what measures.  Most connections of a busy server are idle, and need none of it.
        """
        self._has_begun = True
        self.levels = Levels(self.target_delay)
        self.early_drops = EarlyDrops()
        self.lasting_queue = LastingQueue()
        self.late_acks = LateAcks()
        self.own_bursts = OwnBursts()
        self.queue = StandingQueue()
        self.trips = Trips()
        self.delay_verifier = DelayVerifier()
        self.crowd = Crowd()

    # --- What is heard -----------------------------------------------------------------------------------------

    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """
        Update the measurements, then let the phase react.
        """
        if not self._has_begun:
            self._begin()
        at = sample.received_at or now
        self.path = max(sample.min_rtt + self.delay_verifier.longer, 1)
        self.rtt = min(sample.rtt, sample.latest_rtt or sample.rtt) or 1
        delay = growth = None
        if not self.late_acks.on_ack(at, sample.bytes_acked, self.mss, self.rtt):
            waited = self.own_bursts.on_ack(at, sample, self.mss, self.trips.capacity)
            delay, growth = self.delay_verifier.delay(sample, waited), less(sample.growth, waited)
        trips = self.trips
        if delay is not None:
            part = 3 if trips.noise > SCAVENGER_NOISY else 8
            if self.delay_verifier.hidden:
                self.lasting_queue.begin(at)  # a peer whose echoes hide a queue is not tested for one
            else:
                self.lasting_queue.on_sample(at, delay, growth, sample.min_rtt, self.least_empty)
            span = max(self.path // part, SCAVENGER_LOOK_BACK)
            self.queue.on_sample(at, delay, span, SCAVENGER_SAMPLES, sample.bytes_acked)
        self.crowd.on_ack(sample)
        starved = sample.app_limited and not sample.has_more
        duration = trips.on_ack(at, sample.bytes_acked, delay, growth, self.rtt, is_starved=starved)
        if duration:
            self._end_trip(at, duration, sample)
        self.phase.on_ack(at, sample, delay)
        self.cwnd = max(self.cwnd, self.least_window)
        self.ssthresh = float("inf") if self.phase.is_starting else self.cwnd

    def _end_trip(self, now: int, duration: int, sample: AckSample) -> None:
        phase, levels, trips = self.phase, self.levels, self.trips
        # Changes of the queue while a late acknowledgement's burst drains are not the path's variation.
        is_steady = isinstance(phase, Steady) and not self.late_acks.let_out(now)
        trips.is_short = self.path < SCAVENGER_SETTLED_PATH
        trips.end(
            now,
            self.cwnd,
            levels.empty,
            holds_back=phase.holds_back,
            is_steady=is_steady,
            is_starting=phase.is_starting,
        )
        self.crowd.end_trip(sample, duration)
        self.delay_verifier.end_trip(round(max(trips.noise, self.packet_time)))
        levels.pass_time(duration)
        self.early_drops.pass_time(duration)
        self.update_levels()
        phase.on_trip(now, sample)

    def on_loss(self, *, now: int, bytes_in_flight: int, bytes_lost: int = 0) -> None:
        """
        Let the phase react.
        """
        if not self._has_begun:
            self._begin()
        self._before_loss = (self.phase, self.cwnd)
        self.delay_verifier.on_loss()
        self.phase.on_loss(now)
        self.ssthresh = float("inf") if self.phase.is_starting else self.cwnd

    def on_timeout(self, *, now: int, bytes_in_flight: int) -> None:
        """
        Begin again with two packets.  If we know a rate that the path carried, return to it; else start up.
        """
        if not self._has_begun:
            self._begin()
        if not self.phase.holds_back:
            self._before_loss = (self.phase, self.cwnd)
            self.known_rate, self.known_window = self.trips.capacity, self.cwnd
        self.pacing_rate = 0.0
        self.cwnd = self.least_window
        if self.known_rate:
            self.come_back(now)
        else:
            self.phase = Startup(self, now)
        self.ssthresh = float("inf") if self.phase.is_starting else self.cwnd

    def on_spurious_loss(self, *, now: int) -> None:
        """
        Undo the cut (RFC 4015), if nothing else has happened since.  A radio link that pauses for longer than the
        retransmission timeout has lost nothing.
        """
        if self._before_loss is not None:
            phase, cwnd = self._before_loss
            if isinstance(phase, Startup) and isinstance(self.phase, (Steady, Comeback)):
                self.pacing_rate = 0.0
                self.phase = Startup(self, now)
            elif isinstance(phase, Steady) and isinstance(self.phase, Comeback):
                # A new phase, so that what has waited through the pause raises no alarm.
                self.pacing_rate = 0.0
                self.steady(now, drain_at=now + 40 * self.path)
                phase = self.phase
            if self.phase is phase or isinstance(self.phase, Startup):
                self.cwnd = max(self.cwnd, cwnd)
            self._before_loss = None

    def on_idle(self, *, now: int, timeouts: int) -> None:
        """
        Return in gears: what the path carried a while ago says little about now (RFC 2861 (3.1)).
        """
        if isinstance(self.phase, (Steady, Drain)) and not self.crowd.is_there:
            self.known_rate, self.known_window = self.trips.capacity, self.cwnd
            self.come_back(now)

    def on_mss(self, mss: int) -> None:
        """
        Raise the window, if the least window is larger now: it is counted in packets.
        """
        super().on_mss(mss)
        self.cwnd = max(self.cwnd, self.least_window)

    def on_target_delay(self, target_delay: int) -> None:
        """
        Set another upper bound of the target, µs.
        """
        super().on_target_delay(min(target_delay, SCAVENGER_MAX_TARGET))
        if self._has_begun:
            self.levels.bound(self.target_delay)
            self.update_levels()

    # --- What the phases share ---------------------------------------------------------------------------------

    @property
    def least_window(self) -> float:
        """
        The smallest window, bytes (RFC 6817 MIN_CWND).
        """
        return float(MIN_WINDOW_PACKETS * self.mss)

    def update_levels(self) -> None:
        """
        Adapt the levels to what was measured of the path.
        """
        # Where packets are dropped early, the queue varies with each of our own drops.
        variation = 0.0 if self.early_drops.are_usual else self.trips.variation
        if self.crowd.is_there:
            self.levels.update_for_crowd()
        else:
            self.levels.update(self.packet_time, self.trips.noise, variation, self.own_bursts.usual)

    @property
    def packet_time(self) -> float:
        """
        How long the link takes for a packet, µs.  The whole link, not our share: flows that share a link must aim for
        the same queue.
        """
        return self.mss / self.trips.peak if self.trips.peak else 1000.0

    @property
    def link_rate(self) -> float:
        """
        The rate of the whole link, bytes per µs.  A flow that never had it to itself knows it from its own bursts.  A
        peer may falsify that, so only a multiple of what came through is believed.
        """
        peak = self.trips.peak
        return max(peak, min(self.own_bursts.mean_rate, SCAVENGER_BELIEVED_RATE * peak))

    @property
    def link_packet_time(self) -> float:
        """
        How long the link takes for a packet, µs, also for a flow that never had it to itself.
        """
        return self.mss / self.link_rate if self.trips.peak else 1000.0

    @property
    def least_empty(self) -> float:
        """
        A queue up to this is certainly none, µs.  C{levels.empty} is larger for a flow that takes its share of the link
        for the whole.
        """
        return max(SCAVENGER_EMPTY, 1.5 * self.link_packet_time) + self.trips.noise

    def forget_queue(self) -> None:
        """
        Forget the measured queue: it was measured while we sent in another way.
        """
        self.queue.forget()
        self.trips.minima.clear()
        self.trips.windows.clear()
        self.trips.empty = 0

    def cut_without_queue(self) -> None:
        """
        Cut the window by a fifth, but not below what comes through, after a loss that no queue explains.
        """
        carried = self.trips.capacity * self.path + 2 * self.mss
        self.cwnd = max(CUT_WITHOUT_QUEUE * self.cwnd, min(self.cwnd, carried), self.least_window)

    def steady(self, now: int, drain_at: int, *, is_test: bool = False) -> None:
        """
        Fill the link.
        """
        if not isinstance(self.phase, Drain) and not is_test:
            self.lasting_queue.begin(now)
        self.phase = Steady(self, now, drain_at)

    def drain(self, now: int, *, first: bool = False, checks: bool = False, back: float = 0.0) -> None:
        """
        Step back for a moment.

        @param checks: to find out whose queue has raised an alarm.
        """
        # On a radio link what stood at the end of the last drain may have been a fade's, so it tells of nobody.
        gently = self.is_alone or varies_by_itself(self)
        self.phase = Drain(self, now, back or self.cwnd, first=first, gently=gently, checks=checks)
        if not first:
            self.queue.forget()

    def step_aside(self, now: int, why: str) -> None:
        """
        Leave the link to somebody else.
        """
        phase, trips = self.phase, self.trips
        if self.crowd.is_there:
            self.cwnd = max(self.cwnd, phase.back) if isinstance(phase, Drain) else self.cwnd
            self.pacing_rate = 0.0
            self.steady(now, drain_at=now + SCAVENGER_DRAIN_INTERVAL)
            return
        self.alarms += 1
        if isinstance(phase, Steady):
            self.known_rate, self.known_window = trips.capacity, self.cwnd
            if trips.least is not None:
                # Fades of a radio link look like alarms.  So an alarm counts as variation, but a single one is bounded.
                trips.note_change(min(max(self.queue.length - trips.least, 0), SCAVENGER_MAX_VARIATION / 2))
        elif isinstance(phase, Drain):
            self.known_rate, self.known_window = trips.capacity, phase.back
        if why == "flat":
            pass  # that was a trial, not a return
        elif self.has_just_returned(now):
            self.become_guest()
            self.quiet = max(SCAVENGER_LONGEST_QUIET, SCAVENGER_QUIET_TRIPS * self.path)
        elif now - self.returned_at > 3 * SCAVENGER_SOON:
            self.quiet = SCAVENGER_QUIET
        if self.early_drops.are_usual:
            self.become_guest()
        self.phase = Trickle(self, now, why)

    def has_just_returned(self, now: int) -> bool:
        """
        Have we returned to the link a moment ago?
        """
        return bool(self.returned_at) and now - self.returned_at < SCAVENGER_SOON

    def become_guest(self) -> None:
        """
        Return as a guest from now on: the link seemed free, but its queue is empty now and then while somebody uses it.
        """
        self.is_guest = not varies_by_itself(self)

    def come_back(self, now: int, *, trying: bool = False, from_queue: int = 0, is_idle: bool = False) -> None:
        """
        Return to a link that seems free.

        @param trying: the link did not seem free; we only try it.
        @param from_queue: a constant queue that stands, µs, if we return to find out whether it is a longer route.
        @param is_idle: nobody can be there.
        """
        phase, levels = self.phase, self.levels
        if isinstance(phase, Trickle) and not trying and not from_queue:
            is_idle |= phase.filler_has_left and not self.early_drops.are_usual
        is_idle = is_idle and not varies_by_itself(self)
        if is_idle:
            self.is_guest = False
            self.known_rate = max(self.known_rate, self.trips.peak)
        if isinstance(phase, Trickle):
            self.delay_verifier.end_absence()
            if not trying and not from_queue:
                self.flat_queue = None
                self.probe_interval = SCAVENGER_PROBE_INTERVAL
                if phase.is_confirmed:
                    levels.on_true_alarm()
                elif phase.why != "loss":
                    levels.on_false_alarm()
                    self.quiet = SCAVENGER_QUIET
        self.returned_at = now
        gear = SCAVENGER_GUEST_GEAR if self.is_guest else SCAVENGER_FIRST_GEAR
        if from_queue:
            gear = SCAVENGER_FIRST_GEAR / 2
        self.phase = Comeback(self, now, gear, from_queue, trying=trying, is_idle=is_idle)

    def test_lasting_queue(self, now: int, base: int, back: float) -> None:
        """
        Find out by load whether a small queue that never goes away is a longer route or another flow's.

        @param base: its length, µs.
        @param back: the window to return to if it is another flow's, bytes.
        """
        self.phase = Comeback(self, now, SCAVENGER_FIRST_GEAR / 2, max(base, 1), back=back)

    def on_failed_test(self, now: int, base: int, back: float) -> None:
        """
        A small queue that never goes away has grown under load, so another flow keeps it.
        """
        self.pacing_rate = 0.0
        self.cwnd = back
        self.is_alone = False
        self.steady(now, drain_at=now + 40 * self.path, is_test=True)
        self._note_flat_queue(now, base, self.levels.level)

    def on_failed_return(self, now: int, gear: float, base: int) -> None:
        """
        Leave again, as a queue stood as soon as we sent.  Only half of the rate that made it seems to be free.

        @param gear: the part of the known rate that made the queue.
        @param base: a constant queue that stood before, µs.
        """
        if base:
            self.step_aside(now, "flat")
            self._note_flat_queue(now, base)
            return
        if varies_by_itself(self):
            # On a radio link, that queue may be the fade's; Steady finds out by a drain.
            self.pacing_rate = 0.0
            self.steady(now, drain_at=now + 40 * self.path)
            return
        self.known_rate *= max(gear / 2, SCAVENGER_GUEST_GEAR)
        self.step_aside(now, "return")

    def _note_flat_queue(self, now: int, base: int, allowed: float = 0.0) -> None:
        """
        Note a constant queue that grows under load.  If it is the same for seconds, somebody keeps it.  (CUBIC's queue
        is constant for a second or two at its plateau.)
        """
        seen = self.flat_queue
        if base > SCAVENGER_COMPANION_QUEUE or seen is None or abs(base - seen[1]) > max(seen[1] / 4, allowed):
            self.flat_queue = (now, base)
        elif now - seen[0] >= SCAVENGER_COMPANION_TIME:
            self.phase = Companion(self, now, base)

    def on_longer_route(self, longer: int) -> None:
        """
        Note that load did not make the queue longer.  So there is no queue: the path is longer by as much.
        """
        self.delay_verifier.longer += longer
        self.forget_queue()


register_congestion_controller("scavenger", Scavenger)
