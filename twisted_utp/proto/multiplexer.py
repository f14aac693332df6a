"""
Finds the connection that a datagram belongs to, and the one whose turn it is to send.

A L{Multiplexer} stands for one UDP port; the half of it that faces strangers is its L{Acceptor
<twisted_utp.proto.acceptor.Acceptor>}.  Its owner turns this wheel whenever datagrams or a deadline arrive, or
after it has asked something of a connection::

    for foreign in multiplexer.receive_datagrams(datagrams, now=now): ...
    for connection, event in multiplexer.poll_events(): ...     # the application may write here
    for transmit in multiplexer.poll_transmits(now=now): ...    # acknowledgements ride on what was written
    deadline = multiplexer.poll_timeout()                       # one timer for the whole port

Nothing that arrives raises, and nothing that arrives makes it hold more than its configuration allows.

What is not ours, congestion controllers and tracers, may raise: that ends the connection that it serves
(L{LossReason.FAULT <twisted_utp.proto.events.LossReason>}), and the others of the same batch do not notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from twisted_utp.proto import keepalive
from twisted_utp.proto.acceptor import Acceptor
from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.connection_table import ConnectionTable
from twisted_utp.proto.constants import (
    HEADER_SIZE,
    MAX_TRAIN_BYTES,
    MAX_TRAIN_SEGMENTS,
    SEQ_MASK,
    UNREAD_WHEN_BEHIND,
)
from twisted_utp.proto.events import Event
from twisted_utp.proto.fast_path import fast_path_receive, fast_path_send
from twisted_utp.proto.icmp import QuotedPacket
from twisted_utp.proto.keepalive import KEEPALIVE_SIZE
from twisted_utp.proto.known_paths import KnownPaths
from twisted_utp.proto.packet import (
    Packet,
    PacketDecodeError,
    PacketType,
    decode_utp,
    is_stun,
    is_utp,
)
from twisted_utp.proto.port_queues import Notice, PortQueues
from twisted_utp.proto.runs import Run, runs_of
from twisted_utp.proto.sibling_processes import SiblingProcesses
from twisted_utp.proto.snapshots import note_ended, port_snapshot
from twisted_utp.proto.states import State
from twisted_utp.proto.stats import PortStats
from twisted_utp.proto.timers import NEVER, Timer
from twisted_utp.proto.trace import ConnectionTrace, Tracer
from twisted_utp.proto.train import DATA_TYPE
from twisted_utp.proto.values import Address, Datagram, Obstacle, ReturnedDatagram, Transmit

if TYPE_CHECKING:
    from random import Random


# What was raised and belongs to no connection: enough to know what is wrong.
_MAX_FAULTS = 16

# Trains that a connection may send in its turn, at least: an MTU probe is never sent alone, and in a crowd the train
# before it is acknowledged by the next turn.
_MIN_TURN = 2


class Multiplexer:
    """
    All connections of one UDP port.

    @ivar accepting: whether SYNs open connections; refused with a RESET otherwise.
    @ivar tracer: told of accepted connections, of those we open without a tracer of their own, and of packets that
        belong to none.
    @ivar stats: what the port counts.
    @ivar table: the connections by their ids.
    @ivar port_queues: what the connections leave to be done.
    @ivar acceptor: answers SYNs and strays.
    @ivar gate: judges SYNs; its C{policy} may be set at any time.
    @ivar siblings: who else may know packets that nobody here knows; L{None} on a port of one process.
    @ivar faults: what was raised when there was no connection yet, or not any more; for the owner to take and clear.
    """

    def __init__(self, config: UTPConfig | None = None, *, rng: Random, tracer: Tracer | None = None) -> None:
        """
        @param rng: where connection ids and first sequence numbers come from.  Whoever can guess them can forge
            packets, so outside of tests it should be a C{random.SystemRandom}.
        @param tracer: told of what happens, see L{Tracer}.
        """
        self.port_queues = PortQueues()
        self._noticed = self.port_queues.noticed
        self.stats = self.port_queues.counters
        self.table = ConnectionTable(rng)
        self.config = config if config is not None else UTPConfig()
        self.accepting = False
        self.tracer = tracer
        self.acceptor = Acceptor(self, rng)
        self.gate = self.acceptor.gate
        self.siblings: SiblingProcesses | None = None
        self.faults: list[BaseException] = []
        self._rng = rng
        self._known_paths = KnownPaths()
        self._connections = self.table.by_key

    def __len__(self) -> int:
        self._read_notices(0)
        return len(self.table)

    @property
    def config(self) -> UTPConfig:
        """
        Settings of accepted connections, and of those we open without settings of their own.
        """
        return self._config

    @config.setter
    def config(self, config: UTPConfig) -> None:
        self._config = config
        self.port_queues.rates.follow(config, self.table.all())

    @property
    def receive_room(self) -> int:
        """
        Bytes of payload that the port's socket holds before it drops any, 0 when nobody knows.
        """
        return self.port_queues.budget.room

    @receive_room.setter
    def receive_room(self, nbytes: int) -> None:
        self.port_queues.budget.room = nbytes

    def snapshot(self, *, reads: int | None = None, writes: int | None = None, truncated: int = 0) -> PortStats:
        """
        What the port has counted.

        @param reads: system calls that received something, when the owner knows; C{writes} that sent.
        @param truncated: what the owner has dropped because it was incomplete.
        """
        self._read_notices(0)
        rates = self.port_queues.rates
        return port_snapshot(self.stats, self.gate.connection_counts, self.table.all(), rates, reads, writes, truncated)

    def is_idle(self) -> bool:
        """
        Is nothing left but connections that linger for a peer's repeated packets?  The port may then be closed.
        """
        self._read_notices(0)
        port_queues = self.port_queues
        if port_queues.outbox or port_queues.events or port_queues.ready or self.gate.connection_counts.connections:
            return False
        return len(self.table) == len(self.table.lingering)

    # --- Inputs ------------------------------------------------------------------------------------------------

    def connect(
        self,
        address: Address,
        *,
        now: int,
        config: UTPConfig | None = None,
        tracer: Tracer | None = None,
        is_punching: bool = False,
    ) -> Connection:
        """
        Open a connection.  L{Connected} or L{ConnectionLost <twisted_utp.proto.events.ConnectionLost>} follows.

        @param address: the peer's numeric address.
        @param now: µs.
        @param tracer: told of this connection, in place of the port's.
        @param is_punching: the peer dials us at the same time (BEP 55): of both SYNs one wins, on both sides alike, and
            refusals do not count.
        @raise LookupError: when no connection id is free with that address.
        """
        if self._noticed:
            self._read_notices(now)
        seq, config = self._rng.getrandbits(16), self._config if config is None else config
        connection = Connection(
            self.port_queues,
            address,
            config,
            incoming=False,
            recv_id=self.table.free_id(address),
            seq=seq + 1,
            clock_offset=self._rng.getrandbits(32),
            mtu=self._known_paths.discovery(address, config.mtu, now),
        )
        self.table.add(connection)
        self.stats.connections_opened += 1
        self.gate.connection_counts.enter(address[0])
        self._attach_trace(connection, tracer if tracer is not None else self.tracer)
        if connection.trace is not None:
            connection.trace.started(now)
        if is_punching:
            self.acceptor.start_punching(connection)
        connection.start(now, is_punching=is_punching)
        return connection

    def receive_datagrams(
        self,
        datagrams: Sequence[Datagram],
        *,
        now: int,
        runs: tuple[Sequence[Run | Datagram], int] | None = None,
    ) -> list[Datagram]:
        """
        Take what the socket gave, all of it at once: acknowledgements go out by batch.

        @param now: µs.
        @param runs: what L{runs_of} makes of them, if that is known already.
        @return: what is not uTP and so belongs to somebody else on the port.
        """
        foreign: list[Datagram] = []
        touched: dict[Connection, None] = {}
        stats = self.stats
        if self._noticed:
            self._read_notices(now)
        before, budget = stats.bytes_received, self.port_queues.budget
        parts, skipped = runs if runs is not None else runs_of(datagrams)
        for datagram in datagrams:
            nbytes, size = len(datagram.data), datagram.segment_size
            stats.bytes_received += nbytes
            stats.sizes_received[(size or nbytes).bit_length()] += -(-nbytes // size) if size else 1
        stats.datagrams_received += skipped
        noticed = self._noticed
        for part in parts:
            if type(part) is Run:
                self._receive_run(part, touched, foreign, now)
            else:
                self._receive_single(part, touched, foreign, now)  # type: ignore[arg-type]
            if noticed:
                self._read_notices(now)
        nbytes = stats.bytes_received - before
        if budget.is_on or nbytes >= UNREAD_WHEN_BEHIND:
            budget.on_batch(nbytes, touched, now)
        ready = self.port_queues.ready
        for connection in touched:
            try:
                connection.finish_batch(now)
                if connection.trace is not None:
                    connection.trace.metrics(now)
            except BaseException as fault:
                self.failed(connection, fault, now)
            if connection not in ready:  # else they are noted when it has had its turn to send
                self.port_queues.deadlines.note(connection)
            if noticed:
                self._read_notices(now)
        if budget.turns is not None:
            budget.finish_batch(nbytes, touched, ready, now)
            for connection in touched:
                if connection not in ready:
                    self.port_queues.deadlines.note(connection)
        return foreign

    def receive_single(self, datagram: Datagram, now: int) -> tuple[Connection, bytes] | None:
        """
        The fast path of L{receive_datagrams}, for the only datagram of a batch: one DATA packet that was expected.

        @param now: µs.
        @return: the connection and what it received, for which there is no event; L{None} when it must take the
            slow path, and nothing has changed then.
        """
        data = datagram.data
        nbytes = len(data)
        if nbytes <= HEADER_SIZE or data[0] != DATA_TYPE or data[1] or datagram.segment_size or self._noticed:
            return None
        connection = self._connections.get((datagram.address, data[2] << 8 | data[3]))
        if connection is None:
            return None
        try:
            payload = fast_path_receive(connection, data, datagram.received_at or now, now)
        except BaseException as fault:
            self.failed(connection, fault, now)
            return None
        if not payload:
            return None
        stats = self.stats
        stats.datagrams_received += 1
        stats.bytes_received += nbytes
        stats.sizes_received[nbytes.bit_length()] += 1
        self.port_queues.ready[connection] = None
        return connection, payload

    def receive_returned(self, returned: Sequence[ReturnedDatagram], *, now: int) -> None:
        """
        Take what ICMP messages brought back; or so they say.

        @param now: µs.
        """
        self._read_notices(now)
        for datagram in returned:
            quote = QuotedPacket.of(datagram)
            connection = None
            if quote is not None and quote.type is PacketType.SYN:
                connection = self._connections.get((datagram.address, quote.connection_id))
            elif quote is not None:
                connection = self.table.sending_with(datagram.address, quote.connection_id)
            if quote is None or connection is None or not self._apply_quote(quote, connection, now):
                self.stats.icmp_ignored += 1
                continue
            if datagram.obstacle is Obstacle.TOO_BIG:
                self.stats.icmp_too_big += 1
            else:
                self.stats.icmp_unreachable += 1
            if connection.state is not State.CLOSED:
                self.port_queues.ready[connection] = None
            self._read_notices(now)

    def handle_timeout(self, *, now: int) -> None:
        """
        Serve the deadlines that are due.

        @param now: µs.
        """
        if self._noticed:
            self._read_notices(now)
        port_queues = self.port_queues
        for connection in port_queues.unanswered_keepalives.unanswered(now):
            connection.timers[Timer.KEEPALIVE] = now
            port_queues.deadlines.note(connection)
        while (due := port_queues.deadlines.pop_due(now)) is not None:
            if min(due.timers) <= now:
                self._serve_timers(due, now)
                if self._noticed:
                    self._read_notices(now)
            port_queues.deadlines.note(due)
        for connection in port_queues.rates.serve(now):
            port_queues.ready[connection] = None
            port_queues.deadlines.note(connection)
        port_queues.budget.on_timer(port_queues.ready, now)
        self.acceptor.expire(now)

    # --- Outputs -----------------------------------------------------------------------------------------------

    def poll_events(self) -> list[tuple[Connection, Event]]:
        """
        What has happened since the last call, in order.
        """
        events = self.port_queues.events
        if events:
            self.port_queues.events = []
        return events

    def poll_transmits(
        self,
        *,
        now: int,
        max_transmits: int = 64,
        max_segments: int = MAX_TRAIN_SEGMENTS,
        max_bytes: int = MAX_TRAIN_BYTES,
    ) -> list[Transmit]:
        """
        What is to be sent now.  It counts as sent when this returns: send it or keep it, but do not drop it.

        Connections take turns.  Call again until the answer is empty.

        @param now: µs.
        @param max_transmits: stop at about so many trains.
        @param max_segments: datagrams in a train; 1 when the socket takes single datagrams only.
        @param max_bytes: bytes in a train.
        """
        if self._noticed:
            self._read_notices(now)
        transmits: list[Transmit] = []
        outbox, ready = self.port_queues.outbox, self.port_queues.ready
        while outbox and len(transmits) < max_transmits:
            transmits.append(outbox.popleft())
        # One connection may fill a call when it is alone; several share it.
        share = max(max_transmits // max(len(ready), 1), _MIN_TURN)
        while ready and len(transmits) < max_transmits:
            # Several at once: to find the first key, a dict looks at each place whose key was deleted.
            for connection in list(islice(ready, max_transmits - len(transmits))):
                if len(transmits) >= max_transmits:
                    break
                del ready[connection]
                limit = min(len(transmits) + share, max_transmits)
                try:
                    if connection.poll_transmits(transmits, limit, max_segments, max_bytes, now):
                        ready[connection] = None
                except BaseException as fault:
                    self.failed(connection, fault, now)
                self.port_queues.deadlines.note(connection)
                if self._noticed:
                    self._read_notices(now)
        self._count_sent(transmits)
        return transmits

    def poll_single(self, connection: Connection, now: int) -> Transmit | None:
        """
        The fast path of L{poll_transmits}, after L{receive_single}: one packet of that connection is all there is.

        @param now: µs.
        @return: it; L{None} when there is none or more, and nothing has changed then.
        """
        port_queues = self.port_queues
        ready = port_queues.ready
        if len(ready) != 1 or port_queues.outbox or port_queues.events or self._noticed:
            return None
        try:
            transmit = fast_path_send(connection, now)
        except BaseException as fault:
            self.failed(connection, fault, now)
            return None
        if transmit is None:
            return None
        ready.clear()
        if min(connection.timers) < connection.scheduled_at:
            port_queues.deadlines.note(connection)
        nbytes = transmit.segment_size
        stats = self.stats
        stats.datagrams_sent += 1
        stats.bytes_sent += nbytes
        stats.sizes_sent[nbytes.bit_length()] += 1
        return transmit

    @property
    def wants_to_send(self) -> bool:
        """
        Is it worth to ask L{poll_transmits}?
        """
        return bool(self.port_queues.ready or self.port_queues.outbox)

    def poll_timeout(self) -> int | None:
        """
        When L{handle_timeout} wants to be called, µs; L{None} for never.  May be too early, never too late.
        """
        if self._noticed:
            self._read_notices(0)
        port_queues, rates, half_open = self.port_queues, self.port_queues.rates, self.table.half_open
        heap = port_queues.deadlines.heap
        due = heap[0][0] if heap else NEVER
        if port_queues.unanswered_keepalives.times:
            due = min(due, port_queues.unanswered_keepalives.next())
        if rates.sending is not None or rates.receiving is not None:
            due = min(due, rates.next_at())
        if half_open.by_key:
            due = min(due, half_open.next_expiry())
        if port_queues.budget.turns is not None:
            due = min(due, port_queues.budget.next_at())
        return None if due == NEVER else due

    # --- Receiving ---------------------------------------------------------------------------------------------

    def _receive_run(self, run: Run, touched: dict[Connection, None], foreign: list[Datagram], now: int) -> None:
        connection_id = run.id_on_wire
        connection = self._connections.get((run.address, connection_id[0] << 8 | connection_id[1]))
        if connection is not None:
            try:
                is_taken = connection.on_run(run, now)
            except BaseException as fault:
                self.failed(connection, fault, now)
                return
            if is_taken:
                self.stats.datagrams_received += run.count
                self.stats.trains_received += 1
                touched[connection] = None
                return
        elif self.siblings is not None and self._is_run_of_sibling(run):
            return
        for datagram in run.datagrams():
            self._receive_single(datagram, touched, foreign, now)

    def _receive_single(
        self, datagram: Datagram, touched: dict[Connection, None], foreign: list[Datagram], now: int
    ) -> None:
        self.stats.datagrams_received += 1
        data, address = datagram.data, datagram.address
        if not is_utp(data):
            self.stats.not_utp += 1
            foreign.append(datagram)
            return
        connection = self._connections.get((address, data[2] << 8 | data[3]))
        if connection is not None and len(data) <= KEEPALIVE_SIZE:
            answer = keepalive.take(connection, data, datagram.received_at or now, now)
            if answer:
                self.port_queues.outbox.answer(address, answer)
            if answer is not None:
                return
        try:
            packet = decode_utp(data)
        except PacketDecodeError as error:
            self.stats.malformed += 1
            self._trace_drop(now, address, data[2] << 8 | data[3], str(error))
            return
        received_at = datagram.received_at or now
        try:
            if packet.type is PacketType.SYN:
                connection = None
                if self.siblings is not None and self._is_syn_of_sibling(packet, datagram):
                    return
                connection = self.acceptor.on_syn(packet, address, received_at, now)
            elif packet.type is PacketType.RESET:
                connection = None
                self._on_reset(packet, datagram, now)
            else:
                if connection is None:
                    if is_stun(data):
                        self.stats.not_utp += 1
                        foreign.append(datagram)
                        return
                    if self._belongs_to_sibling(packet.connection_id, datagram):
                        return
                    connection, is_stray = self.acceptor.on_unknown(packet, address, now)
                    if connection is None:
                        self._on_unknown_packet(packet, datagram, is_stray, now)
                        return
                if connection.recv_id != packet.connection_id:
                    self.table.adopt_id(connection, packet.connection_id)
                if connection.trace is not None:
                    connection.trace.packet_received(now, packet)
                connection.on_packet(packet, received_at, now)
        except BaseException as fault:
            self.failed(connection, fault, now)
            return
        if connection is not None:
            touched[connection] = None

    def _belongs_to_sibling(self, recv_id: int, datagram: Datagram) -> bool:
        return self.siblings is not None and self.siblings.takes(datagram.address, recv_id, datagram)

    def _is_run_of_sibling(self, run: Run) -> bool:
        """
        Is it to be handed on as the train that it came as?
        """
        datagrams = [datagram.data for datagram in run.datagrams()]
        train = Datagram(b"".join(datagrams), run.address, len(datagrams[0]), run.received_at)
        if not self._belongs_to_sibling(run.id_on_wire[0] << 8 | run.id_on_wire[1], train):
            return False
        self.stats.datagrams_received += run.count
        return True

    def _is_syn_of_sibling(self, syn: Packet, datagram: Datagram) -> bool:
        """
        Is a SYN another process's: because the connection is there, or because nobody listens here any more?
        """
        if self.acceptor.expects(syn, datagram.address):
            return False
        if self._belongs_to_sibling(syn.connection_id + 1 & SEQ_MASK, datagram):
            return True
        return not self.accepting and self.siblings is not None and self.siblings.ask(datagram, True)

    def _on_unknown_packet(self, packet: Packet, datagram: Datagram, is_stray: bool, now: int) -> None:
        if self.siblings is not None and self.siblings.ask(datagram, is_stray):
            return
        if is_stray:
            self.count_stray(packet, datagram.address, now)
            self.acceptor.send_stray_reset(packet, datagram.address, now)

    def _on_reset(self, packet: Packet, datagram: Datagram, now: int) -> None:
        """
        RESETs bear our receive id (libtorrent's, ours) or our send id (libutp's answer to an unknown id).
        """
        address = datagram.address
        self.stats.resets_received += 1
        connection = self._connections.get((address, packet.connection_id))
        if connection is None:
            connection = self.table.sending_with(address, packet.connection_id)
        if connection is None and self.acceptor.on_stray_reset(packet, address):
            return
        if connection is None and self.siblings is not None and self.siblings.ask(datagram, False):
            return
        is_believed = False
        if connection is not None:
            try:
                if connection.trace is not None:
                    connection.trace.packet_received(now, packet)
                is_believed = connection.on_reset(packet, now)
            except BaseException as fault:
                self.failed(connection, fault, now)
        if not is_believed:
            self.stats.resets_ignored += 1
            self._trace_drop(now, address, packet.connection_id, "RESET not believed", connection)

    # --- For the acceptor --------------------------------------------------------------------------------------

    def new_incoming(
        self, syn: Packet, address: Address, first_seq: int, clock_offset: int, now: int
    ) -> Connection | None:
        """
        A connection that a peer opens by C{syn}, not yet in the table.

        @return: L{None} when there cannot be one: its congestion controller cannot be made, say.
        """
        try:
            connection = Connection(
                self.port_queues,
                address,
                self._config,
                incoming=True,
                recv_id=syn.connection_id + 1 & SEQ_MASK,
                seq=first_seq,
                clock_offset=clock_offset,
                mtu=self._known_paths.discovery(address, self._config.mtu, now),
            )
            self._attach_trace(connection, self.tracer)
            if connection.trace is not None:
                connection.trace.accepted(now, syn)
        except BaseException as fault:
            self.failed(None, fault, now)
            return None
        self.gate.connection_counts.enter(address[0])
        self.stats.connections_accepted += 1
        return connection

    def count_stray(self, packet: Packet, address: Address, now: int) -> None:
        """
        A packet is nobody's.
        """
        self.stats.no_connection += 1
        self._trace_drop(now, address, packet.connection_id, "no such connection")

    # --- From the connections ----------------------------------------------------------------------------------

    def _read_notices(self, now: int) -> None:
        """
        Note what connections have left on the desk.
        """
        counts = self.gate.connection_counts
        while self._noticed:
            noticed = self._noticed[:]
            self._noticed.clear()
            for connection in noticed:
                notices, connection.notices = connection.notices, 0
                if notices & Notice.SYN_DUE:
                    self._send_syn(connection, now)
                if notices & Notice.OPENED:
                    if self.acceptor.punching:
                        self.acceptor.stop_punching(connection)
                    self.table.forget_other_ids(connection)
                if notices & Notice.CONFIRMED:
                    counts.half_open -= 1
                if notices & Notice.LINGERING:
                    self.table.lingering.add(connection)
                if notices & Notice.DONE:
                    counts.leave(connection.address[0])
                if notices & Notice.CLOSED:
                    self._forget(connection)

    def _send_syn(self, connection: Connection, now: int) -> None:
        recv_id = self.table.another_id(connection) if connection.handshake.needs_another_id else connection.recv_id
        try:
            connection.send_syn(recv_id, now)
        except BaseException as fault:  # a tracer's
            self.failed(connection, fault, now)

    def _forget(self, connection: Connection) -> None:
        note_ended(self.stats, connection)
        if connection.sender.limit is not None or connection.receiver.limit is not None:
            self.port_queues.rates.detach(connection)
        if not connection.sender.is_confirmed:
            self.gate.connection_counts.half_open -= 1
        if self.acceptor.punching:
            self.acceptor.stop_punching(connection)
        self.table.drop(connection)
        self.port_queues.ready.pop(connection, None)
        if connection.scheduled_at != NEVER:
            self.port_queues.deadlines.forget(connection)
        self.port_queues.budget.forget(connection)

    # --- Bookkeeping -------------------------------------------------------------------------------------------

    def failed(self, connection: Connection | None, fault: BaseException, now: int) -> None:
        """
        What is not ours has raised.
        """
        if (connection is None or connection.is_done) and len(self.faults) < _MAX_FAULTS:
            self.faults.append(fault)
        if connection is not None:
            connection.fail(fault, now)

    def _apply_quote(self, quote: QuotedPacket, connection: Connection, now: int) -> bool:
        try:
            return quote.apply_to(connection, now)
        except BaseException as fault:
            self.failed(connection, fault, now)
            return True

    def _serve_timers(self, connection: Connection, now: int) -> None:
        trace = connection.trace
        try:
            if trace is not None:
                trace.timers_expired(now)
            connection.handle_timeout(now)
            if trace is not None:
                trace.metrics(now)
        except BaseException as fault:
            self.failed(connection, fault, now)

    @staticmethod
    def _attach_trace(connection: Connection, tracer: Tracer | None) -> None:
        if tracer is not None:
            connection.trace = connection.sender.trace = ConnectionTrace(tracer, connection)

    def _trace_drop(
        self, now: int, address: Address, connection_id: int, reason: str, connection: Connection | None = None
    ) -> None:
        if connection is not None:
            if connection.trace is not None:
                connection.trace.emit(now, "packet_dropped", reason=reason)
        elif self.tracer is not None:
            self.tracer(now, address, connection_id, "packet_dropped", reason=reason)

    def _count_sent(self, transmits: list[Transmit]) -> None:
        stats = self.stats
        sizes, kinds = stats.sizes_sent, stats.bytes_by_type
        for transmit in transmits:
            payload, count = transmit.payload, transmit.count
            nbytes = len(payload)
            stats.datagrams_sent += count
            stats.bytes_sent += nbytes
            stats.trains_sent += count > 1
            sizes[transmit.segment_size.bit_length()] += count  # the last of a train may be shorter
            kinds[payload[0] >> 4] += nbytes
