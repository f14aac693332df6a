"""
The smallest owner of a multiplexer, on a simulated host.

A L{Node} is the smallest possible owner of the core: it does what the Twisted glue does (receive, dispatch, send,
re-arm one timer) and records what it hears.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import cast

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.events import (
    Connected,
    ConnectionLost,
    EndOfStream,
    Event,
    LossReason,
    Writable,
)
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.trace import Tracer
from twisted_utp.proto.values import Address, Datagram, Obstacle, ReturnedDatagram, Transmit
from twisted_utp.testing.gro import merge
from twisted_utp.testing.network import Host
from twisted_utp.testing.packet import Packet, overhead_of
from twisted_utp.testing.simulator import ScheduledCall

# What the core is asked for unless its owner asks for less (Multiplexer.poll_transmits).
MAX_TRAIN_BYTES = 65_000
# An ICMP message has 576 bytes at most, less two IP, an ICMP and a UDP header (RFC 1812 (4.3.2.3)).
MAX_QUOTED = 520
# More rounds of poll_transmits than this in one flush: it never says "nothing to send now".
MAX_ROUNDS = 10_000


class Record:
    """
    What one connection told.

    @ivar events: all its events; data is left out when somebody consumes it.
    @ivar data: all bytes received, unless somebody consumes them.
    @ivar nbytes: how many bytes were received.
    @ivar on_data: consumes data instead of C{events} and C{data}.
    @ivar on_event: hears of all other events.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.events: list[Event] = []
        self.data = bytearray()
        self.nbytes = 0
        self.connected = False
        self.eof = False
        self.lost: ConnectionLost | None = None
        self.writable = 0
        self.on_data: Callable[[bytes], object] | None = None
        self.on_event: Callable[[Event], object] | None = None

    @property
    def reason(self) -> LossReason | None:
        """
        Why the connection was lost, L{None} while it was not.
        """
        return None if self.lost is None else self.lost.reason

    def note(self, event: Event) -> None:
        """
        Take one event down.

        @raise AssertionError: when it comes out of order.
        """
        assert self.lost is None, f"{event!r} after {self.lost}"
        if isinstance(event, bytes):
            self._note_data(event)
            return
        self.events.append(event)
        if isinstance(event, Connected):
            assert not self.connected, "connected twice"
            self.connected = True
        elif isinstance(event, EndOfStream):
            assert not self.eof, "two ends of one stream"
            self.eof = True
        elif isinstance(event, Writable):
            self.writable += 1
        else:
            self.lost = event
        if self.on_event is not None:
            self.on_event(event)

    def _note_data(self, event: bytes) -> None:
        assert self.connected, "data before Connected"
        assert not self.eof, "data after EndOfStream"
        assert event, "no bytes"
        self.nbytes += len(event)
        if self.on_data is not None:
            self.on_data(event)
            return
        self.events.append(event)
        self.data += event


class Node:
    """
    A L{Multiplexer} on a UDP port of a simulated host.

    @ivar multiplexer: the core.
    @ivar port: the host's UDP port.
    @ivar records: one for each connection that was ever heard of, in order.
    @ivar foreign: datagrams that were not uTP.
    @ivar on_connected: hears of each record whose connection was established.
    """

    def __init__(
        self,
        host: Host,
        port: int = 0,
        *,
        config: UTPConfig | None = None,
        accepting: bool = False,
        gro: bool = False,
        rng: Random | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """
        @param accepting: take incoming connections.
        @param gro: merge datagrams that arrive together, as Linux does.
        @param rng: the core's randomness, the simulator's by default (by way of a generator of its own, so that the
            weather does not depend on how many numbers the core draws).
        @param tracer: told what the core does.
        """
        self.host = host
        self.simulator = host.network.simulator
        self.gro = gro
        if rng is None:
            rng = Random(self.simulator.random.getrandbits(64))
        self.multiplexer = Multiplexer(config if config is not None else UTPConfig(), rng=rng, tracer=tracer)
        self.multiplexer.accepting = accepting
        self.port = host.bind(self._receive, port)
        self.port.on_returned = self._receive_returned
        self.records: list[Record] = []
        self.foreign: list[Datagram] = []
        self.on_connected: Callable[[Record], object] | None = None
        self.wakeups = 0
        self._timer: ScheduledCall | None = None

    @property
    def address(self) -> Address:
        """
        Where it is.
        """
        return self.port.address

    def now(self) -> int:
        """
        The time by this host's clock, µs.
        """
        return self.host.clock.now()

    # --- What an application does -----------------------------------------------------------------------------

    def connect(self, address: Address, *, config: UTPConfig | None = None) -> Record:
        """
        Start connecting.
        """
        connection = self.multiplexer.connect(address, now=self.now(), config=config)
        record = self._record(connection)
        self.flush()
        return record

    def write(self, record: Record, data: bytes) -> None:
        """
        Write, and send what may be sent.
        """
        record.connection.write(data, now=self.now())
        self.flush()

    def write_eof(self, record: Record) -> None:
        """
        End the writing side.
        """
        record.connection.write_eof(now=self.now())
        self.flush()

    def close(self, record: Record) -> None:
        """
        End both sides in good order.
        """
        record.connection.close(now=self.now())
        self.flush()

    def abort(self, record: Record) -> None:
        """
        End both sides at once.
        """
        record.connection.abort(now=self.now())
        self.flush()

    def pause_reading(self, record: Record) -> None:
        """
        Read no more for now.
        """
        record.connection.pause_reading()

    def resume_reading(self, record: Record) -> None:
        """
        Read on.
        """
        record.connection.resume_reading(now=self.now())
        self.flush()

    def inject(self, data: bytes, source: Address) -> list[Datagram]:
        """
        Receive a datagram as if it came from C{source}, at once and around the network.

        @return: it, when it was not uTP.
        """
        foreign = self.multiplexer.receive_datagrams([Datagram(data, source)], now=self.now())
        self.flush()
        return foreign

    # --- The crank --------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """
        Dispatch, send, re-arm: after everything that may have changed something.
        """
        self._dispatch()
        for _ in range(MAX_ROUNDS):
            transmits = self.multiplexer.poll_transmits(now=self.now())
            if not transmits:
                break
            for transmit in transmits:
                self._send(transmit)
        else:
            raise AssertionError(f"poll_transmits has something to send after {MAX_ROUNDS} rounds")
        self._dispatch()
        self._arm()

    def _send(self, transmit: Transmit) -> None:
        segments = transmit.segments()
        assert len(segments) == transmit.count, f"{transmit.count} segments said, {len(segments)} sent"
        assert transmit.count == 1 or len(transmit.payload) <= MAX_TRAIN_BYTES, "a train longer than the kernel takes"
        assert transmit.count == 1 or not transmit.dont_fragment, "an MTU probe in a train"
        self.port.send_all(segments, transmit.address, dont_fragment=transmit.dont_fragment)

    def _dispatch(self) -> None:
        # An application that writes while it hears of one event may cause another.
        while events := self.multiplexer.poll_events():
            for connection, event in events:
                record = cast("Record | None", connection.user_data) or self._record(connection)
                record.note(event)
                if isinstance(event, Connected) and self.on_connected is not None:
                    self.on_connected(record)

    def _record(self, connection: Connection) -> Record:
        record = connection.user_data = Record(connection)
        self.records.append(record)
        return record

    def _arm(self) -> None:
        due = self.multiplexer.poll_timeout()
        timer = self._timer
        if due is None:
            if timer is not None:
                timer.cancel()
                self._timer = None
            return
        time = self.host.clock.when(due)
        if timer is not None and timer.active:
            if timer.time == time:
                return
            timer.cancel()
        self._timer = self.simulator.call_at(time, self._wake)

    def _wake(self) -> None:
        self.wakeups += 1
        self._timer = None
        self.multiplexer.handle_timeout(now=self.now())
        self.flush()

    def _receive_returned(self, packet: Packet, obstacle: Obstacle, mtu: int) -> None:
        size = max(mtu - overhead_of(packet.destination[0]), 0)
        returned = ReturnedDatagram(packet.destination, packet.data[:MAX_QUOTED], obstacle, size)
        self.multiplexer.receive_returned([returned], now=self.now())
        self.flush()

    def _receive(self, packets: list[Packet]) -> None:
        now, clock = self.simulator.now, self.host.clock
        datagrams = [
            Datagram(packet.data, packet.source, 0, clock.at(packet.arrived_at) if packet.arrived_at < now else 0)
            for packet in packets
        ]
        if self.gro:
            datagrams = merge(datagrams)
        self.foreign += self.multiplexer.receive_datagrams(datagrams, now=self.now())
        self.flush()
