"""
Does a real kernel agree with the simulator, roughly?

C{benchmarks/lab.py} in short: two hosts and a router, C{tbf} with a deep buffer, kernel TCP (CUBIC) and a UDP ping
beside uTP.  It takes real seconds, since kernels do; but at 10 Mb/s the machine's speed does not matter, and what is
asked for is far from what a quiet machine gives (see C{docs/lab.rst}).  Most runs go on at the same time.  What the
machine could not measure, as C{controls.py} finds, is measured again.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.kernel import controls

CHECKOUT = Path(__file__).resolve().parent.parent.parent
LAB = CHECKOUT / "benchmarks" / "lab.py"

SHARING = {
    "offload": ["--only", "sharing"],
    "plain": ["--only", "sharing", "--plain"],
}
# Not at the same time: each starts a dozen programs, and that is felt by those that measure already.
OTHERS = {
    "narrow": ["--only", "narrow", "--seconds", "2"],
    "forward": ["--only", "forward"],
    "page": ["--only", "neighbours", "--parts", "page", "--delay", "25"],
}
# Afterwards: what they ask for is processor time.
COSTS = {
    "wire": ["--only", "wire", "--delay", "25", "--contenders", "ours", "Twisted TCP"],
    "answers": ["--only", "answers", "--delay", "25"],
}
SHORT = ["--seconds", "2.5", "--rate", "10", "--buffer", "200"]
NOT_POSSIBLE = 3
# Before everything that computes at the same time: a late wake-up is a late packet.  "nice" would not do, as Linux
# shares processors among sessions first.
FIRST = ["chrt", "--rr", "1"]


def not_possible(reason: str) -> None:
    """
    Skip; but in CI, as root on Linux, nothing may be missing that can be installed.
    """
    if os.environ.get("CI") and sys.platform.startswith("linux") and os.geteuid() == 0 and "not installed" in reason:
        pytest.fail(f"CI must have it: {reason}", pytrace=False)
    pytest.skip(reason)


@functools.cache
def may_be_first() -> bool:
    """
    Root may, in most containers, too.
    """
    return shutil.which("chrt") is not None and not subprocess.run([*FIRST, "true"], capture_output=True).returncode


@contextlib.contextmanager
def running(*options: object) -> Iterator[subprocess.Popen[str]]:
    """
    The lab, as a program that does not outlive the test.
    """
    argv = [*(FIRST if may_be_first() else ()), sys.executable, str(LAB), *SHORT, *map(str, options)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


@contextlib.contextmanager
def stall_meter() -> Iterator[Callable[[], float]]:
    """
    What says, once, for how long the machine stood still at most.
    """
    argv = [*(FIRST if may_be_first() else ()), sys.executable, str(CHECKOUT / "tests" / "kernel" / "stalls.py")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        try:
            yield lambda: float(program.communicate(timeout=30)[0])
        finally:
            program.kill()


def take(runs: Mapping[str, list[str]], out: Path) -> dict[str, tuple[dict[str, Any], float]]:
    """
    Measure some at the same time.
    """
    with contextlib.ExitStack() as started:
        stood_still = started.enter_context(stall_meter())
        programs = {
            name: started.enter_context(running(*options, "--json", out / name)) for name, options in runs.items()
        }
        accounts = {}
        for name, program in programs.items():
            said = program.communicate(timeout=120)[0]
            if program.returncode == NOT_POSSIBLE:
                not_possible(said.strip())
            # Whether the claims are met is for people to judge; here the figures are.
            assert (out / name).exists(), said
            accounts[name] = json.loads((out / name).read_text())
            (out / name).unlink()
        longest = stood_still()
    return {name: (account, longest) for name, account in accounts.items()}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> controls.Measured:
    """
    The accounts of all runs.
    """
    out = tmp_path_factory.mktemp("lab")
    measured = controls.Measured()
    for runs in (SHARING, OTHERS, COSTS):
        some = controls.measure(runs, functools.partial(take, out=out))
        measured.update(some)
        measured.impossible.update(some.impossible)
    return measured


sharing = pytest.mark.parametrize("run", ["offload", "plain"])


@sharing
def test_utp_alone(lab, run):
    """
    It fills most of the link, with a queue of a few ms, not LEDBAT++'s 60 or the buffer's 200.
    """
    seen = lab[run]["sharing"]
    assert seen["utp_alone"] > 0.8
    assert 0.001 < seen["ping_utp_50"] - seen["ping_idle_50"] < 0.04


@sharing
def test_beside_tcp(lab, run):
    """
    TCP gets at least 80 % once it has found its rate, and its time is not much longer than alone.
    """
    seen = lab[run]["sharing"]
    assert seen["utp_beside_tcp_late"] < 0.2
    assert seen["tcp_slower"] < 1.6


@sharing
def test_after_tcp(lab, run):
    """
    It takes the link again while it can.
    """
    assert lab[run]["sharing"]["utp_regains"] < 1.5


@sharing
def test_tcp_is_real(lab, run):
    """
    The kernel's TCP alone fills much more of the buffer than uTP does; otherwise nothing here says anything.
    """
    seen = lab[run]["sharing"]
    assert seen["ping_tcp_95"] > 1.5 * seen["ping_utp_50"]


def test_forwarded_upload(lab):
    """
    TCP carried by C{twist utp-forward} leaves the neighbour's ping alone, and is not much slower for it.

    The upload is so short that TCP has filled the buffer only towards its end; a busy machine adds some ms to both.
    """
    seen = lab["forward"]["forward"]
    assert seen["ping_utp_50"] < 0.75 * seen["ping_tcp_95"]
    assert seen["rate_utp"] > 0.5 * seen["rate_tcp"]


def test_page(lab):
    """
    A page of 2 MB takes as long as the link needs, and longer beside uTP; how much, only a quiet machine can say.
    """
    seen = lab["page"]["neighbours"]["page"]
    assert seen["without"] > 1.6
    assert 0.9 * seen["without"] < seen["beside"] < 20


def test_cost_on_a_line(lab):
    """
    What a transfer costs is told for both ends.  Behind a bottleneck that passes 800 packets a second one by one,
    neither end wakes up for each of them, and few are acknowledged alone.
    """
    ours, tcp = lab["wire"]["wire"]
    assert tcp["used"] > 0.8 and ours["used"] > 0.8
    for end in ("source", "sink"):
        assert 0 < ours[end]["cpu"] < 1
        assert ours[end]["wakeups"] < 600
    assert 0 < ours["acks"] < 0.8  # slow start included, of which each packet is acknowledged


def test_answers_on_a_line(lab):
    """
    A question takes the path's 50 ms alone, and the queue of some ms more beside a flow; not much of it is waiting.
    """
    for answers in lab["answers"]["answers"]:
        assert answers["count"] > 5
        assert 0.05 < answers["p50"] < (0.18 if answers["beside"] else 0.1)


def test_narrow_links(lab):
    """
    Every byte passes a link of 1280 bytes, and the whole transfer takes hardly longer than the link needs, whether
    routers say that packets are too long, may not, or say it to somebody else.
    """
    for case, passage in lab["narrow"]["narrow"].items():
        assert passage["exact"], case
        assert passage["seconds"] < 3 * 2, case


def test_path_mtu(lab):
    """
    The size that fits is found, to the byte and with one probe too many when a router says it, and by probes alone when
    none may.
    """
    for case in ("ICMP", "ICMP blocked"):
        passage = lab["narrow"]["narrow"][case]
        assert 1200 <= passage["datagram"] <= 1280 - 28
        assert passage["too_long"] > 0 and passage["fragments"] == 0
        assert bool(passage["icmp"]) == (case == "ICMP")
    told = lab["narrow"]["narrow"]["ICMP"]
    assert (told["datagram"], told["too_long"], told["stats"]["timeouts"]) == (1280 - 28, 1, 0)


def descendants(pid: int) -> set[int]:
    """
    A process's children, and theirs.
    """
    children = children_of(pid)
    return children.union(*map(descendants, children))


def children_of(pid: int) -> set[int]:
    """
    None, of a process that has ended in between.
    """
    try:
        return {
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        }
    except (FileNotFoundError, ProcessLookupError):
        return set()


def test_who_has_ended_has_no_descendants():
    """The lab's programs come and go while its processes are counted."""
    with subprocess.Popen(["sleep", "60"]) as ended:
        ended.kill()
    assert descendants(ended.pid) == set()
    assert {os.getpid()} <= descendants(os.getppid())


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left(number):
    """
    However it ends, its programs do too, and with the last of them its namespaces.
    """
    with running("--only", "sharing") as program:
        # Three namespaces' holders, and both ends of uTP, TCP and the ping.
        started = wait_for(lambda: len(found := descendants(program.pid)) >= 9 and found)
        program.send_signal(number)
        program.communicate(timeout=30)
        wait_for(lambda: not any(is_running(pid) for pid in started))


def is_running(pid: int) -> bool:
    """
    Zombies are not: whoever adopts them may be slow to notice.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: Any, within: float = 30) -> Any:
    """
    Until it holds.
    """
    deadline = time.monotonic() + within
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result
