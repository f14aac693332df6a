"""
The interface by which the core reports what it does, and why.

A L{Tracer} is told by keyword arguments: numbers of packets and bytes, times in µs, sequence numbers that never wrap.
Each connection that is traced has a L{ConnectionTrace}, which knows what belongs to which event; the others have
L{None} in its place, and that one test is all that tracing costs them.  What each event means, and its fields, stands
in docs/qlog.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted_utp.proto.constants import HEADER_SIZE
from twisted_utp.proto.packet import Packet, decode_packet
from twisted_utp.proto.seqnum import expand_seq
from twisted_utp.proto.states import State
from twisted_utp.proto.timers import Timer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted_utp.proto.connection import Connection
    from twisted_utp.proto.events import LossReason
    from twisted_utp.proto.runs import Run
    from twisted_utp.proto.scoreboard import Flight, NewlyAcked
    from twisted_utp.proto.sender import AckInfo
    from twisted_utp.proto.values import Address

# Those of the others are told as what they lead to: a timeout with its kind, or the packets that pacing held back.
_TOLD_TIMERS = (Timer.CONNECT, Timer.REORDER, Timer.KEEPALIVE, Timer.LINGER, Timer.GAP)


class Tracer(Protocol):
    """
    Anything callable like this.  It must not raise, and must not call the core back.
    """

    def __call__(self, now: int, address: Address, connection_id: int, event: str, **data: Any) -> None:
        """
        Something happened.

        @param now: µs.
        @param address: the peer.
        @param connection_id: the id we receive on; for a packet of no connection, the packet's own.
        @param event: C{packet_dropped}, C{state_updated}, ...
        @param data: what belongs to that event.
        """


class ConnectionTrace:
    """
    Tells a tracer of one connection.
    """

    __slots__ = ("_connection", "_id", "_is_news", "_one_way_delay", "_phase", "_tracer")

    def __init__(self, tracer: Tracer, connection: Connection) -> None:
        self._tracer = tracer
        self._connection = connection
        self._id = connection.recv_id
        self._is_news = True  # the metrics have changed
        self._one_way_delay = 0
        self._phase = ""

    def emit(self, now: int, event: str, **data: Any) -> None:
        """
        Tell of any event.
        """
        connection = self._connection
        if connection.recv_id != self._id:
            old, self._id = self._id, connection.recv_id
            self._tracer(now, connection.address, old, "connection_id_updated", old=old, new=self._id)
        self._tracer(now, connection.address, self._id, event, **data)

    # --- Its life ----------------------------------------------------------------------------------------------

    def started(self, now: int) -> None:
        """
        It exists; nothing has been sent.
        """
        connection = self._connection
        config = connection.config
        self.emit(
            now,
            "connection_started",
            role="server" if connection.incoming else "client",
            peer_host=connection.address[0],
            peer_port=connection.address[1],
            state=connection.state.name,
            congestion=config.congestion,
            target_delay=connection.sender.congestion.target_delay,
            pacing=config.pacing,
            receive_buffer=config.receive_buffer,
            send_buffer=config.send_buffer,
        )
        self.mtu_updated(now, 0, connection.sender.mss + HEADER_SIZE)

    def accepted(self, now: int, syn: Packet) -> None:
        """
        A SYN is about to be accepted: by a new connection, or by one of ours that was dialling its sender.
        """
        if self._connection.state is State.SYN_SENT:
            self.emit(now, "state_updated", old=State.SYN_SENT.name, new=State.SYN_RECEIVED.name)
        else:
            self.started(now)
        self.packet_received(now, syn)

    def closed(self, now: int, reason: LossReason) -> None:
        """
        It is no more; nothing follows.
        """
        self.metrics(now)
        self.emit(now, "connection_closed", reason=reason.name.lower())

    def mtu_updated(self, now: int, old: int, new: int) -> None:
        """
        Full packets have another size.

        @param old: the largest UDP payload before, bytes; 0 at the start.
        @param new: and from now on.
        """
        self.emit(now, "mtu_updated", old=old, new=new)

    # --- Packets -----------------------------------------------------------------------------------------------

    def flight_sent(self, now: int, flight: Flight) -> None:
        """
        DATA packets, or a FIN, are leaving.
        """
        connection = self._connection
        self._packet_sent(
            now,
            flight.type.name,
            flight.seq,
            connection.receiver.next_seq - 1,
            flight.count,
            flight.nbytes,
            is_retransmission=flight.transmissions > 1,
            is_probe=flight.is_probe or flight.padding > 0 or connection.sender.peer_window <= 0,
        )

    def state_sent(self, now: int, seq: int) -> None:
        """
        An acknowledgement is leaving.
        """
        self._packet_sent(now, "STATE", seq, self._connection.receiver.next_seq - 1, 1, 0)

    def control_sent(self, now: int, payload: bytes) -> None:
        """
        A packet that no window holds back is leaving: SYN, SYN-ACK, RESET, keepalive.
        """
        packet = decode_packet(payload)
        seq, ack = self._unwrap(packet.seq_nr, packet.ack_nr)
        self._packet_sent(now, packet.type.name, seq, ack, 1, 0)

    def _packet_sent(
        self,
        now: int,
        type: str,
        seq: int,
        ack: int,
        count: int,
        nbytes: int,
        *,
        is_retransmission: bool = False,
        is_probe: bool = False,
    ) -> None:
        self.emit(
            now,
            "packet_sent",
            type=type.lower(),
            seq_nr=seq,
            ack_nr=ack,
            count=count,
            bytes=nbytes,
            is_retransmission=is_retransmission,
            is_probe=is_probe,
        )

    def packet_received(self, now: int, packet: Packet) -> None:
        """
        One packet has arrived; what it says has not been looked at.
        """
        ack, seq = self._unwrap(packet.ack_nr, packet.seq_nr)
        nbytes = len(packet.payload)
        self.emit(now, "packet_received", type=packet.type.name.lower(), seq_nr=seq, ack_nr=ack, count=1, bytes=nbytes)

    def run_received(self, now: int, run: Run) -> None:
        """
        Consecutive DATA packets have arrived.
        """
        ack, seq = self._unwrap(run.ack_nr, run.first_seq)
        self.emit(now, "packet_received", type="data", seq_nr=seq, ack_nr=ack, count=run.count, bytes=run.nbytes)

    def _unwrap(self, ours: int, theirs: int) -> tuple[int, int]:
        """
        Sequence numbers of our packets and of theirs, from 16 bits.
        """
        connection = self._connection
        if connection.state is not State.SYN_SENT and connection.state is not State.SYN_RECEIVED:
            theirs = expand_seq(theirs, connection.receiver.next_seq)  # until then theirs begin with this very one
        return expand_seq(ours, connection.sender.next_seq), theirs

    # --- Acknowledgement and loss ------------------------------------------------------------------------------

    def acked(self, now: int, info: AckInfo, acked: NewlyAcked) -> None:
        """
        Packets were acknowledged for the first time.
        """
        self._is_news = True
        self._one_way_delay = info.timestamp_difference
        self.emit(
            now,
            "packets_acked",
            ack_nr=info.una - 1,
            count=acked.packets,
            bytes=acked.nbytes,
            selective=bool(info.sack),
            spurious=acked.spurious,
        )

    def overtaken(self, now: int, lost: Iterable[Flight]) -> None:
        """
        RACK is about to declare packets lost: because enough of the later ones arrived, on a path that has kept
        order so far, or because the time allowed for reordering is over.
        """
        sender = self._connection.sender
        window = sender.recovery.reorder_window(sender.board, sender.rtt)
        self.lost(now, lost, "time_threshold" if window else "reordering_threshold")

    def lost(self, now: int, lost: Iterable[Flight], trigger: str) -> None:
        """
        Packets are about to be declared lost.
        """
        self._is_news = True
        for flight in lost:
            self.emit(now, "packet_lost", seq_nr=flight.seq, count=flight.count, bytes=flight.nbytes, trigger=trigger)

    # --- Time and state ----------------------------------------------------------------------------------------

    def timers_expired(self, now: int) -> None:
        """
        Some timer is about to be served.
        """
        timers = self._connection.timers
        for timer in _TOLD_TIMERS:
            if timers[timer] <= now:
                self.emit(now, "timer_expired", timer=timer.name.lower())

    def timed_out(self, now: int, kind: str, in_a_row: int) -> None:
        """
        The peer was silent for too long.

        @param kind: C{retransmission}, C{tail_loss_probe} or C{zero_window_probe}.
        """
        self._is_news = True
        self.emit(now, "timeout", kind=kind, in_a_row=in_a_row, rto=self._connection.sender.rtt.rto)

    def metrics(self, now: int) -> None:
        """
        A batch was taken or a timer served: where do we stand, if that has changed?
        """
        if not self._is_news:
            return
        self._is_news = False
        sender = self._connection.sender
        rtt, congestion = sender.rtt, sender.congestion
        self.emit(
            now,
            "metrics_updated",
            latest_rtt=rtt.latest,
            smoothed_rtt=rtt.smoothed,
            rtt_variance=rtt.variation,
            min_rtt=rtt.minimum,
            rto=rtt.rto,
            one_way_delay=self._one_way_delay,
            base_delay=sender.delay.base,
            queuing_delay=sender.delay.queuing,
            congestion_window=int(congestion.cwnd),
            ssthresh=None if congestion.ssthresh == float("inf") else int(congestion.ssthresh),
            bytes_in_flight=sender.board.flight_bytes,
            pacing_rate=int(sender.pacing_rate),
            peer_window=sender.peer_window,
            bytes_unsent=sender.buffer.nbytes,
        )
        self._tell_phase(now)

    def _tell_phase(self, now: int) -> None:
        sender = self._connection.sender
        if sender.recovery.in_recovery(sender.board):
            phase = "recovery"
        else:
            phase = "slow_start" if sender.congestion.in_slow_start else "congestion_avoidance"
        if phase != self._phase:
            old, self._phase = self._phase, phase
            self.emit(now, "congestion_state_updated", old=old, new=phase)
