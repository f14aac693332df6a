"""
Exposes a process's uTP ports to Prometheus.

A L{UTPCollector} adds snapshots up when it is asked; nothing is counted twice and nothing runs in between.  It needs
the C{prometheus} extra (C{prometheus_client}), and must be asked in the reactor's thread: expose its registry by
C{prometheus_client.generate_latest} from a resource of C{twisted.web}, as C{examples/metrics.rpy} does, not by
C{prometheus_client}'s own server, which has a thread of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from twisted_utp._ports import open_ports
from twisted_utp.proto.stats import PortStats
from twisted_utp.protocol import UTPProtocol

_PREFIX = "utp"

_COUNTERS = {
    "datagrams_received": "Datagrams received",
    "datagrams_sent": "Datagrams sent",
    "bytes_received": "Bytes of UDP payload received",
    "bytes_sent": "Bytes of UDP payload sent",
    "payload_received": "Stream bytes received in order",
    "payload_sent": "Stream bytes sent for the first time",
    "packets_retransmitted": "Packets retransmitted",
    "connections_opened": "Connections dialled",
    "connections_accepted": "Connections accepted",
    "syns_received": "SYNs received",
    "syns_refused": "SYNs refused",
    "cookies_sent": "SYNs answered with a cookie",
    "resets_received": "RESETs received",
    "resets_sent": "RESETs sent for unknown connections",
    "malformed": "Malformed uTP packets",
    "not_utp": "Datagrams of other protocols",
    "truncated": "Truncated datagrams and ICMP messages, which were dropped",
    "proxy_dropped": "Datagrams that did not come from the SOCKS5 proxy's relay, or had no proper header",
    "read_calls": "System calls that received something",
    "write_calls": "System calls that sent something",
}

_GAUGES = {"connections": "Connections in use", "half_open": "Half-open connections"}

_OVERHEADS = ("connect", "ack", "header", "retransmit", "close")

_SIZES = {"sizes_received": "Sizes of datagrams received", "sizes_sent": "Sizes of datagrams sent"}


class UTPCollector(Collector):
    """
    Exposes some UDP ports, or all of the process, each by its address in the label C{port}.
    """

    def __init__(self, ports: Iterable[UTPProtocol] | None = None, registry: CollectorRegistry | None = None) -> None:
        """
        @param ports: which; L{None} for all that are open when it is asked.
        @param registry: where to register, if anywhere.
        """
        self._ports = None if ports is None else list(ports)
        if registry is not None:
            registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """
        See C{prometheus_client}.
        """
        ports = open_ports() if self._ports is None else [port for port in self._ports if port.is_open]
        snapshots = [(f"{host.host}:{host.port}", port.stats()) for port in ports for host in (port.getHost(),)]
        for name, text in _COUNTERS.items():
            counter = CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=["port"])
            for label, stats in snapshots:
                counter.add_metric([label], getattr(stats, name))
            yield counter
        for name, text in _GAUGES.items():
            gauge = GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=["port"])
            for label, stats in snapshots:
                gauge.add_metric([label], getattr(stats, name))
            yield gauge
        yield _overhead(snapshots)
        for name, text in _SIZES.items():
            yield _histogram(name, text, snapshots)


def _overhead(snapshots: list[tuple[str, PortStats]]) -> Metric:
    counter = CounterMetricFamily(f"{_PREFIX}_overhead_bytes", "Bytes beyond new payload", labels=["port", "kind"])
    for label, stats in snapshots:
        for kind in _OVERHEADS:
            counter.add_metric([label, kind], getattr(stats, f"overhead_{kind}"))
    return counter


def _histogram(name: str, text: str, snapshots: list[tuple[str, PortStats]]) -> Metric:
    histogram = HistogramMetricFamily(f"{_PREFIX}_datagram_{name}", text, labels=["port"])
    for label, stats in snapshots:
        total, buckets = 0, []
        for bound, count in sorted(getattr(stats, name).items()):
            total += count
            buckets.append((str(float(bound)), float(total)))
        nbytes = stats.bytes_received if name == "sizes_received" else stats.bytes_sent
        histogram.add_metric([label], [*buckets, ("+Inf", float(total))], sum_value=nbytes)
    return histogram
