"""
To be run in a network namespace of its own, by C{interface_down.py}: the host at the other end of its cable.

It says that it is there, waits until it has been given the interface, listens, and says on which port.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.wire import Echo

NETWORK = """
link set lo up
addr add 10.77.1.2/24 dev veth3
addr add 2001:db8:1::2/64 dev veth3 nodad
link set veth3 up
"""


async def main(reactor: Any) -> None:
    """Until it is killed."""
    print("there", flush=True)
    sys.stdin.readline()
    for line in NETWORK.strip().splitlines():
        subprocess.run(["ip", *line.split()], check=True)
    port = await serverFromString(reactor, r"utp:0:interface=\:\:").listen(Factory.forProtocol(Echo))
    print(port.getHost().port, flush=True)
    await Deferred()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
