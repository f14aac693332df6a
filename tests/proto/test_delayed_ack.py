"""
Is every second packet of a stream acknowledged, and everything else at once?
"""

from __future__ import annotations

import pytest

from twisted_utp import UTPConfig
from twisted_utp.proto.constants import ACK_DELAY, ACK_FULL_PACKET, ACK_GAP_PACKETS, ACK_STREAM_PACKETS
from twisted_utp.proto.delayed_ack import DelayedAck
from twisted_utp.testing import MILLISECOND, TO_CLIENT, Pair

GAP = 600
FULL = 1400


class Receiver:
    """
    A connection that acknowledges what it may not keep waiting.
    """

    def __init__(self) -> None:
        self.ack = DelayedAck()
        self.now = 5_000_000_000
        self.acks = 0

    def take(self, count: int = 1, nbytes: int = FULL, *, after: int = GAP, has_gap: bool = False) -> bool:
        """
        Packets have come.

        @return: they were acknowledged at once.
        """
        self.now += after
        self.ack.on_packets(count, nbytes, self.now, has_gap=has_gap)
        if self.ack.may_wait:
            assert self.ack.due == self.now + ACK_DELAY
            return False
        self.ack.on_acknowledged()
        self.acks += 1
        return True

    def stream(self, packets: int) -> int:
        """
        They come one by one.

        @return: acknowledgements.
        """
        before = self.acks
        for _ in range(packets):
            self.take()
        return self.acks - before


@pytest.fixture
def streaming() -> Receiver:
    """All is acknowledged, and the next one waits."""
    receiver = Receiver()
    assert receiver.stream(ACK_STREAM_PACKETS) == ACK_STREAM_PACKETS
    return receiver


def test_every_second_one(streaming: Receiver) -> None:
    """Of a stream."""
    assert streaming.stream(100) == 50


@pytest.mark.parametrize(
    "packet",
    [
        {"count": 2},
        {"count": 0},  # old data, a FIN, a window that opens
        {"has_gap": True},
        {"nbytes": ACK_FULL_PACKET - 1},
        {"after": ACK_DELAY + 1},
    ],
    ids=str,
)
def test_at_once(streaming: Receiver, packet: dict[str, int]) -> None:
    """Two together, what is no packet in order, the end of a message, and what comes after a pause."""
    assert streaming.take(**packet)  # type: ignore[arg-type]


def test_what_is_about_no_packet(streaming: Receiver) -> None:
    """A window that opens is told at once, and the stream goes on: the next packet waits again."""
    assert not streaming.take()
    streaming.ack.at_once()
    assert not streaming.ack.may_wait
    streaming.ack.on_acknowledged()
    assert not streaming.take()


def test_a_gap(streaming: Receiver) -> None:
    """What fills it, and what follows, is acknowledged packet by packet: a lossy path has all its samples."""
    assert streaming.take(has_gap=True)
    assert streaming.stream(ACK_GAP_PACKETS - 2) == ACK_GAP_PACKETS - 2
    streaming.stream(10)
    assert streaming.stream(100) == 50


@pytest.mark.parametrize("packet", [{"nbytes": 100}, {"after": ACK_DELAY + 1}], ids=str)
def test_a_new_stream(streaming: Receiver, packet: dict[str, int]) -> None:
    """After the end of a message, or a pause, each is acknowledged again for a while."""
    streaming.take(**packet)  # type: ignore[arg-type]
    assert streaming.stream(ACK_STREAM_PACKETS - 1) >= ACK_STREAM_PACKETS - 2
    streaming.stream(10)
    assert streaming.stream(100) == 50


def pair(mtu: int | None = None) -> Pair:
    """Both ends of 20 Mb/s with 20 ms each way."""
    return Pair(seed=4, link={"rate": 20_000_000, "delay": 20 * MILLISECOND}, config=UTPConfig(mtu=mtu), log=False)


def test_a_transfer() -> None:
    """Behind a bottleneck, after slow start, about half as many acknowledgements as packets."""
    there = pair()
    ends = there.connect()
    there.transfer(ends, 1_000_000)
    before = ends.server.connection.stats()
    there.transfer(ends, 3_000_000)
    after = ends.server.connection.stats()
    assert after.acks_sent - before.acks_sent < 0.55 * (after.packets_received - before.packets_received)


def test_the_last_packet() -> None:
    """A full one at the end of a stream is acknowledged within a millisecond."""
    there = pair(1420)
    ends = there.connect()
    transfer = there.start_transfer(ends, 1400 * 801)
    there.drive(lambda: transfer.done)
    arrived = there.simulator.now
    there.drive(lambda: not ends.client.connection.sender.board.flights)
    assert there.simulator.now - arrived <= 20 * MILLISECOND + ACK_DELAY + MILLISECOND


def test_questions_and_answers() -> None:
    """Of a packet or a few: no acknowledgement waits."""
    there = pair()
    ends = there.connect()
    for _ in range(30):
        asked = there.simulator.now
        there.transfer(ends, 1)
        there.transfer(ends, 10_000, direction=TO_CLIENT)
        assert there.simulator.now - asked < 60 * MILLISECOND
        for connection in (ends.client.connection, ends.server.connection):
            assert connection.delayed is None or not connection.delayed.may_wait
