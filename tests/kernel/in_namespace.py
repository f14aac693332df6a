"""
To be run in a network namespace of its own, by C{test_addresses.py}: what happens there, as JSON.

It has an interface with a link-local address, two IPv6 addresses, an IPv4 one, and routes that lead nowhere.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from typing import Any

from twisted.internet.endpoints import clientFromString, quoteStringArgument, serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.wire import Echo

from tests.glue.test_real_sockets import Asking

NETWORK = """
link set lo up
link add veth0 type veth peer name veth1
link set veth1 up
link set veth0 up
addr add 10.77.0.1/24 dev veth0
addr add fe80::5/64 dev veth0 nodad
addr add 2001:db8::1/64 dev veth0 nodad
addr add 2001:db8::2/64 dev veth0 nodad
route add prohibit 10.88.0.0/16
route add unreachable 10.89.0.0/16
route add blackhole 10.90.0.0/16
"""

Told = dict[str, Any]


def ip(command: str) -> None:
    """Change the namespace's network."""
    subprocess.run(["ip", *command.split()], check=True)


async def ask(text: str, data: bytes = b"hello") -> Any:
    """Connect, and hear one's own words."""
    from twisted.internet import reactor

    asking = await clientFromString(reactor, text).connect(Factory.forProtocol(Asking))
    asking.transport.write(data)
    await asking.wait(len(data))
    return asking


async def outcome(text: str) -> str:
    """What a connect says."""
    try:
        asking = await ask(text)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    peer = str(asking.transport.getPeer().host)
    asking.transport.abortConnection()
    return f"connected to {peer}"


async def link_local(reactor: Any) -> Told:
    """Dialled on a port for all addresses, and on one that is bound there."""
    number = socket.if_nametoindex("veth0")
    told: Told = {"expected": f"fe80::5%{number}"}
    for name, interface in (("all", "::"), ("name", "fe80::5%veth0"), ("number", f"fe80::5%{number}")):
        port = await serverFromString(reactor, f"utp:0:interface={quoteStringArgument(interface)}").listen(
            Factory.forProtocol(Echo)
        )
        for scope in ("veth0", number):
            host = quoteStringArgument(f"FE80:0::5%{scope}")
            told[f"{name} {scope}"] = await outcome(f"utp:{host}:{port.getHost().port}:timeout=5")
        told[f"{name} bound"] = port.getHost().host
        await port.stopListening()
    return told


async def deprecated(reactor: Any) -> Told:
    """The address that a connection has been dialled from is no longer the one that the system prefers."""
    port = await serverFromString(reactor, r"utp6:0:interface=2001\:db8\:\:1").listen(Factory.forProtocol(Echo))
    listening = await serverFromString(reactor, "utp6:0").listen(Factory.forProtocol(Echo))
    source = rf"bindAddress=2001\:db8\:\:2:bindPort={listening.getHost().port}"
    asking = await ask(rf"utp:2001\:db8\:\:1:{port.getHost().port}:{source}")
    ip("addr change 2001:db8::2/64 dev veth0 preferred_lft 0")
    before = asking.transport.getHost().host
    asking.data = b""
    asking.transport.write(bytes(200_000))
    await asking.wait(200_000)
    [served] = port.protocol._transports
    told = {"host": before, "then": asking.transport.getHost().host, "peer": served.getPeer().host}
    asking.transport.abortConnection()
    return told


async def gone_and_back(reactor: Any) -> Told:
    """The address of a connection is taken away and comes again."""
    from twisted.internet.task import deferLater

    port = await serverFromString(reactor, "utp:0").listen(Factory.forProtocol(Echo))
    asking = await ask(f"utp:10.77.0.1:{port.getHost().port}")
    ip("addr del 10.77.0.1/24 dev veth0")
    asking.data = b""
    asking.transport.write(b"is anybody there")
    await deferLater(reactor, 1)
    told = {"meanwhile": len(asking.data), "lost": bool(asking.lost.called)}
    ip("addr add 10.77.0.1/24 dev veth0")
    await asking.wait(16)
    asking.transport.abortConnection()
    return {**told, "then": len(asking.data)}


async def refused_by_the_system(reactor: Any) -> Told:
    """What TCP says, and what we say."""
    told: Told = {}
    for host in ("fe80::1", "10.88.0.1", "10.89.0.1", "10.90.0.1", "10.77.0.255", "192.0.2.1", "224.0.0.1"):
        for kind in ("tcp", "utp"):
            told[f"{kind} {host}"] = await outcome(f"{kind}:host={quoteStringArgument(host)}:port=9:timeout=60")
    return told


async def play(reactor: Any, network: str, *scenes: Callable[[Any], Any]) -> None:
    """Build a network, and say what came of each scene in it."""
    for line in network.strip().splitlines():
        ip(line)
    print(json.dumps({scene.__name__: await scene(reactor) for scene in scenes}))


if __name__ == "__main__":
    react(play, (NETWORK, link_local, deprecated, gone_and_back, refused_by_the_system))
