"""
Do the same sessions still send the same packets at the same times?

What leaves depends on a thousand decisions, and most changes mean to touch none of them.  So seeded sessions of all
kinds are played, and all that goes over the wire, both ways, with its time, is compared with what it was when
C{same_packets.json} was written.  A difference is no fault by itself; but whoever makes one says why, and writes the
file anew::

    python tests/proto/test_same_packets.py --write
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol

from twisted_utp import UTPConfig
from twisted_utp.proto.values import Datagram
from twisted_utp.protocol import UTPProtocol
from twisted_utp.testing import (
    MILLISECOND,
    TO_CLIENT,
    TO_SERVER,
    Link,
    Network,
    Node,
    Packet,
    Pair,
    Record,
    Simulator,
    UniformJitter,
    merge,
)
from twisted_utp.testing.reactor import SimulatedReactor

RECORDED = Path(__file__).with_name("same_packets.json")

LOSSY = {
    "rate": 20_000_000,
    "delay": 20 * MILLISECOND,
    "loss": 0.01,
    "reorder": 0.01,
    "reorder_delay": 3 * MILLISECOND,
    "duplicate": 0.005,
}
CONTROLLERS = ("scavenger", "ledbat++", "ledbat", "cubic", "fixed")


class Tape:
    """
    What went over the wire.
    """

    def __init__(self, simulator: Simulator, *links: Link) -> None:
        self._simulator = simulator
        self._digest = hashlib.sha256()
        self.packets = 0
        for number, link in enumerate(links):
            link.taps.append(self._tap(number))

    def _tap(self, number: int) -> Callable[[Packet], bool]:
        def hear(packet: Packet) -> bool:
            self.packets += 1
            about = (self._simulator.now, number, packet.source, packet.destination, packet.dont_fragment)
            self._digest.update(repr(about).encode() + packet.data)
            return False

        return hear

    def read(self) -> str:
        """How many packets, and a digest of all."""
        return f"{self.packets} {self._digest.hexdigest()[:24]}"


def of_pair(play: Callable[[Pair, Random], object], **settings: Any) -> Callable[[int], str]:
    """A session of two cores."""

    def session(seed: int) -> str:
        pair = Pair(seed=seed, log=False, **settings)
        tape = Tape(pair.simulator, pair.up, pair.down)
        play(pair, Random(seed))
        return tape.read()

    return session


# --- What is played ---------------------------------------------------------------------------------------------


def bulk(pair: Pair, dice: Random) -> None:
    """There, back, both at once, and a close."""
    ends = pair.connect()
    pair.transfer(ends, 300_000)
    pair.transfer(ends, 150_000, direction=TO_CLIENT)
    both = pair.start_transfer(ends, 100_000), pair.start_transfer(ends, 100_000, direction=TO_CLIENT)
    pair.drive(lambda: all(transfer.done for transfer in both))
    pair.client.close(ends.client)
    pair.run_for(0.5)
    pair.server.close(ends.server)
    pair.drive_bounded()


def half_closed(pair: Pair, dice: Random) -> None:
    """One side ends, the other goes on for a while."""
    ends = pair.connect()
    pair.client.write(ends.client, bytes(20_000))
    pair.client.write_eof(ends.client)
    pair.run_for(1)
    pair.transfer(ends, 50_000, direction=TO_CLIENT)
    pair.server.write_eof(ends.server)
    pair.run_for(20)


def talk(pair: Pair, dice: Random) -> None:
    """Small writes of both sides, close together and apart."""
    ends = pair.connect()
    for _ in range(150):
        node, record = dice.choice(((pair.client, ends.client), (pair.server, ends.server)))
        for _ in range(dice.choice((1, 1, 2, 5))):
            node.write(record, bytes(dice.choice((1, 1, 30, 400, 1300, 3000))))
        pair.run_for(dice.choice((0, 0.0003, 0.002, 0.02, 0.3)))
    ends.client.connection.set_no_delay(True, now=pair.client.now())
    for _ in range(40):
        pair.client.write(ends.client, b"x")
    pair.run_for(2)
    pair.server.abort(ends.server)
    pair.run_for(2)


def questions(pair: Pair, dice: Random) -> None:
    """A question, its answer, and so on."""
    ends = pair.connect()
    left = [400]

    def answer(data: bytes) -> None:
        ends.server.connection.write(data, now=pair.server.now())

    def ask(data: bytes) -> None:
        left[0] -= 1
        if left[0]:
            ends.client.connection.write(b"?" * dice.choice((1, 1, 1, 50, 2000)), now=pair.client.now())

    ends.server.on_data, ends.client.on_data = answer, ask
    pair.client.write(ends.client, b"?")
    pair.run_for(5)
    pair.client.close(ends.client)
    pair.run_for(5)


def windows(pair: Pair, dice: Random) -> None:
    """A reader that stops and goes on."""
    ends = pair.connect()
    transfer = pair.start_transfer(ends, 600_000)
    for _ in range(6):
        pair.run_for(dice.choice((0.05, 0.4)))
        pair.server.pause_reading(ends.server)
        pair.run_for(dice.choice((0.2, 3, 9)))
        pair.server.resume_reading(ends.server)
    pair.drive(lambda: transfer.done)
    pair.client.close(ends.client)
    pair.run_for(3)


def idle(pair: Pair, dice: Random) -> None:
    """Nothing to say; then the peer is gone."""
    ends = [pair.connect() for _ in range(4)]
    pair.client.write(ends[0].client, b"hello")
    pair.run_for(200)
    pair.down.down_for(10_000_000_000)
    pair.run_for(400)


def refused(pair: Pair, dice: Random) -> None:
    """Nobody accepts; then SYNs are lost; then somebody does, and forgets."""
    pair.server.multiplexer.accepting = False
    pair.start_connect()
    pair.run_for(5)
    pair.server.multiplexer.accepting = True
    pair.up.down_for(8_000_000)
    record = pair.start_connect()
    pair.drive(lambda: record.connected)
    pair.client.write(record, bytes(5000))
    pair.down.down_for(9_000_000)
    pair.run_for(20)
    pair.client.abort(record)
    pair.run_for(5)


def dead_end(pair: Pair, dice: Random) -> None:
    """The peer vanishes in the middle."""
    ends = pair.connect()
    pair.start_transfer(ends, 10_000_000)
    pair.run_for(1)
    pair.up.down_for(10_000_000_000)
    pair.run_for(300)


def without_echo(pair: Pair, dice: Random) -> None:
    """A peer that shows no echo, so packets are withheld from it."""

    def silence(packet: Packet) -> bool:
        packet.data = packet.data[:8] + bytes(4) + packet.data[12:]
        return False

    pair.up.taps.append(silence)
    ends = pair.connect()
    pair.client.write(ends.client, b"request")
    pair.transfer(ends, 400_000, direction=TO_CLIENT)
    pair.client.close(ends.client)
    pair.run_for(10)


def crowd(pair: Pair, dice: Random) -> None:
    """Many connections of one port, whose packets arrive mixed."""
    ends = [pair.connect() for _ in range(12)]
    for turn in range(120):
        one = dice.choice(ends)
        if turn % 10 == 9:
            for other in ends:  # a burst of all, that the receiver's card gathers
                pair.client.write(other.client, bytes(dice.choice((100, 4000, 20_000))))
        elif dice.random() < 0.5:
            pair.client.write(one.client, bytes(dice.choice((1, 700, 9000))))
        else:
            pair.server.write(one.server, bytes(dice.choice((1, 700, 9000))))
        pair.run_for(dice.choice((0, 0, 0.0005, 0.01)))
    for number, one in enumerate(ends):
        (pair.client.abort, pair.client.close, pair.client.write_eof)[number % 3](one.client)
        pair.run_for(0.01)
    for one in ends:
        if one.server.lost is None:
            pair.server.close(one.server)
    pair.run_for(30)


def punching(seed: int) -> str:
    """Two that dial each other, on a link that loses."""
    simulator = Simulator(seed)
    network = Network(simulator)
    hosts = network.add_host("10.0.0.1"), network.add_host("10.0.0.2")
    there, back = (Link(simulator, delay=15 * MILLISECOND, loss=0.2) for _ in "ab")
    network.join(*hosts, there=[there], back=[back])
    nodes = [Node(host, 9000) for host in hosts]
    tape = Tape(simulator, there, back)
    records: list[Record] = []
    for node, other, wait in ((nodes[0], nodes[1], 5 + seed), (nodes[1], nodes[0], 0)):
        connection = node.multiplexer.connect(other.address, now=node.now(), is_punching=True)
        records.append(node._record(connection))
        node.flush()
        simulator.run_for(wait * MILLISECOND)
    simulator.run_for(6_000_000)
    for node in nodes:
        for record in node.records:
            if record.connected and record.lost is None:
                node.write(record, bytes(30_000))
                node.close(record)
    simulator.run_for(30_000_000)
    return tape.read()


class Chatting(Protocol):
    """Asks, and answers, as long as there is something to say; then sends much, and closes."""

    left = 300

    def connectionMade(self) -> None:
        self.dice = Random(7)
        if self.factory.asks:  # type: ignore[attr-defined]
            self.transport.write(b"?")

    def dataReceived(self, data: bytes) -> None:
        self.left -= 1
        if self.left > 0:
            self.transport.write(bytes(self.dice.choice((1, 1, 1, 1, 80, 5000))))
        elif not self.left:
            self.transport.write(bytes(200_000))
            self.transport.loseConnection()


def glue(seed: int, *, batches: bool) -> str:
    """The Twisted side, with a port that reads batches itself or with one that does not."""
    simulator = Simulator(seed)
    network = Network(simulator)
    hosts = network.add_host("10.0.0.1"), network.add_host("10.0.0.2")
    there, back = (Link(simulator, delay=300 + 2000 * (seed % 2), loss=0.002) for _ in "ab")
    network.join(*hosts, there=[there], back=[back])
    tape = Tape(simulator, there, back)
    ports = [UTPProtocol(SimulatedReactor(host)) for host in hosts]
    for port in ports:
        listening = port.reactor.listenUDP(9000, port)
        if batches:

            def receive(packets: list[Packet], port: UTPProtocol = port) -> None:
                port.datagrams_received(merge([Datagram(packet.data, packet.source) for packet in packets]))

            listening._port.receive = receive
    asking, answering = Factory.forProtocol(Chatting), Factory.forProtocol(Chatting)
    asking.asks, answering.asks = True, False  # type: ignore[attr-defined]
    ports[1].listen(answering)
    for _ in range(1 + seed % 3):
        ports[0].connect(asking, "10.0.0.2", 9000)
    simulator.run_for(40_000_000)
    return tape.read()


SESSIONS: dict[str, Callable[[int], str]] = {
    **{
        f"bulk {name}{' merged' if gro else ''}": of_pair(
            bulk,
            link={**LOSSY, "coalesce": 900 * gro},
            gro=gro,
            config=UTPConfig(congestion=name, max_in_flight=1_000_000),
        )
        for name in CONTROLLERS
        for gro in (False, True)
    },
    **{
        f"{play.__name__} {name}": of_pair(play, link=LOSSY, config=UTPConfig(congestion=name))
        for play in (half_closed, talk)
        for name in CONTROLLERS
    },
    "bulk unpaced and gathered": of_pair(
        bulk, link={"delay": 5 * MILLISECOND, "coalesce": 400}, gro=True, config=UTPConfig(pacing=False)
    ),
    "bulk on a jittering path": of_pair(
        bulk, link={"rate": 50_000_000, "jitter": UniformJitter(4 * MILLISECOND), "loss": 0.003}
    ),
    "bulk through a narrow path": of_pair(bulk, link={"mtu": 1300, "rate": 20_000_000}),
    "questions far away": of_pair(questions, link={"delay": 10 * MILLISECOND, "loss": 0.01}),
    "questions nearby": of_pair(questions, link={"delay": 300}),
    "windows": of_pair(windows, link={"rate": 30_000_000}, config=UTPConfig(receive_buffer=60_000)),
    "windows on a lossy path": of_pair(windows, link=LOSSY, config=UTPConfig(receive_buffer=20_000)),
    "idle": of_pair(idle, config=UTPConfig(keepalive=20)),
    "refused": of_pair(refused),
    "dead end": of_pair(dead_end, link={"rate": 5_000_000}),
    "without echo": of_pair(without_echo, link=LOSSY),
    "crowd": of_pair(crowd, link={"rate": 100_000_000}),
    "crowd merged": of_pair(crowd, link={"delay": 3 * MILLISECOND, "coalesce": 800}, gro=True),
    "crowd gathered": of_pair(crowd, link={**LOSSY, "coalesce": 800}),
    "punching": punching,
    "glue": lambda seed: glue(seed, batches=False),
    "glue in batches": lambda seed: glue(seed, batches=True),
}
SEEDS = (1, 2)


def played(name: str) -> list[str]:
    """A session, once for each seed."""
    return [SESSIONS[name](seed) for seed in SEEDS]


@pytest.mark.parametrize("name", SESSIONS)
def test_same_packets(name: str) -> None:
    """
    Nothing leaves that did not leave before, and nothing is missing, late or early.
    """
    assert played(name) == json.loads(RECORDED.read_text())[name]


def test_sessions_are_recorded() -> None:
    """
    Each session has its entry, and none is left of those that are no more.
    """
    assert list(json.loads(RECORDED.read_text())) == sorted(SESSIONS)


def test_differences_are_seen() -> None:
    """
    Another seed is another session; the same one is the same.
    """
    session = SESSIONS["refused"]
    assert session(1) == session(1) != session(2)
    assert TO_SERVER != TO_CLIENT


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    RECORDED.write_text(json.dumps({name: played(name) for name in sorted(SESSIONS)}, indent=0) + "\n")
