"""
Does Prometheus see what the ports count?
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from twisted_utp.prometheus import UTPCollector


def samples(registry: Any) -> dict[tuple[str, ...], float]:
    """What a scrape gives, by name and labels other than the port."""
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            rest = [value for name, value in sorted(sample.labels.items()) if name != "port"]
            found[(sample.name, sample.labels["port"], *rest)] = sample.value
    return found


def test_counters_and_gauges(machines: Any) -> None:
    """They are those of the port's snapshot, and go on after its connections ended."""
    client, _, port = machines.pair()
    registry = CollectorRegistry()
    UTPCollector([port.protocol], registry)
    client.transport.write(bytes(50_000))
    machines.advance(1)
    label, seen, stats = "10.0.0.2:9000", samples(registry), port.stats()
    assert seen["utp_connections", label] == 1 and seen["utp_payload_received_total", label] == 50_000
    for name in ("datagrams_received", "bytes_received", "datagrams_sent", "syns_received", "read_calls"):
        assert seen[f"utp_{name}_total", label] == getattr(stats, name) > 0
    for kind in ("connect", "ack", "header", "retransmit", "close"):
        assert seen["utp_overhead_bytes_total", label, kind] == getattr(stats, f"overhead_{kind}")
    client.transport.abortConnection()
    machines.advance(1)
    seen = samples(registry)
    assert seen["utp_connections", label] == 0 and seen["utp_payload_received_total", label] == 50_000


def test_histogram(machines: Any) -> None:
    """Buckets are cumulative, and end with all datagrams."""
    client, _, port = machines.pair()
    client.transport.write(bytes(50_000))
    machines.advance(1)
    registry = CollectorRegistry()
    UTPCollector([port.protocol], registry)
    name = "utp_datagram_sizes_received"
    seen = {key[2]: value for key, value in samples(registry).items() if key[0] == f"{name}_bucket"}
    counts = list(seen.values())
    assert counts == sorted(counts) and list(seen)[-1] == "+Inf"
    assert counts[-1] == port.stats().datagrams_received
    assert samples(registry)[f"{name}_sum", "10.0.0.2:9000"] == port.stats().bytes_received


def test_all_open_ports(machines: Any) -> None:
    """Without a list it is those that are open: not before, not after."""
    registry = CollectorRegistry()
    UTPCollector(registry=registry)
    known = {key[1] for key in samples(registry)}
    ports = [machines.listen(port=number) for number in (9100, 9101)]
    assert {key[1] for key in samples(registry)} - known == {"10.0.0.2:9100", "10.0.0.2:9101"}
    for port in ports:
        machines.result(port.stopListening())
    machines.advance(0)
    assert {key[1] for key in samples(registry)} <= known
