"""
What uTP does in a process, for Prometheus, from a web server that is itself served by uTP::

    twist web --listen utp:8080 --listen tcp:8080 --resource-script examples/metrics.rpy
    curl http://127.0.0.1:8080/

It needs the C{prometheus} extra.
"""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from twisted.web.resource import Resource
from twisted.web.server import Request

from twisted_utp.prometheus import UTPCollector


class Metrics(Resource):
    """
    All uTP ports of the process, as they are when somebody asks.
    """

    def __init__(self) -> None:
        super().__init__()
        self._registry = CollectorRegistry()
        UTPCollector(registry=self._registry)

    def getChild(self, path: bytes, request: Request) -> Resource:
        """
        The same at every path.
        """
        return self

    def render_GET(self, request: Request) -> bytes:
        """
        In the reactor's thread, where the counters are.
        """
        request.setHeader(b"content-type", CONTENT_TYPE_LATEST.encode())
        return generate_latest(self._registry)


resource = Metrics()
