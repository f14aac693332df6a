"""
Handles SYNs, and packets that belong to no connection.

This is the half of a port that faces strangers.  Until a packet proves that a SYN's sender is where the SYN says
(RFC 4987; L{HalfOpen.is_proven_by}), there is no connection: nothing reaches the application, and only C{backlog}
records are kept.  Beyond those a SYN is answered with a cookie, and nothing is kept at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_utp.proto import rebinding
from twisted_utp.proto.admission import Admission, Gate
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.connection_counts import host_prefix
from twisted_utp.proto.constants import EXTENSION_BITS_SIZE, HEADER_SIZE, SEQ_MASK
from twisted_utp.proto.half_open import HalfOpen
from twisted_utp.proto.handshake import syn_ack
from twisted_utp.proto.packet import Packet, PacketType, encode_packet, is_from_ours
from twisted_utp.proto.receive_limit import first_window
from twisted_utp.proto.reset_limiter import ResetLimiter
from twisted_utp.proto.seqnum import timestamp_diff
from twisted_utp.proto.states import State
from twisted_utp.proto.syn_cookies import Cookie
from twisted_utp.proto.values import Address

if TYPE_CHECKING:
    from random import Random

    from twisted_utp.proto.multiplexer import Multiplexer


class Acceptor:
    """
    Answers SYNs and strays of one UDP port.

    @ivar gate: judges SYNs.
    @ivar punching: hosts that we dial while they dial us (BEP 55), with those connections.
    """

    __slots__ = ("_half_open", "_port", "_rebind_limiter", "_reset_limiter", "_rng", "gate", "punching")

    def __init__(self, port: Multiplexer, rng: Random) -> None:
        self._port = port
        self._rng = rng
        self.gate = Gate(rng, port.stats)
        self._half_open = port.table.half_open
        self.punching: dict[str, list[Connection]] = {}
        self._reset_limiter = ResetLimiter()
        self._rebind_limiter = ResetLimiter()

    # --- SYNs --------------------------------------------------------------------------------------------------

    def on_syn(self, syn: Packet, address: Address, received_at: int, now: int) -> Connection | None:
        """
        A SYN: new, repeated, crossing ours, or unwanted.

        @return: the connection that it changed, if it did.
        """
        port = self._port
        port.stats.syns_received += 1
        recv_id = syn.connection_id + 1 & SEQ_MASK
        known = port.table.get(address, recv_id)
        if known is not None and not self._makes_way(known, syn, now):
            if known.trace is not None:
                known.trace.packet_received(now, syn)
            known.on_repeated_syn(syn, received_at, now)
            return None
        half = self._half_open.get(address, recv_id)
        if half is not None:
            if half.syn_seq == syn.seq_nr:
                self._answer(half, syn, address, received_at, now)
            return None
        for ours in port.table.dialling.get(address, ()):
            if ours.handshake.is_punching or not port.accepting:
                self._on_crossing_syn(ours, syn, received_at, now)
                return None
        if not port.accepting and address[0] not in self.punching:
            self._refuse(syn, address, now)
            return None
        return self._admit(syn, address, received_at, now)

    def _makes_way(self, known: Connection, syn: Packet, now: int) -> bool:
        """
        Is a connection over for both sides, and does it only linger?  Whoever takes its id for another one misses no
        acknowledgement of ours any more (RFC 9293 (3.10.7.4), TIME-WAIT).  If not he would wait for seconds.
        """
        if not (self._port.accepting and known.ends_for(syn, now)):
            return False
        self._port.table.drop(known)
        return True

    def expects(self, syn: Packet, address: Address) -> bool:
        """
        Is the SYN one of a connection that is here, or that is being opened?
        """
        port, recv_id = self._port, syn.connection_id + 1 & SEQ_MASK
        return (
            port.table.get(address, recv_id) is not None
            or self._half_open.get(address, recv_id) is not None
            or address in port.table.dialling
            or address[0] in self.punching
        )

    def _admit(self, syn: Packet, address: Address, received_at: int, now: int) -> Connection | None:
        port, config = self._port, self._port.config
        admission = self.gate.judge(address, config, port.table)
        if admission is Admission.OPEN:
            if config.early_byte and not is_from_ours(syn):
                return self._open_early(syn, address, received_at, now)
            half = HalfOpen(syn, self._rng.getrandbits(16), self._rng.getrandbits(32), now)
            self._half_open.add(address, syn.connection_id + 1 & SEQ_MASK, half)
            self.gate.connection_counts.half_open += 1
            self._answer(half, syn, address, received_at, now)
        elif admission is Admission.COOKIE:
            port.stats.cookies_sent += 1
            cookie = self.gate.cookies.issue(syn, address, now)
            self._send_syn_ack(syn, address, cookie, received_at, now)
        else:
            self._refuse(syn, address, now, in_silence=admission is Admission.SILENCE)
        return None

    def _answer(self, half: HalfOpen, syn: Packet, address: Address, received_at: int, now: int) -> None:
        """
        The SYN-ACK, with the same seq_nr each time.
        """
        if self._send_syn_ack(syn, address, Cookie(half.first_seq, half.clock_offset), received_at, now):
            half.answers += 1

    def _send_syn_ack(self, syn: Packet, address: Address, cookie: Cookie, received_at: int, now: int) -> bool:
        """
        The SYN's wnd_size is 0 from libtorrent and librqbit, and its timestamp is in ms from librqbit: neither counts,
        but the echo is what the peer's first delay sample is made of.  The answer is never longer than the SYN.

        @return: it did not have to be dropped.
        """
        payload = encode_packet(
            syn_ack(
                syn.connection_id,
                timestamp=now + cookie.clock_offset,
                timestamp_difference=timestamp_diff(received_at + cookie.clock_offset, syn.timestamp),
                wnd_size=first_window(self._port.config),
                seq_nr=cookie.first_seq,
                ack_nr=syn.seq_nr,
                with_bits=is_from_ours(syn),
            )
        )
        return self._port.port_queues.outbox.answer(address, payload, is_syn_ack=True)

    def _open_early(self, syn: Packet, address: Address, received_at: int, now: int) -> Connection | None:
        """
        The C{early_byte} setting wants the application to speak to a peer that may not be there.
        """
        port = self._port
        connection = port.new_incoming(syn, address, self._rng.getrandbits(16), self._rng.getrandbits(32), now)
        if connection is None:
            self._refuse(syn, address, now)
            return None
        self.gate.connection_counts.half_open += 1
        try:
            connection.accept(syn, received_at, now)
        except BaseException as fault:  # a tracer's
            port.failed(connection, fault, now)
            return None
        port.table.add(connection)
        return connection

    def _on_crossing_syn(self, ours: Connection, syn: Packet, received_at: int, now: int) -> None:
        """
        The two of us dial each other (BEP-55), and one of the two SYNs should win: the one with the smaller seq_nr, on
        both sides alike.  The seq_nr does not change when a SYN is repeated with another id.

        Anybody can send such a SYN in the peer's name, so our own dial goes on until somebody proves that he got the
        answer.
        """
        if (ours.handshake.syn_seq, ours.recv_id) < (syn.seq_nr, syn.connection_id):
            return  # the peer will answer ours
        if self.gate.connection_counts.half_open >= self._port.config.backlog:
            return
        half = HalfOpen(syn, ours.sender.next_seq & SEQ_MASK, ours.writer.clock_offset, now)
        half.crossing = ours
        self._half_open.add(ours.address, syn.connection_id + 1 & SEQ_MASK, half)
        self.gate.connection_counts.half_open += 1
        self._answer(half, syn, ours.address, received_at, now)

    def _open_crossing(self, ours: Connection, syn: Packet, nbytes: int, now: int) -> Connection | None:
        """
        The peer's SYN has won: our dial becomes the connection that it opens.
        """
        if ours.state is not State.SYN_SENT:
            return None
        self._port.stats.connections_accepted += 1
        if ours.trace is not None:
            ours.trace.accepted(now, syn)
        self.stop_punching(ours)
        self._port.table.drop(ours)
        try:
            ours.accept_proven(syn, nbytes, now)
        except BaseException as fault:  # a tracer's
            self._port.failed(ours, fault, now)
            return None
        self._port.table.add(ours)
        return ours

    def _refuse(self, syn: Packet, address: Address, now: int, *, in_silence: bool = False) -> None:
        self._port.stats.syns_refused += 1
        if not in_silence:
            self.send_stray_reset(syn, address, now)

    # --- Proof -------------------------------------------------------------------------------------------------

    def on_unknown(self, packet: Packet, address: Address, now: int) -> tuple[Connection | None, bool]:
        """
        A packet that no connection knows: the proof of a half-open one or of a cookie, a peer whose NAT gave it another
        port, or a stray.

        @return: the connection that it belongs to; and whether it is a stray beyond doubt, to be answered with RESET.
        """
        half = self._half_open.get(address, packet.connection_id)
        if half is not None:
            return self._on_half_open(half, packet, address, now), False
        if self.gate.connection_counts.with_host(address[0]):
            is_known, connection = self._find_rebound(packet, address, now)
            if is_known:
                return connection, False
        if self.gate.cookies.were_issued(now):
            # It may be proof of a cookie, or follow such a proof that was lost; then a RESET would end it.
            return self._on_cookie(packet, address, now), False
        return None, True

    def _on_half_open(self, half: HalfOpen, packet: Packet, address: Address, now: int) -> Connection | None:
        stats = self._port.stats
        if not half.is_proven_by(packet):
            if self.gate.cookies.were_issued(now):
                # Its first SYN may have been answered with a cookie.
                connection = self._on_cookie(packet, address, now)
                if connection is not None:
                    self._drop_half_open(address, packet.connection_id)
                    return connection
            stats.proofs_failed += 1
            if half.count_guess():
                self._drop_half_open(address, packet.connection_id)
            return None
        self._drop_half_open(address, packet.connection_id)
        syn = Packet(
            PacketType.SYN,
            packet.connection_id - 1 & SEQ_MASK,
            seq_nr=half.syn_seq,
            extension_bits=half.extension_bits,
        )
        nbytes = half.answers * _syn_ack_size(syn)
        if half.crossing is not None:
            return self._open_crossing(half.crossing, syn, nbytes, now)
        if self.gate.is_full(address, self._port.config, self._port.table):
            self._refuse(packet, address, now, in_silence=self._port.config.refuse_silently)
            return None
        return self._open(syn, Cookie(half.first_seq, half.clock_offset), nbytes, packet, address, now)

    def _drop_half_open(self, address: Address, recv_id: int) -> None:
        self._half_open.drop(address, recv_id)
        self.gate.connection_counts.half_open -= 1

    def _on_cookie(self, packet: Packet, address: Address, now: int) -> Connection | None:
        """
        While the backlog was full, its SYN was answered with a cookie: is this what comes of it?
        """
        proven = self.gate.cookies.proven_syn(packet, address, now)
        if proven is None:
            return None
        admission = self.gate.judge(address, self._port.config, self._port.table, is_confirmed=True)
        if admission is not Admission.OPEN:
            self._refuse(packet, address, now, in_silence=admission is Admission.SILENCE)
            return None
        syn, cookie = proven
        connection = self._open(syn, cookie, _syn_ack_size(syn), packet, address, now)
        self._port.stats.cookies_proven += connection is not None
        return connection

    def _open(
        self, syn: Packet, cookie: Cookie, nbytes: int, packet: Packet, address: Address, now: int
    ) -> Connection | None:
        """
        The peer has proved its address, by C{packet}.

        @param nbytes: of the SYN-ACKs that it was sent.
        """
        port = self._port
        if not port.accepting and address[0] not in self.punching:
            self._refuse(packet, address, now)  # who listened has stopped meanwhile
            return None
        connection = port.new_incoming(syn, address, cookie.first_seq, cookie.clock_offset, now)
        if connection is None:
            self._refuse(packet, address, now)
            return None
        port.table.add(connection)
        try:
            connection.accept_proven(syn, nbytes, now)
        except BaseException as fault:  # a tracer's
            port.failed(connection, fault, now)
            return None
        return connection

    def expire(self, now: int) -> None:
        """
        Forget the SYNs that nobody confirmed.
        """
        self.gate.connection_counts.half_open -= self._half_open.expire(now)

    # --- RESETs ------------------------------------------------------------------------------------------------

    def on_stray_reset(self, packet: Packet, address: Address) -> bool:
        """
        A RESET of no connection: maybe of somebody who got our SYN-ACK and has given up.

        @return: it was.
        """
        for recv_id in (packet.connection_id + 1 & SEQ_MASK, packet.connection_id):
            half = self._half_open.get(address, recv_id)
            if half is not None and half.is_refused_by(packet):
                self._drop_half_open(address, recv_id)
                return True
        return False

    def send_stray_reset(self, packet: Packet, address: Address, now: int) -> None:
        """
        Tell the sender of a packet that nobody here knows what it is about.  C{timestamp_difference} lets a peer of our
        kind see that the packet was read, see L{twisted_utp.proto.echo}.
        """
        stats = self._port.stats
        if not self._reset_limiter.allow(address, now):
            stats.resets_suppressed += 1
            return
        stats.resets_sent += 1
        reset = Packet(
            PacketType.RESET,
            packet.connection_id,
            timestamp=now,
            timestamp_difference=timestamp_diff(now, packet.timestamp),
            seq_nr=self._rng.getrandbits(16),
            ack_nr=packet.seq_nr,
        )
        self._port.port_queues.outbox.answer(address, encode_packet(reset))

    # --- Peers whose port changes ------------------------------------------------------------------------------

    def _find_rebound(self, packet: Packet, address: Address, now: int) -> tuple[bool, Connection | None]:
        """
        A host with connections sends from a port that has none: has a NAT moved one of them?

        @return: whether it may have, so that a RESET would do harm; and the connection, if it is beyond doubt.
        """
        port = self._port
        candidates = port.table.with_host(address[0], packet.connection_id, now)
        if not candidates:
            return False, None
        host = host_prefix(address[0])
        if self._rebind_limiter.is_spent(host, now):
            return True, None
        for connection in candidates:
            if rebinding.is_continued_by(connection, packet, now):
                port.table.move(connection, address)
                connection.move_to(address)
                port.stats.rebindings += 1
                return True, connection
        if any(rebinding.is_meant(connection, packet, now) for connection in candidates):
            self._rebind_limiter.count(host, now)  # few guesses, however many others make
        return True, None

    # --- Punching ----------------------------------------------------------------------------------------------

    def start_punching(self, connection: Connection) -> None:
        """
        The peer dials us at the same time, maybe from another port.
        """
        self.punching.setdefault(connection.address[0], []).append(connection)

    def stop_punching(self, connection: Connection) -> None:
        """
        It is connected, or has failed.  Nothing happens when it did not punch.
        """
        waiting = self.punching.get(connection.address[0])
        if waiting is not None and connection in waiting:
            waiting.remove(connection)
            if not waiting:
                del self.punching[connection.address[0]]


def _syn_ack_size(syn: Packet) -> int:
    """
    Bytes of our answer.
    """
    return HEADER_SIZE + EXTENSION_BITS_SIZE * is_from_ours(syn)
