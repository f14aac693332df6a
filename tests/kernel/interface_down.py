"""
To be run in a network namespace of its own, by C{test_interface_down.py}: an interface goes down and comes up again
in the middle of two transfers, over IPv4 and over IPv6, whose address goes with it.  What happens, as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.logger import globalLogPublisher

from tests.glue.test_real_sockets import Asking

NETWORK = """
link set lo up
link add veth2 type veth peer name veth3
addr add 10.77.1.1/24 dev veth2
addr add 2001:db8:1::1/64 dev veth2 nodad
link set veth2 up
"""
HOSTS = {"IPv4": "10.77.1.2", "IPv6": r"2001\:db8\:1\:\:2"}

# At 20 Mb/s the echo of so much takes more than a second.
LENGTH = 1_000_000


class Told(Asking):
    """Remembers why it ended."""

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = f"{reason.type.__name__}: {reason.value}"
        super().connectionLost(reason)


def run(*command: str) -> None:
    """Change the namespace's network."""
    subprocess.run(command, check=True)


def cable() -> tuple[subprocess.Popen[str], int]:
    """
    Lay it.

    @return: the host at its other end, and the port where it listens.
    """
    for line in NETWORK.strip().splitlines():
        run("ip", *line.split())
    argv = ["unshare", "--net", sys.executable, "-m", "tests.kernel.other_side"]
    other = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdin is not None and other.stdout is not None
    other.stdout.readline()
    run("ip", "link", "set", "veth3", "netns", str(other.pid))
    other.stdin.write("it is yours\n")
    other.stdin.flush()
    run("tc", "qdisc", "add", "dev", "veth2", "root", "tbf", "rate", "20mbit", "burst", "20kb", "latency", "50ms")
    return other, int(other.stdout.readline())


async def main(reactor: Any) -> None:
    """Up, down, up."""
    other, port = cable()
    try:
        print(json.dumps(await transfers(reactor, port)))
    finally:
        other.kill()


async def transfers(reactor: Any, port: int) -> dict[str, Any]:
    """Two that go on, and two that are too impatient."""
    logged: list[str] = []
    globalLogPublisher.addObserver(lambda event: logged.append(str(event.get("log_format"))))
    data = bytes(range(250)) * (LENGTH // 250)
    lasting, impatient = [], []
    for host in HOSTS.values():
        for patience, found in ((30, lasting), (1, impatient)):
            text = f"utp:host={host}:port={port}:userTimeout={patience}"
            found.append(await clientFromString(reactor, text).connect(Factory.forProtocol(Told)))
    for asking in lasting:
        asking.transport.write(data)
    await gatherResults([asking.wait(LENGTH // 10) for asking in lasting])
    logged.clear()
    run("ip", "link", "set", "veth2", "down")
    for asking in impatient:
        asking.transport.write(b"is anybody there")
    began, used = time.monotonic(), time.process_time()
    await gatherResults([asking.lost.addTimeout(20, reactor) for asking in impatient])
    seconds, used = time.monotonic() - began, time.process_time() - used
    had = [len(asking.data) for asking in lasting]
    run("ip", "link", "set", "veth2", "up")
    run("ip", "addr", "replace", "2001:db8:1::1/64", "dev", "veth2", "nodad")
    await gatherResults([asking.wait(LENGTH) for asking in lasting])
    return {
        "length": LENGTH,
        "seconds": seconds,
        "down": had,
        "exact": [asking.data == data for asking in lasting],
        "ended": [asking.reason for asking in impatient],
        "used": used,
        "logged": logged,
    }


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
