"""
Do packets find their host, their port and their way?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.values import Datagram
from twisted_utp.testing.gro import MAX_MERGED_SEGMENTS, merge
from twisted_utp.testing.link import Link
from twisted_utp.testing.network import AddressInUse, Host, Network
from twisted_utp.testing.packet import Packet, Sink
from twisted_utp.testing.queues import DropTail
from twisted_utp.testing.simulator import START, Simulator


class Inbox:
    """
    What a port receives.
    """

    def __init__(self) -> None:
        self.batches: list[list[Packet]] = []

    def __call__(self, packets: list[Packet]) -> None:
        self.batches.append(packets)

    @property
    def data(self) -> list[bytes]:
        """All payloads."""
        return [packet.data for batch in self.batches for packet in batch]


def two_hosts(**link: int) -> tuple[Simulator, Host, Host]:
    """Two joined hosts."""
    simulator = Simulator()
    network = Network(simulator)
    one, other = network.add_host("10.0.0.1"), network.add_host("10.0.0.2")
    network.join(one, other, there=[Link(simulator, **link)], back=[Link(simulator, **link)])  # type: ignore[arg-type]
    return simulator, one, other


def test_there_and_back() -> None:
    """A datagram arrives with its source, and the answer finds its way back."""
    simulator, one, other = two_hosts(delay=100)
    here, there = Inbox(), Inbox()
    client, server = one.bind(here), other.bind(there, 53)
    client.send(b"question", server.address)
    simulator.run()
    assert there.batches[0][0].source == client.address
    server.send(b"answer", there.batches[0][0].source)
    simulator.run()
    assert here.data == [b"answer"] and simulator.now == START + 200


def test_arrivals_of_one_instant_are_one_batch() -> None:
    """Datagrams from several senders that arrive in the same microsecond are received together."""
    simulator = Simulator()
    network = Network(simulator)
    server = network.add_host("10.0.0.9")
    inbox = Inbox()
    port = server.bind(inbox, 1)
    for number in range(3):
        host = network.add_host(f"10.0.0.{number}")
        network.join(host, server, there=[Link(simulator, delay=7)], back=[Link(simulator)])
        host.bind(Inbox()).send(bytes([number]), port.address)
    simulator.run()
    assert [len(batch) for batch in inbox.batches] == [3]


def test_shared_bottleneck() -> None:
    """Two hosts whose ways share a link share its rate."""
    simulator = Simulator()
    network = Network(simulator)
    server = network.add_host("10.0.0.9")
    arrivals: list[tuple[int, str]] = []
    port = server.bind(lambda batch: arrivals.extend((simulator.now - START, one.source[0]) for one in batch), 1)
    bottleneck = Link(simulator, rate=8_000_000, queue=DropTail(packets=100))
    for number in (1, 2):
        host = network.add_host(f"10.0.0.{number}")
        near = Link(simulator, delay=number)
        network.join(host, server, there=[near, bottleneck], back=[Link(simulator)])
        host.bind(Inbox()).send_all([bytes(972)] * 2, port.address)
    simulator.run()
    assert arrivals == [(1001, "10.0.0.1"), (2001, "10.0.0.1"), (3001, "10.0.0.2"), (4001, "10.0.0.2")]


def test_batches_of_several_ways_part_again() -> None:
    """What came out of a shared link together goes separate ways."""
    simulator = Simulator()
    network = Network(simulator)
    source = network.add_host("10.0.0.1")
    shared = Link(simulator)
    inboxes = []
    sender = source.bind(Inbox())
    for number in (2, 3):
        host = network.add_host(f"10.0.0.{number}")
        network.join(source, host, there=[shared, Link(simulator)], back=[Link(simulator)])
        inboxes.append(Inbox())
        sender.send(bytes([number]), host.bind(inboxes[-1], 5).address)
    simulator.run()
    assert [inbox.data for inbox in inboxes] == [[b"\x02"], [b"\x03"]]


def test_a_box_may_rewrite_addresses() -> None:
    """A NAT is a hop that changes addresses: the host is looked up by the address that comes out."""

    class SourceNAT:
        """
        Shows everybody as 203.0.113.1.
        """

        sink: Sink

        def send(self, packets: list[Packet]) -> None:
            for packet in packets:
                packet.source = ("203.0.113.1", packet.source[1])
            self.sink(packets)

    simulator = Simulator()
    network = Network(simulator)
    inner, outer = network.add_host("10.0.0.1"), network.add_host("198.51.100.1")
    inbox = Inbox()
    port = outer.bind(inbox, 5)
    network.join(inner, outer, there=[Link(simulator), SourceNAT()], back=[Link(simulator)])
    sender = inner.bind(Inbox())
    sender.send(b"x", port.address)
    simulator.run()
    assert inbox.batches[0][0].source == ("203.0.113.1", sender.address[1])


def test_nobody_there() -> None:
    """Datagrams to closed ports, unknown hosts and unconnected hosts vanish and are counted."""
    simulator, one, other = two_hosts()
    sender = one.bind(Inbox())
    sender.send(b"x", ("10.0.0.2", 9))
    sender.send(b"x", ("10.9.9.9", 9))
    simulator.run()
    assert other.unreachable == 1 and one.network.no_route == 1


def test_loopback() -> None:
    """A host talks to itself without a link."""
    simulator = Simulator()
    host = Network(simulator).add_host("10.0.0.1", "127.0.0.1")
    inbox = Inbox()
    port = host.bind(inbox, 5, address="127.0.0.1")
    host.bind(Inbox(), address="127.0.0.1").send(b"x", port.address)
    simulator.run()
    assert inbox.data == [b"x"]


def test_ports() -> None:
    """A port is bound once, closes, and can be bound again; ephemeral ports are distinct and wrap."""
    _, one, _ = two_hosts()
    first = one.bind(Inbox(), 80)
    with pytest.raises(AddressInUse, match=r"10\.0\.0\.1:80"):
        one.bind(Inbox(), 80)
    first.close()
    first.close()
    again = one.bind(Inbox(), 80)
    first.close()  # the old one does not close the new one
    assert one.is_bound(again)
    one._next_port = 65535
    assert [one.bind(Inbox()).address[1] for _ in range(3)] == [65535, 49152, 49153]
    with pytest.raises(ValueError, match="expected one of"):
        one.bind(Inbox(), address="10.0.0.77")


def test_a_closed_port_receives_nothing_any_more() -> None:
    """What was about to be received when the port closed is gone."""
    simulator, one, other = two_hosts(delay=5)
    inbox = Inbox()
    port = other.bind(inbox, 5)
    one.bind(Inbox()).send(b"x", port.address)
    simulator.call_later(5, port.close)
    simulator.run()
    assert inbox.data == []


def test_icmp_too_big_reaches_the_sender() -> None:
    """The port that sent too big a packet hears of the MTU, after the link's delay."""
    simulator, one, _ = two_hosts(delay=100, mtu=600)
    sender = one.bind(Inbox())
    link = one.network._paths["10.0.0.1", "10.0.0.2"].first.__self__  # type: ignore[attr-defined]
    one.network.answer_too_big(link)
    heard: list[tuple[int, int]] = []
    sender.on_returned = lambda packet, obstacle, mtu: heard.append((simulator.now - START, mtu))
    sender.send(bytes(1000), ("10.0.0.2", 9))
    simulator.run()
    assert heard == [(100, 600)]


def test_addresses_are_unique_and_paths_sane() -> None:
    """Configuration mistakes are errors."""
    network = Network(Simulator())
    network.add_host("10.0.0.1")
    link = Link(network.simulator)
    with pytest.raises(ValueError, match="has it already"):
        network.add_host("10.0.0.1")
    with pytest.raises(ValueError, match="at least one"):
        network.add_host()
    with pytest.raises(ValueError, match="each hop once"):
        network.add_path("a", "b", [link, link])


def test_families_do_not_mix() -> None:
    """Joined dual-stack hosts have a way per family and none across."""
    simulator = Simulator()
    network = Network(simulator)
    one, other = network.add_host("10.0.0.1", "fd00::1"), network.add_host("10.0.0.2", "fd00::2")
    network.join(one, other, there=[Link(simulator)], back=[Link(simulator)])
    inbox = Inbox()
    port = other.bind(inbox, 5, address="fd00::2")
    one.bind(Inbox(), address="fd00::1").send(b"six", port.address)
    one.bind(Inbox()).send(b"mixed", port.address)
    simulator.run()
    assert inbox.data == [b"six"] and inbox.batches[0][0].size == 51 and network.no_route == 1


def datagrams(*sizes: int, address: tuple[str, int] = ("10.0.0.1", 1)) -> list[Datagram]:
    """Single datagrams of these sizes."""
    return [Datagram(bytes([size % 251]) * size, address) for size in sizes]


def test_gro_merges_equal_sizes() -> None:
    """Equal datagrams of one source become one buffer; a shorter one may end it."""
    merged = merge(datagrams(100, 100, 60, 100, 100, 120))
    assert [(len(one.data), one.segment_size) for one in merged] == [(260, 100), (200, 100), (120, 0)]


def test_gro_keeps_sources_apart() -> None:
    """Only one flow's datagrams merge, and only when they are neighbours."""
    merged = merge(datagrams(100) + datagrams(100, address=("10.0.0.2", 1)) + datagrams(100))
    assert [one.segment_size for one in merged] == [0, 0, 0]


def test_gro_is_bounded_and_loses_nothing() -> None:
    """A buffer holds 64 segments and 65,507 bytes at the most, and the bytes are the same."""
    many = datagrams(*[1400] * 200)
    merged = merge(many)
    assert all(len(one.data) <= 65_507 for one in merged)
    assert b"".join(one.data for one in merged) == b"".join(one.data for one in many)
    assert len(merge(datagrams(*[10] * 100))[0].data) == 10 * MAX_MERGED_SEGMENTS
    assert merge([]) == [] and merge(datagrams(0, 0)) == datagrams(0, 0)
