"""
What does a path cost that swallows large packets without a word?
"""

from __future__ import annotations

from functools import partial

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import MTU_SEARCH_STOP
from twisted_utp.testing.pair import Pair
from twisted_utp.testing.queues import DropTail
from twisted_utp.testing.scenarios.scenario import Outcome, Scenario

RTT = 0.05
STALL = 5 * RTT
"""A lost probe's payload comes a round trip later, and those include our own queue of 60 ms."""

HEADERS = 28
"""IPv4's and UDP's, bytes."""

LIBUTP = {600: "stalls for good", 900: "stalls for good", 1280: "1-2 s", 1400: "1-2 s"}
"""By bytes of the largest IP packet that passes."""


def path_mtu(controller: str, mtu: int = 900, seconds: float = 10) -> Outcome:
    """
    10 Mb/s, 50 ms; larger IP packets vanish.  When does the first byte arrive (from the connection's beginning on), how
    long does nothing arrive after that, and which size was found?
    """
    pair = Pair(
        seed=1,
        link={"delay": 25_000, "mtu": mtu},
        up={"rate": 10_000_000, "queue": DropTail(milliseconds=500)},
        config=UTPConfig(congestion=controller),
        log=False,
    )
    started = pair.now
    ends = pair.connect()
    transfer = pair.start_transfer(ends, 1 << 40)
    check, times = ends.server.on_data, []
    assert check is not None

    def arrived(data: bytes) -> None:
        times.append(pair.now)
        check(data)

    ends.server.on_data = arrived
    pair.run_for(seconds)
    first = (times[0] - started) / 1e6
    gap = max(later - earlier for earlier, later in zip(times, [*times[1:], pair.now], strict=True)) / 1e6
    found = ends.client.connection.stats().mss + 20
    used = transfer.received * 8 / seconds / 10e6
    return Outcome(
        f"first byte after {first / RTT:.1f} RTT, longest wait {gap / RTT:.1f} RTT, {found} of {mtu - HEADERS} bytes",
        first <= 3 * RTT and gap <= STALL and 0 <= mtu - HEADERS - found <= MTU_SEARCH_STOP,
        {"first": first, "gap": gap, "short": mtu - HEADERS - found, "used": used},
    )


SCENARIOS = [
    Scenario(
        f"mtu-{mtu}",
        f"path MTU {mtu}, no ICMP, 50 ms",
        libutp,
        "first byte <= 3 RTT, no stall (5 RTT), within 16 bytes",
        partial(path_mtu, mtu=mtu),
        ("ledbat++",),
    )
    for mtu, libutp in LIBUTP.items()
]
