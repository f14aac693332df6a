"""
What a forwarder counts for Prometheus.

It needs the C{prometheus} extra.  Counters are added up when somebody asks, in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from twisted_utp.forward.route import Route
from twisted_utp.prometheus import UTPCollector

_PREFIX = "utp_forward"


class ForwardCollector(Collector):
    """
    Exposes forwards, each by the endpoint that it listens on in the label C{listen}.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = list(routes)

    def collect(self) -> Iterator[Metric]:
        """
        See C{prometheus_client}.
        """
        connections = GaugeMetricFamily(f"{_PREFIX}_connections", "Connections now", labels=["listen"])
        accepted = CounterMetricFamily(f"{_PREFIX}_accepted", "Connections accepted", labels=["listen"])
        refused = CounterMetricFamily(f"{_PREFIX}_refused", "Connections beyond --max-connections", labels=["listen"])
        failed = CounterMetricFamily(f"{_PREFIX}_failed", "Connections that failed", labels=["listen", "cause"])
        carried = CounterMetricFamily(f"{_PREFIX}_bytes", "Bytes forwarded", labels=["listen", "direction"])
        for route in self._routes:
            listen = route.names[0]
            connections.add_metric([listen], len(route.relays))
            accepted.add_metric([listen], route.accepted)
            refused.add_metric([listen], route.refused)
            for cause, count in route.failures.items():
                failed.add_metric([listen, cause], count)
            sent, received = route.carried()
            carried.add_metric([listen, "sent"], sent)
            carried.add_metric([listen, "received"], received)
        yield from (connections, accepted, refused, failed, carried)


class Metrics(Resource):
    """
    The forwards and all uTP ports of the process, at every path.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        super().__init__()
        self._registry = CollectorRegistry()
        self._registry.register(ForwardCollector(routes))
        UTPCollector(registry=self._registry)

    def getChild(self, path: bytes, request: Request) -> Resource:
        """
        The same.
        """
        return self

    def render_GET(self, request: Request) -> bytes:
        """
        What there is now.
        """
        request.setHeader(b"content-type", CONTENT_TYPE_LATEST.encode())
        return generate_latest(self._registry)


class MetricsSite(Site):
    """
    A web server for them that logs nothing: it is asked every few seconds.
    """

    noisy = False

    def __init__(self, routes: Iterable[Route]) -> None:
        super().__init__(Metrics(routes))

    def log(self, request: Any) -> None:
        """
        Nothing.
        """
