"""
Does every bad setting say which it is, what it was and what is allowed?
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from twisted_utp.proto.config import RANGES, UTPConfig

INTEGERS = [name for name in RANGES if "seconds" not in RANGES[name]["unit"]]


def config_with(name: str, value: Any) -> UTPConfig:
    """The defaults with one setting changed, as a constructor's caller would."""
    return UTPConfig(**{name: value})


def test_defaults() -> None:
    """The defaults are valid, and those of the protocol's description."""
    config = UTPConfig()
    assert (config.congestion, config.target_delay, config.keepalive) == ("scavenger", 0.1, 29.0)
    assert config.mtu is None
    assert not config.no_delay


def test_is_frozen() -> None:
    """A configuration that connections share does not change under them."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        UTPConfig().mtu = 500  # type: ignore[misc]


def test_ranges_name_settings() -> None:
    """Every range belongs to a setting and holds its default."""
    for name, allowed in RANGES.items():
        value = getattr(UTPConfig(), name)
        assert value is None or allowed["low"] <= value <= allowed["high"]


@pytest.mark.parametrize("name", RANGES)
def test_limits_are_allowed(name: str) -> None:
    """The lowest and the highest value are valid."""
    for bound in ("low", "high"):
        assert getattr(config_with(name, RANGES[name][bound]), name) == RANGES[name][bound]


@pytest.mark.parametrize("bound", ["low", "high"])
@pytest.mark.parametrize("name", RANGES)
def test_beyond_the_limits(name: str, bound: str) -> None:
    """The error has the setting's name, the value, both limits and the unit."""
    step = 1 if name in INTEGERS else 0.001
    value = RANGES[name][bound] + (step if bound == "high" else -step)
    with pytest.raises(ValueError) as caught:
        config_with(name, value)
    message = str(caught.value)
    assert message.startswith(f"{name}={value!r}: ")
    for part in ("low", "high", "unit"):
        assert str(RANGES[name][part]) in message


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", ["5", True, b"5", [1]])
def test_no_number(name: str, value: Any) -> None:
    """Strings, booleans and the like are no numbers; the error names setting, value and unit."""
    with pytest.raises(TypeError) as caught:
        config_with(name, value)
    assert str(caught.value).startswith(f"{name}={value!r}: ")
    assert RANGES[name]["unit"] in str(caught.value)


@pytest.mark.parametrize("name", INTEGERS)
def test_whole_numbers(name: str) -> None:
    """Bytes and connections come whole."""
    with pytest.raises(TypeError, match=f"{name}="):
        config_with(name, RANGES[name]["low"] + 0.5)


@pytest.mark.parametrize("name", [name for name in RANGES if name not in INTEGERS])
def test_seconds_may_be_whole_or_fractions(name: str) -> None:
    """Seconds may be int or float."""
    assert getattr(config_with(name, 1), name) == 1
    assert getattr(config_with(name, 1.0), name) == 1.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", [name for name in RANGES if name not in INTEGERS])
def test_no_real_number(name: str, value: float) -> None:
    """Neither infinity nor "not a number" is within any range."""
    with pytest.raises(ValueError, match=f"{name}="):
        config_with(name, value)


def test_only_mtu_may_be_none() -> None:
    """None means "what libutp uses" for mtu, and nothing elsewhere."""
    assert UTPConfig(mtu=None).mtu is None
    for name in RANGES:
        if name != "mtu":
            with pytest.raises(TypeError, match=f"{name}=None"):
                config_with(name, None)


@pytest.mark.parametrize("name", ["no_delay", "pacing"])
@pytest.mark.parametrize("value", [1, "yes", None])
def test_switches(name: str, value: Any) -> None:
    """A switch is True or False."""
    with pytest.raises(TypeError, match=f"{name}={value!r}: expected True or False"):
        config_with(name, value)
    assert getattr(config_with(name, True), name) is True


def test_unknown_congestion_controller() -> None:
    """The error lists what there is."""
    with pytest.raises(ValueError, match="congestion='bbr': expected one of cubic, fixed, ledbat, ledbat\\+\\+"):
        UTPConfig(congestion="bbr")


def test_but_changes_some() -> None:
    """A changed copy; the original stays, and the copy is checked too."""
    config = UTPConfig(mtu=500)
    changed = config.replace(backlog=3, no_delay=True)
    assert (changed.mtu, changed.backlog, changed.no_delay) == (500, 3, True)
    assert config.backlog != 3
    with pytest.raises(ValueError, match="backlog=0"):
        config.replace(backlog=0)


def test_but_of_no_such_setting() -> None:
    """A misspelt name is an error that says which was meant, or lists the settings."""
    with pytest.raises(TypeError, match=r"nodelay: no such setting; did you mean no_delay\?"):
        UTPConfig().replace(nodelay=True)
