"""
Checks of what a simulation is given: a wrong setting is refused by name, before any packet is on its way.
"""

from __future__ import annotations

from typing import Any


def check_whole(name: str, value: Any, unit: str, *, lowest: int = 0, example: str = "", optional: bool = False) -> Any:
    """
    A whole number.  Microseconds, bytes and bits per second have no fractions here, and no strings with units.

    @param unit: what is counted.
    @param lowest: the smallest that is allowed.
    @param example: how to write a usual value.
    @param optional: L{None} is allowed.
    @return: the value.
    @raise TypeError: when it is of another type.
    @raise ValueError: when it is lower.
    """
    if value is None and optional:
        return None
    expected = f"expected {lowest} {unit} or more, as an int"
    expected += f" ({example})" if example else ""
    expected += ", or None" if optional else ""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r}: {expected}")
    if value < lowest:
        raise ValueError(f"{name}={value!r}: {expected}")
    return value


def check_probability(name: str, value: Any) -> float:
    """
    @return: the value.
    @raise TypeError: when it is no number.
    @raise ValueError: when it is no probability.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={value!r}: expected a probability from 0 to 1, such as 0.01")
    if not 0 <= value <= 1:
        raise ValueError(f"{name}={value!r}: expected 0 to 1")
    return value


def check_model(name: str, value: Any, kind: type, example: str) -> Any:
    """
    A model of loss, jitter or a queue, or L{None}.

    @param example: how to make one.
    @return: the value.
    @raise TypeError: when it is something else, such as a number or the class.
    """
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name}={value!r}: expected a {kind.__name__}, such as {example}, or None")
    return value
