"""
twisted_utp, and Twisted's TCP, as measured programs::

    python -m benchmarks.peers.twisted_peer utp|utp-one-port|tcp ROLE...

C{utp} dials as an endpoint string does, each connection from a UDP port of its own; C{utp-one-port} dials all from one,
as BitTorrent does, and as libutp can only do.  C{benchmarks.contenders} has the roles.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import Factory, Protocol

from benchmarks.peers.account import Account, cpu_seconds, obey, report
from benchmarks.peers.twisted_protocols import Counted, Echo, OneByte, Pinger, Sender, Sink
from twisted_utp.endpoints import UTPClientEndpoint
from twisted_utp.proto.config import UTPConfig
from twisted_utp.protocol import UTPProtocol
from twisted_utp.udp import listen_udp

# A SYN may overtake the packet that confirms the connection before, so that twice as many wait in the acceptor's
# backlog, which takes 50.
AT_ONCE = 20
reactor: Any = installed_reactor

Build = Callable[[], Protocol]


class Dialler:
    """
    Connects to one address, in the way that the kind says.
    """

    def __init__(self, kind: str, port: int, settings: str = "") -> None:
        host = "127.0.0.1"
        if kind == "utp-one-port":
            given = {
                key: float(value) for key, _, value in [word.partition("=") for word in settings.split(":") if word]
            }
            protocol = UTPProtocol(reactor, UTPConfig(**given))  # type: ignore[arg-type]
            listen_udp(reactor, 0, protocol, host)
            self._endpoint: Any = UTPClientEndpoint.overProtocol(protocol, host, port)
        else:
            # Without an address of its own a client leaves from a port on all of them.
            source = f":bindAddress={host}" if kind == "utp-one" else ""
            self._endpoint = clientFromString(reactor, f"{kind.partition('-')[0]}:{host}:{port}{source}{settings}")

    def dial(self, build: Build) -> Deferred[Any]:
        """
        One connection.  A failure ends the program, which says so.
        """
        return self._dial(Factory.forProtocol(build))

    def _dial(self, factory: Factory[Protocol]) -> Deferred[Any]:
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting.addErrback(_give_up)

    def dial_many(self, build: Build, count: int, done: Callable[[list[Any]], None]) -> None:
        """
        Many, a limited number at once.
        """
        made: list[Any] = []
        left = [count]
        factory = Factory.forProtocol(build)

        def more() -> None:
            if left[0]:
                left[0] -= 1
                self._dial(factory).addCallback(connected)

        def connected(protocol: Any) -> None:
            made.append(protocol)
            if len(made) == count:
                done(made)
            else:
                more()

        for _ in range(min(AT_ONCE, count)):
            more()


def _give_up(failure: Any) -> None:
    report("failed", why=str(failure.value))
    reactor.stop()


def serve(kind: str, what: str, _nbytes: str = "0", settings: str = "") -> None:
    """
    Take connections.
    """
    account = Account()
    obey(account)
    protocols = {"sink": Sink, "echo": Echo}
    factory = Factory.forProtocol(lambda: protocols[what](account))
    # All clients are on this host.
    endpoint = "tcp:0" if kind == "tcp" else "utp:0:maxPerHost=65536"
    interface = "" if kind == "utp-all" else ":interface=127.0.0.1"
    listening = serverFromString(reactor, f"{endpoint}{interface}{settings}").listen(factory)
    listening.addCallback(lambda port: report("listening", port=port.getHost().port))
    listening.addErrback(_give_up)


def bulk(kind: str, port: str, nbytes: str, connections: str) -> None:
    """
    Open the connections, then send a share on each.
    """
    count = int(connections)
    open_connections = [count]
    began = [0.0, 0.0]

    def lost() -> None:
        open_connections[0] -= 1
        if not open_connections[0]:
            report("done", cpu=cpu_seconds() - began[1], started=began[0])

    def start(senders: list[Any]) -> None:
        began[:] = time.monotonic(), cpu_seconds()
        for sender in senders:
            sender.start()

    obey(Account())
    Dialler(kind, int(port)).dial_many(lambda: Sender(int(nbytes) // count, lost), count, start)


def ping(kind: str, port: str, seconds: str) -> None:
    """
    Count round trips, after a few to warm up.
    """
    state = {"count": -20, "until": 0.0, "began": 0.0, "cpu": 0.0}

    def came_back() -> bool:
        state["count"] += 1
        now = time.monotonic()
        if state["count"] == 0:
            state.update(began=now, until=now + float(seconds), cpu=cpu_seconds())
        elif state["count"] > 0 and now > state["until"]:
            used = cpu_seconds() - state["cpu"]
            report("done", count=state["count"], seconds=now - state["began"], cpu=used)
            return False
        return True

    obey(Account())
    Dialler(kind, int(port)).dial(lambda: Pinger(came_back)).addCallback(lambda pinger: pinger.ping())


def churn(kind: str, port: str, count: str, at_once: str) -> None:
    """
    Connect, send one byte, close; so many at once, each replaced when it is closed.
    """
    dialler = Dialler(kind, int(port))
    state = {"left": int(count), "open": 0}
    began = time.monotonic(), cpu_seconds()

    def more() -> None:
        if state["left"]:
            state["left"] -= 1
            state["open"] += 1
            dialler.dial(lambda: OneByte(lost))
        elif not state["open"]:
            report("done", count=int(count), seconds=time.monotonic() - began[0], cpu=cpu_seconds() - began[1])

    def lost() -> None:
        state["open"] -= 1
        reactor.callLater(0, more)

    obey(Account())
    for _ in range(int(at_once)):
        more()


def idle(kind: str, port: str, settings: str = "") -> None:
    """
    Open as many connections as the line C{open N} says, and keep them.
    """
    account = Account()
    dialler = Dialler(kind, int(port), settings)

    def open_more(count: int) -> None:
        dialler.dial_many(lambda: Counted(account), count, lambda made: report("opened"))

    def told(line: str) -> None:
        reactor.callFromThread(open_more, int(line.split()[1]))

    obey(account, told)
    report("ready")


ROLES: dict[str, Callable[..., None]] = {"serve": serve, "bulk": bulk, "ping": ping, "churn": churn, "idle": idle}


def main(words: Sequence[str]) -> None:
    """
    Play the role.
    """
    kind, role, *arguments = words
    reactor.callWhenRunning(ROLES[role], kind, *arguments)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
