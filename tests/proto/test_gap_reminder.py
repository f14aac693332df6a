"""
Does a peer that fell silent in the middle hear once more what is missing?
"""

from __future__ import annotations

from itertools import pairwise

from twisted_utp.proto.config import UTPConfig
from twisted_utp.testing.raw_peer import RawPeer
from twisted_utp.testing.wire import STATE, Header

SILENT = UTPConfig(keepalive=0)


def with_gap() -> tuple[RawPeer, int]:
    """A connection that has packets 1 and 3 of what its peer sent, and has said so; and the time of that, µs."""
    peer = RawPeer.facing(config=SILENT)
    peer.handshake()
    peer.data()
    peer.seq_nr += 1
    peer.data()
    answers = peer.drain()
    assert answers[-1].extension(1) == b"\1\0\0\0"
    return peer, peer.all[-1][0]


def answers_since(peer: RawPeer, instant: int) -> list[tuple[int, Header]]:
    """What came after that, with times in ms since then."""
    return [((at - instant) // 1000, header) for at, header in peer.all if at > instant]


def test_the_acknowledgement_is_repeated() -> None:
    """After 1, 2 and 4 seconds more, word for word, and then no more: what does not help thrice will not."""
    peer, last = with_gap()
    peer.run_for(60)
    repeated = answers_since(peer, last)
    assert [at for at, _ in repeated] == [1000, 3000, 7000]
    for _, header in repeated:
        assert (header.type, header.ack_nr, header.extension(1)) == (STATE, peer.seq_nr - 3, b"\1\0\0\0")


def test_a_closed_gap_is_not_mentioned() -> None:
    """Neither when it closes before the first time, nor after it."""
    for wait in (0.5, 1.5):
        peer, _ = with_gap()
        peer.run_for(wait)
        peer.data(seq_nr=peer.seq_nr - 2)
        peer.drain()
        closed = peer.all[-1][0]
        assert peer.all[-1][1].extensions == ()
        peer.run_for(60)
        assert answers_since(peer, closed) == []


def test_what_comes_starts_it_anew() -> None:
    """A peer that sends has no need of it, and gets all three when it stops again."""
    peer, _ = with_gap()
    for _ in range(20):
        peer.run_for(0.9)
        peer.data()
    peer.drain()
    last = peer.all[-1][0]
    states = [at for at, header in peer.all if header.type == STATE][3:]
    assert all(later - earlier < 1_000_000 for earlier, later in pairwise(states))
    peer.run_for(60)
    assert [at for at, _ in answers_since(peer, last)] == [1000, 3000, 7000]


def test_it_does_not_outlive_the_connection() -> None:
    """A gap that is never closed is no reason to go on talking to a peer that reset the connection."""
    peer, _ = with_gap()
    peer.reset()
    peer.run_for(0.1)
    gone = peer.simulator.now
    peer.run_for(60)
    assert answers_since(peer, gone) == []
