"""
Is what one connection finds out about a path of use to the next, and harmless when it is wrong?
"""

from __future__ import annotations

from twisted_utp import UTPConfig
from twisted_utp.proto.constants import (
    BASE_MTU_IPV4,
    BASE_MTU_IPV6,
    INITIAL_RTO,
    MAX_KNOWN_PATHS,
    MAX_MTU_IPV4,
    MAX_MTU_PROBES,
    MTU_RAISE_INTERVAL,
    MTU_SEARCH_STOP,
    PREFERRED_MTU,
)
from twisted_utp.proto.known_paths import KnownPaths
from twisted_utp.proto.mtu import MtuDiscovery
from twisted_utp.testing import Pair

NOW = 5_000_000_000
HOST = ("192.0.2.1", 6881)


def search(mtu: MtuDiscovery, path: int) -> int:
    """Search a path that carries so much; how many probes that takes."""
    probes = 0
    while size := mtu.next_probe(NOW):
        probes += 1
        mtu.on_sent(size)
        if size <= path:
            mtu.on_acked(size, NOW)
        else:
            mtu.on_lost(size, NOW)
    return probes


def test_the_first_connection_starts_with_what_every_path_carries() -> None:
    """Nothing is known yet."""
    paths = KnownPaths()
    assert paths.discovery(HOST, None, NOW).size == BASE_MTU_IPV4
    assert paths.discovery(("2001:db8::1", 1), None, NOW).size == BASE_MTU_IPV6


def test_the_next_one_asks_once() -> None:
    """It need not search upwards, nor, which costs three lost probes a step, between the sizes that are known."""
    for path, asks in ((900, 1 + MAX_MTU_PROBES), (1402, 1), (1410, 1), (1472, 1)):
        paths = KnownPaths()
        first = paths.discovery(HOST, None, NOW)
        assert search(first, path) > 1
        second = paths.discovery(("192.0.2.1", 1), None, NOW)
        assert second.size == BASE_MTU_IPV4
        assert search(second, path) == asks
        assert second.size == first.size


def test_one_behind_the_same_address_who_takes_nothing_large() -> None:
    """He may acknowledge what he likes: the others find out for themselves what is to be gained by it."""
    paths = KnownPaths()
    assert search(paths.discovery(HOST, None, NOW), 600) > 1
    second = paths.discovery(("192.0.2.1", 2), None, NOW)
    assert search(second, MAX_MTU_IPV4) == 3, "600, 1402, 1472"
    assert second.size == MAX_MTU_IPV4
    third = paths.discovery(("192.0.2.1", 3), None, NOW)
    assert search(third, MAX_MTU_IPV4) == 1
    assert third.size == MAX_MTU_IPV4


def test_an_outgrown_bound_is_not_told() -> None:
    """While the search for the new one is still going on."""
    paths = KnownPaths()
    search(paths.discovery(HOST, None, NOW), 600)
    second, third = (paths.discovery(HOST, None, NOW) for _ in range(2))
    for size in (second.next_probe(NOW), PREFERRED_MTU):
        second.on_sent(size)
        assert second.on_acked(size, NOW)
    assert search(third, MAX_MTU_IPV4) == 2, "1402, 1472"
    assert third.size == MAX_MTU_IPV4


def test_other_hosts_are_other_paths() -> None:
    """Only the host counts, all of it."""
    paths = KnownPaths()
    search(paths.discovery(HOST, None, NOW), 1472)
    assert paths.discovery(("192.0.2.2", 6881), None, NOW).size == BASE_MTU_IPV4


def test_a_connection_that_is_open_asks_once_too() -> None:
    """Of a hundred that open together one searches."""
    paths = KnownPaths()
    first, second = (paths.discovery(HOST, None, NOW) for _ in range(2))
    search(first, 1472)
    assert search(second, 1472) == 1


def test_what_fails_is_not_told_to_the_next() -> None:
    """The path has changed, or two hosts behind one address have different ones."""
    paths = KnownPaths()
    first, second = (paths.discovery(HOST, None, NOW) for _ in range(2))
    search(first, 1472)
    search(second, 900)
    assert 900 - MTU_SEARCH_STOP <= second.size <= 900
    third = paths.discovery(HOST, None, NOW)
    assert search(third, 900) == 1 + MAX_MTU_PROBES
    assert (first.size, third.size) == (MAX_MTU_IPV4, second.size)


def test_a_black_hole_is_forgotten_for_all() -> None:
    """RFC 8899 (4.3): who comes next starts anew."""
    paths = KnownPaths()
    first, second = (paths.discovery(HOST, None, NOW) for _ in range(2))
    search(first, 1472)
    search(second, 1472)
    assert second.on_black_hole(NOW)
    assert second.size == BASE_MTU_IPV4
    assert paths.discovery(HOST, None, NOW).next_probe(NOW) == PREFERRED_MTU
    assert first.size == MAX_MTU_IPV4, "it has not failed for this one"


def test_what_a_router_says_is_known_too() -> None:
    """RFC 1191 (6.3)."""
    paths = KnownPaths()
    first = paths.discovery(HOST, None, NOW)
    search(first, 1472)
    assert first.on_too_big(1472, 1280, NOW)
    assert paths.discovery(HOST, None, NOW).next_probe(NOW) == 1280


def test_old_knowledge_is_not_used() -> None:
    """RFC 1191 (6.3): after a while paths may be others."""
    paths = KnownPaths()
    search(paths.discovery(HOST, None, NOW), 1472)
    assert paths.discovery(HOST, None, NOW + MTU_RAISE_INTERVAL - 1).next_probe(NOW) == MAX_MTU_IPV4
    assert paths.discovery(HOST, None, NOW + MTU_RAISE_INTERVAL).next_probe(NOW) == PREFERRED_MTU


def test_a_size_that_is_set_is_used_as_it_is() -> None:
    """And teaches nothing."""
    paths = KnownPaths()
    assert paths.discovery(HOST, 1000, NOW).size == 1000
    assert len(paths) == 0


def test_so_many_hosts_and_no_more() -> None:
    """Those that were dialled last."""
    paths = KnownPaths()
    search(paths.discovery(HOST, None, NOW), 1472)
    for port in range(MAX_KNOWN_PATHS - 1):
        paths.discovery((f"198.51.{port >> 8}.{port & 255}", 1), None, NOW)
    assert len(paths) == MAX_KNOWN_PATHS
    assert paths.discovery(HOST, None, NOW).next_probe(NOW) == MAX_MTU_IPV4
    paths.discovery(("203.0.113.1", 1), None, NOW)
    assert len(paths) == MAX_KNOWN_PATHS
    assert paths.discovery(HOST, None, NOW).next_probe(NOW) == MAX_MTU_IPV4, "it was the latest but one"


def test_connections_on_one_port() -> None:
    """The second needs one probe; on a path that has become narrow meanwhile, it starts as if nothing were known."""
    pair = Pair(seed=1, link={"rate": 20_000_000, "delay": 10_000}, config=UTPConfig())
    probes: list[int] = []
    pair.up.taps.append(lambda packet: probes.append(len(packet.data)) if packet.dont_fragment else None)
    for expected in ([PREFERRED_MTU, MAX_MTU_IPV4], [MAX_MTU_IPV4]):
        ends = pair.connect()
        pair.transfer(ends, 200_000)
        assert probes == expected
        assert ends.client.connection.stats().mtu == MAX_MTU_IPV4
        probes.clear()
    pair.up.mtu = 1_000
    ends = pair.connect()
    pair.transfer(ends, 1_000_000)
    assert BASE_MTU_IPV4 < ends.client.connection.stats().mtu <= 1_000 - 28
    assert ends.client.connection.stats().timeouts == 0


def test_the_shortest_round_trip_is_the_path_s() -> None:
    """Who measured a busy end learns from who measured the path; another host, and a size that is set, tell nothing."""
    paths = KnownPaths()
    first, second = (paths.discovery(("192.0.2.1", port), None, NOW) for port in (1, 2))
    assert first.path.shortest_round_trip(0) == 0
    assert first.path.shortest_round_trip(40_000) == 40_000
    assert second.path.shortest_round_trip(300) == 300
    assert first.path.shortest_round_trip(40_000) == first.path.shortest_round_trip(0) == 300
    assert paths.discovery(("192.0.2.2", 1), None, NOW).path.shortest_round_trip(40_000) == 40_000
    assert paths.discovery(HOST, 1_000, NOW).path.shortest_round_trip(40_000) == 40_000


def test_nobody_waits_for_others_without_end() -> None:
    """Who hears that others wait for a minute waits no longer than who knows nothing of the path."""
    path = KnownPaths().discovery(HOST, None, NOW).path
    path.on_round_trip(200_000, NOW)
    assert path.late_by(50_000, NOW - 1) == 400_000
    path.on_round_trip(60_000_000, NOW)
    assert path.late_by(50_000, NOW - 1) == INITIAL_RTO


def test_connections_that_are_opened_in_a_busy_moment_are_not_paced_for_it() -> None:
    """
    Over loopback nothing is to be spread.  Connections that were opened while both ends were busy took that for the
    path, and each of their bursts of two packets was a wake-up at both ends: 1,000 moved 5 MB/s.
    """
    pair = Pair(seed=1, link={"delay": 400}, config=UTPConfig())
    pair.connect()
    for link in (pair.up, pair.down):
        link.delay = 3_000
    busy = pair.connect().client.connection
    for link in (pair.up, pair.down):
        link.delay = 400
    busy.write(bytes(10_000), now=pair.simulator.now)
    assert busy.stats().min_rtt >= 6_000 and busy.stats().pacing_rate == 0
