"""
Do packets that arrive in the wrong process find the right one, and is nobody refused who belongs to another?
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.events import Connected, ConnectionLost, LossReason
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.packet import Packet, PacketType, encode_packet
from twisted_utp.proto.values import Address, Datagram

SERVER: Address = ("10.0.0.1", 9000)
CLIENT: Address = ("10.0.0.2", 4000)
STRAY = encode_packet(Packet(PacketType.DATA, 4711, seq_nr=5, ack_nr=6, payload=b"stray"))


class Other:
    """Another process: what it is asked goes to its port, unless it only listens."""

    def __init__(self, port: Multiplexer | None = None) -> None:
        self.port = port
        self.asked: list[tuple[bytes, bool]] = []
        self.known: set[tuple[Address, int]] = set()
        self.taken: list[Datagram] = []
        self.answer = True

    def takes(self, address: Address, recv_id: int, datagram: Datagram) -> bool:
        if (address, recv_id) not in self.known:
            return False
        self.taken.append(datagram)
        return True

    def ask(self, datagram: Datagram, is_refused: bool) -> bool:
        self.asked.append((datagram.data, is_refused))
        if self.port is not None:
            self.port.receive_datagrams([datagram], now=NOW)
        return self.answer


NOW = 1_000_000


def port(config: UTPConfig | None = None, *, seed: int = 1) -> Multiplexer:
    """One that listens."""
    made = Multiplexer(config, rng=Random(seed))
    made.accepting = True
    return made


def sent(multiplexer: Multiplexer) -> list[bytes]:
    """What leaves now."""
    return [part for transmit in multiplexer.poll_transmits(now=NOW) for part in transmit.segments()]


def give(multiplexer: Multiplexer, packets: list[bytes], source: Address = CLIENT) -> None:
    """What arrives, one by one."""
    for packet in packets:
        multiplexer.receive_datagrams([Datagram(packet, source)], now=NOW)


def types(packets: list[bytes]) -> list[int]:
    """Of packets."""
    return [packet[0] >> 4 for packet in packets]


def dialled(server: Multiplexer) -> tuple[Multiplexer, Any]:
    """A client whose SYN that process has answered."""
    client = Multiplexer(rng=Random(7))
    connection = client.connect(SERVER, now=NOW)
    give(server, sent(client))
    give(client, sent(server), SERVER)
    assert [type(event) for _, event in client.poll_events()] == [Connected]
    return client, connection


def test_a_stray() -> None:
    """Others are asked, with the word that it would be refused; only when nobody has it, it is."""
    here, other = port(), Other()
    here.siblings = other
    give(here, [STRAY])
    assert other.asked == [(STRAY, True)] and sent(here) == [] and here.stats.no_connection == 0
    other.answer = False
    give(here, [STRAY])
    assert types(sent(here)) == [PacketType.RESET] and here.stats.no_connection == 1


def test_a_reset() -> None:
    """It is handed on, and never answered."""
    here, other = port(), Other()
    here.siblings = other
    reset = encode_packet(Packet(PacketType.RESET, 4711))
    for other.answer in (True, False):
        give(here, [reset])
        assert sent(here) == []
    assert other.asked == [(reset, False)] * 2
    assert here.stats.resets_ignored == 1


def test_connections_go_on() -> None:
    """Data, acknowledgements and FIN reach the process that has the connection, by way of one that has not."""
    there, here = port(), port(seed=2)
    here.siblings = Other(there)
    client, connection = dialled(there)
    connection.write(b"by another way", now=NOW)
    give(here, sent(client))
    events = [event for _, event in there.poll_events()]
    assert any(event == b"by another way" for event in events)
    assert len(there) == 1 and len(here) == 0 and sent(here) == []


def test_a_reset_of_a_connection() -> None:
    """The process that has it believes it."""
    there, here = port(), port(seed=2)
    client, connection = dialled(there)
    connection.write(b"proof", now=NOW)
    give(there, sent(client))
    there.poll_events()
    here.siblings = Other(there)
    connection.abort(now=NOW)
    give(here, sent(client))
    lost = [event for _, event in there.poll_events() if isinstance(event, ConnectionLost)]
    assert [event.reason for event in lost] == [LossReason.RESET]


@pytest.mark.parametrize("both", [False, True])
def test_cookies(both: bool) -> None:
    """What proves a cookie is proof in the process that gave it, also when the other has given some as well."""
    config = UTPConfig(backlog=1)
    there, here = port(config), port(config, seed=2)
    for full in (there, here) if both else (there,):
        for id_ in (100, 200):
            give(full, [encode_packet(Packet(PacketType.SYN, id_, seq_nr=1))], ("10.0.0.9", id_))
        sent(full)
        assert full.stats.cookies_sent == 1
    here.siblings = Other(there)
    client, connection = dialled(there)
    assert there.stats.cookies_sent == 2
    connection.write(b"proof", now=NOW)
    give(here, sent(client))
    assert there.stats.cookies_proven == 1 and len(there) == 1 and sent(here) == []


def test_a_train() -> None:
    """One of a connection that is known to be elsewhere is handed on whole."""
    here, other = port(), Other()
    here.siblings = other
    other.known = {(CLIENT, 4711)}
    packets = [Packet(PacketType.DATA, 4711, seq_nr=number, ack_nr=6, payload=b"x" * 80) for number in (5, 6, 7)]
    train = Datagram(b"".join(map(encode_packet, packets)), CLIENT, 100)
    here.receive_datagrams([train], now=NOW)
    assert other.taken == [train] and other.asked == []
    assert here.stats.datagrams_received == 3
    other.known.clear()
    here.receive_datagrams([train], now=NOW)
    assert len(other.asked) == 3


def test_syns_of_those_who_do_not_listen() -> None:
    """Another process may; who listens answers himself."""
    here, other = port(), Other()
    here.siblings = other
    syn = encode_packet(Packet(PacketType.SYN, 4711, seq_nr=1))
    give(here, [syn])
    assert other.asked == [] and types(sent(here)) == [PacketType.STATE]
    here.accepting = False
    give(here, [syn])
    assert other.asked == [], "it is a SYN that has been answered"
    another = encode_packet(Packet(PacketType.SYN, 5000, seq_nr=1))
    give(here, [another])
    assert other.asked == [(another, True)]
    sent(here)
    other.answer = False
    give(here, [another])
    assert types(sent(here)) == [PacketType.RESET]


def test_a_repeated_syn() -> None:
    """It goes where its connection is known to be, so that it does not open a second one."""
    here, other = port(), Other()
    here.siblings = other
    other.known = {(CLIENT, 4712)}
    give(here, [encode_packet(Packet(PacketType.SYN, 4711, seq_nr=1))])
    assert len(other.taken) == 1 and sent(here) == []
