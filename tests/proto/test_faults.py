"""
Does what a congestion controller or a tracer raises end one connection of a batch, and no other?
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from twisted_utp.proto.connection import Connection
from twisted_utp.proto.events import ConnectionLost, LossReason
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.packet import PacketType, decode_packet
from twisted_utp.proto.states import State
from twisted_utp.proto.values import Datagram, Transmit

OURS = ("192.0.2.1", 1)
PEERS = [("192.0.2.2", number) for number in (1, 2, 3)]


class Ports:
    """
    A port with a connection to each of three others.
    """

    def __init__(self) -> None:
        self.now = 5_000_000
        self.ours = Multiplexer(rng=Random(1))
        self.theirs = {address: Multiplexer(rng=Random(address[1])) for address in PEERS}
        for port in self.theirs.values():
            port.accepting = True
        self.connections: list[Connection] = [self.ours.connect(address, now=self.now) for address in PEERS]
        for _ in range(5):
            self.carry()
        self.events()

    def sent(self) -> list[Transmit]:
        """What we send now."""
        return self.ours.poll_transmits(now=self.now)

    def answers(self, sent: list[Transmit]) -> list[Datagram]:
        """What the peers say to that, a moment later."""
        self.now += 10_000
        answers = []
        for transmit in sent:
            port = self.theirs[transmit.address]
            port.receive_datagrams([Datagram(transmit.payload, OURS, transmit.segment_size)], now=self.now)
            for answer in port.poll_transmits(now=self.now):
                answers.append(Datagram(answer.payload, transmit.address, answer.segment_size))
        return answers

    def said_by(self, address: Any) -> list[Datagram]:
        """What a peer sends of its own accord."""
        return [Datagram(sent.payload, address) for sent in self.theirs[address].poll_transmits(now=self.now)]

    def take(self, datagrams: list[Datagram]) -> None:
        """In one batch."""
        self.now += 10_000
        self.ours.receive_datagrams(datagrams, now=self.now)

    def carry(self) -> None:
        """One round trip."""
        self.take(self.answers(self.sent()))

    def events(self) -> list[Any]:
        """What happened to whom."""
        return [(self.connections.index(connection), event) for connection, event in self.ours.poll_events()]


def broken(name: str, error: BaseException) -> Any:
    """A controller's method that raises."""

    def fail(*args: Any, **keywords: Any) -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", [ZeroDivisionError(), SystemExit(3), KeyboardInterrupt()])
def test_in_the_middle_of_a_batch(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of three raises: it alone ends, with that and a RESET; the first and the third have their news."""
    ports = Ports()
    for connection in ports.connections:
        connection.write(b"x" * 3000, now=ports.now)
    answers = ports.answers(ports.sent())
    culprit = ports.connections[1].sender.congestion
    real = type(culprit).on_ack

    def on_ack(self: Any, **keywords: Any) -> None:
        if self is culprit:
            raise error
        real(self, **keywords)

    monkeypatch.setattr(type(culprit), "on_ack", on_ack)
    ports.take(answers)
    assert ports.events() == [(1, ConnectionLost(LossReason.FAULT, 0, error))]
    assert [connection.state for connection in ports.connections] == [
        State.ESTABLISHED, State.CLOSED, State.ESTABLISHED,
    ]  # fmt: skip
    assert [ports.connections[number].sender.board.flight_bytes for number in (0, 2)] == [0, 0]
    assert len(ports.ours) == 2 and ports.ours.faults == []
    (reset,) = [sent for sent in ports.sent() if sent.address == PEERS[1]]
    assert decode_packet(reset.payload).type is PacketType.RESET
    ports.answers([reset])
    (peer,) = ports.theirs[PEERS[1]].poll_events()[-1:]
    assert isinstance(peer[1], ConnectionLost) and peer[1].reason is LossReason.RESET


@pytest.mark.interpreted
@pytest.mark.parametrize("where", ["finish_batch", "poll_transmits", "handle_timeout", "on_reset"])
def test_wherever_it_is(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever step of a connection raises, the others' steps are taken."""
    ports, error = Ports(), ZeroDivisionError()
    real = getattr(Connection, where)

    def step(connection: Connection, *args: Any, **keywords: Any) -> Any:
        if connection is ports.connections[0]:
            raise error
        return real(connection, *args, **keywords)

    monkeypatch.setattr(Connection, where, step)
    if where == "on_reset":
        for address in PEERS:
            (theirs,) = ports.theirs[address].table.all()
            theirs.abort(now=ports.now)
            ports.take(ports.said_by(address))
        assert [event.reason for _, event in ports.events()] == [LossReason.FAULT, LossReason.RESET, LossReason.RESET]
        return
    for connection in ports.connections:
        connection.write(b"x", now=ports.now)
    if where == "handle_timeout":
        ports.sent()
        ports.now += 3_000_000
        ports.ours.handle_timeout(now=ports.now)
        again = ports.sent()
        assert {sent.address for sent in again} >= {PEERS[1], PEERS[2]}
        ports.take(ports.answers([sent for sent in again if sent.address != PEERS[0]]))
    for _ in range(3):
        ports.carry()
    assert ports.events() == [(0, ConnectionLost(LossReason.FAULT, 0, error))]
    assert {connection.state for connection in ports.connections[1:]} == {State.ESTABLISHED}
    assert {connection.sender.board.flight_bytes for connection in ports.connections[1:]} == {0}


@pytest.mark.interpreted
def test_on_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single packet, taken and answered: what raises there ends the connection as well."""
    for function in ("fast_path_receive", "fast_path_send"):
        ports, error = Ports(), ZeroDivisionError()
        with monkeypatch.context() as patch:
            patch.setattr(f"twisted_utp.proto.multiplexer.{function}", broken(function, error))
            (theirs,) = ports.theirs[PEERS[0]].table.all()
            theirs.write(b"hello", now=ports.now)
            (sent,) = ports.theirs[PEERS[0]].poll_transmits(now=ports.now)
            ports.sent()
            if function == "fast_path_receive":
                assert ports.ours.receive_single(Datagram(sent.payload, PEERS[0]), ports.now) is None
            else:
                ports.connections[0].write(b"x", now=ports.now)
                assert ports.ours.poll_single(ports.connections[0], ports.now) is None
        assert ports.events() == [(0, ConnectionLost(LossReason.FAULT, 0, error))]


def test_tracer() -> None:
    """One that raises at its last word, and at any other, leaves nothing in the port's tables."""
    for event in ("connection_closed", "state_updated", "packets_acked", "packet_received"):
        ports = Ports()

        def tracer(now: int, address: Any, number: int, told: str, *, event: str = event, **data: Any) -> None:
            if told == event:
                raise ZeroDivisionError

        traced = ports.ours.connect(PEERS[0], now=ports.now, tracer=tracer)
        ports.connections.append(traced)
        for _ in range(3):
            ports.carry()
        traced.write(b"x", now=ports.now)
        ports.carry()
        if event == "connection_closed":
            (theirs,) = [one for one in ports.theirs[PEERS[0]].table.all() if one.recv_id == traced.send_id]
            theirs.abort(now=ports.now)
            ports.take(ports.said_by(PEERS[0]))
        assert traced.state is State.CLOSED and len(ports.ours) == 3, event
        assert ports.ours.snapshot().connections == 3


def test_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that cannot be made is refused, and what was raised is kept for the owner: a few of them."""
    ports = Ports()
    port = ports.theirs[PEERS[0]]
    before = len(port)
    for _ in range(20):
        ports.connections.append(ports.ours.connect(PEERS[0], now=ports.now))
    sent = ports.sent()
    answers = ports.answers(sent)
    ports.take(answers)
    confirming = ports.sent()
    monkeypatch.setattr("twisted_utp.proto.connection.make_congestion_controller", broken("", ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        port.connect(OURS, now=ports.now)
    ports.answers(confirming)
    assert len(port) == before and {type(fault) for fault in port.faults} == {ZeroDivisionError}
    assert 0 < len(port.faults) <= 16
    assert port.snapshot().half_open == 0
    monkeypatch.undo()
    (theirs,) = [one for one in port.table.all() if one.incoming]
    ports.connections[0].write(b"still there", now=ports.now)
    ports.carry()
    assert b"still there" in [event for connection, event in port.poll_events() if connection is theirs]
