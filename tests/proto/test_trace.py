"""
Is everything told that a tracer should hear of, once, in order, and as documented?  And is nobody asked to listen?
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.constants import DUPLICATE_ACK_THRESHOLD
from twisted_utp.proto.packet import PacketType
from twisted_utp.proto.trace import ConnectionTrace
from twisted_utp.testing import MILLISECOND, SECOND, TO_SERVER, DropTail, Pair, UniformJitter

HEARD: set[str] = set()
"""Names of all events that the tests of this module have heard."""

MSS = 1382


class Listener:
    """
    A tracer that remembers, and compares what it is told with the documentation.

    @ivar heard: C{(now, connection id, event, data)} of the connections to one peer host.
    """

    def __init__(self, check: Any, peer: str | None = None) -> None:
        self.heard: list[tuple[int, int, str, dict[str, Any]]] = []
        self._check = check
        self._peer = peer

    def __call__(self, now: int, address: tuple[str, int], connection_id: int, event: str, **data: Any) -> None:
        self._check(event, data)
        HEARD.add(event)
        if self._peer in (None, address[0]):
            self.heard.append((now, connection_id, event, data))

    def of(self, event: str) -> list[dict[str, Any]]:
        """
        The data of all events of one name.
        """
        return [data for _, _, name, data in self.heard if name == event]

    def names(self) -> list[str]:
        """
        The names, in order.
        """
        return [name for _, _, name, _ in self.heard]


@pytest.fixture
def listener(check_traced: Any) -> Listener:
    """Hears the client of a L{Pair}."""
    return Listener(check_traced, "10.0.0.2")


@pytest.fixture(scope="module", autouse=True)
def nothing_is_forgotten(check_traced: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    """Every documented event occurs in some test of this module (if all of them were run)."""
    yield
    ours = [item for item in request.session.items if item.path == request.path]
    if len(ours) == sum(name.startswith("test_") for name in globals()) and not request.session.testsfailed:
        assert check_traced.events == HEARD


def is_data(packet: Any) -> bool:
    """A packet of the log that carries data."""
    return bool(packet.type == PacketType.DATA)


def bulk(listener: Listener, nbytes: int = 400_000, config: UTPConfig | None = None, **links: Any) -> Pair:
    """A transfer to the server, and a clean end, over links that may be bad."""
    pair = Pair(seed=3, tracer=listener, config=config, log=False, **links)
    ends = pair.connect()
    pair.transfer(ends, nbytes)
    pair.client.close(ends.client)
    pair.server.close(ends.server)
    pair.drive_bounded()
    return pair


def test_a_whole_life(listener: Listener) -> None:
    """From its start to its end, in the order of time, and the bytes add up."""
    bulk(listener, config=UTPConfig(congestion="ledbat"))
    names = listener.names()
    assert names[:3] == ["connection_started", "mtu_updated", "packet_sent"]
    assert names[-1] == "connection_closed"
    times = [now for now, _, _, _ in listener.heard]
    assert times == sorted(times)
    (started,) = listener.of("connection_started")
    assert (started["role"], started["peer_host"], started["target_delay"]) == ("client", "10.0.0.2", 100_000)
    assert listener.of("connection_closed") == [{"reason": "done"}]
    states = [data["new"] for data in listener.of("state_updated")]
    assert states[0] == "ESTABLISHED"
    assert states[-2:] == ["LINGERING", "CLOSED"]
    sent = listener.of("packet_sent")
    assert sent[0]["type"] == "syn"
    assert {packet["type"] for packet in sent} == {"syn", "state", "data", "fin"}
    assert sum(packet["bytes"] for packet in sent if not packet["is_retransmission"]) == 400_000
    assert sum(data["bytes"] for data in listener.of("packets_acked")) == 400_000
    assert not listener.of("packet_lost")
    assert [data["old"] for data in listener.of("congestion_state_updated")][:1] == [""]


def test_sequence_numbers_join_sent_acked_and_received(check_traced: Any) -> None:
    """What one side sent, the other received, train by train, under the same numbers."""
    client, server = Listener(check_traced, "10.0.0.2"), Listener(check_traced, "10.0.0.1")
    pair = Pair(seed=3, log=False, gro=True)
    pair.client.multiplexer.tracer, pair.server.multiplexer.tracer = client, server
    pair.transfer(pair.connect(), 200_000)
    pair.run_for(1)
    there = {
        packet["seq_nr"] + offset
        for packet in client.of("packet_sent") if packet["type"] == "data"
        for offset in range(packet["count"])
    }  # fmt: skip
    here = {
        packet["seq_nr"] + offset
        for packet in server.of("packet_received") if packet["type"] == "data"
        for offset in range(packet["count"])
    }  # fmt: skip
    assert there == here
    assert max(data["ack_nr"] for data in client.of("packets_acked")) == max(there)
    assert any(packet["count"] > 1 for packet in server.of("packet_received"))
    assert server.of("connection_started")[0]["role"] == "server"
    assert server.of("packet_received")[0]["type"] == "syn"


def test_metrics_at_most_once_a_batch(listener: Listener) -> None:
    """One set of metrics for all that arrives together, and never the same twice."""
    slow = {"rate": 10_000_000, "delay": 25 * MILLISECOND}
    pair = bulk(listener, 1_000_000, up=slow, down={"delay": 25 * MILLISECOND, "coalesce": 10 * MILLISECOND})
    times = [now for now, _, name, _ in listener.heard if name == "metrics_updated"]
    assert len(times) == len(set(times))
    assert len(times) < pair.server.records[0].connection.stats().acks_sent
    last = listener.of("metrics_updated")[-1]
    assert pair.client.records[0].connection.stats().cwnd == last["congestion_window"]
    assert last["min_rtt"] > 50_000 and isinstance(last["base_delay"], int)


def test_loss_by_order(listener: Listener) -> None:
    """One packet lost on a path that keeps order is lost by what arrived after it, and sent again once."""
    pair = Pair(seed=3, tracer=listener, config=UTPConfig(congestion="ledbat"), up={"rate": 10_000_000})
    ends = pair.connect()
    lost = pair.drop(TO_SERVER, is_data, first=100)
    pair.transfer(ends, 400_000)
    assert len(lost.taken) == 1
    (told,) = listener.of("packet_lost")
    assert (told["count"], told["trigger"]) == (1, "reordering_threshold")
    (again,) = [packet for packet in listener.of("packet_sent") if packet["is_retransmission"]]
    assert (again["seq_nr"], again["count"], again["is_probe"]) == (told["seq_nr"], 1, False)
    assert "recovery" in [data["new"] for data in listener.of("congestion_state_updated")]


def test_loss_by_time(listener: Listener) -> None:
    """Where packets overtake each other, time decides, and its timer is told."""
    bulk(listener, 1_000_000, up={"rate": 20_000_000, "jitter": UniformJitter(15 * MILLISECOND), "loss": 0.01})
    assert "time_threshold" in {data["trigger"] for data in listener.of("packet_lost")}
    assert "reorder" in {data["timer"] for data in listener.of("timer_expired")}


def test_tail_loss_probe(listener: Listener) -> None:
    """The last packet is lost: a probe repeats it, and that is no timeout."""
    pair = Pair(seed=3, tracer=listener, config=UTPConfig(mtu=1402))
    ends = pair.connect()
    pair.transfer(ends, 3 * MSS)
    pair.drop(TO_SERVER, is_data)
    pair.transfer(ends, MSS)
    assert [data["kind"] for data in listener.of("timeout")] == ["tail_loss_probe"]
    assert [packet["is_retransmission"] for packet in listener.of("packet_sent") if packet["is_probe"]] == [True]


def test_timeout(listener: Listener) -> None:
    """An outage: timeouts, counted, and the loss of all that was in flight."""
    slow = {"rate": 10_000_000, "delay": 25 * MILLISECOND}
    pair = Pair(seed=3, tracer=listener, up=slow, log=False)
    ends = pair.connect()
    pair.up.down_at(pair.now + SECOND // 2, 2 * SECOND)
    pair.transfer(ends, 1_000_000)
    timeouts = [data for data in listener.of("timeout") if data["kind"] == "retransmission"]
    assert [data["in_a_row"] for data in timeouts][:2] == [1, 2]
    assert timeouts[1]["rto"] >= 2 * timeouts[0]["rto"]
    assert "timeout" in {data["trigger"] for data in listener.of("packet_lost")}


def test_lost_and_acknowledged_is_all_that_was_sent(listener: Listener) -> None:
    """Each packet declared lost is sent again; nothing is lost that was not sent."""
    bulk(listener, 1_000_000, up={"rate": 20_000_000, "loss": 0.02})
    again = sum(packet["count"] for packet in listener.of("packet_sent") if packet["is_retransmission"])
    lost = sum(data["count"] for data in listener.of("packet_lost"))
    probes = sum(packet["is_probe"] for packet in listener.of("packet_sent"))
    assert lost
    assert lost <= again <= lost + probes


def test_closed_window(listener: Listener) -> None:
    """The reader pauses: zero-window probes, which are told as such."""
    pair = Pair(seed=3, tracer=listener, server_config=UTPConfig(receive_buffer=16 * 1024), log=False)
    ends = pair.connect()
    pair.server.pause_reading(ends.server)
    transfer = pair.start_transfer(ends, 100_000)
    pair.run_for(5)
    pair.server.resume_reading(ends.server)
    pair.drive(lambda: transfer.done)
    assert "zero_window_probe" in {data["kind"] for data in listener.of("timeout")}
    assert any(packet["is_probe"] for packet in listener.of("packet_sent"))
    assert 0 in {data["peer_window"] for data in listener.of("metrics_updated")}


def test_duplicate_acks(exchange: Any, check_traced: Any) -> None:
    """A peer without selective acknowledgements repeats itself three times."""
    peer = exchange()
    listener = peer.mux.tracer = Listener(check_traced)
    connection = peer.dial()
    peer.write(connection, bytes(2 * MSS))
    for _ in range(DUPLICATE_ACK_THRESHOLD):
        peer.state()
    assert [data["trigger"] for data in listener.of("packet_lost")] == ["duplicate_acks"]


def test_drops(exchange: Any, check_traced: Any) -> None:
    """Useless packets, of a connection and of none; with the reason."""
    peer = exchange()
    listener = peer.mux.tracer = Listener(check_traced)
    peer.dial()
    peer.state(ack=peer.ack + 500)
    peer.reset(ack=peer.ack + 500)
    peer.id += 77
    peer.state()
    assert [data["reason"] for data in listener.of("packet_dropped")] == [
        "ack_nr out of range", "RESET not believed", "no such connection",
    ]  # fmt: skip
    assert [packet["type"] for packet in listener.of("packet_received")] == ["state", "state", "reset"]


def test_another_id(listener: Listener) -> None:
    """The third SYN bears another id, which is told under the old one; all that follows bears the new one."""
    pair = Pair(seed=3, tracer=listener)
    pair.drop(TO_SERVER, lambda packet: True, count=2)
    record = pair.connect().client
    index = listener.names().index("connection_id_updated")
    _, connection_id, _, data = listener.heard[index]
    assert connection_id == data["old"] == listener.heard[0][1]
    assert {heard[1] for heard in listener.heard[index + 1 :]} == {data["new"]} == {record.connection.recv_id}
    assert [data["timer"] for data in listener.of("timer_expired")][:2] == ["connect", "connect"]


@pytest.mark.parametrize("reason", ["refused", "connect_timed_out", "aborted", "reset", "timed_out"])
def test_reasons(listener: Listener, reason: str) -> None:
    """Why a connection ended; nothing is told after it."""
    pair = Pair(seed=3, tracer=listener, config=UTPConfig(user_timeout=2.0, connect_timeout=3.0))
    pair.server.multiplexer.accepting = reason != "refused"
    if reason == "connect_timed_out":
        pair.up.down_for(60 * SECOND)
    record = pair.start_connect()
    pair.run_for(1)
    if reason == "aborted":
        pair.client.abort(record)
    elif reason == "reset":
        pair.server.abort(pair.server.records[0])
    elif reason == "timed_out":
        pair.up.down_for(600 * SECOND)
        pair.client.write(record, b"is anybody there?")
    pair.drive(lambda: record.lost is not None)
    pair.run_for(1)
    assert listener.of("connection_closed") == [{"reason": reason}]
    assert listener.names()[-1] == "connection_closed"


def test_keepalive(listener: Listener) -> None:
    """A timer that is about nothing else is told by its name; its packet too."""
    pair = Pair(seed=3, tracer=listener, config=UTPConfig(keepalive=5.0))
    pair.connect()
    pair.run_for(3)
    before = len(listener.of("packet_sent"))
    pair.run_for(5)
    assert "keepalive" in {data["timer"] for data in listener.of("timer_expired")}
    assert [packet["type"] for packet in listener.of("packet_sent")[before:]] == ["state"]


def test_two_who_dial_each_other(exchange: Any, check_traced: Any) -> None:
    """The one whose SYN loses becomes the acceptor, in one trace, when the other is proved."""
    peer = exchange(accepting=False)
    listener = peer.mux.tracer = Listener(check_traced)
    connection = peer.mux.connect(peer.address, now=peer.now)
    peer.flush()
    peer.accept(id=0 if connection.recv_id else 1, seq=1)
    assert listener.names().count("connection_started") == 1
    assert {"old": "SYN_SENT", "new": "SYN_RECEIVED"} in listener.of("state_updated")


def test_repeated_syn(exchange: Any, check_traced: Any) -> None:
    """Nothing is told of a connection before its peer is proved; then each of them is told, and each answer."""
    peer = exchange()
    listener = peer.mux.tracer = Listener(check_traced)
    peer.syn()
    peer.syn()
    assert listener.heard == []
    peer.accept()
    peer.syn()
    assert [packet["type"] for packet in listener.of("packet_received")] == ["syn", "state", "syn"]
    assert [packet["type"] for packet in listener.of("packet_sent")] == ["state"]


def test_a_tracer_for_one_connection(exchange: Any, check_traced: Any) -> None:
    """A connection's own tracer takes the place of the port's."""
    peer = exchange()
    port, own = Listener(check_traced), Listener(check_traced)
    peer.mux.tracer = port
    peer.mux.connect(peer.address, now=peer.now, tracer=own)
    assert own.names() == ["connection_started", "mtu_updated", "packet_sent"]
    assert not port.heard


def test_mtu(listener: Listener) -> None:
    """Each size that the search finds, from that of the start on."""
    bulk(listener, 4_000_000, up={"mtu": 1400})
    told = listener.of("mtu_updated")
    assert told[0]["old"] == 0
    assert [data["old"] for data in told[1:]] == [data["new"] for data in told[:-1]]
    assert 1340 < told[-1]["new"] <= 1372
    assert any(packet["is_probe"] for packet in listener.of("packet_sent"))


def test_same_seed_same_trace(check_traced: Any) -> None:
    """Twice the same, to the microsecond; and another seed's is another."""
    traces = []
    for seed in (5, 5, 6):
        listener = Listener(check_traced)
        bad = {"rate": 10_000_000, "loss": 0.02, "queue": DropTail(milliseconds=100)}
        pair = Pair(seed=seed, tracer=listener, up=bad, log=False)
        pair.transfer(pair.connect(), 500_000)
        traces.append(listener.heard)
    assert traces[0] == traces[1] != traces[2]


def test_tracing_changes_nothing(check_traced: Any) -> None:
    """The same packets at the same times, traced or not."""
    logs = []
    for tracer in (Listener(check_traced), None):
        pair = Pair(seed=5, tracer=tracer, up={"rate": 10_000_000, "loss": 0.02})
        pair.transfer(pair.connect(), 300_000)
        logs.append(pair.log.entries)
    assert logs[0] == logs[1]


@pytest.mark.interpreted
def test_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a tracer nothing is prepared for one."""

    def refuse(*arguments: object, **keywords: object) -> None:
        raise AssertionError("traced")

    for name in vars(ConnectionTrace):
        if not name.startswith("__") and callable(getattr(ConnectionTrace, name)):
            monkeypatch.setattr(ConnectionTrace, name, refuse)
    monkeypatch.setattr(ConnectionTrace, "__init__", refuse)
    pair = Pair(seed=5, up={"rate": 10_000_000, "loss": 0.02}, log=False)
    ends = pair.connect()
    pair.transfer(ends, 300_000)
    assert ends.client.connection.trace is None
    assert ends.client.connection.sender.trace is None
