"""
Do Twisted's ways to call each other work on any endpoint?

C{remote_calls.py (amp|perspective_broker|lines) (serve|call) ENDPOINT}: the server adds up numbers, one call for each.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import defer, endpoints, task
from twisted.internet.protocol import Factory
from twisted.protocols import amp
from twisted.protocols.basic import LineReceiver
from twisted.spread import pb

NUMBERS = range(1000)


class Add(amp.Command):
    """
    Add a number; answers the sum so far.
    """

    arguments = [(b"number", amp.Integer())]
    response = [(b"total", amp.Integer())]


class Adder(amp.AMP):
    """
    AMP's server.
    """

    total = 0

    @Add.responder
    def add(self, number: int) -> dict[str, int]:
        """
        One more.
        """
        self.total += number
        return {"total": self.total}


class AdderRoot(pb.Root):
    """
    Perspective Broker's server.
    """

    total = 0

    def remote_add(self, number: int) -> int:
        """
        One more.
        """
        self.total += number
        return self.total


class LineAdder(LineReceiver):
    """
    The line protocol, either end.
    """

    total = 0

    def __init__(self) -> None:
        self.answers: defer.DeferredQueue[bytes] = defer.DeferredQueue()
        self.is_server = False

    def lineReceived(self, line: bytes) -> None:
        """
        A number to add, or an answer.
        """
        if self.is_server:
            self.total += int(line)
            self.sendLine(b"%d" % self.total)
        else:
            self.answers.put(line)


def line_server() -> LineAdder:
    """
    The end that adds.
    """
    adder = LineAdder()
    adder.is_server = True
    return adder


SERVERS = {
    "amp": lambda: Factory.forProtocol(Adder),
    "perspective_broker": lambda: pb.PBServerFactory(AdderRoot()),
    "lines": lambda: Factory.forProtocol(line_server),
}


async def call_amp(endpoint: Any) -> int:
    """
    All calls at once.
    """
    client: Any = await endpoint.connect(Factory.forProtocol(amp.AMP))
    answers = await defer.gatherResults([client.callRemote(Add, number=number) for number in NUMBERS])
    client.transport.loseConnection()
    return int(answers[-1]["total"])


async def call_perspective_broker(endpoint: Any) -> int:
    """
    All calls at once.
    """
    factory = pb.PBClientFactory()
    await endpoint.connect(factory)
    root: Any = await factory.getRootObject()
    answers = await defer.gatherResults([root.callRemote("add", number) for number in NUMBERS])
    factory.disconnect()
    return int(answers[-1])


async def call_lines(endpoint: Any) -> int:
    """
    One after the other.
    """
    client: Any = await endpoint.connect(Factory.forProtocol(LineAdder))
    answer = b""
    for number in NUMBERS:
        client.sendLine(b"%d" % number)
        answer = await client.answers.get()
    client.transport.loseConnection()
    return int(answer)


CALLERS = {"amp": call_amp, "perspective_broker": call_perspective_broker, "lines": call_lines}


async def main(reactor: Any, program: str, role: str, endpoint: str) -> None:
    """
    Serve for ever, or call and print the sum.
    """
    if role == "serve":
        port = await endpoints.serverFromString(reactor, endpoint).listen(SERVERS[program]())
        print(f"serving on {port.getHost()}", flush=True)
        await defer.Deferred()
    total = await CALLERS[program](endpoints.clientFromString(reactor, endpoint))
    print(f"sum of {len(NUMBERS)} numbers: {total}", flush=True)


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: defer.Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
