"""
Are traces qlog as documented, complete, and harmless?  And are they written when, and only when, they are asked for?
"""

from __future__ import annotations

import builtins
import errno
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import globalLogPublisher

from twisted_utp import UTPConfig
from twisted_utp.proto.packet import Packet, PacketType, encode_packet
from twisted_utp.protocol import UTPProtocol
from twisted_utp.qlog import QlogTracer, read_records
from twisted_utp.testing import MILLISECOND, Host, Link, Network, Pair, Simulator
from twisted_utp.testing.reactor import SimulatedReactor

PEER = ("192.0.2.7", 9000)
STARTED: dict[str, Any] = {
    "role": "client", "peer_host": PEER[0], "peer_port": PEER[1], "state": "SYN_SENT", "congestion": "ledbat",
    "target_delay": 100_000, "pacing": True, "receive_buffer": 1 << 20, "send_buffer": 1 << 18,
}  # fmt: skip


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may be tracing."""
    for name in ("", "_FILES", "_BYTES"):
        monkeypatch.delenv(f"TWISTED_UTP_TRACE{name}", raising=False)


@pytest.fixture
def messages() -> Any:
    """What is logged."""
    seen: list[str] = []

    def observe(event: Any) -> None:
        seen.append(str(event.get("log_format")))

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def simulate(directory: Path, seed: int = 4, nbytes: int = 300_000) -> None:
    """A lossy transfer and its end, traced at both ends."""
    tracer = QlogTracer(directory, epoch=lambda: 0)
    bad = {"rate": 10_000_000, "loss": 0.02, "delay": 20 * MILLISECOND}
    pair = Pair(seed=seed, tracer=tracer, up=bad, log=False)
    ends = pair.connect()
    pair.transfer(ends, nbytes)
    pair.client.close(ends.client)
    pair.server.close(ends.server)
    pair.drive_bounded()
    tracer.close()


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and events."""
    header, *events = read_records(path)
    return header, events


def traces(directory: Path) -> list[Path]:
    """The files, by name."""
    return sorted(directory.iterdir()) if directory.exists() else []


# --- The format ----------------------------------------------------------------------------------------------------


def test_one_file_for_each_end(tmp_path: Path) -> None:
    """Its name says when, who and with whom, in characters that every file system takes."""
    simulate(tmp_path / "not" / "there")
    names = [path.name for path in traces(tmp_path / "not" / "there")]
    client, server = names
    assert client.startswith("19700101T001640.000000Z_client_10.0.0.2_9000_")
    assert "_server_10.0.0.1_49152_" in server
    assert all(name.endswith(".sqlog") for name in names)


def test_json_text_sequence(tmp_path: Path) -> None:
    """RFC 7464: record separator, JSON, newline; nothing else."""
    simulate(tmp_path)
    for path in traces(tmp_path):
        raw = path.read_bytes()
        assert raw.startswith(b"\x1e")
        assert raw.endswith(b"\n")
        for record in raw[1:].split(b"\x1e"):
            assert record.count(b"\n") == 1
            json.loads(record)


def test_header(tmp_path: Path) -> None:
    """What qlog's tools look for, and when it was."""
    simulate(tmp_path)
    for path, role in zip(traces(tmp_path), ("client", "server"), strict=True):
        header, _ = read(path)
        assert (header["qlog_version"], header["qlog_format"]) == ("0.3", "JSON-SEQ")
        trace = header["trace"]
        assert trace["vantage_point"]["type"] == role
        assert trace["event_schemas"] == ["urn:twisted-utp:qlog:events:utp-1"]
        common = trace["common_fields"]
        assert (common["time_format"], common["protocol_type"]) == ("relative", ["UTP"])
        assert 1_000_000.0 <= common["reference_time"] < 1_000_100.0  # the simulator's clock begins at 1000 s


def test_events_are_as_documented(tmp_path: Path, check_traced: Any) -> None:
    """Names, fields, types; times that do not go back; metrics that have changed."""
    simulate(tmp_path)
    for path in traces(tmp_path):
        _, events = read(path)
        assert [event["name"] for event in (events[0], events[-1])] == [
            "utp:connection_started", "utp:connection_closed",
        ]  # fmt: skip
        times = [event["time"] for event in events]
        assert times == sorted(times)
        assert times[0] == 0
        known: dict[str, Any] = {}
        for event in events:
            assert event.keys() == {"time", "name", "data"}
            namespace, _, name = event["name"].partition(":")
            assert namespace == "utp"
            check_traced(name, event["data"])
            if name == "metrics_updated":
                assert all(known.get(field) != value for field, value in event["data"].items())
                known.update(event["data"])


def test_units(tmp_path: Path) -> None:
    """Milliseconds, bits per second."""
    simulate(tmp_path)
    _, events = read(traces(tmp_path)[0])
    assert 10 < events[0]["data"]["target_delay"] < 200
    metrics: dict[str, Any] = {}
    for event in events:
        if event["name"] == "utp:metrics_updated":
            metrics.update(event["data"])
    assert 30 < metrics["min_rtt"] < 60
    # The peers' clocks have random offsets, so only differences of delays mean something.
    assert -1 < metrics["one_way_delay"] - metrics["base_delay"] < 200
    assert metrics["pacing_rate"] > 100_000


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    """Byte for byte, names included; and another seed's is another."""
    for name, seed in (("one", 4), ("two", 4), ("three", 5)):
        simulate(tmp_path / name, seed)
    one, two, three = ([(p.name, p.read_bytes()) for p in traces(tmp_path / n)] for n in ("one", "two", "three"))
    assert one == two
    assert one != three


# --- Files ---------------------------------------------------------------------------------------------------------


def test_ipv6_and_taken_names(tmp_path: Path) -> None:
    """No colons or slashes in names, whatever the scope id is; and nothing is overwritten."""
    for _ in range(2):
        tracer = QlogTracer(tmp_path, epoch=lambda: 0)
        tracer(0, ("fe80::1%a/../b", 1), 5, "connection_started", **{**STARTED, "peer_host": "fe80::1%a/../b"})
        tracer(0, ("fe80::1%a/../b", 1), 5, "connection_closed", reason="done")
    stem = "19700101T000000.000000Z_client_fe80-1-a-..-b_9000_5"
    assert [path.name for path in traces(tmp_path)] == [f"{stem}-2.sqlog", f"{stem}.sqlog"]


def test_file_follows(tmp_path: Path) -> None:
    """What has happened is in the file a second later, and nothing is held open meanwhile."""
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    tracer = QlogTracer(tmp_path, epoch=lambda: 0)
    tracer(0, PEER, 5, "connection_started", **STARTED)
    (path,) = traces(tmp_path)
    tracer(500_000, PEER, 5, "packet_dropped", reason="a")
    assert [event["name"] for event in read(path)[1]] == []
    tracer(1_100_000, PEER, 5, "packet_dropped", reason="b")
    assert [event["data"].get("reason") for event in read(path)[1]] == [None, "a", "b"]
    if descriptors is not None:
        assert len(os.listdir("/proc/self/fd")) == descriptors
    tracer(1_200_000, PEER, 5, "packet_dropped", reason="c")
    tracer.close()
    assert [event["data"]["reason"] for event in read(path)[1][-2:]] == ["c", "trace_closed"]
    assert read(path)[1][-1]["time"] == 1200


def test_id_changes(tmp_path: Path) -> None:
    """A connection that is dialled under another id stays in one file."""
    tracer = QlogTracer(tmp_path)
    tracer(0, PEER, 5, "connection_started", **STARTED)
    tracer(1, PEER, 5, "connection_id_updated", old=5, new=9)
    tracer(2, PEER, 9, "packet_dropped", reason="a")
    tracer(3, PEER, 5, "packet_dropped", reason="of another connection")
    tracer(4, PEER, 9, "connection_closed", reason="done")
    (path,) = traces(tmp_path)
    assert [event["time"] for event in read(path)[1]] == [0, 0.001, 0.002, 0.004]


def test_cut_off(tmp_path: Path) -> None:
    """What is missing at the end of a file does not hide the rest."""
    simulate(tmp_path)
    path = traces(tmp_path)[0]
    whole = read(path)[1]
    path.write_bytes(path.read_bytes()[:-20] + b"\xff\x1e[]\n")
    assert read(path)[1] == whole[:-1]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EMFILE])
def test_disk_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str], number: int) -> None:
    """A full disk, say, in the middle: the transfer goes on, and one message says that the traces do not."""
    opened = 0
    real = builtins.open

    def failing(file: Any, *arguments: Any, **keywords: Any) -> Any:
        nonlocal opened
        if str(file).startswith(str(tmp_path)):
            opened += 1
            if opened > 6:
                raise OSError(number, os.strerror(number))
        return real(file, *arguments, **keywords)

    monkeypatch.setattr(builtins, "open", failing)
    simulate(tmp_path, nbytes=3_000_000)
    assert opened == 7
    assert len([message for message in messages if "stopped writing traces" in message]) == 1


def test_directory_that_cannot_be(tmp_path: Path, messages: list[str]) -> None:
    """There is a file where the directory should be."""
    (tmp_path / "file").write_text("not a directory")
    simulate(tmp_path / "file")
    assert len([message for message in messages if "stopped writing traces" in message]) == 1


def test_anything_else_is_harmless_too(tmp_path: Path, messages: list[str]) -> None:
    """Data that JSON cannot say, for one."""
    tracer = QlogTracer(tmp_path)
    tracer(0, PEER, 5, "connection_started", **STARTED)
    tracer(1, PEER, 5, "packet_dropped", reason=object())
    tracer(2, PEER, 5, "packet_dropped", reason="unheard")
    tracer.close()
    assert len([message for message in messages if "stopped writing traces" in message]) == 1


# --- Whose files, and how many -------------------------------------------------------------------------------------


def started(tracer: QlogTracer, number: int = 5, **about: Any) -> None:
    """A connection begins."""
    tracer(0, PEER, number, "connection_started", **{**STARTED, **about})


def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    """Neither the files nor a directory that is made for them, whatever the umask."""
    before = os.umask(0)
    try:
        started(QlogTracer(tmp_path / "traces"))
    finally:
        os.umask(before)
    (path,) = traces(tmp_path / "traces")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def link(path: Path, target: Path) -> None:
    """By name."""
    path.symlink_to(target)


def hard_link(path: Path, target: Path) -> None:
    """By inode."""
    path.hardlink_to(target)


def pipe(path: Path, target: Path) -> None:
    """Which nobody reads."""
    os.mkfifo(path)


def copy(path: Path, target: Path) -> None:
    """Another file."""
    path.write_bytes(target.read_bytes())


def nothing(path: Path, target: Path) -> None:
    """It was removed."""


@pytest.mark.parametrize("replace", [link, hard_link, pipe, copy, nothing])
def test_replaced_file(tmp_path: Path, messages: list[str], replace: Any) -> None:
    """What somebody puts in a trace's place is left alone; the other traces go on."""
    target = tmp_path / "target"
    target.write_text("root's file")
    tracer = QlogTracer(tmp_path / "traces")
    started(tracer, 5)
    (path,) = traces(tmp_path / "traces")
    started(tracer, 6)
    path.unlink()
    replace(path, target)
    for number in (5, 6):
        for at in (2, 4):
            tracer(at * 1_000_000, PEER, number, "packet_dropped", reason="a")
        tracer(5_000_000, PEER, number, "connection_closed", reason="done")
    assert target.read_text() == "root's file"
    assert replace is nothing or path.is_fifo() or path.read_text() == "root's file"
    (other,) = [found for found in traces(tmp_path / "traces") if found != path]
    assert read(other)[1][-1]["name"] == "utp:connection_closed"
    assert messages == ["uTP: a trace was removed or replaced while it was written: {path}"]


def test_link_in_the_place_of_a_new_file(tmp_path: Path) -> None:
    """Its name is taken; the trace gets another one."""
    tracer = QlogTracer(tmp_path, epoch=lambda: 0)
    started(tracer)
    (path,) = traces(tmp_path)
    path.unlink()
    path.symlink_to(tmp_path / "target")
    started(QlogTracer(tmp_path, epoch=lambda: 0))
    assert not (tmp_path / "target").exists()
    assert [found.name for found in traces(tmp_path) if not found.is_symlink()] == [f"{path.stem}-2.sqlog"]


def test_replaced_directory(tmp_path: Path, messages: list[str]) -> None:
    """Once files are in it, it is that directory or none; a link to one that was there before will do."""
    real, elsewhere, name = tmp_path / "real", tmp_path / "elsewhere", tmp_path / "traces"
    real.mkdir()
    elsewhere.mkdir()
    name.symlink_to(real)
    tracer = QlogTracer(name)
    started(tracer, 5)
    assert len(traces(real)) == 1
    name.unlink()
    name.symlink_to(elsewhere)
    started(tracer, 6)
    assert traces(elsewhere) == []
    assert len([message for message in messages if "stopped writing traces" in message]) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make links for others")
def test_link_of_a_stranger(tmp_path: Path, messages: list[str]) -> None:
    """A directory's name that is a link by neither us nor root is not followed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "traces").symlink_to(tmp_path / "real")
    os.lchown(tmp_path / "traces", 65534, 65534)
    started(QlogTracer(tmp_path / "traces"))
    assert traces(tmp_path / "real") == [] and len(messages) == 1


def test_as_many_files(tmp_path: Path, messages: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As the limit says, those that are there already included; two tracers share it; room that is made counts."""
    (tmp_path / "old.sqlog").write_text("")
    (tmp_path / "else.txt").write_text("")
    tracers = [QlogTracer(tmp_path, max_files=3) for _ in range(2)]
    for number in range(4):
        for tracer in tracers:
            started(tracer, number)
    assert len(traces(tmp_path)) == 4
    (message,) = messages
    assert "stopped writing traces" in message
    for path in traces(tmp_path):
        path.unlink()
    started(tracers[0], 10)
    assert traces(tmp_path) == []
    later = time.monotonic() + 61
    monkeypatch.setattr("twisted_utp._trace_files.time.monotonic", lambda: later)
    started(tracers[0], 11)
    assert len(traces(tmp_path)) == 1 and len(messages) == 1


def test_as_many_bytes(tmp_path: Path, messages: list[str]) -> None:
    """All files together; the last record that fits is whole."""
    tracer = QlogTracer(tmp_path, max_bytes=5000)
    for number in (5, 6):
        started(tracer, number)
    for at in range(1, 60):
        for number in (5, 6):
            tracer(at * 1_100_000, PEER, number, "packet_dropped", reason="a" * 100)
    started(tracer, 7)
    tracer.close()
    sizes = [path.stat().st_size for path in traces(tmp_path)]
    assert len(sizes) == 2 and 4500 < sum(sizes) <= 5000
    assert all(path.read_bytes().endswith(b"}\n") for path in traces(tmp_path))
    assert len(messages) == 1 and "stopped writing traces" in messages[0]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("max_files", 0, ValueError), ("max_bytes", -1, ValueError), ("max_files", "9", TypeError),
     ("max_bytes", True, TypeError), ("directory", 5, TypeError)],
)  # fmt: skip
def test_limits_are_checked(tmp_path: Path, name: str, value: Any, error: Any) -> None:
    """When they are given."""
    with pytest.raises(error, match=f"^{name}={value!r}: expected"):
        QlogTracer(**{"directory": tmp_path, name: value})


@pytest.mark.parametrize("variable", ["TWISTED_UTP_TRACE_FILES", "TWISTED_UTP_TRACE_BYTES"])
def test_limits_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """They hold where the code says nothing; what is no number is refused at once."""
    monkeypatch.setenv(variable, "1")
    tracer = QlogTracer(tmp_path)
    for number in (5, 6):
        started(tracer, number)
    assert [path.stat().st_size > 0 for path in traces(tmp_path)] == [variable.endswith("FILES")]
    for wrong in ("0", "-1", "many", "1e3"):
        monkeypatch.setenv(variable, wrong)
        with pytest.raises(ValueError, match=f"^{variable}='{wrong}': expected an integer of 1 or more"):
            QlogTracer(tmp_path)


def test_strangers_have_no_file(tmp_path: Path) -> None:
    """Who opens connections and proves nothing has none, however often he repeats himself; who proves has one."""
    machines = Machines()
    server = UTPProtocol(machines.server, UTPConfig(trace=str(tmp_path)))
    machines.server.listenUDP(9000, server)
    server.listen(factory(echoes=True))
    for source in range(200):
        for _ in range(3):
            syn = Packet(PacketType.SYN, source, timestamp=1, seq_nr=7)
            server.datagramReceived(encode_packet(syn), (f"10.9.9.{source}", 5))
    machines.client.advance(1)
    server.datagramReceived(encode_packet(Packet(PacketType.STATE, 5, timestamp=1, seq_nr=7)), ("10.9.9.9", 6))
    machines.client.advance(70)
    assert traces(tmp_path) == []
    endpoint = clientFromString(machines.client, "utp:10.0.0.2:9000")
    machines.client.wait_for(endpoint.connect(factory(echoes=False)))
    machines.client.advance(1)
    assert roles(tmp_path) == ["server"]


def test_unproven_records_are_few(tmp_path: Path) -> None:
    """What is kept for one who repeats his SYN is bounded; what follows his proof is in the file at once."""
    tracer = QlogTracer(tmp_path)
    started(tracer, role="server", state="SYN_RECEIVED")
    for at in range(1000):
        tracer(at, PEER, 5, "packet_dropped", reason="again")
    assert traces(tmp_path) == []
    tracer(2000, PEER, 5, "state_updated", old="SYN_RECEIVED", new="ESTABLISHED")
    events = read(traces(tmp_path)[0])[1]
    assert len(events) < 20 and events[0]["name"] == "utp:connection_started"
    assert events[-1]["data"] == {"old": "SYN_RECEIVED", "new": "ESTABLISHED"}


def test_unproven_end(tmp_path: Path) -> None:
    """One that never proves his address leaves nothing."""
    tracer = QlogTracer(tmp_path)
    started(tracer, role="server", state="SYN_RECEIVED")
    tracer(1, PEER, 5, "state_updated", old="SYN_RECEIVED", new="CLOSED")
    tracer(2, PEER, 5, "connection_closed", reason="timed_out")
    tracer.close()
    assert traces(tmp_path) == []


# --- Switching it on -----------------------------------------------------------------------------------------------


class Echo(Protocol):
    """Sends back what it gets; remembers it."""

    def __init__(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self.factory.echoes:  # type: ignore[union-attr,attr-defined]
            self.transport.write(data)  # type: ignore[union-attr]


def factory(*, echoes: bool) -> Any:
    """Of L{Echo}."""
    made: Any = Factory.forProtocol(Echo)
    made.noisy = False
    made.echoes = echoes
    return made


class Machines:
    """A client and a server in virtual time, with everything of ours above the UDP socket."""

    def __init__(self) -> None:
        self.simulator = Simulator(seed=1)
        network = Network(self.simulator)
        hosts: list[Host] = [network.add_host("10.0.0.1"), network.add_host("10.0.0.2")]
        links = [Link(self.simulator, delay=5 * MILLISECOND) for _ in range(2)]
        network.join(*hosts, there=links[:1], back=links[1:])
        self.client, self.server = (SimulatedReactor(host) for host in hosts)

    def converse(self, listen: str, connect: str) -> None:
        """A connection between endpoints from strings, and its end."""
        port = self.client.wait_for(serverFromString(self.server, listen).listen(factory(echoes=True)))
        connected = clientFromString(self.client, connect).connect(factory(echoes=False))
        protocol: Any = self.client.wait_for(connected)
        protocol.transport.write(b"hello")
        self.client.advance(1)
        assert protocol.data == b"hello"
        protocol.transport.loseConnection()
        port.stopListening()
        self.client.advance(30)


def roles(directory: Path) -> list[str]:
    """Whose traces are there?"""
    return sorted(read(path)[0]["trace"]["vantage_point"]["type"] for path in traces(directory))


def escaped(directory: Path) -> str:
    """As an endpoint string wants it."""
    return str(directory).replace(":", "\\:")


def test_off_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file, and nobody listens."""
    monkeypatch.chdir(tmp_path)
    machines = Machines()
    machines.converse("utp:9000", "utp:10.0.0.2:9000")
    assert traces(tmp_path) == []
    assert UTPProtocol(machines.client).multiplexer.tracer is None


def test_endpoint_strings(tmp_path: Path) -> None:
    """C{trace=} of a server, and of a client, each into its own directory; the wall clock is the reactor's."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    Machines().converse(f"utp:9000:trace={escaped(theirs)}", f"utp:10.0.0.2:9000:trace={escaped(ours)}")
    assert roles(ours) == ["client"]
    assert roles(theirs) == ["server"]
    for directory in (ours, theirs):
        header, events = read(traces(directory)[0])
        assert events[-1]["name"] == "utp:connection_closed"
        assert header["trace"]["common_fields"]["reference_time"] < 2_000_000


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable traces what has no directory of its own."""
    everything, own = tmp_path / "everything", tmp_path / "own"
    monkeypatch.setenv("TWISTED_UTP_TRACE", str(everything))
    Machines().converse("utp:9000", f"utp:10.0.0.2:9000:trace={escaped(own)}")
    assert roles(everything) == ["server"]
    assert roles(own) == ["client"]


def test_tracer_in_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the place of settings and environment."""
    monkeypatch.setenv("TWISTED_UTP_TRACE", str(tmp_path / "everything"))
    heard: list[str] = []
    machines = Machines()
    protocol = UTPProtocol(
        machines.client,
        UTPConfig(trace=str(tmp_path / "own")),
        tracer=lambda now, address, connection_id, event, **data: heard.append(event),
    )
    machines.client.listenUDP(0, protocol)
    protocol.connect(factory(echoes=False), "10.0.0.2", 9000, UTPConfig(trace=str(tmp_path / "own"))).addErrback(id)
    assert heard[:2] == ["connection_started", "mtu_updated"]
    assert traces(tmp_path) == []


def test_files_close_with_the_port(tmp_path: Path) -> None:
    """What has gathered is written when the UDP port closes under a connection."""
    machines = Machines()
    protocol = UTPProtocol(machines.client, UTPConfig(trace=str(tmp_path)))
    port = machines.client.listenUDP(0, protocol)
    protocol.connect(factory(echoes=False), "10.0.0.2", 9000).addErrback(id)
    machines.client.advance(0.001)
    port.stopListening()
    machines.client.advance(1)
    (path,) = traces(tmp_path)
    assert read(path)[1][-1]["data"] == {"reason": "aborted"}


def test_setting() -> None:
    """A directory's name, nothing else."""
    with pytest.raises(TypeError, match="trace=3: expected the name of a directory"):
        UTPConfig(trace=3)  # type: ignore[arg-type]
