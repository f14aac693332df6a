"""
Do numbers that wrap compare and subtract as BEP-29's 16 and 32 bits demand?
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_utp.proto.seqnum import expand_seq, signed_timestamp, timestamp_diff


@pytest.mark.parametrize(
    ("wire", "near", "expected"),
    [
        (5, 3, 5),
        (0x0001, 0xFFFF, 0x10001),
        (0xFFFF, 0x10001, 0xFFFF),
        (0xFFFF, 0, -1),
        (0, 0x2FFFF, 0x30000),
        (0x8000, 0, -0x8000),
        (0x7FFF, 0, 0x7FFF),
        (0, 0x1234 << 16, 0x1234 << 16),
    ],
)
def test_expand_seq_takes_the_nearest(wire: int, near: int, expected: int) -> None:
    """The integer congruent to the wire's number that lies nearest, across the wrap in both directions."""
    assert expand_seq(wire, near) == expected


@given(near=st.integers(0, 1 << 40), offset=st.integers(-0x8000, 0x7FFF))
def test_expand_seq_undoes_the_mask(near: int, offset: int) -> None:
    """Whatever lies within half the sequence space of a known number survives its 16 bits."""
    assert expand_seq(near + offset & 0xFFFF, near) == near + offset


@pytest.mark.parametrize(
    ("later", "earlier", "expected"),
    [(10, 3, 7), (3, 0xFFFFFFFE, 5), (0, 1, 0xFFFFFFFF), (1 << 40, 0, 0), ((1 << 32) + 2, 0xFFFFFFFF, 3)],
)
def test_timestamp_diff_is_modulo_2_32(later: int, earlier: int, expected: int) -> None:
    """The 32-bit clock wraps every 71.6 minutes; differences do not notice."""
    assert timestamp_diff(later, earlier) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (1, 1), (0xFFFFFFFF, -1), (0x7FFFFFFF, 0x7FFFFFFF), (0x80000000, -0x80000000), (-5, -5), (1 << 32, 0)],
)
def test_signed_timestamp_is_two_s_complement(value: int, expected: int) -> None:
    """A 32-bit difference has a sign, whichever multiple of 2^32 was added to it."""
    assert signed_timestamp(value) == expected
