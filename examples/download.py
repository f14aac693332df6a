"""
Fetch a file from a web server over uTP, with a line of progress, without ever holding more than a buffer of it::

    twist web --listen utp:8080 --path .      (or examples/file_server.py)
    python examples/download.py utp:127.0.0.1:8080 /README.rst -o README.copy
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import IO, Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer


@implementer(IAgentEndpointFactory)
class FixedEndpoint:
    """
    Connects to one endpoint, whatever the URI says.
    """

    def __init__(self, reactor: Any, endpoint: str) -> None:
        self._endpoint = endpoints.clientFromString(reactor, endpoint)

    def endpointForURI(self, uri: Any) -> Any:
        """
        The endpoint.
        """
        return self._endpoint


class ToFile(Protocol):
    """
    Writes a response's body to a file.
    """

    def __init__(self, file: IO[bytes], length: Any) -> None:
        self.finished: Deferred[int] = Deferred()
        self._file = file
        self._length = length if isinstance(length, int) else 0  # some servers do not say
        self._shown = -1

    def dataReceived(self, data: bytes) -> None:
        """
        A piece of the body.
        """
        self._file.write(data)
        percent = 100 * self._file.tell() // self._length if self._length else -1
        if percent > self._shown:
            self._shown = percent
            print(f"\r{percent:3} % of {self._length} bytes", end="", file=sys.stderr, flush=True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The body's end: complete only if HTTP says so.
        """
        if self._shown >= 0:
            print(file=sys.stderr)
        if reason.check(ResponseDone):
            self.finished.callback(self._file.tell())
        else:
            self.finished.errback(reason)


async def main(reactor: Any, options: argparse.Namespace) -> None:
    """
    One GET request.
    """
    agent = Agent.usingEndpointFactory(reactor, FixedEndpoint(reactor, options.endpoint))
    started = reactor.seconds()
    response: Any = await agent.request(b"GET", b"http://localhost" + options.path.encode())
    if response.code != 200:
        raise SystemExit(f"{options.path}: {response.code} {response.phrase.decode()}")
    with options.output.open("wb") as file:
        body = ToFile(file, response.length)
        response.deliverBody(body)
        length = await body.finished
    rate = length / 1e6 / (reactor.seconds() - started)
    print(f"{options.output}: {length} bytes, {rate:.1f} MB/s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fetch a file from a web server on any endpoint.")
    parser.add_argument("endpoint", help="for example utp:127.0.0.1:8080")
    parser.add_argument("path", help="for example /README.rst")
    parser.add_argument("-o", "--output", type=Path, required=True)
    task.react(lambda reactor: Deferred.fromCoroutine(main(reactor, parser.parse_args())))
