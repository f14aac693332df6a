"""
One end of a uTP transfer::

    python -m benchmarks.bottleneck.utp_flow serve HOST [SETTINGS]
    python -m benchmarks.bottleneck.utp_flow send HOST PORT [SETTINGS]

The sender obeys C{start BYTES} and C{stop}; settings are those of an endpoint string.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure

from benchmarks.bottleneck.series import Series
from benchmarks.peers.account import obey, report

reactor: Any = installed_reactor


# A prime: no packet and no buffer has a length that divides it, so that misplaced bytes show.
PERIOD = 99_991


class Pattern:
    """
    A file of bytes that repeat now and then.

    @ivar left: bytes to come; set to 0 to end it early.
    @ivar digest: of those that went.
    """

    def __init__(self, length: int) -> None:
        self.left = length
        self.digest = hashlib.sha256()
        self._block = random.Random(1).randbytes(PERIOD) * 2
        self._offset = 0

    def read(self, size: int) -> bytes:
        """
        The next bytes.
        """
        data = self._block[self._offset : self._offset + min(size, self.left, PERIOD)]
        self._offset = (self._offset + len(data)) % PERIOD
        self.left -= len(data)
        self.digest.update(data)
        return data


class Sink(Protocol):
    """
    Counts what it gets, and says at the end what it was.
    """

    def __init__(self, series: Series) -> None:
        self._series = series
        self._digest = hashlib.sha256()

    def dataReceived(self, data: bytes) -> None:
        """
        Count.
        """
        self._series.count(len(data))
        self._digest.update(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        All of it.
        """
        report("received", bytes=self._series.received, sha256=self._digest.hexdigest(), why=_name(reason))


class Source(Protocol):
    """
    Sends until there is no more, then closes.
    """

    transport: Any

    def __init__(self, pattern: Pattern, started: float) -> None:
        self._pattern = pattern
        self._started = started

    def connectionMade(self) -> None:
        """
        Go.
        """
        sending = FileSender().beginFileTransfer(self._pattern, self.transport)
        sending.addCallbacks(lambda last: self.transport.loseConnection(), lambda lost: None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Everything has arrived, or nothing more will.
        """
        stats = {
            name: value for name, value in asdict(self.transport.stats()).items() if isinstance(value, int | float)
        }
        digest = self._pattern.digest.hexdigest()
        report("done", started=self._started, sha256=digest, why=_name(reason), stats=stats)


def _name(reason: Failure) -> str:
    return type(reason.value).__name__


def _give_up(failure: Failure) -> None:
    report("failed", why=str(failure.value))
    reactor.stop()


def serve(host: str, settings: str = "") -> None:
    """
    Receive.
    """
    series = Series()
    obey(series, series.asked)
    listening = serverFromString(reactor, f"utp:0:interface={host}{settings}").listen(
        Factory.forProtocol(lambda: Sink(series))
    )
    listening.addCallbacks(lambda port: report("listening", port=port.getHost().port), _give_up)


def send(host: str, port: str, settings: str = "") -> None:
    """
    Send when told to.
    """
    patterns: list[Pattern] = []

    def begin(length: int) -> None:
        patterns.append(Pattern(length))
        started = time.monotonic()
        endpoint = clientFromString(reactor, f"utp:{host}:{port}{settings}")
        endpoint.connect(Factory.forProtocol(lambda: Source(patterns[-1], started))).addErrback(_give_up)

    def end() -> None:
        for pattern in patterns:
            pattern.left = 0

    def asked(line: str) -> None:
        if line == "stop":
            reactor.callFromThread(end)
        else:
            reactor.callFromThread(begin, int(line.split()[1]))

    obey(Series(), asked)
    report("ready")


def main(words: Sequence[str]) -> None:
    """
    Play the role.
    """
    role, *arguments = words
    reactor.callWhenRunning({"serve": serve, "send": send}[role], *arguments)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
