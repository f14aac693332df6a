"""
Names of the code points that tell routers how to treat a packet.

RFC 2474 (3): six bits in each IP header; the two beside them are for ECN.  A name stands for the number that its RFC
recommends.
"""

from __future__ import annotations

MAX_DSCP = 63

DSCP_NAMES: dict[str, int] = {
    "default": 0,  # RFC 2474 (4.1)
    "le": 1,  # RFC 8622: lower effort than the default
    "ef": 46,  # RFC 3246 (2.9), expedited forwarding
    **{f"cs{number}": number << 3 for number in range(8)},  # RFC 2474 (4.2.2.2), class selectors
    # RFC 2597 (6), assured forwarding: class and drop precedence.
    **{f"af{number}{drop}": number << 3 | drop << 1 for number in range(1, 5) for drop in range(1, 4)},
}
"""The numbers by name, in lower case."""

ALLOWED = "an integer from 0 to 63, or default, le, cs0 to cs7, af11 to af43 or ef"
"""For messages."""


def dscp_number(text: str) -> int:
    """
    The code point that a name, in upper or lower case, or the digits of a number stand for.

    @raise ValueError: when it is none.
    """
    number = int(text) if text.isascii() and text.isdecimal() else DSCP_NAMES.get(text.lower(), -1)
    if not 0 <= number <= MAX_DSCP:
        raise ValueError(f"{text!r}: expected {ALLOWED}")
    return number
