"""
Does a link do to packets what it was told to, and nothing else?
"""

from __future__ import annotations

import pytest

from twisted_utp.testing.fq_codel import FQCoDel
from twisted_utp.testing.jitter import NormalJitter, UniformJitter
from twisted_utp.testing.link import Link, flip_bit
from twisted_utp.testing.loss import EveryNth, GilbertElliott, RandomLoss
from twisted_utp.testing.packet import Packet, overhead_of
from twisted_utp.testing.queues import RED, CoDel, DropTail
from twisted_utp.testing.simulator import SECOND, START, Simulator

HERE, THERE = ("10.0.0.1", 1), ("10.0.0.2", 2)


class Arrivals:
    """
    What comes out of a link, and when.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.batches: list[tuple[int, list[bytes]]] = []

    def __call__(self, packets: list[Packet]) -> None:
        self.batches.append((self.simulator.now - START, [packet.data for packet in packets]))

    @property
    def packets(self) -> list[bytes]:
        """All, in order."""
        return [data for _, batch in self.batches for data in batch]

    @property
    def times(self) -> list[int]:
        """One for each packet, µs from the start."""
        return [time for time, batch in self.batches for _ in batch]


def make(seed: int = 0, **settings: object) -> tuple[Simulator, Link, Arrivals]:
    """A link and what comes out of it."""
    simulator = Simulator(seed)
    arrivals = Arrivals(simulator)
    return simulator, Link(simulator, arrivals, **settings), arrivals  # type: ignore[arg-type]


def packet(number: int = 0, size: int = 1000, **settings: object) -> Packet:
    """A packet of that many bytes on the wire, told apart by its number."""
    return Packet(number.to_bytes(4, "big") + bytes(size - 32), HERE, THERE, **settings)  # type: ignore[arg-type]


def packets(count: int, size: int = 1000) -> list[Packet]:
    """Numbered packets."""
    return [packet(number, size) for number in range(count)]


def numbers(arrivals: Arrivals) -> list[int]:
    """The numbers of the packets that came out."""
    return [int.from_bytes(data[:4], "big") for data in arrivals.packets]


def test_sizes_count_the_headers() -> None:
    """UDP and IP headers are on the wire: 28 bytes on IPv4, 48 on IPv6."""
    assert Packet(b"abc", HERE, THERE).size == 31
    assert Packet(b"abc", ("::1", 1), ("::2", 2)).size == 51
    assert overhead_of("10.0.0.1") == 28


def test_plain_link_is_one_event_for_a_batch() -> None:
    """Datagrams that arrive in the same microsecond come out together, at the cost of one event."""
    simulator, link, arrivals = make(delay=5000)
    link.send(packets(3))
    link.send(packets(2))
    simulator.run()
    assert [(time, len(batch)) for time, batch in arrivals.batches] == [(5000, 5)]
    assert simulator.events_run == 1
    assert link.counters.sent == link.counters.delivered == 5
    assert link.counters.sent_bytes == link.counters.delivered_bytes == 5000


def test_no_delay_at_all() -> None:
    """A link without delay still delivers later in the same instant, not in the middle of send()."""
    simulator, link, arrivals = make()
    link.send(packets(1))
    assert not arrivals.batches
    simulator.run()
    link.send(packets(1))
    simulator.run()
    assert arrivals.times == [0, 0]


def test_rate_spaces_packets() -> None:
    """8 Mb/s is one 1000-byte packet per millisecond, the first one included."""
    simulator, link, arrivals = make(rate=8_000_000, delay=500)
    link.send(packets(4))
    simulator.run()
    assert arrivals.times == [1500, 2500, 3500, 4500]


def test_rate_has_no_rounding_bias() -> None:
    """Fractions of a microsecond are carried over: 3000 packets at 100 Mb/s take what the arithmetic says."""
    simulator, link, arrivals = make(rate=100_000_000, queue=DropTail(packets=10_000))
    link.send(packets(3000, 1431))
    simulator.run()
    assert arrivals.times[-1] == 3000 * 1431 * 8 // 100


def test_link_that_was_idle_serves_at_once() -> None:
    """An idle link saves up no capacity."""
    simulator, link, arrivals = make(rate=8_000_000)
    link.send(packets(1))
    simulator.run_for(10_000)
    link.send(packets(2))
    simulator.run()
    assert arrivals.times == [1000, 11_000, 12_000]


def test_queueing_delay_is_readable() -> None:
    """The instrument shows what a packet that joins now would wait for."""
    _, link, _ = make(rate=8_000_000)
    link.send(packets(5))
    assert link.queueing_delay == 4000  # the first is being sent
    assert make()[1].queueing_delay == 0


def test_rate_change_takes_effect_on_the_queue() -> None:
    """What waits in the queue goes at the new rate."""
    simulator, link, arrivals = make(rate=8_000_000)
    link.set_rate_at(START + 1500, 80_000_000)
    link.send(packets(4))
    simulator.run()
    assert arrivals.times == [1000, 2000, 2100, 2200]


def test_rate_zero_holds_and_none_releases() -> None:
    """A link at rate 0 keeps its queue; without a rate everything leaves at once, in order."""
    simulator, link, arrivals = make(rate=0, queue=DropTail(nbytes=100_000))
    link.send(packets(3))
    simulator.run_for(SECOND)
    assert not arrivals.batches
    link.set_rate(None)
    link.send([packet(3)])
    simulator.run()
    assert numbers(arrivals) == [0, 1, 2, 3] and set(arrivals.times) == {SECOND}
    with pytest.raises(ValueError, match="rate=-1"):
        link.set_rate(-1)


def test_tail_drop_in_bytes() -> None:
    """A queue of 2500 bytes holds two packets besides the one being sent."""
    simulator, link, arrivals = make(rate=8_000_000, queue=DropTail(nbytes=2500))
    link.send(packets(5))
    simulator.run()
    assert numbers(arrivals) == [0, 1, 2]
    assert link.counters.queue_drops == link.queue.dropped == 2
    assert link.queue.most_bytes == 2000


def test_outage_loses_what_is_sent_meanwhile() -> None:
    """What is on the way arrives, what is sent during the outage does not."""
    simulator, link, arrivals = make(delay=5000)
    link.down_at(START + 1000, 2000)
    for number, time in enumerate((500, 1500, 2999, 3000)):
        simulator.call_at(START + time, link.send, [packet(number)])
    simulator.run_until(START + 1000)
    assert link.is_down
    simulator.run()
    assert numbers(arrivals) == [0, 3]
    assert link.counters.down == 2 and not link.is_down


def test_mtu_drops_silently_or_tells() -> None:
    """A packet above the MTU vanishes; a callback hears of it, for ICMP."""
    simulator, link, arrivals = make(mtu=1000)
    link.send([packet(0, 1000), packet(1, 1001)])
    told: list[tuple[int, int]] = []
    link.on_too_big = lambda big, mtu: told.append((big.size, mtu))
    link.send([packet(2, 1400)])
    simulator.run()
    assert numbers(arrivals) == [0] and link.counters.too_big == 2
    assert told == [(1400, 1000)]


def test_fragments_pass_unless_forbidden() -> None:
    """IPv4 routers cut packets without the DF bit, when the link says that they do."""
    simulator, link, arrivals = make(mtu=1000, fragments=True)
    link.send([packet(0, 1400), packet(1, 1400, dont_fragment=True)])
    simulator.run()
    assert numbers(arrivals) == [0]


def test_random_loss_is_about_as_asked() -> None:
    """10 % loss loses 10 % of 10,000 packets, give or take five standard deviations."""
    simulator, link, arrivals = make(loss=0.1)
    link.send(packets(10_000, 40))
    simulator.run()
    assert 850 <= link.counters.lost <= 1150
    assert len(arrivals.packets) == 10_000 - link.counters.lost
    assert numbers(arrivals) == sorted(numbers(arrivals))


def test_burst_loss_comes_in_bursts() -> None:
    """Gilbert-Elliott loses the share it computes, in runs of the mean length asked for."""
    model = GilbertElliott(0.01, 0.25)
    simulator, link, arrivals = make(loss=model)
    link.send(packets(50_000, 40))
    simulator.run()
    assert model.mean_loss == pytest.approx(0.0385, abs=0.0001)
    assert link.counters.lost / 50_000 == pytest.approx(model.mean_loss, abs=0.006)
    came = set(numbers(arrivals))
    runs = sum(1 for number in range(1, 50_000) if number not in came and number - 1 in came)
    assert link.counters.lost / runs == pytest.approx(4, abs=0.5)


def test_burst_loss_without_change() -> None:
    """A model that never turns bad loses what a good link loses."""
    assert GilbertElliott(0, 0, loss_in_good=0.25).mean_loss == 0.25


def test_every_nth_is_exact() -> None:
    """The counting model loses exactly the multiples of n."""
    simulator, link, arrivals = make(loss=EveryNth(3))
    link.send(packets(7))
    simulator.run()
    assert numbers(arrivals) == [0, 1, 3, 4, 6]


def test_loss_uses_the_links_capacity() -> None:
    """Loss comes after the queue: a lost packet has taken its time on the wire."""
    simulator, link, arrivals = make(rate=8_000_000, loss=EveryNth(2))
    link.send(packets(3))
    simulator.run()
    assert arrivals.times == [1000, 3000]


def test_uniform_jitter_reorders() -> None:
    """Jitter without order lets packets overtake; all arrive within the width."""
    simulator, link, arrivals = make(delay=1000, jitter=UniformJitter(5000))
    for number in range(500):
        simulator.call_later(number * 100, link.send, [packet(number)])
    simulator.run()
    late = [time - number * 100 - 1000 for number, time in zip(numbers(arrivals), arrivals.times, strict=True)]
    assert 0 <= min(late) < 100 and 4900 < max(late) <= 5000
    assert numbers(arrivals) != sorted(numbers(arrivals))
    assert sorted(numbers(arrivals)) == list(range(500))


def test_jitter_that_keeps_order() -> None:
    """A packet that would overtake waits instead, as in a queue."""
    simulator, link, arrivals = make(delay=1000, jitter=UniformJitter(5000, keeps_order=True))
    for number in range(500):
        simulator.call_later(number * 100, link.send, [packet(number)])
    simulator.run()
    assert numbers(arrivals) == list(range(500))
    assert len(set(arrivals.times)) > 50


def test_normal_jitter_never_is_negative() -> None:
    """The bell curve is cut off at nothing: no packet is faster than light."""
    simulator, link, arrivals = make(delay=1000, jitter=NormalJitter(2000, mean=1000))
    link.send(packets(1000))
    simulator.run()
    assert min(arrivals.times) == 1000
    assert sum(arrivals.times) / 1000 == pytest.approx(2300, abs=300)


def test_reordering_holds_back_some() -> None:
    """Held-back packets come later by exactly the delay asked for; the others keep their order."""
    simulator, link, arrivals = make(reorder=0.2, reorder_delay=350)
    for number in range(1000):
        simulator.call_later(number * 100, link.send, [packet(number)])
    simulator.run()
    late = [time - number * 100 for number, time in zip(numbers(arrivals), arrivals.times, strict=True)]
    assert set(late) == {0, 350}
    assert late.count(350) == link.counters.reordered and 140 < link.counters.reordered < 260


def test_duplicates_come_out_twice() -> None:
    """Every duplicated packet arrives exactly twice."""
    simulator, link, arrivals = make(duplicate=0.5)
    link.send(packets(1000))
    simulator.run()
    assert len(arrivals.packets) == 1000 + link.counters.duplicated
    assert sorted(set(numbers(arrivals))) == list(range(1000))
    assert 400 < link.counters.duplicated < 600


def test_corruption_flips_one_bit() -> None:
    """Each corrupted packet differs from the original in one bit."""
    simulator, link, arrivals = make(corrupt=1.0)
    sent = packets(100)
    link.send(list(sent))
    simulator.run()
    for before, after in zip(sent, arrivals.packets, strict=True):
        difference = int.from_bytes(before.data, "big") ^ int.from_bytes(after, "big")
        assert difference.bit_count() == 1
    assert link.counters.corrupted == 100
    assert flip_bit(Packet(b"", HERE, THERE), 0).data == b""


def test_route_decides_alone() -> None:
    """The hook drops, delays, multiplies or replaces packets."""
    simulator, link, arrivals = make(delay=10)

    def route(one: Packet) -> list[tuple[int, Packet]] | None:
        number = one.data[3]
        return None if number == 0 else [(number * 100, one)] * number

    link.route = route
    link.send(packets(3))
    simulator.run()
    assert arrivals.times == [110, 210, 210] and numbers(arrivals) == [1, 2, 2]
    assert link.counters.lost == 1


def test_taps_see_all_and_take_some() -> None:
    """Every tap sees every packet, also those that another tap takes."""
    simulator, link, arrivals = make()
    seen: list[int] = []
    link.taps.append(lambda one: one.data[3] == 1)
    link.taps.append(lambda one: seen.append(one.data[3]))  # type: ignore[arg-type, func-returns-value]
    link.send(packets(3))
    simulator.run()
    assert seen == [0, 1, 2] and numbers(arrivals) == [0, 2] and link.counters.taken == 1


def test_interrupt_coalescing() -> None:
    """The card gathers what arrives within the time asked for, and each packet keeps its own arrival time."""
    simulator, link, _ = make(rate=8_000_000, coalesce=2500)
    came: list[tuple[int, list[int]]] = []
    link.sink = lambda batch: came.append((simulator.now - START, [one.arrived_at - START for one in batch]))
    link.send(packets(5))
    simulator.run()
    assert came == [(3500, [1000, 2000, 3000]), (6500, [4000, 5000])]


def test_coalescing_sorts_by_arrival() -> None:
    """What overtakes within a batch comes out in order of arrival."""
    simulator, link, _ = make(coalesce=10_000, jitter=UniformJitter(3000))
    came: list[int] = []
    link.sink = lambda batch: came.extend(one.arrived_at for one in batch)
    for number in range(50):
        simulator.call_later(number * 100, link.send, [packet(number)])
    simulator.run()
    assert came == sorted(came) and len(came) == 50


@pytest.mark.parametrize("name", ["loss", "reorder", "duplicate", "corrupt"])
def test_probabilities_are_checked(name: str) -> None:
    """A probability above 1 is refused, by name."""
    with pytest.raises(ValueError, match=r"=1\.5: expected 0 to 1"):
        make(**{name: 1.5})


def test_models_check_their_numbers() -> None:
    """Models refuse what makes no sense."""
    for wrong in (
        lambda: RandomLoss(-0.1),
        lambda: EveryNth(0),
        lambda: UniformJitter(-1),
        lambda: NormalJitter(-1),
        lambda: GilbertElliott(2, 0),
    ):
        with pytest.raises(ValueError, match="expected"):
            wrong()


def test_a_link_without_sink_says_so() -> None:
    """A forgotten sink is an error with advice, not silence."""
    simulator = Simulator()
    Link(simulator).send([packet()])
    with pytest.raises(AssertionError, match=r"Network\.join"):
        simulator.run()


def test_same_seed_same_weather() -> None:
    """Two links with everything switched on behave alike when their seeds are."""

    def once(seed: int) -> list[tuple[int, list[bytes]]]:
        simulator, link, arrivals = make(
            seed,
            rate=50_000_000,
            delay=5000,
            jitter=NormalJitter(500),
            loss=GilbertElliott(0.01, 0.3),
            reorder=0.05,
            reorder_delay=1000,
            duplicate=0.02,
            corrupt=0.02,
        )
        for number in range(500):
            simulator.call_later(number * 50, link.send, [packet(number)])
        simulator.run()
        return arrivals.batches

    assert once(1) == once(1) != once(2)


def test_another_route() -> None:
    """A longer way holds up what is sent after it; a shorter one lets it overtake."""
    simulator, link, arrivals = make(delay=10_000)
    link.send(packets(1))
    link.set_delay_at(simulator.now + 1_000, 40_000)
    simulator.run_for(2_000)
    link.send(packets(1))
    link.set_delay(5_000)
    link.send(packets(1))
    simulator.run()
    assert arrivals.times == [7_000, 10_000, 42_000]
    with pytest.raises(ValueError, match="expected 0 µs or more"):
        link.set_delay(-1)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"rate": "2M"},
            TypeError,
            r"rate='2M': expected 0 bits per second or more, as an int \(2 Mb/s is 2_000_000\)",
        ),
        ({"rate": 2e6}, TypeError, "rate=2000000.0: expected 0 bits per second"),
        ({"rate": True}, TypeError, "rate=True"),
        ({"delay": 0.025}, TypeError, r"delay=0.025: expected 0 µs or more, as an int \(25 ms is 25_000\)"),
        ({"delay": -1}, ValueError, "delay=-1: expected 0 µs or more"),
        ({"reorder_delay": "1ms"}, TypeError, "reorder_delay='1ms'"),
        ({"coalesce": 1.5}, TypeError, "coalesce=1.5"),
        ({"mtu": 0}, ValueError, "mtu=0: expected 1 bytes or more"),
        ({"loss": "1%"}, TypeError, "loss='1%': expected a probability"),
        ({"loss": 2}, ValueError, "loss=2: expected 0 to 1"),
        ({"duplicate": None}, TypeError, "duplicate=None: expected a probability"),
        ({"jitter": 5000}, TypeError, r"jitter=5000: expected a Jitter, such as UniformJitter\(5_000\), or None"),
        ({"queue": 100}, TypeError, r"queue=100: expected a Queue, such as DropTail\(milliseconds=200\), or None"),
        ({"queue": DropTail}, TypeError, "queue=<class .*: expected a Queue"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], error: type[Exception], message: str) -> None:
    """A setting of the wrong type or out of range is refused at once, with its name and what would do."""
    with pytest.raises(error, match=message):
        make(**settings)


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (DropTail, {"nbytes": "64k"}, "nbytes='64k': expected 1 bytes or more"),
        (DropTail, {"milliseconds": "200"}, "milliseconds='200': expected a number"),
        (CoDel, {"target": 0.005}, r"target=0.005: expected 0 µs or more, as an int \(5 ms is 5_000\)"),
        (FQCoDel, {"quantum": 1514.0}, "quantum=1514.0"),
        (RED, {"nbytes": 64_000, "probability": "10%"}, "probability='10%'"),
        (UniformJitter, {"width": 0.005}, "width=0.005"),
        (NormalJitter, {"sigma": "5ms"}, "sigma='5ms'"),
        (RandomLoss, {"probability": "1%"}, "probability='1%'"),
        (EveryNth, {"n": 2.0}, "n=2.0: expected 1 packets or more"),
    ],
)
def test_models_name_wrong_settings(model: type, settings: dict[str, object], message: str) -> None:
    """So is one of a queue, or of a model of loss or jitter."""
    with pytest.raises(TypeError, match=message):
        model(**settings)
