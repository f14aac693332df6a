"""
Does a peer get in although nothing was kept of its SYN, and nobody else?
"""

from __future__ import annotations

from random import Random

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import (
    COOKIE_SLOT,
    EXTENSION_BITS_SIGNATURE,
    MAX_USED_COOKIES,
    MAX_USED_COOKIES_PER_HOST,
    RESETS_PER_SOURCE,
)
from twisted_utp.proto.handshake import syn_ack
from twisted_utp.proto.packet import Packet, PacketType
from twisted_utp.proto.syn_cookies import SynCookies
from twisted_utp.proto.values import Address
from twisted_utp.testing import RawPeer
from twisted_utp.testing.wire import DATA, RESET, STATE, SYN, encode

HERE: Address = ("192.0.2.1", 6881)
NOW = 9_000_000_000


def answered(cookies: SynCookies, syn: Packet, now: int = NOW) -> Packet:
    """The SYN-ACK."""
    cookie = cookies.issue(syn, HERE, now)
    return syn_ack(
        syn.connection_id,
        timestamp=now + cookie.clock_offset & 0xFFFFFFFF,
        timestamp_difference=0,
        wnd_size=5000,
        seq_nr=cookie.first_seq,
        ack_nr=syn.seq_nr,
        with_bits=False,
    )


def following(answer: Packet, syn: Packet, kind: PacketType = PacketType.DATA) -> Packet:
    """What an initiator sends next: its clock is at 0 when the answer arrives, and when it sends."""
    connection_id, seq, ack = syn.connection_id + 1 & 0xFFFF, syn.seq_nr + 1 & 0xFFFF, answer.seq_nr - 1 & 0xFFFF
    return Packet(kind, connection_id, 0, -answer.timestamp & 0xFFFFFFFF, seq_nr=seq, ack_nr=ack)


@pytest.mark.parametrize("bits", [None, EXTENSION_BITS_SIGNATURE | 3])
@pytest.mark.parametrize("number", [0, 7, 0xFFFF])
def test_round_trip(number: int, bits: int | None) -> None:
    """The SYN comes back, with whether it was one of ours, and so do the numbers of the answer; once."""
    for kind in (PacketType.DATA, PacketType.STATE):
        cookies = SynCookies(Random(1))
        syn = Packet(PacketType.SYN, number, timestamp=100, seq_nr=number, extension_bits=bits)
        answer = answered(cookies, syn)
        proven = cookies.proven_syn(following(answer, syn, kind), HERE, NOW + 1)
        assert proven is not None
        again, cookie = proven
        assert (again.connection_id, again.seq_nr, cookie.first_seq) == (number, number, answer.seq_nr)
        assert NOW + cookie.clock_offset & 0xFFFFFFFF == answer.timestamp
        assert again.extension_bits == (EXTENSION_BITS_SIGNATURE if bits else None)
        assert cookies.proven_syn(following(answer, syn, kind), HERE, NOW + 2) is None


@pytest.mark.parametrize("bits", [None, EXTENSION_BITS_SIGNATURE | 3])
def test_without_an_echo(bits: int | None) -> None:
    """A stranger may echo no timestamp, but its host has few such tries; who echoes, as ours do, has any number."""
    for difference, expected in ((0, 0 if bits else RESETS_PER_SOURCE), (None, 10)):
        cookies, known = SynCookies(Random(1)), 0
        for number in range(10):
            syn = Packet(PacketType.SYN, 20 + number, seq_nr=6, extension_bits=bits)
            proof = following(answered(cookies, syn), syn)
            proof.timestamp_difference = proof.timestamp_difference if difference is None else difference
            known += cookies.proven_syn(proof, HERE, NOW) is not None
        assert known == expected


def test_used_cookies_are_bounded() -> None:
    """What was used is remembered as long as it is good; when there is no room, no cookie opens anything."""
    cookies = SynCookies(Random(1))
    cookies._used = {bytes([at >> 8, at & 255]): (NOW, "") for at in range(MAX_USED_COOKIES)}
    cookies._used_by[""] = MAX_USED_COOKIES
    syn = Packet(PacketType.SYN, 5, seq_nr=6)
    assert cookies.proven_syn(following(answered(cookies, syn), syn), HERE, NOW) is None
    later = NOW + 2 * COOKIE_SLOT
    assert cookies.proven_syn(following(answered(cookies, syn, later), syn), HERE, later) is not None
    assert len(cookies._used) == 1


def test_same_answer_again() -> None:
    """A repeated SYN gets the identical answer within the slot."""
    cookies, syn = SynCookies(Random(1)), Packet(PacketType.SYN, 5, seq_nr=6)
    assert answered(cookies, syn).seq_nr == answered(cookies, syn, NOW + 1000).seq_nr


def test_only_the_one_who_got_it() -> None:
    """Another address, id, seq_nr or ack_nr proves nothing, but for a guess in 16,000; nor does another type."""
    cookies, syn = SynCookies(Random(1)), Packet(PacketType.SYN, 5, seq_nr=6)
    good = following(answered(cookies, syn), syn)
    assert cookies.proven_syn(good, (HERE[0], 6882), NOW) is None
    for field, value in (("connection_id", 7), ("seq_nr", 8), ("ack_nr", good.ack_nr + 1)):
        wrong = following(answered(cookies, syn), syn)
        setattr(wrong, field, value)
        assert cookies.proven_syn(wrong, HERE, NOW) is None, field
    guesses = (Packet(PacketType.DATA, 6, seq_nr=7, ack_nr=ack) for ack in range(1 << 16))
    assert sum(cookies.proven_syn(guess, HERE, NOW) is not None for guess in guesses) <= 4


def test_lifetime() -> None:
    """Good for a slot at the least; nothing is believed once none has been issued for that long."""
    cookies, syn = SynCookies(Random(1)), Packet(PacketType.SYN, 5, seq_nr=6)
    assert cookies.proven_syn(following(syn, syn), HERE, NOW) is None and not cookies.were_issued(NOW)
    good = following(answered(cookies, syn), syn)
    assert cookies.proven_syn(good, HERE, NOW + COOKIE_SLOT - 1) is not None
    assert cookies.proven_syn(good, HERE, NOW + COOKIE_SLOT) is None
    answered(cookies, Packet(PacketType.SYN, 50, seq_nr=6), NOW + 2 * COOKIE_SLOT)
    assert cookies.proven_syn(good, HERE, NOW + 2 * COOKIE_SLOT) is None


def test_on_the_wire() -> None:
    """While the backlog is full a peer gets in with its first data, and its connection is like any other."""
    peer = RawPeer.facing(config=UTPConfig(backlog=1))
    peer.send(SYN, connection_id=9000, seq_nr=1)
    peer.syn()
    peer.ack_nr = peer.drain()[-1].seq_nr - 1
    assert len(peer.node.multiplexer) == 0
    peer.data(b"hello")
    peer.expect(STATE)
    assert bytes(peer.record.data) == b"hello" and len(peer.node.multiplexer) == 1
    peer.node.write(peer.record, b"and back")
    assert peer.expect(DATA).payload == b"and back"
    assert peer.node.multiplexer.stats.cookies_proven == 1


def test_second_data_first() -> None:
    """Data whose predecessor was lost does not prove the SYN; it is neither taken for the first nor reset."""
    peer = RawPeer.facing(config=UTPConfig(backlog=1))
    peer.send(SYN, connection_id=9000, seq_nr=1)
    peer.syn()
    peer.ack_nr = peer.drain()[-1].seq_nr - 1
    peer.data(b"second", seq_nr=peer.seq_nr + 1)
    assert peer.drain() == [] and len(peer.node.multiplexer) == 0
    peer.data(b"first")
    peer.data(b"second")
    assert RESET not in [header.type for header in peer.drain()]
    assert bytes(peer.record.data) == b"firstsecond"


def test_policy_is_asked_again() -> None:
    """Who has confirmed its address is judged as it comes in."""
    peer = RawPeer.facing(config=UTPConfig(backlog=1))
    peer.send(SYN, connection_id=9000, seq_nr=1)
    peer.syn()
    peer.ack_nr = peer.drain()[-1].seq_nr - 1
    peer.node.multiplexer.gate.policy = lambda address, load: False
    peer.data(b"hello")
    peer.expect(RESET)
    assert len(peer.node.multiplexer) == 0


def test_a_request_is_handed_over_once() -> None:
    """The first packet again, after its connection has ended: a repetition, or a replay.  Nothing comes of it."""
    peer = RawPeer.facing(config=UTPConfig(backlog=1))
    peer.send(SYN, connection_id=9000, seq_nr=1)
    peer.syn()
    peer.ack_nr = peer.drain()[-1].seq_nr - 1
    request = peer.data(b"transfer 100 EUR")
    peer.drain()
    peer.record.connection.abort(now=peer.node.now())
    peer.node.flush()
    peer.drain()
    for _ in range(5):
        peer.send_bytes(encode(request))
        peer.run_for(1)
    assert [bytes(record.data) for record in peer.node.records] == [b"transfer 100 EUR"]


def test_one_host_cannot_use_up_the_cookies() -> None:
    """Who connects and leaves all the time during a flood keeps nobody else out."""
    cookies = SynCookies(Random(1))
    opened = 0
    for number in range(MAX_USED_COOKIES_PER_HOST + 10):
        syn = Packet(PacketType.SYN, number, seq_nr=6)
        opened += cookies.proven_syn(following(answered(cookies, syn), syn), HERE, NOW) is not None
    assert opened == MAX_USED_COOKIES_PER_HOST
    other = ("192.0.2.2", 6881)
    syn = Packet(PacketType.SYN, 9000, seq_nr=6)
    cookie = cookies.issue(syn, other, NOW)
    proof = Packet(PacketType.DATA, 9001, 0, -(NOW + cookie.clock_offset) & 0xFFFFFFFF, seq_nr=7)
    proof.ack_nr = cookie.first_seq - 1 & 0xFFFF
    assert cookies.proven_syn(proof, other, NOW) is not None
    later = NOW + 2 * COOKIE_SLOT
    syn = Packet(PacketType.SYN, 1, seq_nr=6)
    assert cookies.proven_syn(following(answered(cookies, syn, later), syn), HERE, later) is not None
    assert cookies._used_by == {HERE[0]: 1}
