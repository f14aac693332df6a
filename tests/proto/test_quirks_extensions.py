"""
Does a peer that skips the header's 20 bytes and takes the rest for payload get only payload?

npm's pure JavaScript C{utp} never looks at the extension field, and always sends a C{timestamp_difference} of 0.  All
other stacks that we know read extensions and send a measured one.
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.raw_peer import Extensions, RawPeer
from twisted_utp.testing.wire import DATA, STATE, Header


def transfer(peer: RawPeer, nbytes: int, *, extensions: Extensions = (), measures: bool = False) -> list[Header]:
    """The DATA packets of a transfer to a peer that acknowledges each as it comes, in this way."""
    peer.node.write(peer.record, bytes(nbytes))
    packets: list[Header] = []
    while sum(len(packet.payload) for packet in packets) < nbytes:
        header = peer.expect_until(DATA)
        packets.append(header)
        peer.state(extensions=extensions, **({} if measures else {"timestamp_difference": 0}))
    return packets


def connected(extensions: Extensions = ()) -> RawPeer:
    """A peer that connected, and has never measured anything."""
    peer = RawPeer.facing()
    peer.syn(timestamp_difference=0, extensions=extensions)
    peer.ack_nr = peer.expect(STATE).seq_nr - 1
    peer.state(timestamp_difference=0)
    peer.run_for(0.1)
    return peer


def has_padding(packets: list[Header]) -> bool:
    """Is an MTU probe among them?"""
    return any(kind == 127 for packet in packets for kind, _ in packet.extensions)


def test_no_padded_probe_to_a_peer_that_shows_nothing() -> None:
    """It would take the padding for data."""
    packets = transfer(connected(), 200_000)
    assert not any(packet.extensions for packet in packets)
    assert max(len(packet.payload) for packet in packets) == 548 - 20, "a size that every path carries"


def test_no_padded_probe_before_the_peer_shows_something() -> None:
    """The first packets leave before anybody can have measured them."""
    peer = connected()
    peer.node.write(peer.record, bytes(100_000))
    first = peer.drain(within=0.015)
    assert len(first) > 2 and not any(packet.extensions for packet in first)


def test_a_peer_that_measures_is_probed() -> None:
    """As libutp, libtorrent, librqbit and the others do, which read extensions."""
    packets = transfer(connected(), 400_000, measures=True)
    assert has_padding(packets)
    assert max(len(packet.payload) for packet in packets) == 1472 - 20


def test_a_peer_that_sends_selective_acks_is_probed() -> None:
    """Whoever writes extensions reads them."""
    peer = connected()
    peer.node.write(peer.record, bytes(4000))
    last = peer.drain()[-1].seq_nr
    peer.state(ack_nr=last - 2 & 0xFFFF, extensions=[(1, b"\1\0\0\0")], timestamp_difference=0)
    peer.state(timestamp_difference=0)
    assert has_padding(transfer(peer, 200_000))


def test_a_peer_with_extension_bits_is_probed() -> None:
    """Transmission's libutp shows eight bytes 0."""
    assert has_padding(transfer(connected([(2, bytes(8))]), 200_000))


@pytest.mark.parametrize("measures", [False, True])
def test_selective_acks_on_data(measures: bool) -> None:
    """DATA tells of a gap only to a peer that reads it; a STATE, which has no payload, always does."""
    peer = connected()
    transfer(peer, 10, measures=measures)
    peer.run_for(0.1)
    peer.received.clear()
    peer.data(b"ahead", seq_nr=peer.seq_nr + 1, timestamp_difference=0)
    peer.run_for(0.015)
    peer.node.write(peer.record, b"small")
    answers = peer.drain(within=0.03)
    (data,) = [packet for packet in answers if packet.type == DATA]
    assert bool(data.extensions) is measures
    assert data.payload == b"small"
    assert any(packet.extension(1) for packet in answers)
