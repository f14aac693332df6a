"""
One connection, from its SYN to the last packet that it answers.

This file joins the parts and has no arithmetic of its own: what may be sent is L{Sender
<twisted_utp.proto.sender.Sender>}'s business, what has arrived is L{ReceiveBuffer
<twisted_utp.proto.receive_buffer.ReceiveBuffer>}'s, what follows what stands in L{states
<twisted_utp.proto.states>}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted_utp.proto import delayed_ack, gap_reminder, keepalive, receive_limit
from twisted_utp.proto.config import MICROSECONDS, UTPConfig, microseconds
from twisted_utp.proto.congestion.base import make_congestion_controller
from twisted_utp.proto.constants import (
    FIN_TRANSMISSIONS_BEFORE_DONE,
    FIN_WAIT_TIMEOUT,
    HALF_OPEN_GUESSES,
    HEADER_SIZE,
    LINGER_RTOS,
    MAX_LINGER,
    MAX_SACK_BYTES,
    MAX_TRAIN_BYTES,
    MAX_TRAIN_SEGMENTS,
    MIN_LINGER,
    PREFERRED_MTU,
    SEQ_MASK,
    TIMESTAMP_MASK,
    TURN_PATIENCE,
    UNCONFIRMED_TIMEOUT,
)
from twisted_utp.proto.echo import echo_age
from twisted_utp.proto.events import Connected, ConnectionLost, EndOfStream, Event, LossReason, Writable
from twisted_utp.proto.handshake import Handshake
from twisted_utp.proto.mtu import MtuDiscovery
from twisted_utp.proto.packet import Packet, PacketType, is_from_ours
from twisted_utp.proto.packet_writer import PacketWriter
from twisted_utp.proto.port_queues import Notice
from twisted_utp.proto.proof import PeerProof
from twisted_utp.proto.receive_buffer import Arrival, ReceiveBuffer
from twisted_utp.proto.runs import Run
from twisted_utp.proto.scoreboard import Flight
from twisted_utp.proto.sender import AckInfo, Sender
from twisted_utp.proto.seqnum import expand_seq, timestamp_diff
from twisted_utp.proto.snapshots import snapshot
from twisted_utp.proto.states import TRANSITIONS, Input, State
from twisted_utp.proto.stats import ConnectionStats
from twisted_utp.proto.timers import NEVER, UNARMED, Timer, expire, is_armed
from twisted_utp.proto.values import Address, Transmit

if TYPE_CHECKING:
    from twisted_utp.proto.port_queues import PortQueues
    from twisted_utp.proto.trace import ConnectionTrace

# They say no more than that they happened.
_CONNECTED, _END_OF_STREAM = (Connected(incoming=False), Connected(incoming=True)), EndOfStream()

# Before the peer's SYN-ACK there is no right value; ack_nr is 0 on the wire then.
_NO_PEER_SEQ = 1


class Connection:
    """
    One uTP connection.  L{Multiplexer.connect <twisted_utp.proto.multiplexer.Multiplexer.connect>} makes those
    that we open; those that peers open are announced by L{Connected}.

    @ivar address: the peer.
    @ivar config: its settings.
    @ivar incoming: the peer opened it.
    @ivar state: see L{State}.
    @ivar recv_id: the connection id on packets to us; C{send_id} on packets from us.
    @ivar last_sent_at: when something of it last left, µs.
    @ivar peer_is_ours: the peer showed our extension bits.
    @ivar peer_extension_bits: the peer's capability bits as it sent them, L{None} when it sent none.
    @ivar close_code: libtorrent's close reason, to go with our FIN or RESET; C{peer_close_code} came with the peer's.
        0 for none.
    @ivar trace: tells the tracer; L{None} when nobody listens.
    @ivar user_data: for the owner; the core never looks at it.
    @ivar is_done: its user has heard the last of it.  What remains is politeness toward the peer.
    @ivar ack_pending: something arrived that has not been acknowledged; C{delayed} says whether that may wait, and
        C{peer_repeats} that the peer sends again what has been.
    @ivar writer: writes its packets.
    @ivar proof: what shows that packets are the peer's.
    @ivar handshake: its opening.
    @ivar port_queues: what it leaves for its port; C{notices} are those of L{Notice} that have not been read.
    @ivar keepalive_interval: µs, 0 for never.
    @ivar questions_asked: keepalives in a row without an answer; C{heard_before} what had been heard before them.
    @ivar gap_reminders: acknowledgements repeated since something came that takes a seq_nr.
    @ivar acks_sent: STATEs; C{packets_invalid} of those received.
    """

    __slots__ = (
        "_discards",
        "_eof_announced",
        "_reading_paused",
        "_threw_away",
        "_was_full",
        "ack_pending",
        "acks_sent",
        "address",
        "bytes_received",
        "close_code",
        "config",
        "delayed",
        "gap_reminders",
        "handshake",
        "heard_before",
        "incoming",
        "is_done",
        "keepalive_interval",
        "last_sent_at",
        "notices",
        "packets_invalid",
        "packets_received",
        "peer_close_code",
        "peer_extension_bits",
        "peer_is_ours",
        "peer_repeats",
        "port_queues",
        "proof",
        "questions_asked",
        "receiver",
        "recv_id",
        "scheduled_at",
        "sender",
        "state",
        "timers",
        "trace",
        "user_data",
        "writer",
    )

    def __init__(
        self,
        port_queues: PortQueues,
        address: Address,
        config: UTPConfig,
        *,
        incoming: bool,
        recv_id: int,
        seq: int,
        clock_offset: int,
        mtu: MtuDiscovery,
    ) -> None:
        self.port_queues = port_queues
        self.address = address
        self.config = config
        self.incoming = incoming
        self.state = State.SYN_RECEIVED if incoming else State.SYN_SENT
        self.recv_id = recv_id
        self.user_data: Any = None
        self.trace: ConnectionTrace | None = None
        self.peer_is_ours = False
        self.peer_extension_bits: int | None = None
        self.timers = UNARMED[:]
        self.scheduled_at = NEVER
        self.sender = Sender(
            first_seq=seq,
            mtu=mtu,
            congestion=make_congestion_controller(
                config.congestion,
                mss=(config.mtu or PREFERRED_MTU) - HEADER_SIZE,
                target_delay=microseconds(config.target_delay),
            ),
            min_rto=microseconds(config.min_rto),
            timers=self.timers,
            pacing=config.pacing,
            no_delay=config.no_delay,
            early_byte=config.early_byte,
            max_in_flight=config.max_in_flight,
            stall_timeout=microseconds(config.stall_timeout),
        )
        self.receiver = ReceiveBuffer(_NO_PEER_SEQ, config.receive_buffer, port_queues.budget)
        self.writer = PacketWriter(address, self.receiver, clock_offset)
        self.proof = PeerProof(self.sender, self.receiver, clock_offset)
        self.writer.send_id = (recv_id - 1 if incoming else recv_id + 1) & SEQ_MASK
        self.keepalive_interval = microseconds(config.keepalive)
        self.questions_asked = self.heard_before = 0
        self.handshake = Handshake(seq, is_acceptor=incoming)
        self.ack_pending = self.peer_repeats = False
        self.delayed: delayed_ack.DelayedAck | None = None
        self.gap_reminders = self.notices = 0
        self._reading_paused = self._discards = self._threw_away = False
        self._eof_announced = self._was_full = self.is_done = False
        self.peer_close_code = self.close_code = self.last_sent_at = 0
        self.acks_sent = self.bytes_received = self.packets_received = self.packets_invalid = 0
        port_queues.rates.attach(self)

    # --- What its user asks of it ------------------------------------------------------------------------------

    @property
    def send_id(self) -> int:
        """
        The connection id on packets from us.
        """
        return self.writer.send_id

    @send_id.setter
    def send_id(self, send_id: int) -> None:
        self.writer.send_id = send_id

    @property
    def unsent_bytes(self) -> int:
        """
        Bytes written that have never been sent.
        """
        return self.sender.buffer.nbytes

    def is_write_full(self) -> bool:
        """
        Should a producer pause?  A L{Writable} event says when it may go on.
        """
        return self.sender.buffer.nbytes > self.config.send_buffer

    def write(self, data: bytes, *, now: int = 0) -> None:
        """
        Append to the stream.  Ignored once our FIN has left, as in Twisted.

        @param now: as for all that users ask; it makes no difference here.
        """
        sender = self.sender
        if sender.fin_seq is not None or self.state is State.CLOSED:
            return
        buffer = sender.buffer
        buffer.write(data)
        if buffer.nbytes > self.config.send_buffer:
            self._was_full = True
        self.port_queues.ready[self] = None

    def write_eof(self, *, now: int, is_due: bool = True) -> None:
        """
        Half close: a FIN follows what was written; reading goes on.  Unless C{is_due}, it waits if it has not left yet.
        """
        if self.state is not State.CLOSED:
            self.sender.eof_queued = is_due or self.sender.fin_seq is not None
            self.port_queues.ready[self] = None

    def close(self, *, now: int) -> None:
        """
        Close both directions: a FIN follows what was written, and what the peer still sends is acknowledged and
        thrown away.  L{ConnectionLost} follows when our FIN is acknowledged.
        """
        if self.state is State.SYN_SENT:
            self.abort(now=now)
            return
        self._discards = True
        self._reading_paused = False
        self._deliver()
        self.write_eof(now=now)
        linger = int(self.config.linger * MICROSECONDS)
        if self.state is State.FIN_WAIT_2:
            self._finish(LossReason.DONE)
            linger = FIN_WAIT_TIMEOUT
        if linger and self.state not in (State.LINGERING, State.CLOSED):
            self.timers[Timer.LINGER] = now + linger
            self.port_queues.deadlines.note(self)

    def abort(self, *, now: int) -> None:
        """
        End it here and now, with a RESET for the peer.
        """
        if self.state is State.CLOSED:
            return
        if self.state is not State.SYN_SENT:
            self._send_reset(now)
        self._end(Input.ABORT, LossReason.ABORTED, now)

    def fail(self, fault: BaseException, now: int) -> None:
        """
        Something that is not ours, a congestion controller or a tracer, has raised.  That ends this connection, with a
        RESET for the peer, and no other: there is no telling how far it got.
        """
        if self.state is State.CLOSED:
            return
        trace, self.trace, self.sender.trace = self.trace, None, None
        if self.state is not State.SYN_SENT:
            self._send_reset(now)
        self._end(Input.ABORT, LossReason.FAULT, now, fault)
        if trace is not None:
            try:
                trace.emit(now, "connection_closed", reason=LossReason.FAULT.name.lower())
            except BaseException:
                return  # it is what failed

    def pause_reading(self) -> None:
        """
        Hold what arrives: no bytes and no L{EndOfStream} until L{resume_reading}; the window that the
        peer sees closes as the buffer fills.
        """
        self._reading_paused = not self._discards

    def resume_reading(self, *, now: int) -> None:
        """
        Deliver what was held, and tell the peer that there is room again.
        """
        if self._reading_paused:
            self._reading_paused = False
            self._deliver()
            self.settings_changed()

    def settings_changed(self) -> None:
        """
        There may be more room for the peer than it knows, or for the user.
        """
        self._was_full = self._was_full or self.is_write_full()
        # Who has not shown himself is told in the first packet that he is sent.
        is_there = self.state is not State.CLOSED and self.sender.is_confirmed
        if is_there and self.receiver.is_window_update_due(self.sender.mss):
            delayed_ack.at_once(self)
        self.port_queues.ready[self] = None

    def set_no_delay(self, enabled: bool, *, now: int) -> None:
        """
        Switch the coalescing of small writes off (True) or on.
        """
        self.sender.no_delay = enabled
        self.port_queues.ready[self] = None

    def set_keepalive(self, seconds: float, *, now: int) -> None:
        """
        Change the keepalive interval; 0 switches it off.

        @raise ValueError: when it is out of range.
        """
        keepalive.change(self, seconds, now)

    def stats(self) -> ConnectionStats:
        """
        A snapshot of its counters and estimates.
        """
        return snapshot(self)

    # --- Handshake ---------------------------------------------------------------------------------------------

    def start(self, now: int, *, is_punching: bool = False) -> None:
        """
        Send the first SYN.
        """
        self.handshake.is_punching = is_punching
        self.handshake.deadline = now + int(self.config.connect_timeout * MICROSECONDS)
        self.send_syn(self.recv_id, now)

    def send_syn(self, recv_id: int, now: int) -> None:
        """
        Send a SYN, the first or one more.
        """
        self.recv_id = recv_id
        self.writer.send_id = recv_id + 1 & SEQ_MASK
        self._send_control(self.handshake.syn(recv_id, self.receiver.advertise(), now + self.writer.clock_offset), now)
        self.last_sent_at = now
        self.timers[Timer.CONNECT] = self.handshake.next_syn_at(now)
        self.port_queues.deadlines.note(self)

    def accept_proven(self, syn: Packet, nbytes: int, now: int) -> None:
        """
        Become the acceptor of a SYN whose sender has proved its address; maybe while we were dialling it.

        @param nbytes: bytes of the SYN-ACKs that it was sent.
        """
        self._take_syn(syn)
        self.handshake.nbytes += nbytes
        self.handshake.syn_timestamps = ()
        self.timers[Timer.CONNECT] = NEVER
        if self.incoming:  # nobody could make us dial his victim
            self.sender.withhold(self.writer.clock_offset)
        self._move(Input.PEER_CONFIRMED, now)
        keepalive.arm(self, now)
        self._emit(_CONNECTED[self.incoming])

    def _take_syn(self, syn: Packet) -> None:
        self.handshake.on_syn(syn)
        self.state = State.SYN_RECEIVED
        self.recv_id = syn.connection_id + 1 & SEQ_MASK
        self.send_id = syn.connection_id
        self.receiver.next_seq = syn.seq_nr + 1
        self._note_extension_bits(syn)

    def accept(self, syn: Packet, received_at: int, now: int) -> None:
        """
        Become the acceptor of a SYN, which was not seen before, though its sender has proved nothing yet: the
        C{early_byte} setting asks for it.
        """
        self._take_syn(syn)
        self.sender.is_confirmed = False
        self._send_syn_ack(syn, received_at, now)
        self.timers[Timer.CONNECT] = now + UNCONFIRMED_TIMEOUT
        self._emit(_CONNECTED[self.incoming])

    def on_repeated_syn(self, syn: Packet, received_at: int, now: int) -> None:
        """
        Our SYN-ACK was lost, or the network doubled the SYN: the same answer again, nothing else.
        """
        if self.handshake.is_repeated(syn):
            self._send_syn_ack(syn, received_at, now)
        else:
            self.count_invalid(now, "SYN of another connection")

    def ends_for(self, syn: Packet, now: int) -> bool:
        """
        End, if both directions are done and the peer opens another connection with the same id.
        """
        if self.state is not State.LINGERING or not self.is_done or self.handshake.is_repeated(syn):
            return False
        self._end(Input.EXPIRED, LossReason.DONE, now)
        return True

    def _send_syn_ack(self, syn: Packet, received_at: int, now: int) -> None:
        """
        The SYN's wnd_size is 0 from libtorrent and librqbit, and its timestamp is in ms from librqbit: neither
        counts, but the echo is what the peer's first delay sample is made of.
        """
        writer = self.writer
        writer.reply_micro = timestamp_diff(received_at + writer.clock_offset, syn.timestamp)
        # Never longer than the SYN: late ones of ours lack the bits, too.
        window, bits = self.receiver.advertise(), self.peer_is_ours and syn.extension_bits is not None
        timestamp = now + writer.clock_offset
        payload = self.handshake.syn_ack(self.send_id, writer.reply_micro, window, with_bits=bits, timestamp=timestamp)
        if self.trace is not None:
            self.trace.control_sent(now, payload)
        self.port_queues.outbox.answer(self.address, payload, is_syn_ack=True)
        self.last_sent_at = now

    def _note_extension_bits(self, packet: Packet) -> None:
        if packet.extension_bits is None:
            return
        self.peer_extension_bits = packet.extension_bits
        self.sender.peer_reads_extensions = True
        if is_from_ours(packet):
            self.peer_is_ours = True
            self.writer.sack_limit = MAX_SACK_BYTES
            self.sender.on_peer_is_ours()

    def _on_syn_sent(self, packet: Packet, received_at: int, now: int) -> None:
        if self.handshake.is_refusal(packet):
            again = self.handshake.on_refusal(now)
            if again is not None:
                self.timers[Timer.CONNECT] = again
            return
        if not self.handshake.is_answer(packet):
            self.count_invalid(now, "no answer to our SYN")
            return
        self.receiver.next_seq = packet.seq_nr
        self._note_extension_bits(packet)
        if self.handshake.attempts == 1:
            self.sender.on_handshake_rtt(received_at - self.last_sent_at, now)
        self.timers[Timer.CONNECT] = NEVER
        self.handshake.syn_timestamps = ()
        self._move(Input.PEER_CONFIRMED, now)
        self._emit(_CONNECTED[False])
        if self.peer_is_ours:
            self._confirm(now)
        keepalive.arm(self, now)
        self._notify(Notice.OPENED)

    def _confirm(self, now: int) -> None:
        """
        Acceptors of our kind say nothing before they know that we are there (Sender.is_confirmed).
        """
        self.ack_pending = True
        again = self.handshake.confirm(self.sender.rtt.rto, now)
        if again is not None:
            self.timers[Timer.CONNECT] = again

    def _on_acceptor_heard(self) -> None:
        self.handshake.confirmations = 0
        self.timers[Timer.CONNECT] = NEVER

    def needs_slow_path(self) -> bool:
        """
        Is this an unusual moment: somebody traces, pauses or closes it, or it has not been confirmed?
        """
        is_held = self._reading_paused or self._discards or self._was_full
        return is_held or self.trace is not None or self.handshake.confirmations > 0

    def _on_confirmed(self, now: int) -> None:
        self.sender.is_confirmed = True
        self.timers[Timer.CONNECT] = NEVER
        self._notify(Notice.CONFIRMED)
        keepalive.arm(self, now)
        if self.state is State.SYN_RECEIVED:
            self._move(Input.PEER_CONFIRMED, now)

    # --- Receiving ---------------------------------------------------------------------------------------------

    def on_run(self, run: Run, now: int) -> bool:
        """
        The fast path: consecutive DATA packets without extensions.

        @return: False when they must be looked at one by one; nothing has changed then.
        """
        state, sender, received_at = self.state, self.sender, run.received_at or now
        if state is not State.ESTABLISHED and state is not State.FIN_WAIT_1 and state is not State.FIN_WAIT_2:
            return False
        if self._discards or not sender.is_confirmed:
            return False
        una = expand_seq(run.ack_nr, sender.board.una) + 1
        seq = expand_seq(run.first_seq, self.receiver.next_seq)
        if not self.proof.is_valid_ack(una):
            return False
        if not self.proof.is_plausible(run.timestamp, run.timestamp_difference, seq, una, now):
            return False
        if not self.receiver.on_run(seq, run.payloads, run.nbytes):
            return False
        if self.handshake.confirmations:
            self._on_acceptor_heard()
        if self.trace is not None:
            self.trace.run_received(now, run)
        self.packets_received += run.count
        delayed_ack.note(self, run.count, len(run.payloads[-1]), now)
        self._note_timestamp(run.timestamp, run.timestamp_difference, received_at)
        self._on_ack(AckInfo(una, 0, run.wnd_size, run.timestamp_difference, False, received_at), now)
        return True

    def on_packet(self, packet: Packet, received_at: int, now: int) -> None:
        """
        One packet with our connection id, of any type but SYN and RESET.
        """
        self.packets_received += 1
        if self.state is State.SYN_SENT:
            self._on_syn_sent(packet, received_at, now)
            if self.state is State.SYN_SENT:
                return
        elif self.handshake.confirmations:
            self._on_acceptor_heard()
        una = expand_seq(packet.ack_nr, self.sender.board.una) + 1
        if not self.proof.is_valid_ack(una):
            self.count_invalid(now, "ack_nr out of range")
            self._on_false_proof(now)
            return
        seq = expand_seq(packet.seq_nr, self.receiver.next_seq)
        if not self.proof.is_plausible(packet.timestamp, packet.timestamp_difference, seq, una, now):
            self.count_invalid(now, "neither an echo nor the next number")
            self._send_challenge(now)
            return
        if not self.sender.is_confirmed and not self._on_proof(packet, una, now):
            return
        self._note_timestamp(packet.timestamp, packet.timestamp_difference, received_at)
        if packet.close_reason:
            self.peer_close_code = packet.close_reason
        # Acknowledgements count whatever the seq_nr: after a FIN, libutp's and libtorrent's differ by one.
        info = AckInfo(
            una,
            packet.sack or 0,
            packet.wnd_size,
            packet.timestamp_difference,
            packet.type is PacketType.STATE and self.sender.is_sack_uninformative(packet.sack, packet.sack_length),
            received_at,
        )
        if not self._on_ack(info, now) and packet.type is PacketType.STATE:
            self.sender.on_late_answer(una, now - echo_age(packet, self.writer.clock_offset, now), now)
        if self.state is State.CLOSED:
            return
        if packet.type is PacketType.DATA or packet.type is PacketType.FIN:
            self._on_sequenced(packet, seq, now)

    def _send_challenge(self, now: int) -> None:
        if self.state in (State.SYN_SENT, State.CLOSED) or not self.sender.is_confirmed:
            return
        seq = self.proof.challenge(now)
        if seq is not None:
            self._send_control(self.writer.packet(PacketType.STATE, seq, now).payload, now)
            self.port_queues.counters.challenges_sent += 1
            self.last_sent_at = now

    def _on_proof(self, packet: Packet, una: int, now: int) -> bool:
        """
        A peer that has still to prove its address acknowledges what it was sent: the SYN-ACK, maybe an early byte.

        @return: it is the right number.
        """
        sender = self.sender
        lag = packet.type is PacketType.STATE  # of a keepalive
        is_exact = sender.board.una - lag <= una <= sender.next_seq
        if not is_exact:
            self.count_invalid(now, "wrong proof of the peer's address")
            self._on_false_proof(now)
            return False
        self._on_confirmed(now)
        return True

    def _on_false_proof(self, now: int) -> None:
        """
        Somebody guesses.  A connection that nobody has confirmed yet is not worth many tries.
        """
        if self.sender.is_confirmed or self.state is State.SYN_SENT:
            return
        self.port_queues.counters.proofs_failed += 1
        self.handshake.guesses += 1
        if self.handshake.guesses >= HALF_OPEN_GUESSES:
            self._end(Input.GIVE_UP, LossReason.TIMED_OUT, now)

    def cut_off(self, now: int) -> None:
        """
        End a connection whose peer cannot be who it pretends to be.  Nobody is told: its host did not ask for it.
        """
        self.port_queues.counters.peers_cut_off += 1
        self._end(Input.GIVE_UP, LossReason.FORGED, now)

    def _note_timestamp(self, timestamp: int, difference: int, received_at: int) -> None:
        writer, receiver = self.writer, self.receiver
        writer.reply_micro = received_at + writer.clock_offset - timestamp & TIMESTAMP_MASK
        if not receiver.is_near and difference:
            receiver.is_near = writer.reply_micro + difference & TIMESTAMP_MASK <= TURN_PATIENCE
        self.sender.delay.on_their_sample(writer.reply_micro, received_at)

    def _on_ack(self, info: AckInfo, now: int) -> bool:
        sender = self.sender
        if sender.withholding is not None and sender.withholding.is_claimed(info.una, info.sack):
            self.cut_off(now)
            return True
        progressed = sender.on_ack(info, now)
        if progressed or sender.buffer.nbytes or sender.board.lost_packets:
            self.port_queues.ready[self] = None
        fin_seq = sender.fin_seq
        if progressed and fin_seq is not None and sender.board.una > fin_seq:
            self._on_fin_acked(now)
        return progressed

    def _on_sequenced(self, packet: Packet, seq: int, now: int) -> None:
        """
        DATA or FIN: what consumes a seq_nr.  All of them are acknowledged with the batch.

        @param seq: unwrapped.
        """
        receiver = self.receiver
        self.gap_reminders = 0
        arrival = receiver.on_fin(seq) if packet.type is PacketType.FIN else receiver.on_data(seq, packet.payload)
        if arrival is Arrival.OLD:
            # Our acknowledgement was lost, or the peer cannot read it: see _send_state.
            self.peer_repeats = self.peer_repeats or self.sender.fin_seq is not None
        elif arrival not in (Arrival.IN_ORDER, Arrival.AHEAD):
            self.count_invalid(now, arrival.value)
        delayed_ack.note(self, int(arrival is Arrival.IN_ORDER), len(packet.payload), now)

    def finish_batch(self, now: int) -> None:
        """
        All datagrams of the batch were taken: hand over what became readable, and be ready to acknowledge.
        """
        if self.state is State.CLOSED:
            return
        receiver = self.receiver
        self._deliver()
        if receiver.fin_seq is not None and receiver.is_complete:
            self._on_peer_fin(now)
        if receiver.limit is not None:
            receive_limit.advance(self, now)
        self.port_queues.ready[self] = None

    def _deliver(self) -> None:
        receiver = self.receiver
        if self._reading_paused or self.state is State.CLOSED:
            receiver.compact()
            return
        if receiver.unread_bytes:
            data = receiver.take()
            self.bytes_received += len(data)
            if self._discards:
                self._threw_away = True
            else:
                self.port_queues.events.append((self, data))
        if receiver.fin_seq is not None and not self._eof_announced and receiver.is_complete:
            self._eof_announced = True
            if not self._discards:
                self._emit(_END_OF_STREAM)
            if self.state is State.LINGERING:
                self._finish(LossReason.DONE)
                self.port_queues.ready[self] = None  # the linger time may be over already
            else:
                self._finish_early()

    # --- Closing -----------------------------------------------------------------------------------------------

    def _on_peer_fin(self, now: int) -> None:
        if Input.PEER_FIN not in TRANSITIONS[self.state]:
            return  # heard before
        self._move(Input.PEER_FIN, now)
        if self.state is State.LINGERING:
            self._linger(now, may_repeat=True)
        else:
            self._finish_early()

    def _on_fin_acked(self, now: int) -> None:
        if Input.FIN_ACKED not in TRANSITIONS[self.state]:
            return
        was_last = self.state is State.LAST_ACK
        self._move(Input.FIN_ACKED, now)
        if self.state is State.LINGERING:
            # Each copy of a packet that was sent again is acknowledged; the second time nobody would be there.
            was_sent_once = not self.sender.counters.retransmitted_packets
            self._linger(now, may_repeat=not (was_last and was_sent_once and self.peer_is_ours))
        elif self._discards:
            self._finish(LossReason.DONE)
            self.timers[Timer.LINGER] = now + FIN_WAIT_TIMEOUT

    def _linger(self, now: int, *, may_repeat: bool) -> None:
        """
        Both directions are done.  Stay a while to answer a peer that missed our last acknowledgement.

        @param may_repeat: it may have.  Who acknowledges a FIN of ours that answered his has read with it that his had
            arrived, and has nothing to repeat (RFC 9293 (3.10.7.4), LAST-ACK); but what other stacks make of that
            FIN's ack_nr, we do not know.
        """
        if self._eof_announced or self._discards:
            self._finish(LossReason.DONE)
        if self.is_done and not may_repeat:
            self._end(Input.EXPIRED, LossReason.DONE, now)
            return
        wait = min(max(LINGER_RTOS * self.sender.rtt.rto, MIN_LINGER), MAX_LINGER)
        self.timers[:] = UNARMED
        self.timers[Timer.LINGER] = now + wait
        self._notify(Notice.LINGERING)

    def on_reset(self, packet: Packet, now: int) -> bool:
        """
        A RESET for one of our ids.

        @return: it was believed: its ack_nr is one that only somebody who saw our packets would know.
        """
        if self.state is State.SYN_SENT:
            if packet.ack_nr != self.handshake.syn_seq or self.handshake.is_punching:
                return False
        elif not (is_believable := self.proof.is_reset_believable(packet, now)):
            if is_believable is None:
                self._send_challenge(now)
            return False
        self.peer_close_code = packet.close_reason or self.peer_close_code
        self._deliver()
        if self.state is State.LINGERING and not self.is_done:
            return True  # nothing is missing any more, but a paused reader has yet to take the last of it
        clean = LossReason.DONE if self._is_reset_clean() else LossReason.RESET
        reason = LossReason.REFUSED if self.state is State.SYN_SENT else clean
        self._end(Input.RESET, reason, now)
        return True

    def refuse(self, reason: LossReason, now: int) -> None:
        """
        Our SYN was turned down, by the peer or by the network on the way.
        """
        if not self.handshake.is_punching:
            self._end(Input.RESET, reason, now)

    def _send_reset(self, now: int) -> None:
        is_confirmed = self.sender.is_confirmed
        if not is_confirmed and not self.port_queues.outbox.withdraw_syn_ack(self.address, self.send_id):
            return  # a second answer to one question; the next one will be answered
        close_code = self.close_code if is_confirmed else 0  # not longer than the SYN
        self._send_control(self.writer.reset(self.sender.next_seq, close_code, now), now)

    def _finish(self, reason: LossReason, fault: BaseException | None = None) -> None:
        if not self.is_done:  # the user is told once
            self.is_done = True
            self._notify(Notice.DONE)
            self._emit(ConnectionLost(reason, self.peer_close_code, fault))

    def _end(self, why: Input, reason: LossReason, now: int, fault: BaseException | None = None) -> None:
        if not (self.is_done and self.state is State.LINGERING):  # then nothing waits any more
            self._finish(reason, fault)
            self.sender.buffer.clear()
            self.sender.board.clear()
            self.receiver.clear()
        self.timers[:] = UNARMED
        self.ack_pending = False
        self._notify(Notice.CLOSED)
        self._move(why, now)
        if self.trace is not None:
            self.trace.closed(now, reason)

    def has_all_arrived(self) -> bool:
        """
        Our FIN has left, and all that was written before it is acknowledged.
        """
        fin_seq = self.sender.fin_seq
        return fin_seq is not None and self.sender.board.una >= fin_seq

    def is_delivering(self) -> bool:
        """
        The user has closed, or half closed, and not everything has arrived.
        """
        if not self.sender.eof_queued or self.is_done:
            return False
        return self.state not in (State.FIN_WAIT_2, State.LINGERING, State.CLOSED)

    def has_sent_fin(self) -> bool:
        """
        The user has closed, and our FIN has left: the peer knows.

        Not if it goes on sending what nobody hears: without a RESET it would repeat that until it gives up.
        """
        if self.state is State.FIN_WAIT_2 and self._threw_away:
            return False
        return self.is_done or (self._discards and self.sender.fin_seq is not None)

    def _is_only_fin_missing(self) -> bool:
        """
        The peer has finished, and has acknowledged everything of ours but the FIN.
        """
        return self.state in (State.CLOSING, State.LAST_ACK) and self.sender.board.una == self.sender.fin_seq

    def _is_reset_clean(self) -> bool:
        """
        Is the peer's RESET as good as what it has left out?

        Yes once both have finished; and when our FIN is acknowledged, and nobody wants to hear what the peer still has
        to say.  To a user who only half closed, it would pass a truncated stream off as a whole one.
        """
        if self.state is State.FIN_WAIT_2:
            return self._discards or self.receiver.is_complete
        return self.state is State.LINGERING or self._is_only_fin_missing()

    def _finish_early(self) -> None:
        """
        Tell the user when nothing can be lost any more, although our FIN has been repeated without an acknowledgement.
        It goes on being repeated until L{_give_up}.

        All that was written has arrived, and there is nothing more to hear: the peer's FIN was delivered, or its user
        does not care.  A peer that is merely slow had its chance to acknowledge the FIN; KTorrent never does.
        """
        board = self.sender.board
        if self.sender.fin_seq is None:
            return
        has_heard_all = self._discards or (self.receiver.is_complete and self._eof_announced)
        if (
            has_heard_all
            and board.una == self.sender.fin_seq
            and board.flights[0].transmissions >= FIN_TRANSMISSIONS_BEFORE_DONE
        ):
            self._finish(LossReason.DONE)

    def _give_up(self, now: int) -> None:
        """
        Nobody answers.  When only our FIN lacks its acknowledgement and the peer had finished, it has just left.
        """
        self._end(Input.GIVE_UP, LossReason.DONE if self._is_only_fin_missing() else LossReason.TIMED_OUT, now)

    def _on_linger_timer(self, now: int) -> None:
        """
        The time is over that what was written has to arrive, or that a connection answers after its end.
        """
        if self.state is State.LINGERING:
            if self.is_done:  # otherwise the last bytes wait for a paused reader
                self._end(Input.EXPIRED, LossReason.DONE, now)
            return
        if self.is_done and self.state is not State.FIN_WAIT_2:
            return  # all that was written has arrived, and the FIN is repeated for no longer than anything else
        self._send_reset(now)
        if self.is_done:  # the peer still has something to say that nobody wants to hear
            self._end(Input.EXPIRED, LossReason.DONE, now)
        else:  # what was written did not arrive within the setting's time
            self._end(Input.GIVE_UP, LossReason.TIMED_OUT, now)

    # --- Sending -----------------------------------------------------------------------------------------------

    def poll_transmits(self, transmits: list[Transmit], limit: int, segments: int, nbytes: int, now: int) -> bool:
        """
        Append what is to be sent now.

        @param limit: stop when C{transmits} is this long.
        @param segments: datagrams in a train, at the most; C{nbytes} its bytes.
        @return: there may be more.
        """
        if self.state is State.LINGERING and self.is_done and not is_armed(self.timers, Timer.LINGER):
            self._end(Input.EXPIRED, LossReason.DONE, now)  # a paused reader outlasted the linger time
        if self.state is State.CLOSED:
            return False
        if self.state is not State.SYN_SENT and self.state is not State.LINGERING:
            if not self._poll_flights(transmits, limit, segments, nbytes, now):
                return True
            self.sender.arm_retransmission(now)
            if self._was_full:
                self._tell_writable()
        if self.ack_pending and not delayed_ack.waits(self, now):
            self._send_state(transmits, now)
        return False

    def _poll_flights(self, transmits: list[Transmit], limit: int, segments: int, nbytes: int, now: int) -> bool:
        """
        @return: nothing is left to send for now.
        """
        sender = self.sender
        fits = min(segments, MAX_TRAIN_SEGMENTS, min(nbytes, MAX_TRAIN_BYTES) // (sender.mss + HEADER_SIZE)) or 1
        while len(transmits) < limit:
            flight = sender.next_flight(now, fits)
            if flight is None:
                return True
            if sender.withholding is not None and sender.withholding.is_held and flight.seq == sender.withholding.seq:
                continue
            if flight.padding:
                transmits.append(self.writer.mtu_probe(flight, now))
            elif flight.type is PacketType.FIN:
                transmits.append(self._fin(flight, now))
            else:
                transmits.append(self._train(flight, now))
            self.last_sent_at = now
        return False

    def _train(self, flight: Flight, now: int) -> Transmit:
        mss = self.sender.mss if self.sender.peer_reads_extensions else 0
        transmit, acknowledges = self.writer.train(flight, mss, now)
        if acknowledges:
            delayed_ack.on_acknowledged(self)
        return transmit

    def _fin(self, flight: Flight, now: int) -> Transmit:
        if flight.transmissions == 1:
            self._move(Input.FIN_SENT, now)
        delayed_ack.on_acknowledged(self)
        return self.writer.packet(PacketType.FIN, flight.seq, now, close_reason=self.close_code)

    def _send_state(self, transmits: list[Transmit], now: int) -> None:
        """
        The acknowledgement of everything so far.

        Its seq_nr is the next one that we will use.  After our FIN that is FIN + 1, which libtorrent throws away
        unread; a peer that then repeats what we acknowledged is answered with FIN as well, which libutp would
        throw away.
        """
        sender = self.sender
        seqs = [sender.next_seq]
        if self.peer_repeats and sender.fin_seq is not None:
            seqs.append(sender.fin_seq)
        for seq in seqs:
            transmits.append(self.writer.packet(PacketType.STATE, seq, now))
            if self.trace is not None:
                self.trace.state_sent(now, seq)
        self.acks_sent += len(seqs)
        self.peer_repeats = False
        delayed_ack.on_acknowledged(self)
        self.last_sent_at = now
        if self.receiver.has_gap:
            gap_reminder.arm(self, now)

    def _tell_writable(self) -> None:
        if self.sender.buffer.nbytes <= self.config.send_buffer // 2:
            self._was_full = False
            if not self.sender.eof_queued:
                self._emit(Writable())

    # --- Time --------------------------------------------------------------------------------------------------

    def handle_timeout(self, now: int) -> None:
        """
        Serve every deadline that is due.
        """
        timers = self.timers
        if self.state is State.LINGERING and self.is_done and expire(timers, Timer.LINGER, now):
            self._end(Input.EXPIRED, LossReason.DONE, now)  # the usual end
            return
        if expire(timers, Timer.KEEPALIVE, now):
            if not keepalive.on_timer(self, now):
                self._end(Input.GIVE_UP, LossReason.VANISHED, now)
                return
            if min(timers) > now:
                return  # windows and losses have not changed: an idle connection costs this alone
        if expire(timers, Timer.CONNECT, now):
            self._on_connect_timer(now)
        if expire(timers, Timer.LINGER, now):
            self._on_linger_timer(now)
        if expire(timers, Timer.REORDER, now):
            self.sender.find_losses(now)
        expire(timers, Timer.ACK, now)
        if expire(timers, Timer.GAP, now):
            gap_reminder.on_timer(self)
        if expire(timers, Timer.WINDOW, now):
            receive_limit.on_timer(self, now)
        if expire(timers, Timer.RETRANSMISSION, now):
            if self.sender.is_stalled(now):
                self._send_reset(now)
                self._end(Input.GIVE_UP, LossReason.TIMED_OUT, now)
            elif not self.sender.on_retransmission_timer(now, microseconds(self.config.user_timeout)):
                self._give_up(now)
            else:
                self._finish_early()
                if self.sender.is_question_due:
                    self.sender.is_question_due = False
                    self._send_control(self.writer.question(self.sender.acknowledged_seq, now), now)
        expire(timers, Timer.PACING, now)
        if self.state is not State.CLOSED:
            self.port_queues.ready[self] = None

    def _on_connect_timer(self, now: int) -> None:
        if self.handshake.confirmations:
            self._confirm(now)
        elif self.state is not State.SYN_SENT:
            # An acceptor's peer was never heard of again: forged, or gone.
            self._end(Input.GIVE_UP, LossReason.TIMED_OUT, now)
        elif now >= self.handshake.deadline:
            is_refused = self.handshake.is_refused
            self._end(Input.GIVE_UP, LossReason.REFUSED if is_refused else LossReason.CONNECT_TIMED_OUT, now)
        else:
            self._notify(Notice.SYN_DUE)

    # --- Bookkeeping -------------------------------------------------------------------------------------------

    def count_invalid(self, now: int, why: str) -> None:
        """
        A packet was of no use; say so to whoever traces.
        """
        self.packets_invalid += 1
        if self.trace is not None:
            self.trace.emit(now, "packet_dropped", reason=why)

    def _move(self, what: Input, now: int) -> None:
        old, self.state = self.state, TRANSITIONS[self.state][what]
        if self.trace is not None:
            self.trace.emit(now, "state_updated", old=old.name, new=self.state.name)

    def _emit(self, event: Event) -> None:
        self.port_queues.events.append((self, event))

    def _notify(self, notice: int) -> None:
        if not self.notices:
            self.port_queues.noticed.append(self)
        self.notices |= notice

    def _send_control(self, payload: bytes, now: int) -> None:
        """
        Send a packet that belongs to no window.
        """
        if self.trace is not None:
            self.trace.control_sent(now, payload)
        self.port_queues.outbox.send(self.address, payload)

    def ask(self, due: int, now: int) -> None:
        """
        Send a keepalive, whose answer should be there at C{due}, µs.
        """
        self._send_control(self.writer.question(self.sender.acknowledged_seq, now), now)
        self.port_queues.unanswered_keepalives.add(self, due)
        self.last_sent_at = now

    def move_to(self, address: Address) -> None:
        """
        The peer's NAT has given it another port: send there from now on.  Maybe it is somewhere else.
        """
        self.address = self.writer.address = address
        self.receiver.is_near = False
