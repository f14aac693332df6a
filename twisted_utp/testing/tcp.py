"""
What does a TCP download do to the same queue, and what is done to it?

A model of one TCP connection's data: segments, selective acks, and a congestion window by the rules of Reno
(RFC 5681) or CUBIC (RFC 9438).  No handshake, no flow control, no bytes: a competitor, not an implementation.
Loss is found by order of transmission, as in RFC 8985 on a path that keeps order: three later transmissions
acknowledged prove a loss, of a retransmission as well.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

from twisted_utp.proto.congestion.base import AckSample, CongestionController
from twisted_utp.proto.congestion.cubic import Cubic
from twisted_utp.proto.rtt import RttEstimator
from twisted_utp.proto.values import Address
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
    Acknowledges every second segment, and each one as long as something is missing (RFC 5681 (4.2)).

    @ivar next_seq: the first segment that is missing.
    """

    DELAYED_ACK = 40_000

    def __init__(self, host: Host) -> None:
        self.next_seq = 0
        self._host = host
        self._ahead: list[int] = []  # sorted
        self._pending = 0
        self._timer: ScheduledCall | None = None
        self._sender: Address = ("", 0)
        self.port = host.bind(self._receive)

    def _receive(self, packets: list[Packet]) -> None:
        for packet in packets:
            assert isinstance(packet, Segment)
            self._sender = packet.source
            in_order = packet.seq == self.next_seq and not self._ahead
            self._take(packet.seq)
            self._pending += 1
            if not in_order or self._pending >= 2:
                self._acknowledge(packet.seq)
            elif self._timer is None:
                self._timer = self._host.network.simulator.call_later(self.DELAYED_ACK, self._acknowledge, packet.seq)

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


class TCPFlow:
    """
    A transfer of so many bytes from one host to another.

    @ivar started: when it began, µs.
    @ivar finished: when everything was acknowledged, µs; 0 before.
    @ivar retransmissions: segments sent more than once.
    @ivar timeouts: retransmission timeouts.
    """

    def __init__(
        self, source: Host, destination: Host, nbytes: int, *, window: str = "cubic", at: int | None = None
    ) -> None:
        """
        @param window: C{"cubic"} or C{"reno"}.
        @param at: when to start, µs; now by default.
        """
        rules: dict[str, type[CongestionController]] = {"cubic": Cubic, "reno": Reno}
        self.congestion = rules[window](mss=SEGMENT, target_delay=IGNORED_DELAY)
        self.congestion.cwnd = float(INITIAL_WINDOW * SEGMENT)
        self.rtt = RttEstimator(MIN_RTO)
        self.simulator = source.network.simulator
        self.segments = -(-nbytes // SEGMENT)
        self.retransmissions = self.timeouts = 0
        self.una = self.started = self.finished = 0
        self._network = source.network
        self._receiver = TCPReceiver(destination)
        self._port = source.bind(self._on_acks)
        self._next = 0
        self._transmissions = 0
        self._sent: dict[int, tuple[int, int, bool]] = {}  # in flight: order of transmission, when, was it repeated
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

    def _start(self) -> None:
        self.started = self._progress_at = self.simulator.now
        self._send()

    def _send(self) -> None:
        window = int(self.congestion.cwnd) // SEGMENT
        packets: list[Packet] = []
        while len(self._sent) < max(window, 1):
            if self._lost:
                seq = self._lost.popleft()
                if seq < self.una or seq in self._sacked:
                    continue
                self.retransmissions += 1
                packets.append(self._segment(seq, repeated=True))
            elif self._next < self.segments:
                packets.append(self._segment(self._next, repeated=False))
                self._next += 1
            else:
                break
        if packets:
            self._network.send(packets)
            self._arm()

    def _segment(self, seq: int, *, repeated: bool) -> Segment:
        self._transmissions += 1
        self._sent[seq] = (self._transmissions, self.simulator.now, repeated)
        self._order.append((self._transmissions, seq))
        return Segment(b"", self._port.address, self._receiver.port.address, SEGMENT_ON_WIRE, seq=seq)

    def _on_acks(self, packets: list[Packet]) -> None:
        flight, sent_at, acked = len(self._sent), 0, 0
        for packet in packets:
            assert isinstance(packet, Segment)
            seqs = list(range(self.una, packet.ack))
            for first, end in packet.blocks:
                seqs += [seq for seq in range(max(first, packet.ack), end) if seq not in self._sacked]
                self._sacked.update(range(max(first, packet.ack), end))
            for seq in seqs:
                entry = self._sent.pop(seq, None)
                acked += entry is not None
                if entry is not None:
                    self._newest_acked = max(self._newest_acked, entry[0])
                    sent_at = sent_at if entry[2] else max(sent_at, entry[1])
                if seq < packet.ack:
                    self._sacked.discard(seq)
            self.una = max(self.una, packet.ack)
        if sent_at:
            self.rtt.on_sample(self.simulator.now - sent_at)
        if acked:
            self._on_progress(acked, flight, self.simulator.now - sent_at if sent_at else 0)
        self._find_losses()
        self._send()

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

    def _find_losses(self) -> None:
        order, lost = self._order, False
        while order and order[0][0] <= self._newest_acked - REORDERING:
            number, seq = order.popleft()
            entry = self._sent.get(seq)
            if entry is not None and entry[0] == number:
                del self._sent[seq]
                self._lost.append(seq)
                lost = True
        if lost and self.una >= self._recovery_end:
            self._recovery_end = self._next
            self.congestion.on_loss(now=self.simulator.now, bytes_in_flight=len(self._sent) * SEGMENT)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sent or self._lost:
            due = max(self._progress_at + self.rtt.rto, self.simulator.now + 1)
            self._timer = self.simulator.call_at(due, self._on_timeout)

    def _on_timeout(self) -> None:
        self._timer = None
        self.timeouts += 1
        self.congestion.on_timeout(now=self.simulator.now, bytes_in_flight=len(self._sent) * SEGMENT)
        self.rtt.on_timeout()
        self._progress_at = self.simulator.now
        self._lost = deque(sorted({*self._lost, *self._sent}))
        self._sent.clear()
        self._order.clear()
        self._recovery_end = self._next
        self._send()
