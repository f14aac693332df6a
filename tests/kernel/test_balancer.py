"""
Do connections stay with their machine behind C{examples/deployment/balancer.nft}: two machines with the firewall of
C{firewall.nft}, one address?
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bottleneck.namespaces import Namespace, why_not

CHECKOUT = Path(__file__).resolve().parent.parent.parent
DEPLOYMENT = CHECKOUT / "examples" / "deployment"
RULES, FIREWALL = DEPLOYMENT / "balancer.nft", DEPLOYMENT / "firewall.nft"
SERVICE, PEERS, GATE = "192.0.2.10", "198.51.100.2", "10.0.0.1"
MACHINES = {"machine-a": "10.0.0.11", "machine-b": "10.0.0.12"}
COUNT = 12

# Netlink: forget all flows, as when another balancer takes over (conntrack(8) may not be installed).
FORGET = """
import socket, struct
delete_flows, request_and_ack = (1 << 8) | 2, 5
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
netlink.send(struct.pack("=IHHIIBBH", 20, delete_flows, request_and_ack, 1, 0, 0, 0, 0))
assert struct.unpack_from("=i", netlink.recv(4096), 16)[0] == 0
"""


def missing() -> str | None:
    """Why it cannot be tried here."""
    return why_not() or (None if shutil.which("nft") else "nft is not installed: apt-get install nftables")


pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def cable(gate: Namespace, other: Namespace, address: str, gate_address: str) -> None:
    """Between the balancer and somebody else, whose way to everybody is through the balancer."""
    gate.ip("link", "add", other.name, "type", "veth", "peer", "name", "eth0", "netns", other.pid)
    gate.ip("addr", "add", f"{gate_address}/32", "dev", other.name)
    gate.ip("link", "set", other.name, "up")
    gate.ip("route", "add", address, "dev", other.name)
    other.ip("addr", "add", f"{address}/32", "dev", "eth0")
    other.ip("link", "set", "eth0", "up")
    other.ip("route", "add", gate_address, "dev", "eth0")
    other.ip("route", "add", "default", "via", gate_address)


@contextlib.contextmanager
def program(where: Namespace, *words: object) -> Iterator[Any]:
    """One of C{balanced.py}, running there."""
    argv = [*where.enter, sys.executable, "-m", "tests.kernel.balanced", *map(str, words)]
    running = subprocess.Popen(argv, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize("rules", sorted(DEPLOYMENT.glob("*.nft")), ids=lambda path: path.name)
def test_rules_can_be_loaded_twice(rules: Path) -> None:
    """
    A second time they replace themselves, and nothing else.
    """
    with Namespace("router") as router:
        router.run("nft", "-f", rules)
        once = router.run("nft", "list", "ruleset")
        router.run("nft", "-f", rules)
        assert router.run("nft", "list", "ruleset") == once
        assert "9000" in once


def test_connections_stay_with_their_machine() -> None:
    """
    Peers are spread over both machines.  Connections go on when the balancer has forgotten its flows, and when a
    machine is taken out of the rule; new ones then go to the other.
    """
    with contextlib.ExitStack() as running:
        gate, peers, *machines = (running.enter_context(Namespace(name)) for name in ("balancer", "peers", *MACHINES))
        gate.write("net/ipv4/ip_forward", "1")
        cable(gate, peers, PEERS, "198.51.100.1")
        gate.ip("addr", "add", f"{SERVICE}/32", "dev", "peers")
        for machine in machines:
            cable(gate, machine, MACHINES[machine.name], GATE)
            machine.run("nft", "-f", FIREWALL)
        servers = [running.enter_context(program(machine, "serve", machine.name)) for machine in machines]
        assert [server.stdout.readline() for server in servers] == ["listening\n", "listening\n"]
        gate.run("nft", "-f", RULES)
        dialling = running.enter_context(program(peers, "dial", SERVICE, COUNT))

        def hear() -> list[Any]:
            heard: list[Any] = json.loads(dialling.stdout.readline())
            return heard

        def go_on() -> None:
            dialling.stdin.write("go on\n")
            dialling.stdin.flush()

        assert set(hear()) == set(MACHINES)
        gate.run(sys.executable, "-c", FORGET)
        go_on()
        assert hear() == [True] * COUNT
        without_b = RULES.read_text("utf-8").replace(MACHINES["machine-b"], MACHINES["machine-a"])
        subprocess.run([*gate.enter, "nft", "-f", "-"], input=without_b, text=True, check=True)
        go_on()
        assert hear() == [True] * COUNT
        assert set(hear()) == {"machine-a"}
        assert dialling.wait(20) == 0
