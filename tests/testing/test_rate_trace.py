"""
Does a link follow its trace?
"""

from __future__ import annotations

from pathlib import Path

import pytest

from twisted_utp.testing.cellular import RADIOS, cellular_trace, main
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.queues import DropTail
from twisted_utp.testing.rate_trace import RateTrace
from twisted_utp.testing.topology import Dumbbell


def test_file_of_mahimahi(tmp_path: Path) -> None:
    """A line for each 1500 bytes, by millisecond; several in one are several lines."""
    path = tmp_path / "trace"
    path.write_text("0\n5\n5\n19\n40\n")
    trace = RateTrace.read(path)
    assert trace.rates == [4 * 600_000, 600_000]
    assert trace.seconds == 0.04 and trace.nbytes(0.04) == 5 * 1500 and trace.nbytes(0.1) == 14 * 1500


def test_there_and_back(tmp_path: Path) -> None:
    """What was written is read, and carries the same."""
    trace = RateTrace([1_000_000, 0, 12_345_678, 7_000_000] * 10)
    trace.write(tmp_path / "trace")
    again = RateTrace.read(tmp_path / "trace")
    assert len(again.rates) == 40
    assert again.nbytes(0.8) == pytest.approx(trace.nbytes(0.8), abs=3000)
    assert again.rates[1] == 0


@pytest.mark.parametrize("text", ["", "0\n", "5\n3\n", "x\n", "-1\n4\n"])
def test_bad_file(text: str, tmp_path: Path) -> None:
    """Says so."""
    (tmp_path / "trace").write_text(text)
    with pytest.raises(ValueError, match=r"expected milliseconds in order|invalid literal"):
        RateTrace.read(tmp_path / "trace")


def test_nothing_ever_passes() -> None:
    """Is no trace."""
    with pytest.raises(ValueError, match="not 0 all the time"):
        RateTrace([0, 0])


def test_link_follows() -> None:
    """A saturated link carries what the trace says, step by step, again and again."""
    dumbbell = Dumbbell(there={"rate": 1, "queue": DropTail(packets=100_000)})
    link = dumbbell.there
    trace = RateTrace([12_000_000] * 10 + [0] * 5 + [3_000_000] * 10)
    passed: list[int] = []
    link.sink = lambda packets: passed.append(dumbbell.now)
    trace.drive(link)
    start = dumbbell.now
    link.send([Packet(b"", ("a", 1), ("b", 2), 1500) for _ in range(2000)])
    dumbbell.run_for(1.0)
    in_step = [sum(start + 20_000 * n < when <= start + 20_000 * (n + 1) for when in passed) for n in range(50)]
    assert sum(in_step[:10]) in (199, 200, 201) and sum(in_step[11:15]) == 0
    assert sum(in_step[15:25]) in (49, 50, 51)
    assert len(passed) * 1500 == pytest.approx(trace.nbytes(1.0), rel=0.02)


@pytest.mark.parametrize("kind", sorted(RADIOS))
def test_cellular(kind: str) -> None:
    """Its own, the same for a seed, around the typical rate, never above the most, and with outages."""
    radio = RADIOS[kind]
    trace = cellular_trace(kind, seed=1, seconds=600)
    assert trace.rates == cellular_trace(kind, seed=1, seconds=600).rates
    assert trace.rates != cellular_trace(kind, seed=2, seconds=600).rates
    assert sorted(trace.rates)[15_000] == pytest.approx(radio.typical, rel=0.3)
    assert max(trace.rates) <= radio.most
    assert 0 < trace.rates.count(0) < 0.05 * len(trace.rates)


def test_cellular_is_committed() -> None:
    """The first rates of the traces that figures were taken with: another Python must not make others."""
    assert cellular_trace("lte", seed=1, seconds=1).rates[:3] == LTE
    assert cellular_trace("3g", seed=1, seconds=1).rates[:3] == UMTS


def test_cellular_arguments() -> None:
    """Says what there is."""
    with pytest.raises(ValueError, match="expected one of lte, 3g"):
        cellular_trace("5g")
    with pytest.raises(ValueError, match="expected 1 or more"):
        cellular_trace("lte", seconds=0)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Writes a file that can be read."""
    out = tmp_path / "lte"
    main(["lte", str(out), "--seed", "3", "--seconds", "20"])
    assert RateTrace.read(out).nbytes(20) == pytest.approx(
        cellular_trace("lte", seed=3, seconds=20).nbytes(20), rel=0.01
    )
    assert capsys.readouterr().out.startswith(f"{out}: 20 s, ")


LTE = [4232761, 3325940, 4167012]
UMTS = [827079, 766759, 498357]
