"""
HTTP over uTP in one process: a Twisted web server, and Twisted's Agent fetching from it::

    python examples/web_over_utp.py utp:8080
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.web.client import Agent, readBody
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from zope.interface import implementer


class Greeting(Resource):
    """
    Answers every path with the address that it sees.
    """

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        """
        Who are you?
        """
        return f"hello {request.getClientAddress()}\n".encode()


@implementer(IAgentEndpointFactory)
class OverUTP:
    """
    How an Agent connects: this is all that makes an HTTP client speak uTP.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def endpointForURI(self, uri: Any) -> Any:
        """
        The endpoint of a URI's host and port.
        """
        host = endpoints.quoteStringArgument(uri.host.decode())
        return endpoints.clientFromString(self._reactor, f"utp:{host}:{uri.port}")


async def main(reactor: Any, endpoint: str = "utp:8080") -> None:
    """
    Serve, fetch, print.
    """
    port = await endpoints.serverFromString(reactor, endpoint).listen(Site(Greeting()))
    agent = Agent.usingEndpointFactory(reactor, OverUTP(reactor))
    url = f"http://127.0.0.1:{port.getHost().port}/"
    response: Any = await agent.request(b"GET", url.encode())
    body = await readBody(response)
    print(f"{url}: {response.code} {body.decode().strip()}", flush=True)
    await port.stopListening()


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
