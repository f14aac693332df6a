"""
Do a Klein application and treq's client speak HTTP over any endpoint?

C{digests.py serve ENDPOINT} tells the digest of what is posted, and sends as many bytes as it is asked for;
C{digests.py ask ENDPOINT} checks both.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any

from klein import Klein
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString
from twisted.internet.task import react
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

SIZES = (0, 1, 65_536, 2_000_001)

app = Klein()


@app.route("/digest", methods=["POST"])
def digest(request: Any) -> str:
    """Of the body."""
    return hashlib.sha256(request.content.read()).hexdigest()


@app.route("/bytes/<int:count>")
def some_bytes(request: Any, count: int) -> bytes:
    """So many."""
    return hashlib.shake_256(b"klein").digest(count)


@implementer(IAgentEndpointFactory)
class One:
    """
    Goes there, whatever the URI says.
    """

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: Any) -> Any:
        """See L{IAgentEndpointFactory}."""
        return self._endpoint


async def ask(reactor: Any, endpoint: str) -> None:
    """All at once, then the other way."""
    pool = HTTPConnectionPool(reactor)
    http = HTTPClient(Agent.usingEndpointFactory(reactor, One(clientFromString(reactor, endpoint)), pool))
    bodies = [hashlib.shake_256(b"klein").digest(size) for size in SIZES]
    answers = await gatherResults([http.post("http://any/digest", data=body) for body in bodies])
    assert [await answer.text() for answer in answers] == [hashlib.sha256(body).hexdigest() for body in bodies]
    answers = await gatherResults([http.get(f"http://any/bytes/{size}") for size in SIZES])
    assert [await answer.content() for answer in answers] == bodies
    await pool.closeCachedConnections()
    print("all as expected")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        app.run(endpoint_description=sys.argv[2])
    else:
        react(lambda reactor, endpoint: Deferred.fromCoroutine(ask(reactor, endpoint)), sys.argv[2:])
