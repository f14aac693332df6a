"""
A TCP download that shares a queue with uTP.

A model of one TCP connection's data: segments, selective acks, and a congestion window by the rules of Reno
(RFC 5681), CUBIC (RFC 9438, with the slow start of RFC 9406 or Linux') or BBR.  No handshake (L{Fetch
<twisted_utp.testing.page.Fetch>} has one), no flow control, no bytes: a competitor, not an implementation.  Loss is
found by order of transmission, as in RFC 8985 on a path that keeps order: three later transmissions acknowledged prove
a loss, of a retransmission as well.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from twisted_utp.proto.congestion.base import AckSample, CongestionController
from twisted_utp.proto.congestion.cubic import Cubic
from twisted_utp.proto.rtt import RttEstimator
from twisted_utp.proto.values import Address
from twisted_utp.testing.bbr import BBR
from twisted_utp.testing.delivery import DeliveryRate, RateBasedController
from twisted_utp.testing.hystart import LinuxCubic
from twisted_utp.testing.network import Host
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.simulator import SECOND, ScheduledCall

SEGMENT = 1448
"""Payload bytes of a segment."""

SEGMENT_ON_WIRE = 1500
ACK_ON_WIRE = 52
INITIAL_WINDOW = 10  # RFC 6928
MIN_RTO = 200_000  # Linux
REORDERING = 3
QUICK_ACKS = 16  # Linux' TCP_MAX_QUICKACKS
MAX_BLOCKS = 3  # RFC 2018: with timestamps there is room for three
IGNORED_DELAY = 100_000


class Reno(CongestionController):
    """
    RFC 5681: slow start, one segment per round trip, half on loss.
    """

    __slots__ = ()

    def __init__(self, *, mss: int, target_delay: int = IGNORED_DELAY) -> None:
        super().__init__(mss=mss, target_delay=target_delay)
        self.cwnd = float(INITIAL_WINDOW * mss)

    def on_ack(self, *, now: int, sample: AckSample) -> None:
        """
        RFC 5681 (3.1).
        """
        if sample.app_limited or sample.in_recovery:
            return
        if self.in_slow_start:
            self.cwnd += sample.bytes_acked
        else:
            self.cwnd += self.mss * sample.bytes_acked / self.cwnd

    def on_loss(self, *, now: int, bytes_in_flight: int, bytes_lost: int = 0) -> None:
        """
        RFC 5681 (3.2).
        """
        self.ssthresh = self.cwnd = max(self.cwnd / 2, 2.0 * self.mss)

    def on_timeout(self, *, now: int, bytes_in_flight: int) -> None:
        """
        RFC 5681 (3.1) equation 4.
        """
        self.ssthresh = max(self.cwnd / 2, 2.0 * self.mss)
        self.cwnd = float(self.mss)


WINDOWS: dict[str, type[CongestionController]] = {
    "bbr": BBR,
    "cubic": Cubic,
    "linux-cubic": LinuxCubic,
    "reno": Reno,
}
"""Congestion controls of a L{TCPFlow} by name."""


@dataclass(slots=True)
class Segment(Packet):
    """
    A packet of the model: data C{seq}, or (when C{seq} is negative) an acknowledgement.

    @ivar seq: number of the segment.
    @ivar ack: the first segment that is missing.
    @ivar blocks: ranges above it that have arrived, that of the newest arrival first.
    """

    seq: int = -1
    ack: int = 0
    blocks: tuple[tuple[int, int], ...] = ()


class TCPReceiver:
    """
    Acknowledges every second segment, and each one as long as something is missing (RFC 5681 (4.2)).  The first ones
    it acknowledges one by one, as Linux does: the sender's first round trips, and with them HyStart, depend on it.

    @ivar next_seq: the first segment that is missing.
    @ivar on_progress: called whenever more has come in order.
    """

    DELAYED_ACK = 40_000

    def __init__(self, host: Host) -> None:
        self.next_seq = 0
        self.on_progress: Callable[[], object] | None = None
        self._host = host
        self._ahead: list[int] = []  # sorted
        self._pending = 0
        self._quick = QUICK_ACKS
        self._timer: ScheduledCall | None = None
        self._sender: Address = ("", 0)
        self.port = host.bind(self._receive)

    def _receive(self, packets: list[Packet]) -> None:
        before = self.next_seq
        for packet in packets:
            assert isinstance(packet, Segment)
            self._sender = packet.source
            in_order = packet.seq == self.next_seq and not self._ahead
            self._take(packet.seq)
            self._pending += 1
            if not in_order or self._pending >= 2 or self._quick:
                self._quick -= bool(self._quick)
                self._acknowledge(packet.seq)
            elif self._timer is None:
                self._timer = self._host.network.simulator.call_later(self.DELAYED_ACK, self._acknowledge, packet.seq)
        if self.on_progress is not None and self.next_seq > before:
            self.on_progress()

    def _take(self, seq: int) -> None:
        ahead = self._ahead
        if seq == self.next_seq:
            self.next_seq += 1
            passed = 0
            while passed < len(ahead) and ahead[passed] == self.next_seq:
                self.next_seq += 1
                passed += 1
            del ahead[:passed]
        elif seq > self.next_seq:
            at = bisect_left(ahead, seq)
            if at == len(ahead) or ahead[at] != seq:
                ahead.insert(at, seq)

    def _acknowledge(self, newest: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._pending = 0
        ack = Segment(b"", self.port.address, self._sender, ACK_ON_WIRE, ack=self.next_seq, blocks=self._blocks(newest))
        self._host.network.send([ack])

    def _blocks(self, newest: int) -> tuple[tuple[int, int], ...]:
        ahead = self._ahead
        if not ahead:
            return ()
        at = bisect_left(ahead, newest)
        if at == len(ahead) or ahead[at] != newest:
            return ((ahead[-1], ahead[-1] + 1),)
        low = high = at
        while low and ahead[low - 1] == ahead[low] - 1 and at - low < 64:
            low -= 1
        while high + 1 < len(ahead) and ahead[high + 1] == ahead[high] + 1 and high - at < 64:
            high += 1
        blocks = [(ahead[low], ahead[high] + 1)]
        if high + 1 < len(ahead):
            blocks.append((ahead[-1], ahead[-1] + 1))
        return tuple(blocks[:MAX_BLOCKS])


Sent = tuple[int, int, bool, "tuple[int, int, int, bool] | None"]
"""Of a segment in flight: its number in the order of transmission, when, was it repeated, the stamp of its rate."""


class TCPFlow:
    """
    A transfer of so many bytes from one host to another.

    @ivar started: when it began, µs.
    @ivar finished: when everything was acknowledged, µs; 0 before.
    @ivar retransmissions: segments sent more than once.
    @ivar timeouts: retransmission timeouts.
    @ivar on_received: called with the bytes that have come in order, whenever there are more.
    """

    def __init__(
        self, source: Host, destination: Host, nbytes: int, *, window: str = "cubic", at: int | None = None
    ) -> None:
        """
        @param window: one of L{WINDOWS}.
        @param at: when to start, µs; now by default.
        @raise ValueError: when there is no such congestion control.
        """
        if window not in WINDOWS:
            raise ValueError(f"window={window!r}: expected one of {', '.join(WINDOWS)}")
        self.congestion = WINDOWS[window](mss=SEGMENT, target_delay=IGNORED_DELAY)
        self.congestion.cwnd = float(INITIAL_WINDOW * SEGMENT)
        self._delivery = DeliveryRate() if isinstance(self.congestion, RateBasedController) else None
        self._pacer: ScheduledCall | None = None
        self._paced_until = 0
        self.rtt = RttEstimator(MIN_RTO)
        self.simulator = source.network.simulator
        self.segments = -(-nbytes // SEGMENT)
        self.retransmissions = self.timeouts = 0
        self.una = self.started = self.finished = 0
        self._network = source.network
        self._receiver = TCPReceiver(destination)
        self._receiver.on_progress = self._on_received
        self.on_received: Callable[[int], object] | None = None
        self._port = source.bind(self._on_acks)
        self._next = 0
        self._transmissions = 0
        self._sent: dict[int, Sent] = {}  # in flight
        self._order: deque[tuple[int, int]] = deque()  # (order of transmission, segment), oldest first
        self._newest_acked = 0  # order of transmission
        self._lost: deque[int] = deque()
        self._sacked: set[int] = set()
        self._recovery_end = 0
        self._timer: ScheduledCall | None = None
        self._progress_at = 0
        self.simulator.call_at(self.simulator.now if at is None else at, self._start)

    @property
    def done(self) -> bool:
        """
        Was everything acknowledged?
        """
        return bool(self.finished)

    @property
    def received(self) -> int:
        """
        Bytes that have arrived in order.
        """
        return self._receiver.next_seq * SEGMENT

    @property
    def seconds(self) -> float:
        """
        How long it took, or has taken.
        """
        return ((self.finished or self.simulator.now) - self.started) / SECOND

    def _on_received(self) -> None:
        if self.on_received is not None:
            self.on_received(self.received)

    def _start(self) -> None:
        self.started = self._progress_at = self.simulator.now
        self._send()

    def _send(self) -> None:
        if self._pacer is not None:
            return
        window = max(int(self.congestion.cwnd) // SEGMENT, 1)
        now, longest = self.simulator.now, self._longest_train()
        packets: list[Packet] = []
        must_wait = False
        while len(self._sent) < window and self._has_more():
            must_wait = len(packets) == longest or now < self._paced_until
            if must_wait:
                break
            if self._lost:
                self.retransmissions += 1
                packets.append(self._segment(self._lost.popleft(), repeated=True))
            else:
                packets.append(self._segment(self._next, repeated=False))
                self._next += 1
        if packets:
            self._network.send(packets)
            self._arm()
            self._pace(len(packets))
        if must_wait:
            self._pacer = self.simulator.call_at(self._paced_until, self._send_on)

    def _has_more(self) -> bool:
        lost = self._lost
        while lost and (lost[0] < self.una or lost[0] in self._sacked):
            lost.popleft()
        return bool(lost) or self._next < self.segments

    # --- Pacing, for those who ask for it ---------------------------------------------------------------------

    def _longest_train(self) -> int:
        """
        Segments that may leave at once: a millisecond of the rate, and at least two, as Linux makes them.
        """
        controller = self.congestion
        if not isinstance(controller, RateBasedController) or not controller.pacing_rate:
            return 1 << 30
        return max(int(controller.pacing_rate * 1000) // SEGMENT, 2)

    def _pace(self, segments: int) -> None:
        """
        Say when the next train may leave, after one of so many segments.
        """
        controller = self.congestion
        if isinstance(controller, RateBasedController) and controller.pacing_rate:
            start = max(self._paced_until, self.simulator.now)
            self._paced_until = start + max(int(segments * SEGMENT / controller.pacing_rate), 1)

    def _send_on(self) -> None:
        self._pacer = None
        self._send()

    def _segment(self, seq: int, *, repeated: bool) -> Segment:
        self._transmissions += 1
        now, delivery = self.simulator.now, self._delivery
        stamp = None if delivery is None else delivery.on_send(now, not self._sent)
        self._sent[seq] = (self._transmissions, now, repeated, stamp)
        self._order.append((self._transmissions, seq))
        return Segment(b"", self._port.address, self._receiver.port.address, SEGMENT_ON_WIRE, seq=seq)

    def _on_acks(self, packets: list[Packet]) -> None:
        flight, sent_at, acked = len(self._sent), 0, 0
        newest: Sent | None = None
        for packet in packets:
            assert isinstance(packet, Segment)
            for seq in self._newly_acked(packet):
                entry = self._sent.pop(seq, None)
                if entry is None:
                    continue
                acked += 1
                newest = entry if newest is None or entry[0] > newest[0] else newest
                sent_at = sent_at if entry[2] else max(sent_at, entry[1])
            self.una = max(self.una, packet.ack)
        now = self.simulator.now
        if sent_at:
            self.rtt.on_sample(now - sent_at)
        latest = now - sent_at if sent_at else 0
        if newest is not None:
            self._newest_acked = max(self._newest_acked, newest[0])
            self._on_progress(acked, flight, latest)
        lost = self._find_losses()
        if newest is not None and self._delivery is not None:
            self._on_rate(newest, acked, lost, latest)
        self._send()

    def _newly_acked(self, packet: Segment) -> list[int]:
        """
        The segments that this acknowledgement is the first to acknowledge.
        """
        sacked = self._sacked
        seqs = [seq for seq in range(self.una, packet.ack) if seq not in sacked]
        if sacked:
            sacked.difference_update(range(self.una, packet.ack))
        for first, end in packet.blocks:
            news = [seq for seq in range(max(first, packet.ack), end) if seq not in sacked]
            seqs += news
            sacked.update(news)
        return seqs

    def _on_rate(self, newest: Sent, acked: int, lost: int, latest: int) -> None:
        delivery, controller = self._delivery, self.congestion
        assert delivery is not None and isinstance(controller, RateBasedController) and newest[3] is not None
        now, flight = self.simulator.now, len(self._sent) * SEGMENT
        sample = delivery.sample(now, newest[3], newest[1], acked * SEGMENT, lost * SEGMENT, flight, latest)
        controller.on_rate(now=now, sample=sample)
        if not self._has_more():
            delivery.on_app_limited(flight)

    def _on_progress(self, acked: int, flight: int, latest: int) -> None:
        now = self._progress_at = self.simulator.now
        self.rtt.on_progress()
        rtt = self.rtt
        self.congestion.on_ack(
            now=now,
            sample=AckSample(
                bytes_acked=acked * SEGMENT,
                bytes_in_flight=flight * SEGMENT,
                rtt=rtt.smoothed,
                latest_rtt=latest,
                min_rtt=rtt.minimum,
                queuing_delay=max(latest - rtt.minimum, 0) if latest else None,
                app_limited=(flight + 1) * SEGMENT < self.congestion.cwnd / (2 if self.congestion.in_slow_start else 1),
                in_recovery=self.una < self._recovery_end,
            ),
        )
        if self.una >= self.segments and not self.finished:
            self.finished = now
        self._arm()

    def _find_losses(self) -> int:
        """
        @return: how many segments.
        """
        order, lost = self._order, 0
        while order and order[0][0] <= self._newest_acked - REORDERING:
            number, seq = order.popleft()
            entry = self._sent.get(seq)
            if entry is not None and entry[0] == number:
                del self._sent[seq]
                self._lost.append(seq)
                lost += 1
        if lost and self.una >= self._recovery_end:
            self._recovery_end = self._next
            self.congestion.on_loss(now=self.simulator.now, bytes_in_flight=len(self._sent) * SEGMENT)
        return lost

    def _arm(self) -> None:
        """
        The timer is not moved with each acknowledgement, only asked when it is up whether it is due by then.
        """
        if self._timer is None and (self._sent or self._lost):
            due = max(self._progress_at + self.rtt.rto, self.simulator.now + 1)
            self._timer = self.simulator.call_at(due, self._on_timer)
        elif self._timer is not None and not (self._sent or self._lost):
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        if self.simulator.now < self._progress_at + self.rtt.rto:
            self._arm()
        else:
            self._on_timeout()

    def _on_timeout(self) -> None:
        self.timeouts += 1
        self.congestion.on_timeout(now=self.simulator.now, bytes_in_flight=len(self._sent) * SEGMENT)
        self.rtt.on_timeout()
        self._progress_at = self.simulator.now
        self._lost = deque(sorted({*self._lost, *self._sent}))
        self._sent.clear()
        self._order.clear()
        self._recovery_end = self._next
        self._send()
