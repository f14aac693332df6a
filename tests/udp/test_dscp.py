"""
Do names stand for the code points of their RFCs?
"""

from __future__ import annotations

import re

import pytest

from twisted_utp.udp.dscp import DSCP_NAMES, dscp_number

# RFC 2474 (4.2.2.2), RFC 2597 (6), RFC 3246 (2.9), RFC 8622, as written there.
FROM_THE_RFCS = {
    "CS0": "000000", "CS1": "001000", "CS2": "010000", "CS3": "011000",
    "CS4": "100000", "CS5": "101000", "CS6": "110000", "CS7": "111000",
    "AF11": "001010", "AF12": "001100", "AF13": "001110", "AF21": "010010", "AF22": "010100", "AF23": "010110",
    "AF31": "011010", "AF32": "011100", "AF33": "011110", "AF41": "100010", "AF42": "100100", "AF43": "100110",
    "EF": "101110", "LE": "000001", "default": "000000",
}  # fmt: skip


@pytest.mark.parametrize("name", FROM_THE_RFCS)
def test_name(name: str) -> None:
    """In upper and in lower case."""
    assert dscp_number(name) == dscp_number(name.lower()) == int(FROM_THE_RFCS[name], 2)


def test_all_names() -> None:
    """There are no others."""
    assert sorted(DSCP_NAMES) == sorted(map(str.lower, FROM_THE_RFCS))


def test_numbers() -> None:
    """All that fit six bits."""
    assert [dscp_number(str(number)) for number in range(64)] == list(range(64))


@pytest.mark.parametrize("text", ["64", "-1", "", "1.5", "le ", "af14", "af50", "cs8", "0x2e", "\u0663"])
def test_not_one(text: str) -> None:
    """It says what is allowed."""
    with pytest.raises(
        ValueError, match=rf"^{re.escape(repr(text))}: expected an integer from 0 to 63, or default, le"
    ):
        dscp_number(text)
