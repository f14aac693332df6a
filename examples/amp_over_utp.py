"""
Remote calls with AMP, Twisted's protocol for typed commands, on any endpoint::

    python examples/amp_over_utp.py serve utp:9000
    python examples/amp_over_utp.py divide utp:127.0.0.1:9000 355 113
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.protocols import amp


class Divide(amp.Command):
    """
    What can be asked, and what comes back: a quotient, or an error that has a name.
    """

    arguments = [(b"dividend", amp.Integer()), (b"divisor", amp.Integer())]
    response = [(b"quotient", amp.Float())]
    errors = {ZeroDivisionError: b"ZERO_DIVISION"}


class Calculator(amp.AMP):
    """
    Who answers.
    """

    @Divide.responder
    def divide(self, dividend: int, divisor: int) -> dict[str, float]:
        """
        Divide.
        """
        return {"quotient": dividend / divisor}


async def serve(reactor: Any, endpoint: str = "utp:9000") -> None:
    """
    Answer until interrupted.
    """
    port = await endpoints.serverFromString(reactor, endpoint).listen(Factory.forProtocol(Calculator))
    print(f"dividing on {port.getHost()}", flush=True)
    await Deferred()


async def divide(reactor: Any, endpoint: str, dividend: str, divisor: str) -> None:
    """
    Ask once.
    """
    caller: Any = await endpoints.clientFromString(reactor, endpoint).connect(Factory.forProtocol(amp.AMP))
    try:
        answer = await caller.callRemote(Divide, dividend=int(dividend), divisor=int(divisor))
    except ZeroDivisionError:
        raise SystemExit("by zero, says the server") from None
    print(answer["quotient"], flush=True)


if __name__ == "__main__":
    role: Any = {"serve": serve, "divide": divide}[sys.argv[1]]
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(role(reactor, *arguments)), sys.argv[2:])
