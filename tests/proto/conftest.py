"""
How does a test of the core get a peer, without a socket, a clock or a wait?

Two ways.  An L{Exchange} is one multiplexer whose peer's every packet the test writes itself; a L{Wire} is two
multiplexers that talk to each other with a fixed delay.  Time is a number that only these two move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from random import Random
from typing import Any

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.events import ConnectionLost, Event
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.packet import Packet, PacketType, decode_packet, encode_packet
from twisted_utp.proto.values import Address, Datagram
from twisted_utp.testing.guards import unguarded

START = 7_000_000_000  # µs; beyond 2^32, and not a round number of wraps
PEER: Address = ("192.0.2.1", 6881)
RTT = 20_000

# What the scripted peer is called when it dials, and its first sequence number.
SYN_ID = 700
SYN_SEQ = 1000


def check_guards(mux: Multiplexer) -> None:
    """After each turn of the wheel: no connection could wait for ever (L{twisted_utp.testing.guards})."""
    for connection in mux._connections.values():
        assert unguarded(connection) is None


class Exchange:
    """
    One multiplexer, and a peer of which the test writes every packet.

    @ivar events: what the connections said, in order.
    @ivar traced: C{(event, data)} of what the core traced.
    @ivar id: the id on the peer's packets; C{seq} its next seq_nr; C{ack} what it acknowledges; C{wnd} its window.
    @ivar foreign: datagrams that the core returned as not its own.
    """

    def __init__(self, config: UTPConfig | None = None, *, seed: int = 1, accepting: bool = True) -> None:
        self.mux = Multiplexer(config, rng=Random(seed), tracer=self._trace)
        self.mux.accepting = accepting
        self.now = START
        self.address = PEER
        self.events: list[Event] = []
        self.traced: list[tuple[str, dict[str, Any]]] = []
        self.foreign: list[Datagram] = []
        self.id = 0
        self.seq = 0
        self.ack = 0
        self.wnd = 1 << 20
        self.delay = 12_345  # what our packets' way takes by the peer's clock
        self.difference = 0  # what the peer measured of our last packet

    def _trace(self, now: int, address: Address, connection_id: int, event: str, **data: Any) -> None:
        self.traced.append((event, data))

    # --- Opening -----------------------------------------------------------------------------------------------

    def syn(self, *, id: int = SYN_ID, seq: int = SYN_SEQ, bits: int | None = None) -> list[Packet]:
        """The peer's SYN, and what is answered."""
        self.id, self.seq = (id + 1) & 0xFFFF, (seq + 1) & 0xFFFF
        return self.feed(Packet(PacketType.SYN, id, self.now & 0xFFFFFFFF, seq_nr=seq, extension_bits=bits))

    def accept(
        self, *, confirm: bool = True, id: int = SYN_ID, seq: int = SYN_SEQ, bits: int | None = None
    ) -> Connection:
        """A connection that the peer opened; confirmed by a first STATE."""
        answers = self.syn(id=id, seq=seq, bits=bits)
        self.ack = (answers[0].seq_nr - 1) & 0xFFFF
        self.now += RTT
        if confirm:
            self.state()
        return self.only()

    def accept_blindly(self) -> Connection:
        """A connection whose peer knows the right numbers and never echoes our timestamps."""
        answers = self.syn()
        self.ack, self.difference = (answers[0].seq_nr - 1) & 0xFFFF, 0
        self.feed(self.packet(PacketType.STATE, timestamp_difference=0))
        return self.only()

    def dial(self, *, config: UTPConfig | None = None, seq: int = 2000, bits: int | None = None) -> Connection:
        """A connection that we opened, and the peer has answered after one RTT."""
        connection = self.mux.connect(self.address, now=self.now, config=config)
        (syn,) = self.flush()
        self.now += RTT
        self.id, self.seq, self.ack = syn.connection_id, seq, syn.seq_nr
        self.state(bits=bits)
        return connection

    def only(self) -> Connection:
        """The one connection of the port."""
        (connection,) = set(self.mux._connections.values())
        return connection

    # --- The peer's packets ------------------------------------------------------------------------------------

    def packet(
        self,
        type: PacketType,
        payload: bytes = b"",
        *,
        seq: int | None = None,
        ack: int | None = None,
        sack: Iterable[int] | None = None,
        bits: int | None = None,
        **changes: Any,
    ) -> Packet:
        """A packet of the peer's.  C{sack} lists the seq_nrs, all past C{ack} + 1, that the mask is to report."""
        ack = self.ack if ack is None else ack & 0xFFFF
        packet = Packet(
            type,
            self.id,
            self.now & 0xFFFFFFFF,
            self.difference,
            self.wnd,
            self.seq if seq is None else seq & 0xFFFF,
            ack,
            payload,
            extension_bits=bits,
        )
        if sack is not None:
            packet.sack = sum(1 << (number - ack - 2 & 0xFFFF) for number in sack)
            packet.sack_length = max((packet.sack.bit_length() + 31) // 32 * 4, 4)
        for name, value in changes.items():
            setattr(packet, name, value)
        return packet

    def state(self, **changes: Any) -> list[Packet]:
        """The peer acknowledges; what comes back."""
        return self.feed(self.packet(PacketType.STATE, **changes))

    def data(self, payload: bytes, **changes: Any) -> list[Packet]:
        """The peer sends its next data; what comes back."""
        packet = self.packet(PacketType.DATA, payload, **changes)
        if "seq" not in changes:
            self.seq = self.seq + 1 & 0xFFFF
        return self.feed(packet)

    def fin(self, **changes: Any) -> list[Packet]:
        """The peer's FIN; what comes back."""
        packet = self.packet(PacketType.FIN, **changes)
        if "seq" not in changes:
            self.seq = self.seq + 1 & 0xFFFF
        return self.feed(packet)

    def reset(self, **changes: Any) -> list[Packet]:
        """The peer's RESET; what comes back."""
        return self.feed(self.packet(PacketType.RESET, **changes))

    def feed(self, *packets: Packet) -> list[Packet]:
        """One batch of packets from the peer; what comes back."""
        batch = [Datagram(encode_packet(packet), self.address) for packet in packets]
        self.foreign += self.mux.receive_datagrams(batch, now=self.now)
        return self.flush()

    # --- Ours --------------------------------------------------------------------------------------------------

    def flush(self) -> list[Packet]:
        """What we send now."""
        self.collect()
        packets: list[Packet] = []
        while transmits := self.mux.poll_transmits(now=self.now):
            for transmit in transmits:
                assert transmit.address == self.address
                packets += [decode_packet(data) for data in transmit.segments()]
        self.collect()
        check_guards(self.mux)
        if packets:
            self.difference = self.now + self.delay - packets[-1].timestamp & 0xFFFFFFFF
        return packets

    def collect(self) -> None:
        """Take the events."""
        self.events += [event for _, event in self.mux.poll_events()]

    def write(self, connection: Connection, data: bytes) -> list[Packet]:
        """The application writes; what we send."""
        connection.write(data, now=self.now)
        return self.flush()

    def wait_timed(self, microseconds: int) -> list[tuple[int, Packet]]:
        """Let time pass with a silent peer; what we send, with the µs since now."""
        begin, end = self.now, self.now + microseconds
        sent: list[tuple[int, Packet]] = []
        turns = 0
        while (at := self.mux.poll_timeout()) is not None and at <= end:
            self.now = max(at, self.now)
            self.mux.handle_timeout(now=self.now)
            sent += [(self.now - begin, packet) for packet in self.flush()]
            turns += 1
            assert turns < 20_000, "the deadlines do not move on"
        self.now = end
        return sent + [(microseconds, packet) for packet in self.flush()]

    def wait(self, microseconds: int) -> list[Packet]:
        """The same without times."""
        return [packet for _, packet in self.wait_timed(microseconds)]

    @property
    def received(self) -> bytes:
        """The stream so far."""
        return b"".join(event for event in self.events if isinstance(event, bytes))

    @property
    def lost(self) -> list[ConnectionLost]:
        """The ends of connections so far."""
        return [event for event in self.events if isinstance(event, ConnectionLost)]

    @property
    def dropped(self) -> list[str]:
        """Why packets were dropped, as traced."""
        return [data["reason"] for event, data in self.traced if event == "packet_dropped"]


class Wire:
    """
    Two multiplexers, joined by a path of fixed delay.

    @ivar lose: asked of each packet with the side (0 or 1) that sent it; true drops it.
    @ivar events: for each side, what its connections said.
    @ivar packets: C{(now, side, packet)} of all packets sent, lost ones included.
    """

    def __init__(
        self,
        *,
        config: UTPConfig | None = None,
        delay: int = 10_000,
        seeds: tuple[int, int] = (1, 2),
        accepting: tuple[bool, bool] = (False, True),
    ) -> None:
        self.now = START
        self.delay = delay
        self.addresses: list[Address] = [("192.0.2.1", 1000), ("192.0.2.2", 2000)]
        self.muxes = [Multiplexer(config, rng=Random(seed)) for seed in seeds]
        for mux, accepts in zip(self.muxes, accepting, strict=True):
            mux.accepting = accepts
        self.lose: Callable[[int, Packet], bool] = lambda side, packet: False
        self.jitter: Callable[[], int] = lambda: 0
        self.events: list[list[tuple[Connection, Event]]] = [[], []]
        self.packets: list[tuple[int, int, Packet]] = []
        self._under_way: list[tuple[int, int, int, bytes]] = []
        self._count = 0

    def connect(self, side: int = 0) -> Connection:
        """That side dials the other."""
        return self.muxes[side].connect(self.addresses[1 - side], now=self.now)

    def established(self) -> tuple[Connection, Connection]:
        """A connection, seen from each side."""
        ours = self.connect()
        self.run(10 * self.delay)
        ((theirs, _),) = self.events[1]
        return ours, theirs

    def received(self, side: int) -> bytes:
        """The stream that arrived at that side."""
        return b"".join(event for _, event in self.events[side] if isinstance(event, bytes))

    def of_type(self, side: int, wanted: type) -> list[Any]:
        """The events of one type."""
        return [event for _, event in self.events[side] if isinstance(event, wanted)]

    def run(self, microseconds: int) -> None:
        """Let time pass."""
        end = self.now + microseconds
        self._turn((0, 1))
        while (at := self._next()) <= end:
            self.now = max(self.now, at)
            self._turn((0, 1))
        self.now = end

    def run_until(self, done: Callable[[], bool], limit: int = 60_000_000) -> None:
        """Let time pass until something is so."""
        end = self.now + limit
        self._turn((0, 1))
        while not done():
            at = self._next()
            assert at <= end, "it did not come to pass"
            self.now = max(self.now, at)
            self._turn((0, 1))

    def _next(self) -> int:
        times = [deadline for mux in self.muxes if (deadline := mux.poll_timeout()) is not None]
        if self._under_way:
            times.append(self._under_way[0][0])
        return min(times, default=1 << 62)

    def _turn(self, sides: Iterable[int]) -> None:
        arrived: list[list[Datagram]] = [[], []]
        while self._under_way and self._under_way[0][0] <= self.now:
            _, _, side, data = heappop(self._under_way)
            arrived[side].append(Datagram(data, self.addresses[1 - side]))
        for side in sides:
            mux = self.muxes[side]
            mux.receive_datagrams(arrived[side], now=self.now)
            mux.handle_timeout(now=self.now)
            self.events[side] += mux.poll_events()
            while transmits := mux.poll_transmits(now=self.now):
                for transmit in transmits:
                    for data in transmit.segments():
                        self._send(side, data)
            self.events[side] += mux.poll_events()
            check_guards(mux)

    def _send(self, side: int, data: bytes) -> None:
        packet = decode_packet(data)
        self.packets.append((self.now, side, packet))
        if not self.lose(side, packet):
            self._count += 1
            heappush(self._under_way, (self.now + self.delay + self.jitter(), self._count, 1 - side, data))


@pytest.fixture
def exchange() -> type[Exchange]:
    """C{exchange(config)} makes an L{Exchange}."""
    return Exchange


@pytest.fixture
def wire() -> type[Wire]:
    """C{wire(...)} makes a L{Wire}."""
    return Wire
