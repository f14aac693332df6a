"""
Does the scavenger keep what docs/scavenger.rst promises?  Shorter versions of the table's rows.
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.meter import Meter, queue_in_ms
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.scenarios.neighbour.alone import alone
from twisted_utp.testing.scenarios.neighbour.beside import completion, page
from twisted_utp.testing.scenarios.neighbour.line import Line, config_of
from twisted_utp.testing.scenarios.neighbour.shares import fairness
from twisted_utp.testing.scenarios.neighbour.weather import cellular, pauses, route
from twisted_utp.testing.simulator import MILLISECOND
from twisted_utp.testing.topology import Dumbbell, Flow

NAME = "scavenger"


@pytest.mark.parametrize("rate", [4, 20])
def test_alone(rate: int) -> None:
    """The line is full, with a queue of a few milliseconds."""
    seen = alone(NAME, Line(rate=rate), seconds=5)
    assert seen["used"] >= 0.98
    assert seen["p50"] <= 12
    assert seen["p95"] <= 15
    assert seen["drops"] == 0


def test_a_slow_line() -> None:
    """Three packets wait there, no more: the queue varies by packets, and that makes no radio of it."""
    seen = alone(NAME, Line(rate=0.5), seconds=15, since=5)
    assert seen["used"] >= 0.98
    assert seen["p95"] <= 80


def read_in_batches(rate: int, coalesce: int) -> Dumbbell:
    """A line whose receivers read what has come in so many ms together, as ours do where there is much."""
    return Dumbbell(
        seed=1, there={"rate": rate * 1_000_000, "coalesce": coalesce * MILLISECOND}, config=config_of(NAME)
    )


def used_and_p95(dumbbell: Dumbbell, flow: Flow, rate: int, seconds: float) -> tuple[float, float]:
    """What is used of the line, and the queue in ms, from one second on."""
    meter = Meter(dumbbell.simulator, lambda: flow.received, queue_in_ms(dumbbell.there), interval=5 * MILLISECOND)
    dumbbell.run_for(seconds)
    full = Line(rate=rate).bytes_per_second
    return meter.rate(1, seconds) / full, meter.percentile(0.95, 1, seconds, 1)


def test_a_receiver_that_reads_in_batches() -> None:
    """
    It acknowledges the last packet of each, which is anywhere in one of our bursts.  What that had waited behind its
    own burst passed for a queue that comes and goes: 95 % of the line were used.
    """
    dumbbell = read_in_batches(100, 4)
    flow = dumbbell.add_flow(50 * MILLISECOND)
    used, p95 = used_and_p95(dumbbell, flow, 100, 3)
    assert used >= 0.98
    assert p95 <= 12


def keep_from_reading(dumbbell: Dumbbell, every: int, length: int) -> None:
    """The receiver has no processor for C{length} µs, now and again; the kernel notes when packets come."""
    sink, waiting = dumbbell.there.sink, []  # type: ignore[var-annotated]

    def read() -> None:
        batch = waiting[:]
        waiting.clear()
        sink(batch)

    def take(batch: list[Packet]) -> None:
        into = dumbbell.now % every
        if into >= length:
            sink(batch)
            return
        if not waiting:
            dumbbell.simulator.call_later(length - into, read)
        waiting.extend(batch)

    dumbbell.there.sink = take


def test_a_receiver_that_is_kept_from_reading() -> None:
    """
    Acknowledgements that are late tell nothing about the path, and what they let out at once is nobody else's queue:
    that made false alarms, and a target of 60 ms.
    """
    dumbbell = read_in_batches(20, 4)
    flow = dumbbell.add_flow(50 * MILLISECOND)
    keep_from_reading(dumbbell, 500 * MILLISECOND, 25 * MILLISECOND)
    used, p95 = used_and_p95(dumbbell, flow, 20, 8)
    congestion = flow.source.connection.sender.congestion  # type: ignore[union-attr]
    assert congestion.alarms == 0  # type: ignore[attr-defined]
    assert used >= 0.95
    assert p95 <= 15


def test_pauses_of_the_path() -> None:
    """A machine on the way that stands still for some ms is nobody else's queue: 89 % were used."""
    seen = pauses(NAME, seconds=15)
    assert seen["used"] >= 0.91
    assert seen["p95"] <= 15


def test_long_round_trips() -> None:
    """Startup is over after six seconds, and what it has measured is the line; a drain leaves little of it unused."""
    seen = alone(NAME, Line(rate=4, rtt=350), seconds=14, since=6)
    assert seen["used"] >= 0.98
    assert seen["p95"] <= 24


def test_a_phone_s_line() -> None:
    """As much of it is used as by LEDBAT++, with a shorter queue: 81 % before fades were told from others."""
    today, seen = cellular("ledbat++", "3g", seconds=30), cellular(NAME, "3g", seconds=30)
    assert seen["used"] >= today["used"] - 0.01
    assert seen["p95"] <= today["p95"]


def test_a_page_hardly_notices() -> None:
    """A tenth more at the most."""
    assert page(NAME, pages=1, head=2)["ratio"] <= 1.10


def test_a_download_hardly_notices() -> None:
    """A twentieth more at the most, and a second after it the line is full again."""
    seen = completion(NAME, seconds=4, head=2)
    assert seen["ratio"] <= 1.05
    assert seen["held"] <= 0.05
    assert seen["regained"] <= 1


def test_behind_codel_a_guest_leaves_most_to_tcp() -> None:
    """Where the queue tells little, once that is known.  Beside LEDBAT++, CUBIC takes 1.2 times as long."""
    seen = completion(NAME, line=Line(rate=8, queue="codel"), seconds=5, head=8)
    assert seen["held"] <= 0.1
    assert seen["ratio"] <= 1.1


def test_behind_codel_the_line_is_full_and_cubic_hardly_notices() -> None:
    """At long round trips as well: our own drops are no variation of the path, and what we aim for is small."""
    line = Line(rate=10, rtt=100, queue="codel")
    assert alone(NAME, line, seconds=12, since=6)["used"] >= 0.95
    assert completion(NAME, line=line, seconds=6)["ratio"] <= 1.05


def test_behind_codel_the_line_is_regained() -> None:
    """When no packet waits for anybody's, nobody can be there."""
    assert completion(NAME, line=Line(rate=8, queue="codel"), seconds=5, head=8)["regained"] <= 1


def test_reno_fills_a_buffer_and_that_is_no_longer_route() -> None:
    """Its queue of half a second stands still and does not grow under load."""
    seen = completion(NAME, "reno", seconds=5, head=2)
    assert seen["ratio"] <= 1.05
    assert seen["held"] <= 0.05


@pytest.mark.parametrize("starts", [(0, 0), (0, 5)])
def test_equal_shares(starts: tuple[int, int]) -> None:
    """Also for a latecomer, after 25 seconds."""
    assert fairness(NAME, starts, settle=25, last=8, line=Line(rate=4))["jain"] >= 0.95


@pytest.mark.parametrize("longer", [True, False])
def test_another_route(longer: bool) -> None:
    """30 ms more are no queue for longer than five seconds."""
    seen = route(NAME, longer, line=Line(rate=4), at=4, seconds=9)
    assert seen["full"] <= 5
    assert seen["used"] >= 0.95


def test_a_route_that_is_a_little_longer() -> None:
    """10 ms more are no alarm.  They passed for a queue until the least delay was forgotten: 14 % were used."""
    seen = route(NAME, line=Line(rate=4), at=4, seconds=20, detour=10 * MILLISECOND)
    assert seen["full"] <= 10
    assert seen["used"] >= 0.85


def test_beside_a_ledbat_that_was_there_first() -> None:
    """Most of its queue is part of the least delay that we know."""
    dumbbell = Line(rate=2).open(NAME)
    theirs = dumbbell.add_flow(50_000, config=config_of("ledbat"))
    ours = dumbbell.add_flow(50_000, at=6.0)
    dumbbell.run_for(42)
    before = ours.received, theirs.received
    dumbbell.run_for(8)
    shares = [flow.received - was for flow, was in zip((ours, theirs), before, strict=True)]
    assert min(shares) >= 0.2 * sum(shares)


def test_beside_ledbat() -> None:
    """A fifth of the link each at the least, half a minute after it has come."""
    dumbbell = Line(rate=2).open(NAME)
    ours = dumbbell.add_flow(50_000)
    theirs = dumbbell.add_flow(50_000, at=6.0, config=config_of("ledbat"))
    dumbbell.run_for(36)
    before = ours.received, theirs.received
    dumbbell.run_for(8)
    shares = [flow.received - was for flow, was in zip((ours, theirs), before, strict=True)]
    assert min(shares) >= 0.2 * sum(shares)


def test_random_loss() -> None:
    """Losses without a queue are nobody's congestion."""
    assert alone(NAME, Line(loss=0.01, rate=8), seconds=6)["used"] >= 0.8
    assert alone(NAME, Line(loss=0.01), seconds=8)["used"] >= 0.85
