"""
One end of what is measured on a line::

    python -m benchmarks.bottleneck.wire_flow KIND serve HOST
    python -m benchmarks.bottleneck.wire_flow KIND send HOST PORT COUNT [both]
    python -m benchmarks.bottleneck.wire_flow KIND ask HOST PORT SIZE COUNT
    python -m benchmarks.bottleneck.wire_flow floor serve|send HOST [PORT PACKETS]

Kinds are C{utp} and C{tcp}, as endpoint strings call them.  C{send} fills COUNT connections, with C{both} in both
directions; C{ask} fills COUNT as well, and on one more, which for uTP is on the same port, asks for SIZE bytes by one,
and again when they have come.  The floor is a plain Twisted UDP program that does no more than move PACKETS full
packets a second, in batches.  Besides what L{obey <benchmarks.peers.account.obey>} knows, all answer C{stats}, and
those that ask C{answers}: how long each took, in seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

from benchmarks.peers.account import Account, obey, report
from twisted_utp.endpoints import UTPClientEndpoint
from twisted_utp.protocol import UTPProtocol
from twisted_utp.udp import listen_udp

reactor: Any = installed_reactor

_CHUNK = bytes(64 * 1024)

# The first byte of a connection says what it is for.
_SINK, _BOTH, _ANSWER = b"S", b"B", b"A"

# A full packet's UDP payload, as uTP has it on an Ethernet; and how long the floor waits between two batches.
_PACKET = 1452
_BATCH = 0.004


class Filling(Protocol):
    """
    Writes as much as goes, for ever, and counts what it gets.

    @ivar account: of what came.
    """

    transport: Any
    first = b""

    def __init__(self, account: Account) -> None:
        self.account = account

    def connectionMade(self) -> None:
        """
        Go.
        """
        self.transport.write(self.first)
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """
        There is room.
        """
        self.transport.write(_CHUNK)

    def stopProducing(self) -> None:
        """
        The end.
        """

    def dataReceived(self, data: bytes) -> None:
        """
        Count.
        """
        self.account.count(len(data))


class Serving(Protocol):
    """
    Does what the first byte asks for.
    """

    transport: Any

    def __init__(self, account: Account) -> None:
        self._account = account
        self._what = b""
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        """
        Count, or answer.
        """
        if not self._what:
            self._what, data = data[:1], data[1:]
            if self._what == _BOTH:
                filling = Filling(self._account)
                filling.transport = self.transport
                self.transport.registerProducer(filling, False)
        if self._what == _ANSWER:
            self._answer(data)
        else:
            self._account.count(len(data))

    def _answer(self, data: bytes) -> None:
        if not self._size and len(data) >= 4:
            self._size, data = int.from_bytes(data[:4], "big"), data[4:]
        for _ in data:
            self.transport.write(_CHUNK[: self._size])


class Asking(Protocol):
    """
    Asks by one byte, and again when the whole answer is there.

    @ivar took: seconds, by question.
    """

    transport: Any

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = 0
        self._asked = 0.0
        self.took: list[float] = []

    def connectionMade(self) -> None:
        """
        The first question, once the server has heard what this is about.
        """
        self.transport.write(_ANSWER + self._size.to_bytes(4, "big"))
        reactor.callLater(0.5, self._ask)

    def _ask(self) -> None:
        self._left, self._asked = self._size, time.monotonic()
        self.transport.write(b"?")

    def dataReceived(self, data: bytes) -> None:
        """
        Is that all?
        """
        self._left -= len(data)
        if not self._left:
            self.took.append(time.monotonic() - self._asked)
            self._ask()


def _obey(account: Account, answers: dict[str, Callable[[], dict[str, Any]]]) -> None:
    def asked(line: str) -> None:
        reactor.callFromThread(lambda: report(line, **answers[line]()))

    obey(account, asked)


def _told(stats: Any) -> dict[str, Any]:
    return {
        "received": stats.datagrams_received,
        "sent": stats.datagrams_sent,
        "states": stats.acks_sent if hasattr(stats, "acks_sent") else 0,
        "read_calls": stats.read_calls,
        "write_calls": stats.write_calls,
    }


def serve(kind: str, host: str) -> None:
    """
    Take connections.
    """
    account = Account()

    def listening(port: Any) -> None:
        _obey(account, {"stats": lambda: _told(port.stats()) if kind == "utp" else {}})
        report("listening", port=port.getHost().port)

    address = f"utp:0:interface={host}:maxPerHost=1000" if kind == "utp" else f"tcp:0:interface={host}"
    serverFromString(reactor, address).listen(Factory.forProtocol(lambda: Serving(account))).addCallback(listening)


def _dialler(kind: str, host: str, port: str) -> tuple[Any, Callable[[], dict[str, Any]]]:
    if kind != "utp":
        return clientFromString(reactor, f"{kind}:{host}:{port}"), dict
    protocol = UTPProtocol(reactor)
    listen_udp(reactor, 0, protocol)
    return UTPClientEndpoint.overProtocol(protocol, host, int(port)), lambda: _told(protocol.stats())


def send(kind: str, host: str, port: str, count: str, both: str = "") -> None:
    """
    Fill connections.
    """
    account = Account()
    endpoint, stats = _dialler(kind, host, port)
    _obey(account, {"stats": stats})
    _fill(endpoint, account, int(count), _BOTH if both else _SINK)
    report("ready")


def _fill(endpoint: Any, account: Account, count: int, first: bytes) -> None:
    def build() -> Filling:
        filling = Filling(account)
        filling.first = first
        return filling

    for _ in range(count):
        endpoint.connect(Factory.forProtocol(build))


def ask(kind: str, host: str, port: str, size: str, count: str) -> None:
    """
    Ask, beside so many that are filled; once they have found their rate.
    """
    account = Account()
    endpoint, stats = _dialler(kind, host, port)
    asking = Asking(int(size))
    _obey(account, {"stats": stats, "answers": lambda: {"took": asking.took}})
    _fill(endpoint, account, int(count), _SINK)
    reactor.callLater(2.0 if int(count) else 0.0, endpoint.connect, Factory.forProtocol(lambda: asking))
    report("ready")


class _Floor(DatagramProtocol):
    """
    Counts datagrams, and answers a batch with one of 20 bytes.
    """

    transport: Any

    def __init__(self, account: Account, *, answers: bool) -> None:
        self._account = account
        self._answers = answers
        self._call: Any = None
        self._from: Any = None

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._account.count(len(datagram))
        self._from = addr
        if self._answers and self._call is None:
            self.transport.stopReading()
            self._call = reactor.callLater(_BATCH, self._again)

    def _again(self) -> None:
        self._call = None
        self.transport.write(bytes(20), self._from)
        self.transport.doRead()
        if self._call is None:
            self.transport.startReading()


def floor(role: str, host: str, port: str = "0", packets: str = "0") -> None:
    """
    What a plain Twisted UDP program needs for so many packets.
    """
    account = Account()
    protocol = _Floor(account, answers=role == "serve")
    listening = reactor.listenUDP(0, protocol, interface=host if role == "serve" else "", maxPacketSize=65_536)
    _obey(account, {"stats": dict})
    if role == "serve":
        report("listening", port=listening.getHost().port)
        return
    report("ready")
    rate, began, left = float(packets), time.monotonic(), [0]
    batch = bytes(_PACKET)

    def tick() -> None:
        due = int((time.monotonic() - began) * rate) - left[0]
        left[0] += due
        if due == 1:
            protocol.transport.write(batch, (host, int(port)))
        elif due > 1:
            due = min(due, 40)
            segment = [(17, 103, _PACKET.to_bytes(2, sys.byteorder))]
            listening.socket.sendmsg([batch * due], segment, 0, (host, int(port)))
        reactor.callLater(_BATCH, tick)

    tick()


def main(words: Sequence[str]) -> None:
    """
    Play the role.
    """
    kind, role, *arguments = words
    if kind == "floor":
        reactor.callWhenRunning(floor, role, *arguments)
    else:
        reactor.callWhenRunning({"serve": serve, "send": send, "ask": ask}[role], kind, *arguments)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
