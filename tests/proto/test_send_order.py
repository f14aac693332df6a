"""
Is the order in which packets left kept through repetitions and splits?
"""

from __future__ import annotations

from random import Random

import pytest

from twisted_utp.proto.scoreboard import Flight, FlightState, Scoreboard
from twisted_utp.proto.send_order import SendOrder


def flight(seq: int, sent_at: int) -> Flight:
    """One packet."""
    return Flight(seq, 1, b"", 0, 0, 0, sent_at)


def order(send_order: SendOrder) -> list[int]:
    """The sequence numbers, oldest first; the chain must read the same from its other end."""
    forth, back = [], []
    at = send_order.first
    while at is not None:
        forth.append(at.seq)
        at = at.later
    at = send_order.last
    while at is not None:
        back.append(at.seq)
        at = at.earlier
    assert forth == back[::-1]
    return forth


def test_order_of_departure() -> None:
    """By time; at one instant by sequence number (RFC 8985 (6.2))."""
    send_order = SendOrder()
    flights = {seq: flight(seq, sent_at) for seq, sent_at in ((5, 10), (9, 20), (7, 20), (8, 20), (1, 30))}
    for one in flights.values():
        send_order.append(one)
    assert order(send_order) == [5, 7, 8, 9, 1]
    for seq, left in ((8, [5, 7, 9, 1]), (5, [7, 9, 1]), (1, [7, 9]), (9, [7]), (7, [])):
        send_order.remove(flights[seq])
        assert order(send_order) == left


def test_cleared_flights_do_not_hold_each_other() -> None:
    """A connection that ends leaves nothing for the garbage collector to find out."""
    send_order = SendOrder()
    flights = [flight(seq, seq) for seq in range(3)]
    for one in flights:
        send_order.append(one)
    send_order.clear()
    assert order(send_order) == [] and all(one.earlier is one.later is None for one in flights)


@pytest.mark.parametrize("seed", range(5))
def test_board_keeps_the_order(seed: int) -> None:
    """Whatever happens: exactly the flights on their way, by when they left and by sequence number."""
    random, board, now, next_seq = Random(seed), Scoreboard(1000), 1, 1000
    for _ in range(400):
        now += random.randrange(3)
        roll = random.random()
        if roll < 0.3:
            count = random.randrange(1, 9)
            board.add(Flight(next_seq, count, bytes(100 * count), 0, 100, 100 * count, now))
            next_seq += count
        elif roll < 0.6:
            board.acknowledge(board.una + random.randrange(2), random.getrandbits(60) & random.getrandbits(60), 0)
        elif roll < 0.8 and (lost := list(board.in_flight())):
            board.mark_lost(random.choice(lost))
        elif (again := board.first_lost()) is not None:
            board.resend(again, random.randrange(1, again.count + 1), now)
        expected = sorted((f.sent_at, f.end, f.seq) for f in board.flights if f.fate is FlightState.IN_FLIGHT)
        assert order(board.send_order) == [seq for _, _, seq in expected]
