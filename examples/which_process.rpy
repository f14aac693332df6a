"""
Which process serves this connection?  For several that have one port::

    twist web --listen utp:8080:reusePort=1 --resource-script examples/which_process.rpy

Started four times, each connection is served by one of the four, and goes on being served by it when others end or
come.  C{docs/howto/serve.rst} says more.
"""

from __future__ import annotations

import os

from twisted.web.resource import Resource
from twisted.web.server import Request


class WhichProcess(Resource):
    """
    Its number, whatever is asked for.
    """

    def getChild(self, path: bytes, request: Request) -> Resource:
        """
        There are no others.
        """
        return self

    def render_GET(self, request: Request) -> bytes:
        """
        One line.
        """
        request.setHeader(b"content-type", b"text/plain")
        return b"%d\n" % os.getpid()


resource = WhichProcess()
