"""
Do the dashboard and the alert rules ask for metrics and labels that the package exports?
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

METRIC = re.compile(r"\butp_\w+")
SELECTED = re.compile(r"(utp_\w+)\{([^}]*)\}")
GROUPED = re.compile(r"by \(([^)]*)\) \(.*?(utp_\w+)")

# What Prometheus adds to each, and to a histogram.
ADDED = {"instance", "job", "le"}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """Metrics, and the labels of each."""
    pytest.importorskip("prometheus_client")
    from twisted_utp.forward.metrics import ForwardCollector
    from twisted_utp.prometheus import UTPCollector

    families: list[Any] = [*UTPCollector([]).collect(), *ForwardCollector([]).collect()]
    return {family.name + suffix: set(family._labelnames) for family in families for suffix in SUFFIXES[family.type]}


def panels(dashboard: Any) -> Iterator[Any]:
    """Those that show something."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def check(expression: str, exported: dict[str, set[str]]) -> set[str]:
    """
    Is all that it names exported?

    @return: the metrics.
    """
    names = set(METRIC.findall(expression))
    assert names <= set(exported), f"{expression}: {names - set(exported)} is not exported"
    for name, matchers in SELECTED.findall(expression):
        labels = set(re.findall(r"(\w+)\s*[=!]", matchers))
        assert labels <= exported[name] | ADDED, expression
    for labels, name in GROUPED.findall(expression):
        assert set(re.findall(r"\w+", labels)) <= exported[name] | ADDED, expression
    return names


def test_dashboard(examples: Path, exported: dict[str, set[str]]) -> None:
    """Each panel asks for what there is, by the variable that chooses the data source; no two are in one place."""
    dashboard = json.loads((examples / "grafana_dashboard.json").read_text("utf-8"))
    shown: set[str] = set()
    for panel in panels(dashboard):
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            names = check(target["expr"], exported)
            assert names, panel["title"]
            shown |= names
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert re.search(rf"by \([^)]*\b{label}\b", target["expr"]), (panel["title"], label)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels(dashboard)]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    # Most of what is exported can be seen somewhere.
    assert len(shown) > len(exported) / 2


def test_alerts(examples: Path, exported: dict[str, set[str]]) -> None:
    """Each rule asks for what there is, and each but the one about the target itself for something of ours."""
    text = (examples / "alerts.yaml").read_text("utf-8")
    rules = re.split(r"^ +- alert: ", text, flags=re.MULTILINE)[1:]
    assert len(rules) >= 5
    for rule in rules:
        expression = re.search(r"expr: (?:>-)?(.*?)\n +(?:for|annotations):", rule, re.DOTALL)
        assert expression is not None, rule
        names = check(re.sub(r"\s+", " ", expression[1]), exported)
        assert names or rule.startswith("UTPDown\n"), rule
        assert "summary:" in rule


def test_check_finds_mistakes(exported: dict[str, set[str]]) -> None:
    """A metric or a label that there is not is found."""
    for wrong in ("rate(utp_connectoins[5m])", 'utp_connections{kind="ack"}', "sum by (cause) (utp_connections)"):
        with pytest.raises(AssertionError):
            check(wrong, exported)
