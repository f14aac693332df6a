"""
A DHT node and a uTP server on one UDP port, as every BitTorrent program has them::

    python examples/shared_dht_port.py utp:6881
    python examples/shared_dht_port.py utp:0 --ping 192.0.2.7:6881

The second one pings the first one's DHT node (BEP 5) and then connects to it by uTP: both from its own only port.
"""

from __future__ import annotations

import argparse
import os
import re
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.protocols.wire import Echo

from twisted_utp import UTPClientEndpoint


class PingNode(DatagramProtocol):
    """
    As much of a DHT node as answers, and asks, C{ping}.

    @ivar answered: fires with the id of the first node that answers us.
    """

    noisy = False

    def __init__(self) -> None:
        self.id = os.urandom(20)
        self.answered: Deferred[bytes] = Deferred()

    def ping(self, address: tuple[str, int]) -> None:
        """
        Ask a node whether it is there.
        """
        assert self.transport is not None
        self.transport.write(b"d1:ad2:id20:" + self.id + b"e1:q4:ping1:t2:aa1:y1:qe", address)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """
        Answer a question, take an answer.
        """
        node_id = re.match(rb"d1:[ar]d2:id20:(.{20})", datagram, re.DOTALL)
        transaction = re.search(rb"1:t2:(..)1:y1:([qr])e$", datagram, re.DOTALL)
        if node_id is None or transaction is None:
            return
        assert self.transport is not None
        if transaction[2] == b"q" and b"e1:q4:ping" in datagram:
            self.transport.write(b"d1:rd2:id20:" + self.id + b"e1:t2:" + transaction[1] + b"1:y1:re", addr)
        elif transaction[2] == b"r" and not self.answered.called:
            self.answered.callback(node_id[1])


class Asking(Protocol):
    """
    Says one line and hears it again.
    """

    def __init__(self) -> None:
        self.heard: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """
        Say it.
        """
        assert self.transport is not None
        self.transport.write(b"uTP beside a DHT\n")

    def dataReceived(self, data: bytes) -> None:
        """
        Short as it is, it comes in one piece.
        """
        self.heard.callback(data)


async def main(reactor: Any, options: argparse.Namespace) -> None:
    """
    Serve until interrupted, or ask another one.
    """
    node = PingNode()
    port: Any = await endpoints.serverFromString(reactor, options.endpoint).listen(Factory.forProtocol(Echo))
    port.protocol.share_with(node)
    print(f"DHT node {node.id.hex()} and uTP on {port.getHost()}", flush=True)
    if options.ping is None:
        await Deferred()
    host, _, number = options.ping.rpartition(":")
    node.ping((host, int(number)))
    print(f"node {(await node.answered).hex()} answers", flush=True)
    asking = Asking()
    # overProtocol dials from the same port as the pings, which is what opens a NAT for both.
    await UTPClientEndpoint.overProtocol(port.protocol, host, int(number)).connect(Factory.forProtocol(lambda: asking))
    print((await asking.heard).decode(), end="", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A DHT node and a uTP server on one UDP port.")
    parser.add_argument("endpoint", nargs="?", default="utp:6881")
    parser.add_argument("--ping", metavar="HOST:PORT", help="ping this node, and connect to it by uTP")
    options = parser.parse_args()
    task.react(lambda reactor: Deferred.fromCoroutine(main(reactor, options)))
