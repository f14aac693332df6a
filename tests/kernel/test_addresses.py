"""
On a host with several interfaces, families and routes: does uTP connect wherever TCP does, and fail where it does?
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.accounts import account_of


@pytest.fixture(scope="module", params=["1", "0"], ids=["offload", "plain"])
def told(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What C{in_namespace.py} says."""
    return account_of("in_namespace", request.param)


def test_link_local(told: dict[str, Any]) -> None:
    """It is dialled and bound with its scope by name and by number, in any spelling."""
    scenes = told["link_local"]
    expected = scenes.pop("expected")
    assert [scenes.pop(f"{name} bound") for name in ("all", "name", "number")] == ["::", expected, expected]
    assert len(scenes) == 6 and set(scenes.values()) == {f"connected to {expected}"}


def test_a_deprecated_address(told: dict[str, Any]) -> None:
    """A connection keeps its address, as an IPv6 privacy address is replaced while it lasts."""
    assert told["deprecated"] == {"host": "2001:db8::2", "then": "2001:db8::2", "peer": "2001:db8::2"}


def test_an_address_that_comes_back(told: dict[str, Any]) -> None:
    """While it is away packets are lost, no more; the connection goes on with it."""
    assert told["gone_and_back"] == {"meanwhile": 0, "lost": False, "then": 16}


def test_local_failures_are_tcps(told: dict[str, Any]) -> None:
    """The same exception at once, with the system's reason; for broadcasts we say what they are."""
    scenes = told["refused_by_the_system"]
    for name, text in scenes.items():
        kind, _, host = name.partition(" ")
        assert not text.startswith(("connected", "TimeoutError"))
        if kind == "utp" and host != "10.77.0.255":
            assert text == scenes[f"tcp {host}"]
    assert "a broadcast address" in scenes["utp 10.77.0.255"]
