"""
How do uTP flows share a link with each other?
"""

from __future__ import annotations

from functools import partial

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.congestion.ledbatpp import LedbatPlusPlus
from twisted_utp.testing.meter import Meter, queue_in_ms
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.queues import DropTail
from twisted_utp.testing.scenarios.scenario import Outcome, Scenario
from twisted_utp.testing.topology import Dumbbell, Flow
from twisted_utp.testing.wire import STATE


def jain(shares: list[float]) -> float:
    """
    Jain's fairness index: 1 when all are equal, 1/n when one has everything.
    """
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def _dumbbell(controller: str, *, rate: float = 10, buffer: float = 500) -> Dumbbell:
    return Dumbbell(
        seed=1,
        there={"rate": round(rate * 1e6), "queue": DropTail(milliseconds=buffer)},
        config=UTPConfig(congestion=controller),
    )


def _shares(dumbbell: Dumbbell, flows: list[Flow], warm: float, seconds: float) -> tuple[list[float], float]:
    """
    Each flow's share, and the queue's p95, from C{warm} for C{seconds}.
    """
    counters = [lambda flow=flow: flow.received for flow in flows]
    meter = Meter(dumbbell.simulator, *counters, queue_in_ms(dumbbell.there))
    dumbbell.run_for(warm + seconds)
    rates = [meter.rate(warm, warm + seconds, number) for number in range(len(flows))]
    return [rate / sum(rates) for rate in rates], meter.percentile(0.95, warm, warm + seconds, len(flows))


def _slowdowns(flow: Flow) -> int:
    assert flow.source is not None
    congestion = flow.source.connection.sender.congestion
    assert isinstance(congestion, LedbatPlusPlus)
    return congestion.slowdowns


def latecomer(controller: str, later: float = 5, slowdowns: int = 10, seconds: float = 60, rate: float = 10) -> Outcome:
    """
    50 ms; a second flow comes when the first has had the link for a while.  Their shares once both have slowed down
    so often since.
    """
    dumbbell = _dumbbell(controller, rate=rate)
    flows = [dumbbell.add_flow(50_000), dumbbell.add_flow(50_000, at=later)]
    dumbbell.run_for(later + 1)
    before = _slowdowns(flows[0])
    settled = dumbbell.now
    while min(_slowdowns(flows[0]) - before, _slowdowns(flows[1])) < slowdowns:
        dumbbell.run_for(1)
    settle = (dumbbell.now - settled) / 1e6 + 1
    shares, queue = _shares(dumbbell, flows, 0, seconds)
    return Outcome(
        f"{shares[0]:.0%} / {shares[1]:.0%} (ten slowdowns: {settle:.0f} s), queue p95 {queue:.0f} ms",
        0.4 <= shares[0] <= 0.6,
        {"incumbent": shares[0], "latecomer": shares[1], "queue": queue},
    )


def many(controller: str, count: int = 4, settle: float = 60, seconds: float = 60, rate: float = 5) -> Outcome:
    """
    Flows that begin two seconds after each other, 5 Mb/s for each, 50 ms.
    """
    dumbbell = _dumbbell(controller, rate=rate * count)
    flows = [dumbbell.add_flow(50_000, at=2.0 * number) for number in range(count)]
    shares, queue = _shares(dumbbell, flows, settle, seconds)
    index = jain(shares)
    return Outcome(f"Jain {index:.3f}, queue p95 {queue:.0f} ms", index >= 0.95, {"jain": index, "queue": queue})


def rtt_fairness(controller: str, settle: float = 30, seconds: float = 60, rate: float = 10) -> Outcome:
    """
    20 ms against 200 ms.
    """
    dumbbell = _dumbbell(controller, rate=rate)
    flows = [dumbbell.add_flow(20_000), dumbbell.add_flow(200_000)]
    shares, _ = _shares(dumbbell, flows, settle, seconds)
    ratio = max(shares) / min(shares)
    return Outcome(f"{shares[0]:.0%} / {shares[1]:.0%}, {ratio:.1f} : 1", ratio <= 3, {"ratio": ratio})


def liar(controller: str, lie: str = "delay", settle: float = 20, seconds: float = 40, rate: float = 10) -> Outcome:
    """
    Two flows; one receiver always echoes an empty path, or claims endless windows, or acknowledges the unsent.
    """
    dumbbell = _dumbbell(controller, rate=rate)
    honest, lying = dumbbell.add_flow(50_000), dumbbell.add_flow(50_000)
    echo: list[bytes] = []
    liar_address = lying.receiver.address

    def rewrite(packet: Packet) -> bool:
        if packet.source != liar_address or packet.data[0] >> 4 != STATE or not lying.received:
            return False
        data = bytearray(packet.data)
        if lie == "delay":
            if not echo and data[8:12] != b"\x00\x00\x00\x00":
                echo.append(bytes(data[8:12]))
            if echo:
                data[8:12] = echo[0]
        elif lie == "window":
            data[12:16] = b"\xff\xff\xff\xff"
        else:
            ahead = (int.from_bytes(data[18:20], "big") + 500) & 0xFFFF
            if dumbbell.simulator.random.random() < 0.5:
                data[18:20] = ahead.to_bytes(2, "big")
        packet.data = bytes(data)
        return False

    dumbbell.back.taps.append(rewrite)
    shares, _ = _shares(dumbbell, [honest, lying], settle, seconds)
    return Outcome(f"the liar gets {shares[1]:.0%}", shares[1] <= 0.6, {"share": shares[1]})


SCENARIOS = [
    *[
        Scenario(
            f"latecomer-{later}",
            f"a latecomer after {later} s, 10 Mb/s, 50 ms",
            "96.5 % / 0.1 %, queue 161-191 ms",
            "within 40/60 after ten slowdowns",
            partial(latecomer, later=later),
            ("ledbat++",),
        )
        for later in (5, 60)
    ],
    *[
        Scenario(
            f"flows-{count}",
            f"{count} flows of 5 Mb/s, 50 ms",
            "-",
            "Jain >= 0.95",
            partial(many, count=count),
            ("ledbat++",),
        )
        for count in (2, 3, 4, 6, 8)
    ],
    Scenario("rtt-fairness", "20 ms against 200 ms, 10 Mb/s", "-", "<= 3 : 1", rtt_fairness, ("ledbat++",)),
    *[
        Scenario(
            f"liar-{lie}",
            f"a lying receiver: {title}",
            "-",
            "<= 60 % (honest: 50 %)",
            partial(liar, lie=lie),
            ("ledbat++",),
        )
        for lie, title in (("delay", "an empty path"), ("window", "endless windows"), ("acks", "acks of the unsent"))
    ],
]
