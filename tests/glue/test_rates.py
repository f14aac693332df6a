"""
Which spellings of a rate are understood?
"""

from __future__ import annotations

import pytest

from twisted_utp._rates import parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("0", 0), ("1500", 1500), ("500k", 500_000), ("500K", 500_000), ("2.5M", 2_500_000), ("2.5MB/s", 2_500_000),
        ("1G", 10**9), ("1MiB/s", 1 << 20), ("1Ki", 1024), ("20Mbit/s", 2_500_000), ("64 kbit/s", 8000), (".5k", 500),
        ("100B/s", 100), ("3mBps", 3_000_000), (" 7 ", 7), ("0.5", 1), ("1bit/s", 1),
    ],
)  # fmt: skip
def test_rates(text: str, rate: int) -> None:
    """Bytes a second, rounded up."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "k", "-1", "2Mb", "2mb/s", "1e6", "inf", "nan", "1iB", "1Ti", "1 MB /s", "1,5M", "٣"]
)
def test_others(text: str) -> None:
    """A small b may mean bits or bytes, so it means nothing."""
    with pytest.raises(ValueError):
        parse_rate(text)
