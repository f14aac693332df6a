"""
How fast is one connection over loopback, and what does a gigabyte cost each side in CPU seconds?

C{python benchmarks/throughput.py [--megabytes 1000] [--rounds 3] [--transports utp libutp tcp]}

Two processes, one connection, one direction.  Our sender is a push producer that writes 64 KiB at a time; libutp runs
in Node.js (C{utp-native}) the same way; C{tcp} is our two programs on Twisted's TCP.  The transports take turns, so
that a busy moment of the machine hits all of them; the table has the median of each column, and the range of the
speed.  Trust the CPU seconds and the ratios more than the megabytes a second: on loopback these say how long the
machine was busy, and the sender is charged with most of the kernel's receive path.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

HERE = Path(__file__).resolve().parent
NODE_PROGRAM = HERE / "libutp" / "bulk.js"
NODE_MODULES = HERE.parent / "tests" / "interop" / "libutp_peer" / "node_modules"
CHUNK = bytes(64 * 1024)
LONGEST_RUN = 600


def report(event: str, **details: object) -> None:
    """
    Tell the process that runs the round.
    """
    print(json.dumps({"event": event, **details}), flush=True)


def cpu_seconds() -> float:
    """
    What this process has used so far.
    """
    times = os.times()
    return times.user + times.system


@implementer(IPushProducer)
class Sender(Protocol):
    """
    Writes until everything is written, whenever it may.
    """

    transport: Any

    def __init__(self, length: int, done: Deferred[None]) -> None:
        self._left = length
        self._paused = False
        self._done = done

    def connectionMade(self) -> None:
        """
        Start the clock and the flow.
        """
        self._cpu = cpu_seconds()
        self.transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        """
        Write until paused.
        """
        self._paused = False
        while self._left and not self._paused:
            chunk = CHUNK[: self._left]
            self._left -= len(chunk)
            self.transport.write(chunk)
        if not self._left:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def pauseProducing(self) -> None:
        """
        Enough.
        """
        self._paused = True

    def stopProducing(self) -> None:
        """
        The connection ended.
        """
        self._paused = True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Everything was acknowledged.
        """
        report("done", cpu=cpu_seconds() - self._cpu)
        self._done.callback(None)


class Receiver(Protocol):
    """
    Counts.
    """

    def __init__(self, done: Deferred[None]) -> None:
        self._done = done
        self._received = 0

    def connectionMade(self) -> None:
        """
        Start the clock.
        """
        self._cpu, self._started = cpu_seconds(), time.monotonic()

    def dataReceived(self, data: bytes) -> None:
        """
        Count.
        """
        self._received += len(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The end of the stream.
        """
        seconds = time.monotonic() - self._started
        report("done", cpu=cpu_seconds() - self._cpu, seconds=seconds, received=self._received)
        self._done.callback(None)


async def serve(reactor: Any, endpoint: str) -> None:
    """
    The receiving process.
    """
    done: Deferred[None] = Deferred()
    factory = Factory.forProtocol(lambda: Receiver(done))
    port = await endpoints.serverFromString(reactor, endpoint).listen(factory)
    report("listening", port=port.getHost().port)
    await done


async def send(reactor: Any, endpoint: str, length: str) -> None:
    """
    The sending process.
    """
    done: Deferred[None] = Deferred()
    factory = Factory.forProtocol(lambda: Sender(int(length), done))
    await endpoints.clientFromString(reactor, endpoint).connect(factory)
    await done


@dataclass(frozen=True)
class Round:
    """
    One transfer, per gigabyte.
    """

    speed: float
    sender_cpu: float
    receiver_cpu: float


def commands(transport: str, length: int) -> tuple[list[str], list[str]]:
    """
    The receiver's and the sender's command lines; the sender's has C{PORT} where the port belongs.
    """
    if transport == "libutp":
        node = [str(shutil.which("node")), str(NODE_PROGRAM)]
        return [*node, "serve"], [*node, "send", "PORT", str(length)]
    ours = [sys.executable, str(Path(__file__).resolve())]
    receiver = [*ours, "serve", f"{transport}:0:interface=127.0.0.1"]
    return receiver, [*ours, "send", f"{transport}:127.0.0.1:PORT", str(length)]


def next_event(process: subprocess.Popen[str]) -> dict[str, Any]:
    """
    The next thing that a process reports.
    """
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args!r} ended early")
    event: dict[str, Any] = json.loads(line)
    return event


def run_round(transport: str, length: int) -> Round:
    """
    One transfer in two fresh processes.
    """
    environment = {**os.environ, "NODE_PATH": str(NODE_MODULES)}
    receive, transmit = commands(transport, length)
    with subprocess.Popen(receive, stdout=subprocess.PIPE, text=True, env=environment) as receiver:
        port = str(next_event(receiver)["port"])
        transmit = [word.replace("PORT", port) for word in transmit]
        with subprocess.Popen(transmit, stdout=subprocess.PIPE, text=True, env=environment) as sender:
            sent = next_event(sender)
            got = next_event(receiver)
            sender.wait(LONGEST_RUN)
        receiver.wait(LONGEST_RUN)
    if got["received"] != length:
        raise SystemExit(f"{transport}: {got['received']} of {length} bytes arrived")
    gigabytes = length / 1e9
    return Round(length / 1e6 / got["seconds"], sent["cpu"] / gigabytes, got["cpu"] / gigabytes)


def table(results: dict[str, list[Round]]) -> str:
    """
    A row for each transport.
    """
    rows = [f"{'':8} {'MB/s':>6}  {'(range)':>13}  {'CPU s/GB sender':>16} {'CPU s/GB receiver':>18}"]
    for transport, rounds in results.items():
        speeds = [one.speed for one in rounds]
        low_high = f"({min(speeds):.0f}-{max(speeds):.0f})"
        sender = statistics.median(one.sender_cpu for one in rounds)
        receiver = statistics.median(one.receiver_cpu for one in rounds)
        rows.append(f"{transport:8} {statistics.median(speeds):6.0f}  {low_high:>13}  {sender:16.2f} {receiver:18.2f}")
    return "\n".join(rows)


def compare(arguments: Sequence[str]) -> None:
    """
    Run all rounds and print the table.
    """
    parser = argparse.ArgumentParser(description="One connection over loopback, between two processes.")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transports", nargs="+", default=["utp", "libutp", "tcp"])
    options = parser.parse_args(arguments)
    if "libutp" in options.transports and not (NODE_MODULES / "utp-native").is_dir():
        raise SystemExit(f"run npm install in {NODE_MODULES.parent} first, or leave libutp out with --transports")
    results: dict[str, list[Round]] = {transport: [] for transport in options.transports}
    for _ in range(options.rounds):
        for transport in options.transports:
            results[transport].append(run_round(transport, options.megabytes * 1_000_000))
            print(f"{transport}: {results[transport][-1]}", file=sys.stderr, flush=True)
    print(f"{options.megabytes} MB, {options.rounds} rounds, medians")
    print(table(results))


ROLES: dict[str, Callable[..., Any]] = {"serve": serve, "send": send}

if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in ROLES:
        role = ROLES[sys.argv[1]]
        task.react(lambda reactor, *words: Deferred.fromCoroutine(role(reactor, *words)), sys.argv[2:])
    else:
        compare(sys.argv[1:])
