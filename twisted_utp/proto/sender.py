"""
What may be sent now, and what acknowledgements mean for it.

The sending half of a connection: unsent bytes, packets in flight, the congestion and the peer's window, loss
recovery.  It decides; the connection writes the packets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted_utp.proto.config import MICROSECONDS
from twisted_utp.proto.congestion.base import AckSample, CongestionController
from twisted_utp.proto.constants import (
    BLACK_HOLE_TIMEOUTS,
    DEFAULT_MAX_IN_FLIGHT,
    HEADER_SIZE,
    INITIAL_PEER_WINDOW,
    MAX_QUEUE_WITHOUT_LOSS,
    MAX_SMALL_IN_FLIGHT,
    MAX_SPAN,
    MAX_SPAN_FOREIGN,
    MAX_WINDOW_QUESTIONS,
    MAX_ZERO_WINDOW_RTO,
    MIN_PACED_RTT,
    MIN_TAKEN_BYTES,
    MIN_TAKEN_RATE,
    MIN_TRANSMISSIONS_BEFORE_GIVING_UP,
    SAMPLE_INTERVAL,
    SEQ_MASK,
    UNCONFIRMED_TIMEOUT,
)
from twisted_utp.proto.delay import OneWayDelay, is_delay_sample
from twisted_utp.proto.mtu import MtuDiscovery
from twisted_utp.proto.pacing import Pacer
from twisted_utp.proto.packet import MIN_PADDING, PacketType
from twisted_utp.proto.recovery import LossDetector
from twisted_utp.proto.rtt import RttEstimator
from twisted_utp.proto.scoreboard import Flight, FlightState, NewlyAcked, Scoreboard
from twisted_utp.proto.send_buffer import SendBuffer
from twisted_utp.proto.spurious_loss import SpuriousLossDetection
from twisted_utp.proto.stats import SenderCounters
from twisted_utp.proto.timers import NEVER, Timer, Timers
from twisted_utp.proto.withholding import Withholding

if TYPE_CHECKING:
    from twisted_utp.proto.send_limit import SendLimit
    from twisted_utp.proto.trace import ConnectionTrace


_RETRANSMISSION = int(Timer.RETRANSMISSION)


@dataclass(slots=True)
class AckInfo:
    """
    The acknowledging part of a received packet.

    @ivar una: ack_nr + 1, unwrapped.
    @ivar sack: selective ack, bit i for C{una + 1 + i}; 0 for none.
    @ivar wnd_size: the peer's free receive buffer, bytes.
    @ivar timestamp_difference: the peer's measurement of our packets' one-way delay.
    @ivar may_be_duplicate: a STATE that names no packet past a gap, so it counts as duplicate ack when it brings
        nothing new.
    @ivar received_at: µs.
    """

    una: int
    sack: int
    wnd_size: int
    timestamp_difference: int
    may_be_duplicate: bool
    received_at: int


class Sender:
    """
    One direction's sending side.

    @ivar mss: payload bytes of a full packet.
    @ivar mtu: the search for how large that may be.
    @ivar next_seq: seq_nr of the next new packet, unwrapped (SND.NXT).
    @ivar fin_seq: seq_nr of our FIN once sent.
    @ivar peer_window: the peer's advertised window, bytes.
    @ivar max_in_flight: bytes that may be sent and not acknowledged in order, whatever the peer's window: what of them
        is kept to be sent again is up to the peer.
    @ivar max_span: packets from the oldest unacknowledged to the newest.
    @ivar limit: what bounds the rate beside the windows, L{None} for nothing.
    @ivar latest_echo: the timestamp_difference of the peer's last packet.
    @ivar trace: the connection's.
    @ivar spurious_loss: what would show that a loss was none; L{None} before the first.
    @ivar pacer: spreads the window over the round trip; L{None} while nothing is to be spread.
    @ivar withholding: which packets are kept back from a peer that may not read them; L{None} for a peer that does.
    @ivar is_confirmed: the peer has shown that it is where it says (any packet after its SYN).  Until then it gets
        nothing but the SYN-ACK, so a forged SYN cannot aim us at somebody.  Peers of our kind confirm at once; to
        others, the C{early_byte} setting sends one byte, which makes a silent libutp initiator answer.
    @ivar peer_reads_extensions: DATA to the peer may have extensions, which it would else take for payload: it has sent
        some, or a measured timestamp_difference.  npm's C{utp} reads none and sends 0; all others that we know do both.
    """

    __slots__ = (
        "_answered_at",
        "_asked_at",
        "_blocked_at",
        "_counters",
        "_early_byte",
        "_is_probe_due",
        "_last_sent_at",
        "_may_fast_retransmit",
        "_pacing",
        "_progress_at",
        "_restarted_at",
        "_sampled_at",
        "_stall_at",
        "_stall_goal",
        "_stall_timeout",
        "_timeout_end",
        "_timeouts",
        "_timers",
        "_user_timeout",
        "_window_probes",
        "_window_questions",
        "board",
        "buffer",
        "congestion",
        "delay",
        "eof_queued",
        "fin_seq",
        "is_confirmed",
        "is_probe_sent",
        "is_question_due",
        "latest_echo",
        "limit",
        "max_in_flight",
        "max_span",
        "mss",
        "mtu",
        "next_seq",
        "no_delay",
        "pacer",
        "peer_reads_extensions",
        "peer_window",
        "recovery",
        "rtt",
        "spurious_loss",
        "trace",
        "withholding",
    )

    def __init__(
        self,
        *,
        first_seq: int,
        mtu: MtuDiscovery,
        congestion: CongestionController,
        min_rto: int,
        timers: Timers,
        pacing: bool,
        no_delay: bool,
        early_byte: bool = False,
        stall_timeout: int = 0,
        max_in_flight: int = DEFAULT_MAX_IN_FLIGHT,
    ) -> None:
        self.mtu = mtu
        self.mss = mtu.size - HEADER_SIZE
        self.next_seq = first_seq
        self.fin_seq: int | None = None
        self.eof_queued = False
        self.peer_window = INITIAL_PEER_WINDOW
        self.max_in_flight = max_in_flight
        self.max_span = MAX_SPAN_FOREIGN
        self.is_confirmed = True
        self.peer_reads_extensions = False
        self.no_delay = no_delay
        self.buffer = SendBuffer()
        self.board = Scoreboard(first_seq)
        self.recovery = LossDetector(first_seq)
        self.spurious_loss: SpuriousLossDetection | None = None  # few connections lose anything
        self.rtt = RttEstimator(min_rto)
        self.delay = OneWayDelay()
        self.congestion = congestion
        self.pacer: Pacer | None = None  # made with the first window that is to be spread
        self._counters: SenderCounters | None = None
        self.trace: ConnectionTrace | None = None
        self.limit: SendLimit | None = None
        self.withholding: Withholding | None = None
        # In a recovery one packet is repeated for each acknowledgement whatever the window (RFC 6937): a cut window
        # is full of what was lost and is not known to be.
        self._may_fast_retransmit = False
        self._early_byte = early_byte
        self._pacing = pacing
        self._timers = timers
        self._last_sent_at = 0
        # The retransmission timer runs from the last acknowledgement of something new (or the first packet after
        # none), and again from a probe or a timeout; new packets do not restart it (RFC 6298 (5.1)).
        self._progress_at = self._restarted_at = 0
        self._timeouts = 0
        self._timeout_end = first_seq  # what was sent before the last timeout is repeated because of it
        # The peer counts as stalled at that time, unless by then so many bytes in all are acknowledged.
        self._stall_timeout = stall_timeout or NEVER
        self._stall_at = self._user_timeout = NEVER  # the latter as it was at the last timeout
        self._stall_goal = 0
        self._answered_at = 0  # when the peer last said that it takes nothing now
        self._sampled_at = 0  # when an acknowledgement was last put to use in full
        self._blocked_at = 0  # since when a window of 0 keeps us from sending anything
        self._window_probes = 0  # in a row, without the window opening: a peer may take them and stay closed
        self._window_questions = 0  # of them, in a row without an answer
        self._asked_at = self.latest_echo = 0
        self.is_question_due = self.is_probe_sent = self._is_probe_due = False

    @property
    def counters(self) -> SenderCounters:
        """
        What it counts.
        """
        counters = self._counters
        if counters is None:
            counters = self._counters = SenderCounters()
        return counters

    @property
    def has_counted(self) -> bool:
        """
        Is there anything in C{counters}?  To look would make them, and idle connections need none.
        """
        return self._counters is not None

    @property
    def pacing_rate(self) -> float:
        """
        Bytes per second, 0 while there is no limit.
        """
        return 0.0 if self.pacer is None else self.pacer.rate

    # --- Sending ---------------------------------------------------------------------------------------------

    def on_peer_is_ours(self) -> None:
        """
        More packets may be in flight than the deployed stacks put up with, and the peer will confirm itself.
        """
        self.max_span = MAX_SPAN
        self._early_byte = False

    def withhold(self, secret: int) -> None:
        """
        The peer has not shown that it reads what it gets.

        @param secret: 32 bits that it does not know.
        """
        self.withholding = Withholding(secret, self.next_seq)

    def stop_withholding(self) -> None:
        """
        It has.  A packet that is being kept back is repeated as if it had been lost.
        """
        self.withholding = None

    def on_handshake_rtt(self, rtt: int, now: int) -> None:
        """
        The SYN was answered after C{rtt} µs: the first window is spread over them.
        """
        self.rtt.on_sample(rtt)
        self._follow_window(now)

    def next_flight(self, now: int, max_packets: int) -> Flight | None:
        """
        What to send next: packets to repeat before new ones.  What this returns counts as sent.

        @param max_packets: at most so many.
        """
        if self._is_probe_due:
            flight: Flight | None = self._tail_loss_probe(now)
        elif self.board.lost_packets:
            flight = self._repeat(now, max_packets)
        elif self.buffer.nbytes or (self.eof_queued and self.fin_seq is None):
            probe = self._mtu_probe(now) if self.buffer.nbytes else None
            flight = probe or self._new_flight(now, max_packets)
        else:
            flight = None
        if flight is not None:
            self._on_sent(flight, now)
        elif self.limit is not None:
            self.limit.end_turn()
        return flight

    def next_fast_path_packet(self, now: int) -> tuple[int, bytes]:
        """
        The fast path of L{next_flight}: what waits fits one packet, nothing is on its way, and nothing holds it back.

        @return: seq_nr (unwrapped) and payload, which count as sent; no payload when it must take the slow path.
        """
        board, buffer, seq, mss = self.board, self.buffer, self.next_seq, self.mss
        nbytes = buffer.nbytes
        # With nothing on its way there is no loss, probe or timeout to think of, and one packet fits every window.
        if (
            board.flights
            or not 0 < nbytes <= mss
            or nbytes > self.peer_window
            or now - self._sampled_at >= SAMPLE_INTERVAL
            or self.eof_queued
            or self.withholding is not None
            or self.limit is not None
        ):
            return seq, b""
        data = buffer.take_all()
        flight = Flight(seq, 1, data, 0, nbytes, nbytes, now)
        flight.has_small_tail = nbytes < mss
        self.next_seq = seq + 1
        board.add_only(flight)
        self._last_sent_at = self._progress_at = now
        self._stall_at = now + self._stall_timeout
        self._stall_goal = 0  # there is nothing but this packet to acknowledge
        counters = self._counters or self.counters
        counters.packets += 1
        counters.nbytes += nbytes
        if self.pacer is not None:
            self.pacer.on_sent(nbytes)
        self._timers[_RETRANSMISSION] = now + self.rtt.probe_timeout
        return seq, data

    def _on_sent(self, flight: Flight, now: int) -> None:
        self._last_sent_at = now
        if self.withholding is not None:
            self._note_withheld(flight)
        if self.trace is not None:
            self.trace.flight_sent(now, flight)
        if self.pacer is not None:
            flight.ahead = self.pacer.ahead(now)
            self.pacer.on_sent(flight.nbytes)
        if self.limit is not None:
            self.limit.on_sent(flight.nbytes)
        counters = self._counters or self.counters
        if flight.transmissions == 1:
            counters.packets += flight.count
            counters.nbytes += flight.nbytes
        else:
            counters.retransmitted_packets += flight.count
            counters.retransmitted_bytes += flight.nbytes

    def _note_withheld(self, flight: Flight) -> None:
        withholding = self.withholding
        assert withholding is not None
        if not flight.seq <= withholding.seq < flight.end:
            if self.next_seq > withholding.seq and not withholding.is_held:
                withholding.release(self.next_seq)  # it went by as part of something else
        elif flight.transmissions == 1 and flight.count == 1:
            withholding.is_held = True
        else:
            withholding.release(self.next_seq)

    def _repeat(self, now: int, max_packets: int) -> Flight | None:
        flight = self.board.first_lost()
        assert flight is not None
        count = min(flight.count, max_packets)
        if flight.nbytes:
            count = min(count, self._packets_allowed(now, flight.size, flight.nbytes) or self._may_fast_retransmit)
            if self.limit is not None:
                count = self._within_limit(now, count, flight.size, flight.nbytes)
        if not count:
            return None
        if self.limit is not None and self.board.send_order.first is None:
            self._restarted_at = now  # while something waited for the limit, nobody waited for the peer
        self._may_fast_retransmit = False
        if flight.seq < self._timeout_end and flight.transmissions:
            self.counters.timeout_packets += count
        self.board.resend(flight, count, now)
        if self.spurious_loss is not None:
            self.spurious_loss.on_repeated(now)
        return flight

    def _packets_allowed(self, now: int, size: int, wanted: int) -> int:
        """
        How many packets of C{size} bytes the congestion window and the pacer let go now.

        @param wanted: payload bytes that wait; the last packet may be smaller than C{size}.
        """
        in_flight = self.board.flight_bytes
        budget = self.congestion.cwnd - in_flight
        if budget < min(size, wanted) and not in_flight:
            budget = float(size)  # a window below one packet still sends one at a time
        if self.pacer is not None:
            credit = self.pacer.allowance(now, size)
            if credit < min(size, wanted) <= budget:
                self._timers[Timer.PACING] = self.pacer.next_at(size)
                return 0
            budget = min(budget, credit)
        if budget >= wanted:
            return -(-wanted // size)
        return max(int(budget) // size, 0)

    def _within_limit(self, now: int, count: int, size: int, waiting: int) -> int:
        """
        How many of C{count} packets the limits of the rate let go now.
        """
        limit = self.limit
        wanted = min(count * size, waiting)
        if limit is None or wanted <= 0:
            return count
        allowed = limit.allowance(now, size, wanted)
        if limit.wake_at != NEVER:
            self._timers[Timer.PACING] = limit.wake_at
        return count if allowed >= wanted else int(allowed) // size

    def _new_flight(self, now: int, max_packets: int) -> Flight | None:
        board = self.board
        if not self.is_confirmed and (board.flights or not self._early_byte):
            return None
        if not board.flights:
            self._start_from_idle(now)
        if not self.buffer.nbytes:
            return self._fin_flight(now)
        room = self._room()
        count = min(max_packets, self.max_span - (self.next_seq - board.una))
        size = self.mss
        if not self.is_confirmed:
            size = count = 1
        if room < min(size, self.buffer.nbytes):
            return self._avoid_silly_window(now, room, size)
        count = min(count, self._packets_allowed(now, size, min(self.buffer.nbytes, room)))
        if self.limit is not None:
            count = self._within_limit(now, count, size, min(self.buffer.nbytes, room))
        nbytes = min(count * size, self.buffer.nbytes, room)
        tail = nbytes % size
        if tail and (nbytes < self.buffer.nbytes or not self._may_send_small()):
            nbytes -= tail
        if self.withholding is not None and nbytes:
            nbytes = min(nbytes, size * self.withholding.room(self.next_seq, -(-nbytes // size)))
        return self._cut(now, nbytes, size) if nbytes else None

    def _room(self) -> int:
        """
        Bytes of new data that the peer and our own limit let be in flight.
        """
        return min(self.peer_window, self.max_in_flight) - self.board.outstanding_bytes

    def _start_from_idle(self, now: int) -> None:
        timeouts = (now - self._last_sent_at) // self.rtt.rto
        if self._last_sent_at and timeouts:
            self.congestion.on_idle(now=now, timeouts=timeouts)
        self._progress_at = now
        self._timeouts = 0
        if not self._blocked_at:
            self._expect_progress(now)

    def _may_send_small(self) -> bool:
        """
        Nagle's question, asked of small packets only (Minshall): a few may be on their way, so that interactive
        traffic never waits, but not one for each small write.
        """
        return self.no_delay or self.eof_queued or self.board.small_in_flight < MAX_SMALL_IN_FLIGHT

    def _avoid_silly_window(self, now: int, room: int, size: int) -> Flight | None:
        """
        The peer's window does not take a full packet.  With something in flight, wait for what its
        acknowledgement opens (RFC 1122 (4.2.3.4), silly windows); else use what there is.
        """
        if self.board.flights or room <= 0:
            return None
        return self._cut(now, min(room, size), size)

    def _cut(self, now: int, nbytes: int, size: int) -> Flight:
        data = self.buffer.take(nbytes)
        count = -(-nbytes // size)
        flight = Flight(self.next_seq, count, data, 0, min(size, nbytes), nbytes, now)
        flight.has_small_tail = nbytes < count * self.mss
        self.next_seq += count
        self.board.add(flight)
        return flight

    def _fin_flight(self, now: int) -> Flight | None:
        if self.next_seq - self.board.una >= self.max_span:
            return None
        if self.withholding is not None and self.withholding.is_held:
            return None  # npm's utp ends its stream at a FIN, whatever is missing before it
        self.fin_seq = self.next_seq
        flight = Flight(self.next_seq, 1, b"", 0, 0, 0, now, PacketType.FIN)
        self.next_seq += 1
        self.board.add(flight)
        return flight

    def _mtu_probe(self, now: int) -> Flight | None:
        """
        A packet that is longer than those known to arrive, when it is time for one.

        Never alone: what is sent with it shows soon whether it was lost.  The congestion window does not hold it
        back, as it is one packet.
        """
        board = self.board
        if not board.flights or not self.is_confirmed or self.recovery.in_recovery(board):
            return None
        if not self.peer_reads_extensions:
            return None
        size = self.mtu.next_probe(now)
        nbytes = min(self.mss, self.buffer.nbytes, size - HEADER_SIZE - MIN_PADDING)
        if nbytes <= 0 or nbytes > self._room():
            return None
        if self.limit is not None and not self.limit.has_some(now):
            return None
        if self.next_seq - board.una >= self.max_span:
            return None
        flight = self._cut(now, nbytes, nbytes)
        flight.padding = size - HEADER_SIZE - nbytes
        self.mtu.on_sent(size)
        return flight

    def _on_mtu(self, now: int) -> None:
        """
        Packets have another size from now on.
        """
        if self.trace is not None:
            self.trace.mtu_updated(now, self.mss + HEADER_SIZE, self.mtu.size)
        self.mss = self.mtu.size - HEADER_SIZE
        # Not in the middle of timeouts: the controller's packet is what one of them leaves of the window.
        if not self._timeouts:
            self.congestion.on_mss(self.mss)

    def _tail_loss_probe(self, now: int) -> Flight | None:
        """
        Send something that makes the peer answer (RFC 8985 (7.3)): new data when there is some, else the last
        packet again.  Neither window counts; it is one packet.

        RFC 8985 has no probes in a recovery, and waits for the timeout when what was repeated is lost as well.  Then
        it is the first packet that the peer waits for, so that is repeated once more, as QUIC would (RFC 9002 (6.2)).
        """
        self._is_probe_due = False
        self.is_probe_sent = True
        self._restarted_at = now
        board = self.board
        in_recovery = self.recovery.in_recovery(board)
        room = self._room()
        if not in_recovery and self.buffer.nbytes and room >= self.mss and self.next_seq - board.una < self.max_span:
            return self._cut(now, min(self.mss, self.buffer.nbytes), self.mss)
        flight = next(board.in_flight(), None) if in_recovery else board.last_in_flight()
        if flight is None:
            return None
        if in_recovery:
            board.isolate_first(flight)
        else:
            flight = board.isolate_last(flight)
        self._on_mtu_probe_lost(flight, now)
        board.resend(flight, 1, now)
        flight.is_probe = True
        self.counters.tail_loss_probes += 1
        return flight

    # --- Acknowledgements ------------------------------------------------------------------------------------

    def on_single_ack(self, ack: int, wnd_size: int, now: int) -> bool:
        """
        The fast path of L{on_ack}: one packet is on its way, or none, and a packet that brings data acknowledges it.

        @param ack: ack_nr as on the wire.
        @return: False when it must take the slow path; nothing has changed then.
        """
        board = self.board
        flights = board.flights
        if now - self._sampled_at >= SAMPLE_INTERVAL or self._timeouts or self.peer_window <= 0:
            return False
        if not flights:
            if ack != board.una - 1 & SEQ_MASK:
                return False
        else:
            flight = flights[0]
            if ack != board.una & SEQ_MASK or flight.count > 1 or len(flights) > 1:
                return False
            if flight.transmissions > 1 or flight.fate or flight.padding or self.eof_queued:
                return False
            board.acknowledge_only()
            (self._counters or self.counters).acked_bytes += flight.nbytes
            self.recovery.duplicate_acks = 0
            self.is_probe_sent = self._is_probe_due = False
            self._progress_at = now
            self._timers[_RETRANSMISSION] = NEVER
        self.peer_window = wnd_size
        return True

    def on_ack(self, info: AckInfo, now: int) -> bool:
        """
        Take an acknowledgement whose ack_nr was found valid.

        @return: something was acknowledged that had not been, or C{una} moved over what had been selectively.
        """
        board, rtt = self.board, self.rtt
        before = board.flight_bytes
        had_flights = bool(board.flights)
        una_before = board.una
        self.latest_echo = info.timestamp_difference
        if not self.peer_reads_extensions:
            self.peer_reads_extensions = bool(info.sack) or is_delay_sample(info.timestamp_difference)
        acked = board.acknowledge(info.una, info.sack, info.received_at - rtt.minimum)
        opens = INITIAL_PEER_WINDOW != self.peer_window < info.wnd_size  # that one is only a guess
        if info.una >= una_before:
            if self.peer_window > 0:
                self.peer_window = info.wnd_size
            else:
                self._on_window(info.wnd_size)
        if not acked.packets and board.una == una_before:
            # Neither what answers a refused zero-window probe nor what opens a window is a sign of loss (RFC 5681 (2)).
            if info.may_be_duplicate and info.wnd_size and not opens and had_flights and info.una == una_before:
                self._on_duplicate_ack(now)
            # A zero-window probe's answer is a sign of life.  It does not put off the next probe.
            if not info.wnd_size:
                self._answered_at = now
                self._timeouts = 0
                self._window_questions = 0
            return False
        if self.trace is not None:
            self.trace.acked(now, info, acked)
        latest = self._measured(acked, info)
        self._on_progress(acked, latest, now)
        if acked.probed_padding and self.mtu.on_acked(HEADER_SIZE + acked.probed_padding + acked.probed_bytes, now):
            self._on_mtu(now)
        if self.fin_seq is not None and board.una > self.fin_seq and not acked.spurious:
            # Nothing is sent any more: only other connections with that host could use what this tells.
            self.mtu.path.shortest_round_trip(rtt.minimum)
            self._timers[Timer.REORDER] = NEVER
            return True
        sample = self._sample(acked, info, latest, before)
        self._sampled_at = now
        if acked.nbytes:
            self.congestion.on_ack(now=now, sample=sample)
        if self.recovery.on_acked(acked, board, self.next_seq, info.received_at, rtt.minimum):
            self.congestion.on_spurious_loss(now=now)
            self.counters.spurious_losses += 1
        if acked.probed and not self.recovery.in_recovery(board):
            self._own_spurious_loss().on_probe_answered(acked.probed)
        if self.spurious_loss is not None and self.spurious_loss.is_probe_loss(board.una):
            self._cut_window(now, self.mss)
        self.find_losses(now)
        self._follow_window(now)
        return True

    def on_late_answer(self, una: int, sent_at: int, now: int) -> None:
        """
        A STATE brought nothing new.

        @param una: its ack_nr + 1, unwrapped.
        @param sent_at: when the packet that it answers had left, µs.
        """
        spurious_loss = self.spurious_loss
        if una != self.board.una or spurious_loss is None:
            return  # overtaken by a newer one, or of no interest
        spurious_loss.on_duplicate(una)
        if self.recovery.in_recovery(self.board) or not spurious_loss.is_late_original(sent_at):
            return
        self.recovery.widen(self.board, self.next_seq)
        # Where there is a queue, losses are likely, and a claim that there was none is not.
        if self.rtt.smoothed - self.rtt.minimum > MAX_QUEUE_WITHOUT_LOSS or not spurious_loss.may_undo(now):
            return
        self.congestion.on_spurious_loss(now=now)
        self.counters.spurious_losses += 1
        self._follow_window(now)

    def _own_spurious_loss(self) -> SpuriousLossDetection:
        self.spurious_loss = self.spurious_loss or SpuriousLossDetection()
        return self.spurious_loss

    def _on_window(self, wnd_size: int) -> None:
        """
        The peer, which took nothing, says what it takes.  A probe that it refused while its window was closed is sent
        again when that opens, without waiting; nothing else is in flight then.
        """
        opens = self.peer_window <= 0 < wnd_size
        self.peer_window = wnd_size
        if opens and self._window_probes:
            self._window_probes = self._window_questions = 0
            self.rtt.on_progress()
            self.board.mark_all_lost()

    def _on_progress(self, acked: NewlyAcked, latest: int, now: int) -> None:
        rtt = self.rtt
        if latest:
            rtt.on_sample(latest)
            self.mtu.path.on_round_trip(latest, now)
        elif self.board.una > self._timeout_end:
            rtt.on_progress()
        else:
            rtt.on_doubtful_progress()
        self._progress_at = now
        self._timeouts = 0
        self.is_probe_sent = self._is_probe_due = False
        self._may_fast_retransmit = self.recovery.in_recovery(self.board)
        counters = self._counters or self.counters
        counters.acked_bytes += acked.nbytes
        is_held = self.limit is not None and self.limit.is_waiting and not self.board.flights
        if counters.acked_bytes >= self._stall_goal or is_held:
            self._expect_progress(now)

    @staticmethod
    def _measured(acked: NewlyAcked, info: AckInfo) -> int:
        """
        The round trip that this acknowledgement measures, µs; 0 when it cannot.

        Karn's rule, and more: when the newest of the packets was a repeated one, the others arrived earlier and
        their acknowledgements were lost or waited for the gap to close.
        """
        if not acked.rtt_sent_at or acked.newest_was_resent:
            return 0
        return max(info.received_at - acked.rtt_sent_at, 1)

    def _sample(self, acked: NewlyAcked, info: AckInfo, latest: int, flight_before: int) -> AckSample:
        rtt = self.rtt
        congestion = self.congestion
        pacer, batch = self.pacer, acked.nbytes if acked.packets > 2 else 0
        burst = pacer.burst_after(batch, congestion.target_delay) if pacer is not None else 0
        delay = self.delay
        growth = delay.round_trips()
        growth.on_in_flight(flight_before / self.mss, info.received_at)
        queuing = delay.on_ack(
            info.timestamp_difference, latest, rtt.smoothed, rtt.minimum, congestion.target_delay, info.received_at
        )
        path = self.mtu.path
        path.acked_bytes += acked.nbytes
        # In slow start the window doubles while its acknowledgements come in, so half of it filled is filled.
        filled = congestion.cwnd / 2 if congestion.in_slow_start else congestion.cwnd - 2 * self.mss
        return AckSample(
            bytes_acked=acked.nbytes,
            bytes_in_flight=flight_before,
            rtt=rtt.smoothed,
            latest_rtt=latest,
            min_rtt=rtt.minimum,
            queuing_delay=queuing,
            app_limited=flight_before < filled,
            in_recovery=self.recovery.in_recovery(self.board),
            is_disputed=delay.is_disputed,
            reverse_queue=delay.reverse_queue,
            raw_delay=delay.raw,
            growth=growth.latest if latest else None,
            has_more=self.buffer.nbytes > 0,
            burst=burst,
            ahead=acked.ahead,
            received_at=info.received_at,
            host_acked=path.acked_bytes,
            is_near=0 < path.shortest_round_trip(rtt.minimum) < MIN_PACED_RTT,
        )

    def is_sack_uninformative(self, sack: int | None, sack_length: int) -> bool:
        """
        Is there no selective ack, or one that ends before what may have arrived?

        One without a bit that reaches far enough is no information: some peers always send it.  libutp's four bytes,
        all zero while hundreds of packets are on their way, mean that something beyond them has arrived.
        """
        return sack is None or (not sack and self.next_seq - self.board.una > 8 * sack_length + 1)

    def _on_duplicate_ack(self, now: int) -> None:
        """
        The first packet is missing where others have arrived that nobody can name: after the third such answer, or
        the first to a tail-loss probe.  Once it is repeated and acknowledged, its time tells of the others (RFC 8985).
        """
        board = self.board
        self.counters.duplicate_acks += 1
        if not (self.recovery.on_duplicate_ack() or self.is_probe_sent) or board.sacked_packets:
            return
        oldest = board.flights[0] if board.flights else None
        if oldest is None or oldest.fate is not FlightState.IN_FLIGHT:
            return
        if oldest.transmissions > 1 and now - oldest.sent_at < self.rtt.minimum:
            return
        board.isolate_first(oldest)
        if self.trace is not None:
            self.trace.lost(now, [oldest], "duplicate_acks")
        self._declare_lost([oldest], now)

    def _follow_window(self, now: int) -> None:
        if not self._pacing:
            return
        rtt, congestion = self.rtt, self.congestion
        # The host's: connections that are opened while both ends are busy measure how busy they are.
        is_short = self.mtu.path.shortest_round_trip(rtt.minimum) < MIN_PACED_RTT
        if is_short and not congestion.pacing_rate:
            if self.pacer is not None:
                self.pacer.release()
            return
        pacer = self._own_pacer()
        if congestion.pacing_rate:
            pacer.set_rate(congestion.pacing_rate, rtt.minimum, self.mss, now=now)
        else:
            # The latest when it is shorter: once the queue of others is gone, a window of two packets would otherwise
            # be paced for a second by what they had caused: smoothing takes dozens of samples.
            shorter = min(rtt.smoothed, rtt.latest)
            queue = self.delay.queuing
            slow = congestion.in_slow_start
            pacer.set_window(congestion.cwnd, shorter, self.mss, slow_start=slow, now=now, queue=queue)

    def _own_pacer(self) -> Pacer:
        self.pacer = self.pacer or Pacer(self.mtu.path)
        return self.pacer

    # --- Loss ------------------------------------------------------------------------------------------------

    def find_losses(self, now: int) -> None:
        """
        Look for packets that count as lost, and arm the timer for those that soon may (RFC 8985 (6.2) step 5).
        """
        lost, again = self.recovery.detect(self.board, self.rtt, now)
        if again is None:
            self._timers[Timer.REORDER] = NEVER
        else:
            self._timers[Timer.REORDER] = again
        if lost:
            if self.trace is not None:
                self.trace.overtaken(now, lost)
            self._declare_lost(lost, now)

    def _declare_lost(self, lost: list[Flight], now: int) -> None:
        board, recovery = self.board, self.recovery
        congested = [flight for flight in lost if not flight.padding]  # a lost MTU probe is no congestion
        start = recovery.recovery_end if recovery.in_recovery(board) else board.una
        if any(flight.seq >= start for flight in congested):
            in_a_row = max(flight.count for flight in congested)
            self._cut_window(now, sum(flight.nbytes for flight in congested), in_a_row)
        packets = 0
        for flight in lost:
            board.mark_lost(flight)
            packets += flight.count
            self._on_mtu_probe_lost(flight, now)
        recovery.on_declared(sum(flight.count for flight in congested))
        if congested:
            self._own_spurious_loss().on_declared(congested)
        self.counters.lost_packets += packets

    def _on_mtu_probe_lost(self, flight: Flight, now: int) -> None:
        if flight.padding:
            self.mtu.on_lost(HEADER_SIZE + flight.padding + flight.nbytes, now)

    def on_too_big(self, flight: Flight, reported: int, now: int) -> bool:
        """
        A packet that has not arrived came back, because it was too big (RFC 8899 (4.6)).  That is no congestion: an
        MTU probe's payload is sent again at once, without the padding.

        @param reported: the size that would have got through, 0 when that is unknown.
        @return: it was believed.
        """
        size = HEADER_SIZE + flight.padding + flight.size
        if not self.mtu.is_plausible(size, reported):
            return False
        if flight.padding and flight.fate is FlightState.IN_FLIGHT:
            if self.trace is not None:
                self.trace.lost(now, [flight], "too_big")
            self.board.mark_lost(flight)
        if self.mtu.on_too_big(size, reported, now):
            self._on_mtu(now)
        return True

    def _cut_window(self, now: int, bytes_lost: int, in_a_row: int = 1) -> None:
        """
        @param in_a_row: how many packets with consecutive numbers are among them.
        """
        self.congestion.on_loss(now=now, bytes_in_flight=self.board.flight_bytes, bytes_lost=bytes_lost)
        self.recovery.start_recovery(self.board, self.next_seq)
        if self.spurious_loss is not None:
            self.spurious_loss.clear()
        # A buffer that overflows is on the way there, and a claim that the queue is elsewhere wants proof once more.
        if self.delay.growth is not None:
            self.delay.growth.reverse_queue = 0
        self._may_fast_retransmit = True
        self.counters.window_cuts += 1
        if self._pacing:
            self._own_pacer().on_loss(now, self.delay.queuing, in_a_row)
            self._follow_window(now)

    # --- Timers ----------------------------------------------------------------------------------------------

    def arm_retransmission(self, now: int) -> None:
        """
        Set the one timer that waits for the peer: tail-loss probe, retransmission timeout or zero-window probe.
        """
        timers = self._timers
        if not self.board.flights:
            if self.buffer.nbytes and self.peer_window <= 0:
                self._blocked_at = self._blocked_at or now
                wait = min(self.rtt.rto << self._window_probes, MAX_ZERO_WINDOW_RTO)
                probe_at = max(self._last_sent_at, self._blocked_at, self._asked_at) + wait
                timers[Timer.RETRANSMISSION] = min(probe_at, self._stall_at)
            else:
                self._blocked_at = 0
                timers[Timer.RETRANSMISSION] = NEVER
            return
        if self.limit is not None and self.limit.is_waiting and self.board.send_order.first is None:
            timers[_RETRANSMISSION] = NEVER  # what was lost waits for the limit, not for the peer
            return
        if not self.is_confirmed:
            # An early byte is sent once: repeats would be seven times a forged SYN.  Who is heard of sets this anew.
            timers[Timer.RETRANSMISSION] = now + UNCONFIRMED_TIMEOUT
            return
        rto = self.rtt.rto if self.peer_window > 0 else min(self.rtt.rto, MAX_ZERO_WINDOW_RTO)
        timeout = max(self._progress_at, self._restarted_at) + rto
        if self._may_probe():
            timeout = min(timeout, self._last_sent_at + self.rtt.probe_timeout)
        if self._timeouts >= MIN_TRANSMISSIONS_BEFORE_GIVING_UP:
            timeout = min(timeout, max(self._progress_at, self._answered_at) + self._user_timeout)
        if timeout <= now:
            late = self.mtu.path.late_by(self.rtt.smoothed, self._progress_at)
            timeout = max(timeout, max(self._last_sent_at, self._restarted_at) + late)
        timers[Timer.RETRANSMISSION] = min(timeout, self._stall_at)

    def _may_probe(self) -> bool:
        return (
            not self.is_probe_sent
            and not self._timeouts
            and not self.rtt.is_backed_off  # round trips may be longer than a probe would wait
            and bool(self.rtt.smoothed)
            and self.is_confirmed
            and self.peer_window > 0
            and not self.board.lost_packets
        )

    def set_stall_timeout(self, stall_timeout: int, now: int) -> None:
        """
        Change how long the peer may take too little, µs; 0 for ever.
        """
        self._stall_timeout = stall_timeout or NEVER
        self._expect_progress(now)

    def _expect_progress(self, now: int) -> None:
        """
        From now on the peer has that long to take L{MIN_TAKEN_RATE} on the average, and L{MIN_TAKEN_BYTES} at least; or
        all that there is.
        """
        counters, limit = self._counters or self.counters, self._stall_timeout
        self._stall_at = now + limit
        quota = max(MIN_TAKEN_RATE * limit // MICROSECONDS, MIN_TAKEN_BYTES)
        self._stall_goal = min(counters.nbytes + self.buffer.nbytes, counters.acked_bytes + quota)

    @property
    def acknowledged_seq(self) -> int:
        """
        A seq_nr that the peer has acknowledged, and no FIN's: that of its last packet but one.

        Not of its last: npm's utp keeps what repeats that one, and takes it for the packet that comes 512 later.
        """
        return self.board.una - 2

    def is_stalled(self, now: int) -> bool:
        """
        Has the peer taken too little for too long, whatever it says?
        """
        return now >= self._stall_at

    def on_retransmission_timer(self, now: int, user_timeout: int) -> bool:
        """
        The timer of L{arm_retransmission} fired.

        @param user_timeout: µs without progress after which the peer is gone (RFC 5482).
        @return: False when the peer is gone.
        """
        board = self.board
        if not board.flights:
            self._probe_window(now)
            return True
        late = self.mtu.path.late_by(self.rtt.smoothed, self._progress_at)
        if now < max(self._last_sent_at, self._restarted_at) + late:
            return True
        if self._may_probe() and now < self._progress_at + max(self.rtt.rto, 2 * late):
            self._is_probe_due = True
            if self.trace is not None:
                self.trace.timed_out(now, "tail_loss_probe", 1)
            return True
        return self._on_timeout(now, user_timeout)

    def _probe_window(self, now: int) -> None:
        """
        The peer is to say what its window is (RFC 9293 (3.8.6.1)).

        By a question that every stack answers: KTorrent resets a connection that brings it more than it has room for.
        By one packet beyond the window when that is not answered.
        """
        self._progress_at = self._asked_at = now
        if self._window_questions < MAX_WINDOW_QUESTIONS:
            self._window_questions += 1
            self.is_question_due = True
        elif not self._send_beyond_window(now):
            return
        self.counters.zero_window_probes += 1
        self._window_probes = min(self._window_probes + 1, 16)
        if self.trace is not None:
            self.trace.timed_out(now, "zero_window_probe", self._window_probes)

    def _send_beyond_window(self, now: int) -> bool:
        flight = self._cut(now, min(self.mss, self.buffer.nbytes), self.mss) if self.buffer.nbytes else None
        if flight is None:
            return False
        flight.transmissions = 0  # it leaves as repeated packets do, but has not been sent yet
        self.board.mark_lost(flight)
        return True

    def _on_timeout(self, now: int, user_timeout: int) -> bool:
        self._timeouts += 1
        self._restarted_at, self._user_timeout = now, user_timeout
        self.counters.timeouts += 1
        if self.trace is not None:
            self.trace.timed_out(now, "retransmission", self._timeouts)
        silence = now - max(self._progress_at, self._answered_at)
        if self._timeouts >= MIN_TRANSMISSIONS_BEFORE_GIVING_UP and silence >= user_timeout:
            return False
        board = self.board
        self.rtt.on_timeout()
        self.is_probe_sent = self._is_probe_due = False
        if self.peer_window > 0:
            self.congestion.on_timeout(now=now, bytes_in_flight=board.flight_bytes)
        if self.trace is not None:
            self.trace.lost(now, board.in_flight(), "timeout")
        self.mtu.on_inconclusive()
        if self._timeouts == BLACK_HOLE_TIMEOUTS and self.peer_window > 0 and self.mtu.on_black_hole(now):
            self._on_mtu(now)
        before = board.lost_packets
        self._timeout_end = self.next_seq
        board.mark_all_lost()
        self.recovery.start_recovery(board, self.next_seq)
        self.recovery.on_declared(board.lost_packets - before)
        if self.spurious_loss is not None:
            self.spurious_loss.clear()
        self.counters.lost_packets += board.lost_packets - before
        self._follow_window(now)
        return True
