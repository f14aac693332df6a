"""
What do we do when we exchange bytes with another uTP?

C{exchange.py (listen|connect) ENDPOINT --send BYTES --seed TEXT --close (first|second) [--stay]}

One connection.  Sends BYTES pseudo-random bytes, SHAKE-256 of the seed, reads to the end of the stream, and prints
JSON lines: "listening" with its port, "connected", "end" when the other side's FIN arrived, "done" with the count and
the SHA-256 of what it received.  "first" ends its own side as soon as everything is written, "second" only when the
other side has ended.  With C{--stay} the program goes on after that until its standard input ends, so that whoever
missed its last acknowledgement gets it again.  C{libutp_peer/exchange.js} does the same with libutp.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from zope.interface import implementer

CHUNK = 64 * 1024


def report(event: str, **details: object) -> None:
    """
    Tell the test what happened.
    """
    print(json.dumps({"event": event, **details}), flush=True)


@implementer(IPullProducer)
class Payload:
    """
    The bytes to send, a chunk whenever the transport has room.
    """

    def __init__(self, exchange: Exchange, data: bytes) -> None:
        self._exchange = exchange
        self._chunks: Iterator[bytes] = (data[i : i + CHUNK] for i in range(0, len(data), CHUNK))

    def resumeProducing(self) -> None:
        """
        Write one chunk, or end.
        """
        chunk = next(self._chunks, None)
        if chunk is None:
            self._exchange.transport.unregisterProducer()
            self._exchange.everything_written()
        else:
            self._exchange.transport.write(chunk)

    def stopProducing(self) -> None:
        """
        The connection ended: drop what is left.
        """
        self._chunks = iter(())


@implementer(IHalfCloseableProtocol)
class Exchange(Protocol):
    """
    Both directions at once, and a half close in the order that was asked for.
    """

    transport: Any  # also a consumer, and half-closeable

    def __init__(self, payload: bytes, closes_first: bool, done: Deferred[int]) -> None:
        self._payload = payload
        self._closes_first = closes_first
        self._done = done
        self._written = self._ended = False
        self._received = 0
        self._digest = hashlib.sha256()

    def connectionMade(self) -> None:
        """
        Start to send.
        """
        report("connected")
        self.transport.registerProducer(Payload(self, self._payload), False)

    def dataReceived(self, data: bytes) -> None:
        """
        Count and digest.
        """
        self._received += len(data)
        self._digest.update(data)

    def everything_written(self) -> None:
        """
        The last chunk was handed to the transport.
        """
        self._written = True
        report("written")
        self._end_if_due()

    def readConnectionLost(self) -> None:
        """
        The other side's FIN.
        """
        self._ended = True
        report("end", received=self._received)
        self._end_if_due()

    def _end_if_due(self) -> None:
        if self._written and self._ended:
            self.transport.loseConnection()
        elif self._written and self._closes_first:
            self.transport.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """
        Our FIN was acknowledged; the other direction goes on.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Report what arrived, and how it ended.
        """
        clean = reason.type is not None and reason.type.__name__ == "ConnectionDone"
        report("done", received=self._received, sha256=self._digest.hexdigest(), reason=str(reason.value))
        self._done.callback(0 if clean else 1)


async def main(reactor: Any, options: argparse.Namespace) -> None:
    """
    Listen or connect, exchange once, exit 1 unless the connection ended cleanly.
    """
    done: Deferred[int] = Deferred()
    payload = hashlib.shake_256(options.seed.encode()).digest(options.send)
    factory = Factory.forProtocol(lambda: Exchange(payload, options.close == "first", done))
    if options.role == "listen":
        port = await endpoints.serverFromString(reactor, options.endpoint).listen(factory)
        report("listening", port=port.getHost().port)
    else:
        await endpoints.clientFromString(reactor, options.endpoint).connect(factory)
    code = await done
    if options.stay:
        await deferToThread(sys.stdin.read)
    if code:
        raise SystemExit(code)


def parse_arguments() -> argparse.Namespace:
    """
    The command line.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("role", choices=["listen", "connect"])
    parser.add_argument("endpoint", help="an endpoint string")
    parser.add_argument("--send", type=int, default=0)
    parser.add_argument("--seed", default="")
    parser.add_argument("--close", choices=["first", "second"], default="first")
    parser.add_argument("--stay", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    options = parse_arguments()
    task.react(lambda reactor: Deferred.fromCoroutine(main(reactor, options)))
