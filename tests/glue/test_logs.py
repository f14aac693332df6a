"""
Is the log quiet, and does it talk when it is asked to?
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from twisted_utp import UTPConfig, UTPProtocol
from twisted_utp.logs import _KINDS, KINDS, VARIABLE, LoggingTracer


@pytest.fixture
def events() -> Iterator[list[Any]]:
    """What is logged in our namespaces."""
    logged: list[Any] = []

    def observe(event: Any) -> None:
        if event["log_namespace"].startswith("twisted_utp"):
            logged.append(event)

    globalLogPublisher.addObserver(observe)
    yield logged
    globalLogPublisher.removeObserver(observe)


def talk(machines: Any, **keywords: Any) -> None:
    """A connection that carries something and ends."""
    client, _, _ = machines.pair(**keywords)
    client.transport.write(bytes(50_000))
    machines.advance(1)
    client.transport.loseConnection()
    machines.advance(5)


def test_quiet_by_default(machines: Any, events: list[Any]) -> None:
    """Nothing that is normal is logged."""
    talk(machines)
    assert events == []


@pytest.mark.parametrize("kinds", ["connection", "connection,packet,recovery,mtu"])
def test_environment(machines: Any, events: list[Any], monkeypatch: Any, kinds: str) -> None:
    """The variable names the kinds; each has its namespace, and all are at debug level."""
    monkeypatch.setenv(VARIABLE, kinds)
    talk(machines)
    wanted = {f"twisted_utp.{kind}" for kind in kinds.split(",")}
    assert {event["log_namespace"] for event in events} == wanted
    assert {event["log_level"] for event in events} == {LogLevel.debug}
    assert any(re.match(r"10\.0\.0\.2:9000 #\d+ state_updated \{'old'", formatEvent(event)) for event in events)


def test_beside_traces(machines: Any, events: list[Any], monkeypatch: Any, tmp_path: Path) -> None:
    """Logging and tracing to files do not exclude each other."""
    monkeypatch.setenv(VARIABLE, "connection")
    talk(machines, config=UTPConfig(trace=str(tmp_path)))
    assert events and list(tmp_path.iterdir())


def test_lazy(events: list[Any]) -> None:
    """What is logged is not formatted by us."""

    class Unprintable:
        def __repr__(self) -> str:
            raise AssertionError("formatted")

    LoggingTracer()(1, ("192.0.2.1", 1), 5, "mtu_updated", new=Unprintable())
    assert [event["event"] for event in events] == ["mtu_updated"]


def test_unknown_kind() -> None:
    """A kind that does not exist is an error that names those that do."""
    with pytest.raises(ValueError, match="'colour': expected some of connection, mtu"):
        LoggingTracer(["colour"])


def test_in_code(machines: Any, events: list[Any]) -> None:
    """A tracer given to a UTPProtocol."""
    protocol = UTPProtocol(machines.server, tracer=LoggingTracer(["connection"]))
    machines.server.listenUDP(9000, protocol)
    protocol.listen(machines.Building())
    machines.connect()
    assert events


def test_every_event_has_a_kind(check_traced: Any) -> None:
    """All events of docs/qlog.rst, and no others."""
    assert set(_KINDS) == check_traced.events and set(_KINDS.values()) == set(KINDS)
