"""
How a rate may be written.

Rates are bytes a second, with the prefixes that C{curl}, C{wget} and C{rsync} take: C{500k}, C{2.5M}, C{1G}, which are
powers of 1000 here, as in what we print; C{Ki}, C{Mi}, C{Gi} are of 1024.  C{B}, C{/s}, C{ps} may follow: C{2.5MB/s}.
Lines are sold by bits, so C{20Mbit/s} is understood too, but not a small C{b}, by which people mean both.
"""

from __future__ import annotations

import re

EXAMPLES = "500k, 2.5MB/s, 1MiB/s or 20Mbit/s"

_FORM = re.compile(r"(\d+(?:\.\d*)?|\.\d+) ?([kKmMgG]?)(i?)(B?|bit)(?:/s|ps)?", re.ASCII)

_POWERS = ("", "k", "m", "g")


def parse_rate(text: str) -> int:
    """
    Bytes a second, rounded up, so that little is not none.

    @raise ValueError: when it is no rate.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        raise ValueError(text)
    number, prefix, binary, unit = match.groups()
    rate = float(number) * (1024 if binary else 1000) ** _POWERS.index(prefix.lower())
    return int(-(-(rate / 8 if unit == "bit" else rate) // 1))
