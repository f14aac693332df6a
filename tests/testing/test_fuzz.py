"""
Does the fuzzer find what is wrong, and nothing in a core that is right?
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from twisted_utp.proto.admission import Gate
from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.connection import Connection
from twisted_utp.proto.connection_counts import ConnectionCounts
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.outbox import Outbox
from twisted_utp.proto.receive_buffer import ReceiveBuffer
from twisted_utp.proto.sender import Sender
from twisted_utp.testing.fuzz import MODES, reduced, run_session, session
from twisted_utp.testing.fuzz.__main__ import main
from twisted_utp.testing.fuzz.dice import Dice, Plan
from twisted_utp.testing.fuzz.session import Session, gentle_config

# Sessions of each mode that are part of the suite; C{python -m twisted_utp.testing.fuzz} goes on from there.
SEEDS = {"honest": 16, "mutated": 8, "strangers": 4, "everything": 3}

Patch = Callable[[pytest.MonkeyPatch], object]


@pytest.mark.parametrize("mode", MODES)
def test_no_promise_is_broken(mode: str) -> None:
    """A handful of sessions; each has its own settings, weather and company."""
    received = 0
    for seed in range(1, 1 + SEEDS[mode]):
        datagrams, failure = run_session(mode, seed)
        assert failure is None, reduced(failure).tell()
        received += datagrams
    assert received > 2_000


@pytest.mark.parametrize("mode", MODES)
def test_same_seed_same_session(mode: str) -> None:
    """Every datagram, and all that happened."""

    def run() -> tuple[list[str] | None, list[tuple[str, int]]]:
        plan = Plan(mode, 3)
        plan.story = []
        Session(mode, 3, plan).run()
        return plan.story, plan.happened

    assert run() == run()


def test_dice_fall_alike_everywhere() -> None:
    """The numbers of a seed are the same in each version of Python."""
    dice = Dice("twisted-utp")
    drawn = [dice.below(1000), dice.between(5, 9), dice.pick("abcdef"), dice.size(12), dice.bytes(4).hex()]
    assert drawn == [489, 5, "f", 238, "20c6cab5"]
    assert (Dice("x").bytes(0), dice.chance(0.0), dice.chance(1.0)) == (b"", False, True)


# --- Planted mistakes -----------------------------------------------------------------------------------------


def find(mode: str, seeds: int = 40) -> Any:
    """The first failure."""
    return next((failure for seed in range(seeds) if (failure := run_session(mode, seed)[1]) is not None), None)


def swaps_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two packets of one batch come out in the wrong order."""
    take = ReceiveBuffer.take

    def swapping(self: ReceiveBuffer) -> bytes:
        if self._unread:
            self._unread = [*self._unread[:-2], *reversed(self._unread[-2:])]
        return take(self)

    monkeypatch.setattr(ReceiveBuffer, "take", swapping)


def forgets_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for an acknowledgement."""
    monkeypatch.setattr(Sender, "arm_retransmission", lambda self, now: None)


def remembers_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each packet leaves something behind."""
    on_packet, kept = Connection.on_packet, "_kept"

    def keeping(self: Connection, packet: Any, received_at: int, now: int) -> None:
        self.port_queues.outbox.__dict__.setdefault(kept, []).append(bytes(2000))
        on_packet(self, packet, received_at, now)

    monkeypatch.setattr(Connection, "on_packet", keeping)


def miscounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that ends is still counted."""
    monkeypatch.setattr(ConnectionCounts, "leave", lambda self, host: None)


def raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet raises out of the core."""

    def raising(self: ReceiveBuffer, seq: int) -> None:
        raise IndexError(seq)

    monkeypatch.setattr(ReceiveBuffer, "on_fin", raising)


def answers_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has proved nothing gets two packets for one."""
    answer = Outbox.answer

    def answering(self: Outbox, *arguments: Any, **keywords: Any) -> None:
        answer(self, *arguments, **keywords)
        answer(self, *arguments, **keywords)

    monkeypatch.setattr(Outbox, "answer", answering)


def believes_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any RESET from the right address ends a connection."""

    def on_reset(self: Multiplexer, packet: Any, datagram: Any, now: int) -> None:
        for connection in list(self._connections.values()):
            if connection.address == datagram.address:
                connection.abort(now=now)

    monkeypatch.setattr(Multiplexer, "_on_reset", on_reset)


def announces_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applications hear of whoever has sent a SYN."""

    def config(*arguments: Any, **keywords: Any) -> UTPConfig:
        return gentle_config(*arguments, **keywords).replace(early_byte=True)

    monkeypatch.setattr(session, "gentle_config", config)


def lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that floods reach keeps honest peers out."""
    judge = Gate.judge

    def judging(self: Gate, address: Any, config: Any, *arguments: Any, **keywords: Any) -> Any:
        return judge(self, address, config.replace(max_connections=2), *arguments, **keywords)

    monkeypatch.setattr(Gate, "judge", judging)


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("mistake", "mode", "promise"),
    [
        (swaps_bytes, "honest", "what comes out is what was written"),
        (forgets_a_timer, "honest", "whatever waits has a deadline"),
        (remembers_for_ever, "mutated", "memory is"),
        (miscounts, "honest", "the census counts nobody"),
        (raises, "honest", "IndexError in raising"),
        (answers_twice, "strangers", "nobody is sent more than came in his name"),
        (announces_early, "strangers", "who has not proved his address reaches no application"),
        (believes_strangers, "strangers", "ABORTED is for who aborted"),
        (lets_nobody_in, "strangers", "who is polite"),
    ],
)
def test_mistakes_are_found(mistake: Patch, mode: str, promise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each promise is looked at: a core that breaks it is found out within some sessions."""
    mistake(monkeypatch)
    failure = find(mode)
    assert failure is not None and failure.promise.startswith(promise)


@pytest.mark.interpreted
def test_failures_are_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told needs less to have happened, and ends with what broke the promise."""
    swaps_bytes(monkeypatch)
    failure = find("honest")
    less = reduced(failure)
    assert less.promise == failure.promise and len(less.happened) < len(failure.happened)
    told = less.tell(lines=5)
    assert f"mode honest, seed {failure.seed}" in told and "DataReceived" in told and told.count("\n") < 10


# --- The command ------------------------------------------------------------------------------------------------


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It says how much it did, and that nothing was wrong."""
    assert main(["--seed", "5", "--datagrams", "1_000", "--mode", "honest"]) == 0
    assert "; 0 failed" in capsys.readouterr().out


@pytest.mark.interpreted
def test_command_tells_of_failures(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """How to see it again, once in full and then in a line each; the exit code says so as well."""
    raises(monkeypatch)
    assert main(["--datagrams", "2_000", "--mode", "honest", "--keep-going", "--lines", "3"]) == 1
    out = capsys.readouterr().out
    assert "FAILED: IndexError in raising; --mode honest --seed" in out
    assert out.count("Traceback") == 1 < out.count("FAILED") and "0 failed" not in out


def test_module_runs() -> None:
    """As the documentation says."""
    command = [sys.executable, "-m", "twisted_utp.testing.fuzz", "--datagrams", "200", "--mode", "mutated"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert " sessions, " in done.stdout
