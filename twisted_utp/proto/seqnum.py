"""
Compares numbers that wrap.

Inside the core sequence numbers are plain integers that never wrap; only the wire has 16 bits of them.  One
function turns a wire number into the integer nearest to one we know, so the rest of the code can use C{<}.
"""

from __future__ import annotations

from twisted_utp.proto.constants import SEQ_MASK, TIMESTAMP_MASK


def expand_seq(wire: int, near: int) -> int:
    """
    The integer congruent to C{wire} modulo 2^16 that is nearest to C{near}.

    >>> expand_seq(0x0001, 0xFFFF)
    65537
    """
    return near + ((wire - near + 0x8000) & SEQ_MASK) - 0x8000


def timestamp_diff(later: int, earlier: int) -> int:
    """
    C{later - earlier} of two 32-bit µs timestamps, modulo 2^32: what C{timestamp_difference} carries.
    """
    return (later - earlier) & TIMESTAMP_MASK


def signed_timestamp(value: int) -> int:
    """
    A 32-bit difference read as a signed one, -2^31 <= result < 2^31.
    """
    return ((value + 0x80000000) & TIMESTAMP_MASK) - 0x80000000
