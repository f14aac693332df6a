"""
Does the fast path for single packets say and do what the slow path would?
"""

from __future__ import annotations

import random

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.constants import SAMPLE_INTERVAL
from twisted_utp.proto.events import Connected
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.values import Datagram

A, B = ("192.0.2.1", 1000), ("192.0.2.2", 2000)
ONE_WAY = 50  # µs


class Ends:
    """
    Two ends, 50 µs apart, that use the fast path as the Twisted side does, or never.
    """

    def __init__(self, *, fast: bool, config: UTPConfig | None = None) -> None:
        self.fast = fast
        self.now = 1_000_000
        self.wire: list[bytes] = []
        self.singles = 0
        self.received: dict[Multiplexer, bytes] = {}
        self.left = Multiplexer(config, rng=random.Random(1))
        self.right = Multiplexer(config, rng=random.Random(2))
        self.right.accepting = True
        self.ours = self.left.connect(B, now=self.now)
        self.settle()
        self.theirs: Connection = self.accepted
        # Past the handshake, with a round trip measured.
        self.ours.write(b"hello", now=self.now)
        self.settle()
        self.theirs.write(b"hello", now=self.now)
        self.settle()
        self.singles = 0
        self.wire.clear()

    def settle(self) -> None:
        """
        Send until nobody has anything to say.
        """
        while self.turn(self.left, None) + self.turn(self.right, None):
            pass

    def turn(self, mux: Multiplexer, connection: Connection | None) -> int:
        """
        Let one end send, and the other receive it.
        """
        single = mux.poll_single(connection, self.now) if self.fast and connection is not None else None
        transmits = [single] if single is not None else mux.poll_transmits(now=self.now)
        self.singles += single is not None
        self.wire += [transmit.payload for transmit in transmits]
        self.now += ONE_WAY
        other, source = (self.right, A) if mux is self.left else (self.left, B)
        self.receive(other, [Datagram(payload, source) for transmit in transmits for payload in transmit.segments()])
        return len(transmits)

    def receive(self, mux: Multiplexer, datagrams: list[Datagram]) -> None:
        """
        One batch.
        """
        taken = mux.receive_single(datagrams[0], self.now) if self.fast and len(datagrams) == 1 else None
        if taken is not None:
            self.singles += 1
            self.received[mux] = self.received.get(mux, b"") + taken[1]
        else:
            mux.receive_datagrams(datagrams, now=self.now)
        for connection, event in mux.poll_events():
            if isinstance(event, bytes):
                self.received[mux] = self.received.get(mux, b"") + event
            elif isinstance(event, Connected) and event.incoming:
                self.accepted = connection

    def ask_and_answer(self, question: bytes, answer: bytes) -> None:
        """
        One round trip.
        """
        self.ours.write(question, now=self.now)
        self.turn(self.left, self.ours)
        self.theirs.write(answer, now=self.now)
        self.turn(self.right, self.theirs)


def both(play, **settings) -> tuple[Ends, Ends]:
    """
    The same play on both paths.
    """
    paths = Ends(fast=True, **settings), Ends(fast=False, **settings)
    for ends in paths:
        play(ends)
    return paths


def test_same_packets() -> None:
    """
    Two hundred questions and answers of any size up to a packet: byte for byte the same.
    """

    def play(ends: Ends) -> None:
        rng = random.Random(3)
        for _ in range(200):
            ends.ask_and_answer(rng.randbytes(rng.choice((1, 7, 300))), rng.randbytes(rng.choice((1, 40, 500))))

    fast, general = both(play)
    assert fast.wire == general.wire
    assert list(fast.received.values()) == list(general.received.values())
    assert fast.singles > 700 and not general.singles
    ours, theirs = fast.ours.stats(), general.ours.stats()
    assert (ours.bytes_sent, ours.bytes_acked, ours.bytes_received) == (
        theirs.bytes_sent, theirs.bytes_acked, theirs.bytes_received,
    )  # fmt: skip
    assert (ours.packets_sent, ours.packets_received) == (theirs.packets_sent, theirs.packets_received)


def test_estimators_are_fed() -> None:
    """
    Each SAMPLE_INTERVAL one acknowledgement takes the slow path, so a changed round trip is noticed.
    """
    ends = Ends(fast=True)
    before = ends.ours.sender._sampled_at
    for _ in range(3 * SAMPLE_INTERVAL // (2 * ONE_WAY)):
        ends.ask_and_answer(b"?", b"!")
        assert ends.now - ends.ours.sender._sampled_at <= SAMPLE_INTERVAL + 2 * ONE_WAY
    assert ends.ours.sender._sampled_at > before
    assert ends.singles


def test_answer_with_two_packets() -> None:
    """
    More than a packet takes the slow path, and nothing is lost on the change.
    """

    def play(ends: Ends) -> None:
        for size in (1, 5_000, 1, 20_000, 3):
            ends.ask_and_answer(b"?", bytes(size))
            ends.settle()

    fast, general = both(play)
    assert list(fast.received.values()) == list(general.received.values())
    assert fast.received[fast.left] == b"hello" + bytes(25_005)


def test_lost_answer() -> None:
    """
    A packet that does not come is repeated, whichever path it took.
    """
    for fast in (True, False):
        ends = Ends(fast=fast)
        ends.ask_and_answer(b"?", b"!")
        ends.ours.write(b"lost", now=ends.now)
        lost = ends.left.poll_single(ends.ours, ends.now) if fast else ends.left.poll_transmits(now=ends.now)[0]
        assert lost is not None and lost.payload.endswith(b"lost")
        for _ in range(3):  # a deadline may wake us in vain
            due = ends.left.poll_timeout()
            assert due is not None
            ends.now = max(due, ends.now)
            ends.left.handle_timeout(now=ends.now)
            ends.settle()
        assert ends.received[ends.right] == b"hello?lost"


@pytest.mark.parametrize("disturbance", ["paused", "closed", "gap", "forged ack", "unknown id", "extension", "full"])
def test_untouched(disturbance: str) -> None:
    """
    What is not exactly the expected packet is refused, and refusing changes nothing.
    """
    ends = Ends(fast=True)
    ends.ask_and_answer(b"?", b"!")
    ends.ours.write(b"next", now=ends.now)
    transmit = ends.left.poll_single(ends.ours, ends.now)
    assert transmit is not None
    packet = bytearray(transmit.payload)
    if disturbance == "paused":
        ends.theirs.pause_reading()
    elif disturbance == "closed":
        ends.theirs.close(now=ends.now)
    elif disturbance == "gap":
        packet[17] ^= 2  # seq_nr
    elif disturbance == "forged ack":
        packet[19] ^= 2  # ack_nr
    elif disturbance == "unknown id":
        packet[3] ^= 16
    elif disturbance == "extension":
        packet[1] = 1
    else:
        ends.theirs.receiver.capacity = 3
    before = (ends.theirs.stats(), ends.right.stats.datagrams_received)
    assert ends.right.receive_single(Datagram(bytes(packet), A), ends.now) is None
    assert (ends.theirs.stats(), ends.right.stats.datagrams_received) == before


def test_not_alone() -> None:
    """
    When another connection wants to send as well, both take turns on the slow path.
    """
    ends = Ends(fast=True)
    ends.ask_and_answer(b"?", b"!")
    other = ends.left.connect(B, now=ends.now)
    ends.settle()
    other.write(b"mine", now=ends.now)
    ends.ours.write(b"too", now=ends.now)
    assert ends.left.poll_single(ends.ours, ends.now) is None
    assert len(ends.left.poll_transmits(now=ends.now)) == 2
