"""
Do traces become pictures, and what is said when they cannot?
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from twisted_utp import plot
from twisted_utp._flows import Flow, NotATrace, broken, rates, read_flow, thinned
from twisted_utp.qlog import QlogTracer
from twisted_utp.testing import MILLISECOND, SECOND, DropTail, Pair


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Traces of two lossy transfers with an outage: four files."""
    path = tmp_path_factory.mktemp("traces")
    tracer = QlogTracer(path, epoch=lambda: 0)
    bad = {"rate": 10_000_000, "delay": 20 * MILLISECOND, "loss": 0.01, "queue": DropTail(milliseconds=300)}
    pair = Pair(seed=2, tracer=tracer, up=bad, log=False)
    first = pair.start_transfer(pair.connect(), 3_000_000)
    pair.run_for(1)
    second = pair.start_transfer(pair.connect(), 300_000)
    pair.up.down_at(pair.now + SECOND // 10, SECOND)
    pair.drive(lambda: first.done and second.done)
    pair.run_for(1)
    tracer.close()
    return path


def clients(directory: Path) -> list[str]:
    """The senders' traces."""
    return sorted(str(path) for path in directory.glob("*_client_*"))


def test_flow(directory: Path) -> None:
    """What was sent, acknowledged and lost is all there."""
    first, second = (read_flow(path) for path in clients(directory))
    assert sum(nbytes for _, nbytes in first.acked) == 3_000_000
    assert sum(nbytes for _, nbytes in first.sent) > 3_000_000
    assert not first.received
    assert second.first - first.first == pytest.approx(1.1, abs=0.1)
    assert first.target_delay is not None
    assert 0.01 < first.target_delay < 0.2
    assert "lost: timeout" in first.marks
    assert "timer: retransmission" in first.marks
    assert "sent again" in first.marks
    assert set(first.marks) <= set(plot._MARKS)
    assert 0.03 < min(value for _, value in first.metrics["min_rtt"]) < 0.035
    server = read_flow(min(directory.glob("*_server_*")))
    assert sum(nbytes for _, nbytes in server.received) >= 3_000_000


def test_every_mark_has_a_place() -> None:
    """Losses of every documented cause are drawn."""
    flow = Flow()
    for trigger in ("reordering_threshold", "time_threshold", "duplicate_acks", "timeout"):
        flow.note(1.0, "packet_lost", {"trigger": trigger, "count": 1})
    for kind in ("retransmission", "tail_loss_probe", "zero_window_probe"):
        flow.note(1.0, "timeout", {"kind": kind})
    flow.note(1.0, "packet_sent", {"bytes": 1, "is_retransmission": True, "count": 1})
    assert set(flow.marks) == set(plot._MARKS)


def test_rates() -> None:
    """The area under the curve is what was sent."""
    points = [(1.0, 100.0), (1.4, 100.0), (2.0, 50.0)]
    drawn = rates(points, 1.0, 2.0, 0.3)
    width = drawn[1][0] - drawn[0][0]
    assert sum(rate * width for _, rate in drawn) == pytest.approx(250)
    assert rates([(5.0, 10.0)], 5.0, 5.0, 0.1)[0][1] > 0


def test_thinned() -> None:
    """Extremes survive, order too."""
    points = [(index / 1000, float(index % 100 == 50)) for index in range(1000)]
    kept = thinned(points, 0.1)
    assert len(kept) <= 44
    assert kept == sorted(kept)
    assert [value for _, value in kept].count(1.0) == 10
    assert thinned([(0.0, 1.0), (0.0, 2.0)], 0.0)


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
@pytest.mark.parametrize("count", [1, 2])
def test_pictures(directory: Path, tmp_path: Path, kind: str, count: int) -> None:
    """One flow and several, in each format."""
    pytest.importorskip("matplotlib")
    picture = tmp_path / f"out.{kind}"
    assert plot.main([*clients(directory)[:count], "-o", str(picture)]) == 0
    data = picture.read_bytes()
    assert data.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[kind])
    assert len(data) > 10_000


def test_panels(directory: Path) -> None:
    """Each panel has its curves, with units; the legend tells the flows apart; sizes and times are readable."""
    pytest.importorskip("matplotlib")
    figure = plot.draw([read_flow(path) for path in clients(directory)], "two")
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["throughput\n[Mb/s]", "window\n[kB]", "queueing delay\n[ms]", "round trip\n[ms]", ""]
    assert figure.axes[-1].get_xlabel() == "time [s]"
    for axes in figure.axes[:4]:
        assert len(axes.get_lines()) >= 3
        assert all(line.get_xydata().size for line in axes.get_lines())
        assert axes.get_ylim()[0] == 0
    causes = [label.get_text() for label in figure.axes[-1].get_yticklabels()]
    assert any(cause.startswith("lost: timeout (") for cause in causes)
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert len(set(names)) == 2
    assert figure.axes[0].get_xlim()[0] == 0
    peak = max(figure.axes[0].get_lines()[1].get_ydata())
    assert 5 < peak < 11  # of 10 Mb/s


def test_same_traces_same_picture(directory: Path, tmp_path: Path) -> None:
    """No dates and no random names in it, so that a picture can be kept under version control."""
    pytest.importorskip("matplotlib")
    pictures = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for picture in pictures:
        plot.main([str(directory), "-o", str(picture)])
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_short_traces(tmp_path: Path) -> None:
    """A connection that was refused, and one that carried nothing."""
    pytest.importorskip("matplotlib")
    tracer = QlogTracer(tmp_path / "traces")
    pair = Pair(tracer=tracer)
    pair.connect()
    pair.server.multiplexer.accepting = False
    pair.start_connect()
    pair.run_for(1)
    tracer.close()
    for path in (tmp_path / "traces").iterdir():
        assert plot.main([str(path), "-o", str(tmp_path / "out.png")]) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a qlog trace of a uTP connection"),
        (b"what is this?\n", "not a qlog trace of a uTP connection"),
        (b'\x1e{"qlog_version":"0.3","trace":{}}\n', "not a qlog trace of a uTP connection"),
        (b'\x1e{"trace":{"common_fields":{"reference_time":1}}}\n', "it has no events"),
        (
            b'\x1e{"trace":{"common_fields":{"reference_time":1}}}\n\x1e{"name":"utp:timeout"}\n',
            "does not match docs/qlog.rst",
        ),
    ],
)
def test_not_a_trace(tmp_path: Path, capsys: Any, content: bytes, message: str) -> None:
    """It is said what is wrong with which file, and no picture is made."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "trace.sqlog"
    path.write_bytes(content)
    assert plot.main([str(path), "-o", str(tmp_path / "out.svg")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0].startswith(f"{path}: ")
    assert message in said[0]
    assert said[1] == "no traces to draw"
    assert not (tmp_path / "out.svg").exists()
    with pytest.raises(NotATrace):
        read_flow(path)


def test_one_bad_trace_among_good_ones(directory: Path, tmp_path: Path, capsys: Any) -> None:
    """The others are drawn."""
    pytest.importorskip("matplotlib")
    missing = str(tmp_path / "missing.sqlog")
    assert plot.main([missing, *clients(directory), "-o", str(tmp_path / "out.svg")]) == 0
    assert capsys.readouterr().err == f"{missing}: No such file or directory\n"


def test_bad_output(directory: Path, tmp_path: Path, capsys: Any) -> None:
    """A format that there is not, a directory that there is not."""
    pytest.importorskip("matplotlib")
    with pytest.raises(SystemExit):
        plot.main([str(directory), "-o", "out.txt"])
    assert "expected a name that ends in one of .svg, .png, .pdf" in capsys.readouterr().err
    assert plot.main([str(directory), "-o", str(tmp_path / "no" / "out.svg")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_without_matplotlib(directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """One line with the remedy."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert plot.main([str(directory), "-o", "out.svg"]) == 1
    assert capsys.readouterr().err == "twisted_utp.plot needs matplotlib: pip install 'twisted-utp[plot]'\n"


def test_broken() -> None:
    """A curve ends where a gap begins, and goes on with what holds when it is over."""
    points = [(0.0, 1.0), (1.0, 2.0), (4.0, 3.0), (6.0, 4.0)]
    drawn = broken(points, [(2.0, 5.0)])
    assert [point for point in drawn if not math.isnan(point[1])] == [
        (0.0, 1.0), (1.0, 2.0), (2.0, 2.0), (5.0, 3.0), (6.0, 4.0)
    ]  # fmt: skip
    assert [time for time, value in drawn if math.isnan(value)] == [2.0]
    assert broken(points, []) == points


def test_an_outage_is_a_gap(directory: Path) -> None:
    """No delay is drawn while nothing came from the peer; a window is what it is all the time."""
    pytest.importorskip("matplotlib")
    flow = read_flow(clients(directory)[0])
    ((start, end),) = flow.gaps(0.5)
    assert 0.9 < end - start < 2.5
    figure = plot.draw([flow])
    _, window, queue, trips, _ = figure.axes
    for axes in (queue, trips):
        assert any("a line breaks" in text.get_text() for text in axes.texts)
        line = axes.get_lines()[0]
        assert any(math.isnan(value) for value in line.get_ydata())
        inside = [
            value for time, value in line.get_xydata() if start < time + flow.first < end and not math.isnan(value)
        ]
        assert not inside
    assert not any(math.isnan(value) for value in window.get_lines()[0].get_ydata())


def test_no_gap_no_note() -> None:
    """Packets that come all the time, and a few round trips of silence, leave the line whole."""
    flow = Flow(metrics={"smoothed_rtt": [(0.0, 0.3)]}, heard=[0.1 * index for index in range(50)], last=6.0)
    assert flow.gaps(0.5) == []
    flow.last = 7.0
    ((_, end),) = flow.gaps(0.5)
    assert end == 7.0
