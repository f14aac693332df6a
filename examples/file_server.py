"""
Serve a folder by HTTP on any endpoint, with listings, ranges and a line for each request::

    python examples/file_server.py utp:8080 FOLDER
    python examples/download.py utp:127.0.0.1:8080 /FILE -o FILE.copy

Files of any size are sent in constant memory: Twisted's C{File} is a producer, which uTP pauses when it has enough.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import endpoints, task
from twisted.internet.defer import Deferred
from twisted.web.server import Site
from twisted.web.static import File


class LoggedSite(Site):
    """
    Tells what was asked for.
    """

    def log(self, request: Any) -> None:
        """
        One line, when the answer is sent.
        """
        who, path = request.getClientAddress().host, request.uri.decode("ascii", "replace")
        print(f"{who} {request.code} {path} {request.sentLength} bytes", flush=True)


async def main(reactor: Any, endpoint: str = "utp:8080", folder: str = ".") -> None:
    """
    Serve until interrupted.
    """
    port = await endpoints.serverFromString(reactor, endpoint).listen(LoggedSite(File(folder)))
    print(f"{folder} on {port.getHost()}", flush=True)
    await Deferred()


if __name__ == "__main__":
    task.react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
