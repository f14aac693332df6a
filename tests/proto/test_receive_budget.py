"""
Do many peers together bring no more than the socket holds, when its owner does not keep up, and as much as ever
when it does?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import (
    BUDGET_PERCENT,
    BUDGET_PERSISTS,
    BUDGET_ROUND,
    DEFAULT_RECEIVE_BUFFER,
    HEADER_SIZE,
    MAX_MTU_IPV4,
    RECEIVE_TURN,
    UNREAD_WHEN_BEHIND,
)
from twisted_utp.proto.receive_budget import NO_SHARE, ReceiveBudget
from twisted_utp.proto.receive_buffer import ReceiveBuffer
from twisted_utp.proto.values import Datagram
from twisted_utp.testing import Ends, Pair
from twisted_utp.testing.socket_buffer import SocketBuffer

ROOM = 4 << 20
USED = ROOM * BUDGET_PERCENT // 100
NOW = 7_000_000


def crowd(count: int) -> list[object]:
    """Stand for so many connections."""
    return [object() for _ in range(count)]


def budget() -> ReceiveBudget:
    """One of a socket of 4 MiB."""
    made = ReceiveBudget()
    made.room = ROOM
    return made


@pytest.mark.parametrize(
    ("count", "share", "takes_turns"),
    [
        (1, NO_SHARE, False),
        (2, USED // 2, False),
        (16, USED // 16, False),
        (17, 3 * RECEIVE_TURN, True),
        (100, 3 * RECEIVE_TURN, True),
        (150, 2 * RECEIVE_TURN, True),
        (1000, RECEIVE_TURN, True),
    ],
)
def test_shares(count: int, share: int, takes_turns: bool) -> None:
    """
    Each gets its part of the room; one alone needs no limit.  Where that is less than three trains they take turns,
    shorter ones the more there are.
    """
    shared = budget()
    shared.on_batch(UNREAD_WHEN_BEHIND, crowd(count), NOW)  # type: ignore[arg-type]
    assert (shared.share, shared.takes_turns) == (share, takes_turns)


def test_a_flood_that_belongs_to_nobody() -> None:
    """A read that brings much, and nothing for any connection, raised ZeroDivisionError: anybody can send that."""
    pair = Pair(seed=5, log=False)
    server = pair.server.multiplexer
    server.receive_room = ROOM
    flood = [Datagram(bytes(1000), ("10.0.0.9", 7))] * (UNREAD_WHEN_BEHIND // 1000 + 1)
    assert len(server.receive_datagrams(flood, now=NOW)) == len(flood)
    assert server.port_queues.budget.share == NO_SHARE


def test_who_keeps_up_shares_nothing() -> None:
    """What is under way is then on the path, not in the socket; where nobody knows the room, nothing is limited."""
    shared = budget()
    shared.on_batch(UNREAD_WHEN_BEHIND - 1, crowd(100), NOW)  # type: ignore[arg-type]
    assert shared.share == NO_SHARE and not shared.is_on
    unknown = ReceiveBudget()
    unknown.on_batch(UNREAD_WHEN_BEHIND, crowd(100), NOW)  # type: ignore[arg-type]
    assert unknown.share == NO_SHARE


def test_how_long_it_is_shared() -> None:
    """Reads of a crowd vary, so small ones change nothing for a second.  Then all is as before."""
    shared, many = budget(), crowd(16)
    shared.on_batch(UNREAD_WHEN_BEHIND, many, NOW)  # type: ignore[arg-type]
    shared.on_batch(1000, many[:1], NOW + BUDGET_PERSISTS - 1)  # type: ignore[arg-type]
    assert shared.is_on and shared.share == USED // 16
    shared.on_batch(1000, many[:1], NOW + BUDGET_PERSISTS)  # type: ignore[arg-type]
    assert not shared.is_on and shared.share == NO_SHARE


def test_who_has_finished_leaves_his_share_to_the_others() -> None:
    """After a round in which nothing of him came."""
    shared, many = budget(), crowd(16)
    shared.on_batch(UNREAD_WHEN_BEHIND, many, NOW)  # type: ignore[arg-type]
    for step in range(1, 4):
        shared.on_batch(UNREAD_WHEN_BEHIND, many[:10], NOW + step * BUDGET_ROUND)  # type: ignore[arg-type]
    assert shared.share == USED // 10


def test_the_window_is_the_share() -> None:
    """What came by an older, larger window is taken all the same."""
    shared = budget()
    receiver = ReceiveBuffer(1, DEFAULT_RECEIVE_BUFFER, shared)
    assert receiver.advertise() == receiver.window() == DEFAULT_RECEIVE_BUFFER
    shared.on_batch(UNREAD_WHEN_BEHIND, crowd(16), NOW)  # type: ignore[arg-type]
    assert receiver.advertise() == receiver.window() == USED // 16
    assert receiver.on_run(1, [bytes(1000)] * 100, 100_000)
    assert receiver.unread_bytes == 100_000


def busy_sink(count: int, room: int, nbytes: int) -> tuple[SocketBuffer, list[Ends]]:
    """So many connections that send at once, over loopback, to a program that takes 3 µs for a packet."""
    config = UTPConfig(max_per_host=10_000)
    pair = Pair(seed=5, link={"delay": 50}, config=config, log=False)
    socket = SocketBuffer(pair.server.port, capacity=2 << 20, cost=3)
    pair.server.multiplexer.receive_room = room
    ends = [pair.connect() for _ in range(count)]
    for each in ends:
        each.client.connection.write(bytes(nbytes), now=pair.now)
    pair.client.flush()
    pair.simulator.run(lambda: sum(each.server.nbytes for each in ends) == count * nbytes)
    return socket, ends


@pytest.mark.parametrize(("room", "loses"), [(0, True), (2 << 20, False)])
def test_a_crowd(room: int, loses: bool) -> None:
    """Without a budget, a tenth of what they send finds no room in the socket; with one, nothing is lost."""
    socket, ends = busy_sink(60, room, 300_000)
    assert (socket.dropped > 1000) is loses
    if not loses:
        sums = [each.client.connection.stats() for each in ends]
        assert sum(stats.packets_lost + stats.timeouts + stats.window_cuts for stats in sums) == 0
        assert socket.dropped == 0


def test_a_crowd_finds_the_size_of_its_path() -> None:
    """
    A probe leaves in the same turn as the train before it: by the next turn that is acknowledged, and none leaves
    alone.  Else there are two thirds more packets than full ones would be, in place of a third.
    """
    _, ends = busy_sink(100, 2 << 20, 100_000)
    packets = sum(each.client.connection.stats().packets_sent for each in ends)
    assert packets < 1.35 * 100 * 100_000 / (MAX_MTU_IPV4 - HEADER_SIZE)
