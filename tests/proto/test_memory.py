"""
What can a peer make a connection hold (docs/security.rst, "Memory")?
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import (
    DEFAULT_MAX_IN_FLIGHT,
    EXTENSION_BITS_SIGNATURE,
    MAX_REORDER,
    MAX_SPAN,
    MAX_TRAIN_BYTES,
)
from twisted_utp.proto.packet import Packet, PacketType, encode_packet
from twisted_utp.proto.values import Datagram

if TYPE_CHECKING:
    from tests.proto.conftest import Exchange

MB = 1_000_000


def grown(run: Callable[[], object]) -> int:
    """Bytes that are held after it and were not before."""
    gc.collect()
    tracemalloc.start()
    try:
        run()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def eager(exchange: type[Exchange], config: UTPConfig | None = None) -> Exchange:
    """A peer of our kind that takes all at once, over a path that could carry anything."""
    peer = exchange(config)
    connection = peer.dial(bits=EXTENSION_BITS_SIGNATURE)
    connection.trace = connection.sender.trace = None
    connection.sender.congestion.cwnd = 1e12

    peer.wnd = 0xFFFFFFFF
    peer.state()
    return peer


def drain(peer: Exchange) -> None:
    """What can be sent leaves, and nobody keeps it."""
    while peer.mux.poll_transmits(now=peer.now):
        pass


@pytest.mark.parametrize("limit", [100_000, DEFAULT_MAX_IN_FLIGHT])
def test_data_in_flight(exchange: type[Exchange], limit: int) -> None:
    """A peer with an endless window that acknowledges nothing holds max_in_flight; 21 MB were 16,000 packets."""
    peer = eager(exchange, UTPConfig(max_in_flight=limit, send_buffer=4096, pacing=False))
    connection = peer.only()
    chunk = bytes(range(256)) * 256

    def send() -> None:
        for _ in range(400):
            if not connection.is_write_full():
                connection.write(chunk[:-1] + bytes(1), now=peer.now)
            drain(peer)

    held = grown(send)
    assert limit - MAX_TRAIN_BYTES < connection.sender.board.outstanding_bytes <= limit
    assert held <= 1.1 * limit + 2 * len(chunk)


def test_data_in_flight_with_holes(exchange: type[Exchange]) -> None:
    """To acknowledge all but one packet of each train holds no more either: what was acknowledged counts as well."""
    peer = eager(exchange, UTPConfig(max_in_flight=MB, send_buffer=4096, pacing=False))
    connection = peer.only()
    first = connection.sender.next_seq
    chunk = bytes(65_536)

    def send() -> None:
        for _ in range(100):
            if not connection.is_write_full():
                connection.write(chunk[:-1] + bytes(1), now=peer.now)
            drain(peer)
            end = min(connection.sender.next_seq, first + 1900)
            named = [seq for seq in range(first + 1, end) if (seq - first) % 64]
            if named:
                packet = peer.packet(PacketType.STATE, ack=first - 1, sack=named)
                peer.mux.receive_datagrams([Datagram(encode_packet(packet), peer.address)], now=peer.now)

    held = grown(send)
    assert connection.sender.board.sacked_packets > 600
    assert held <= 1.3 * MB


def test_records_of_tiny_packets_in_flight(exchange: type[Exchange]) -> None:
    """16,000 packets of a byte, each a record of its own, take 5 MB."""
    peer = eager(exchange, UTPConfig(no_delay=True, pacing=False))
    connection = peer.only()

    def send() -> None:
        for _ in range(MAX_SPAN + 100):
            connection.write(b"x", now=peer.now)
            drain(peer)
            peer.now += 1

    held = grown(send)
    assert len(connection.sender.board.flights) == MAX_SPAN
    assert held <= 5 * MB


def test_tiny_packets_ahead_of_a_gap(exchange: type[Exchange]) -> None:
    """As many as are held ahead, a byte each, take 3 MB."""
    peer = exchange()
    connection = peer.accept(bits=EXTENSION_BITS_SIGNATURE)
    connection.trace = connection.sender.trace = None
    start = peer.seq

    def arrive() -> None:
        for ahead in range(1, MAX_REORDER + 100):
            packet = Packet(PacketType.DATA, peer.id, 1, 1, 1000, start + ahead & 0xFFFF, peer.ack, b"%d" % (ahead % 7))
            peer.mux.receive_datagrams([Datagram(encode_packet(packet), peer.address)], now=peer.now)
        drain(peer)

    held = grown(arrive)
    assert len(connection.receiver._ahead) == MAX_REORDER - 1
    assert held <= 3 * MB


def test_what_is_received_and_not_taken(exchange: type[Exchange]) -> None:
    """A paused reader's data, in order or ahead of a gap, takes receive_buffer and a tenth."""
    peer = exchange(UTPConfig(receive_buffer=MB))
    connection = peer.accept(bits=EXTENSION_BITS_SIGNATURE)
    connection.trace = connection.sender.trace = None
    connection.pause_reading()

    def arrive() -> None:
        for number in range(1600):
            packet = Packet(
                PacketType.DATA,
                peer.id,
                1,
                1,
                1000,
                peer.seq + number + (number > 800) & 0xFFFF,  # one is missing in the middle
                peer.ack,
                b"%04d" % number * 250,
            )
            peer.mux.receive_datagrams([Datagram(encode_packet(packet), peer.address)], now=peer.now)
        drain(peer)

    held = grown(arrive)
    assert connection.receiver.unread_bytes + connection.receiver._ahead_bytes > 0.99 * MB
    assert held <= 1.1 * MB
