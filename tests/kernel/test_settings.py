"""
Do packets bear the mark that was asked for, and go through the interface; does a server wait for its address?
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.accounts import account_of

LE, AF11 = 0b000001_00, 0b001010_00  # as they stand in the header, with ECN's two bits
DATA, STATE, RESET, SYN = 0, 2, 3, 4


@pytest.fixture(scope="module", params=["1", "0"], ids=["offload", "plain"])
def told(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What C{settings_in_namespace.py} says."""
    accounts = account_of("settings_in_namespace", request.param)
    accounts["trains"] = request.param == "1"
    return accounts


@pytest.mark.parametrize("family", ["IPv4", "IPv6", "IPv4 on a socket for both"])
def test_marks(told: dict[str, Any], family: str) -> None:
    """All that leaves: a server's SYN-ACK, data in trains or not, acknowledgements and RESETs; a client's SYN."""
    server, client = told["marked"][family]["server"], told["marked"][family]["client"]
    assert server["marks"] == [LE] and client["marks"] == [AF11]
    assert {DATA, STATE, RESET} <= set(server["types"]) and {DATA, STATE, SYN} <= set(client["types"])
    assert server["trains"] == client["trains"] == told["trains"]


def test_device(told: dict[str, Any]) -> None:
    """SYNs leave through it, from its address, against the routing table; nothing is heard through another."""
    scenes = told["through_devices"]
    by_the_first, by_the_second = {"d0": ["10.1.0.1"], "d1": []}, {"d0": [], "d1": ["10.2.0.1"]}
    assert scenes[""] == scenes[":device=d0"] == by_the_first
    assert scenes[":device=d1"] == by_the_second
    assert scenes["listening on lo"] == "connected to 127.0.0.1"
    assert scenes["listening on d1"].startswith(("ConnectionRefusedError", "TimeoutError"))


def test_device_of_an_open_port(told: dict[str, Any]) -> None:
    """Who dials from it and asks for what it has, dials."""
    scenes = told["through_devices"]
    assert scenes["dialling from lo"].startswith("ConnectionRefusedError")
    assert scenes["dialling from d1"].startswith(("ConnectionRefusedError", "TimeoutError"))


def test_no_such_device(told: dict[str, Any]) -> None:
    """Both kinds of endpoints fail, with the system's words."""
    scenes = told["through_devices"]
    assert "No such device" in scenes["no such device"] and scenes["no such device"].startswith("UTPConnectBindError")
    assert "No such device" in scenes["no such device here"]
    assert scenes["no such device here"].startswith("CannotListenError")


@pytest.mark.parametrize("host", ["10.9.0.9", "2001:db8::9"])
def test_before_its_address(told: dict[str, Any], host: str) -> None:
    """It listens, serves once the address is there, and cannot dial before."""
    scenes = told["free"]
    assert scenes[f"{host} alone"] == "CannotListenError"
    assert "Cannot assign requested address" in scenes[f"{host} dialling"]
    assert scenes[f"{host} then"] == f"connected to {host}"
