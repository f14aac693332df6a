"""
Is the path's MTU found, without anything waiting for it?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import MAX_MTU_PROBES, MTU_RAISE_INTERVAL, MTU_SEARCH_STOP
from twisted_utp.proto.mtu import MtuDiscovery
from twisted_utp.proto.packet import MIN_PADDING, decode_packet, encode_extensions, padding
from twisted_utp.testing import Pair

NOW = 1_000_000_000


def search(mtu: MtuDiscovery, path: int, now: int = NOW) -> int:
    """
    Answer the probes as a path of that MTU would, until there are no more.

    @return: how many there were.
    """
    probes = 0
    while size := mtu.next_probe(now):
        probes += 1
        mtu.on_sent(size)
        assert mtu.next_probe(now) == 0, "one probe at a time"
        if size <= path:
            mtu.on_acked(size, now)
        else:
            mtu.on_lost(size, now)
        assert probes < 50
    return probes


@pytest.mark.parametrize("path", [548, 572, 700, 872, 1252, 1372, 1401, 1402, 1403, 1450, 1472])
def test_search_ends_within_sixteen_bytes(path: int) -> None:
    """Whatever the path carries, the size found does arrive and is at most 16 bytes short (RFC 8899 (5.3))."""
    mtu = MtuDiscovery(base=548, limit=1472)
    search(mtu, path)
    assert path - MTU_SEARCH_STOP <= mtu.size <= path


def test_usual_sizes_first() -> None:
    """On an Ethernet two probes are enough: what libutp uses, and what Ethernet carries."""
    mtu = MtuDiscovery(base=548, limit=1472)
    assert search(mtu, 1472) == 2
    assert mtu.size == 1472


def test_one_lost_probe_proves_nothing() -> None:
    """A size fails when so many probes in a row are lost (RFC 8899, MAX_PROBES), not by chance."""
    mtu = MtuDiscovery(base=548, limit=1472)
    for _ in range(MAX_MTU_PROBES - 1):
        mtu.on_sent(mtu.next_probe(NOW))
        mtu.on_lost(1402, NOW)
    assert mtu.next_probe(NOW) == 1402
    mtu.on_sent(1402)
    mtu.on_lost(1402, NOW)
    assert mtu.next_probe(NOW) < 1402


def test_what_is_lost_with_everything_else_counts_for_nothing() -> None:
    """A timeout says nothing about one packet's size."""
    mtu = MtuDiscovery(base=548, limit=1472)
    for _ in range(10):
        mtu.on_sent(mtu.next_probe(NOW))
        mtu.on_inconclusive()
    assert mtu.next_probe(NOW) == 1402


def test_fixed_size_is_not_searched() -> None:
    """A configured MTU is used as it is."""
    assert MtuDiscovery(base=900, limit=900).next_probe(NOW) == 0


def test_the_path_may_become_wider() -> None:
    """Half an hour later the search starts anew (RFC 8899, PMTU_RAISE_TIMER)."""
    mtu = MtuDiscovery(base=548, limit=1472)
    search(mtu, 1000)
    assert mtu.next_probe(NOW + MTU_RAISE_INTERVAL - 1) == 0
    search(mtu, 1472, NOW + MTU_RAISE_INTERVAL)
    assert mtu.size == 1472


def test_black_hole() -> None:
    """When large packets are swallowed, the smallest size is used at once, and the search starts anew."""
    mtu = MtuDiscovery(base=548, limit=1472)
    search(mtu, 1472)
    assert mtu.on_black_hole(NOW)
    assert mtu.size == 548
    search(mtu, 900)
    assert 900 - MTU_SEARCH_STOP <= mtu.size <= 900
    assert not MtuDiscovery(base=548, limit=1472).on_black_hole(NOW)


def test_a_router_names_the_size() -> None:
    """It is tried next and, as it works, is the answer; half an hour later the search starts anew all the same."""
    mtu = MtuDiscovery(base=548, limit=1472)
    mtu.on_sent(mtu.next_probe(NOW))
    assert not mtu.on_too_big(1402, 1252, NOW)
    assert mtu.next_probe(NOW) == 1252
    mtu.on_sent(1252)
    assert mtu.on_acked(1252, NOW)
    assert mtu.next_probe(NOW) == 0
    assert mtu.next_probe(NOW + MTU_RAISE_INTERVAL) == 1402


def test_a_router_that_errs() -> None:
    """When the size that it named is lost again and again, the search goes on below."""
    mtu = MtuDiscovery(base=548, limit=1472)
    mtu.on_sent(1402)
    mtu.on_too_big(1402, 1252, NOW)
    search(mtu, 800)
    assert 800 - MTU_SEARCH_STOP <= mtu.size <= 800


def test_two_narrow_links() -> None:
    """The second router's word comes after the first one's."""
    mtu = MtuDiscovery(base=548, limit=1472)
    mtu.on_sent(1402)
    mtu.on_too_big(1402, 1252, NOW)
    mtu.on_sent(1252)
    mtu.on_too_big(1252, 972, NOW)
    assert mtu.next_probe(NOW) == 972


def test_a_path_that_has_become_narrower() -> None:
    """A packet of a size that used to arrive comes back with a smaller one: that is used from now on."""
    mtu = MtuDiscovery(base=548, limit=1472)
    search(mtu, 1472)
    assert not mtu.is_plausible(1472, 0)
    assert mtu.is_plausible(1472, 1252)
    assert mtu.on_too_big(1472, 1252, NOW)
    assert (mtu.size, mtu.next_probe(NOW)) == (1252, 0)


@pytest.mark.parametrize(("size", "reported"), [(1402, 547), (1402, 1402), (1402, 1500), (548, 0), (548, 548)])
def test_sizes_that_cannot_be(size: int, reported: int) -> None:
    """Less than what every path carries, or not less than what came back."""
    assert not MtuDiscovery(base=548, limit=1472).is_plausible(size, reported)


@pytest.mark.parametrize("nbytes", [*range(MIN_PADDING, 30), 266, 267, 268, 269, 270, 524, 525, 526, 527, 900])
def test_padding_is_as_long_as_asked(nbytes: int) -> None:
    """Extensions of exactly so many bytes, which decode to nothing but our extension bits."""
    chain = padding(nbytes)
    encoded = encode_extensions(chain)
    assert len(encoded) == nbytes
    header = bytes([1, chain[0][0]]) + bytes(18)
    packet = decode_packet(header + encoded + b"data")
    assert (packet.payload, packet.sack, packet.close_reason) == (b"data", None, 0)
    assert chain[0][0] == 2, "libutp drops what it does not know in the first place"


@pytest.mark.parametrize("path", [600, 900, 1280, 1400, 1500])
def test_no_stall_on_a_path_that_drops_what_is_too_large(path: int) -> None:
    """
    No ICMP, just silence: the first byte arrives within three round trips, the transfer never stops for longer than
    a few, and the size found is within 16 bytes (peers.md 4.3: libutp stalls for good at 600 and 900).
    """
    pair = Pair(link={"rate": 20_000_000, "delay": 25_000, "mtu": path})
    ends = pair.connect()
    start = pair.simulator.now
    transfer = pair.start_transfer(ends, 5_000_000)
    pair.drive(lambda: transfer.received > 0, limit=1)
    assert pair.simulator.now - start <= 150_000
    while not transfer.done:
        before = transfer.received
        pair.run_for(0.25)
        assert transfer.received > before
    sender = ends.client.connection.sender
    assert path - 28 - MTU_SEARCH_STOP <= sender.mtu.size <= path - 28
    assert sender.counters.timeouts == 0


@pytest.mark.interpreted
def test_probes_travel_alone_and_unfragmented() -> None:
    """A probe is a train of one with the don't-fragment mark; nothing else has it."""
    pair = Pair()
    marked: list[tuple[int, int]] = []
    original = pair.client.multiplexer.poll_transmits

    def watched(**keywords: int) -> object:
        transmits = original(**keywords)
        marked.extend((transmit.count, len(transmit.payload)) for transmit in transmits if transmit.dont_fragment)
        return transmits

    pair.client.multiplexer.poll_transmits = watched  # type: ignore[assignment,method-assign]
    pair.transfer(pair.connect(), 200_000)
    assert marked == [(1, 1402), (1, 1472)]


def test_lost_probe_is_no_congestion() -> None:
    """The window is not cut for it."""
    pair = Pair(link={"rate": 20_000_000, "delay": 25_000, "mtu": 900}, config=UTPConfig(congestion="ledbat"))
    ends = pair.connect()
    pair.transfer(ends, 1_000_000)
    assert ends.client.connection.stats().window_cuts == 0
