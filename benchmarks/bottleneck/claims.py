"""
What is claimed, what was seen, and is it so?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.bottleneck.forwarding import Uploads
from benchmarks.bottleneck.narrow import HEADERS, NARROW, Case, Passage
from benchmarks.bottleneck.path import ETHERNET
from benchmarks.bottleneck.sharing import Seen, Setting, Span

TARGET_MS = {"ledbat": 100, "ledbat++": 60}

# Of the scavenger's queue, the median and the 95th percentile: the goals of docs/neighbours.rst.
_SMALL_QUEUE_MS = (8, 15)

# A full packet on an Ethernet: what it has of payload, of IP, UDP and uTP headers.
_PACKET, _UTP_HEADERS = 1500, 20 + 8 + 20

# Of what uTP's headers leave of the link: it has it again.
_FULL_AGAIN = 0.9

# The first part of uTP's time alone, in which it looks for the link's rate.
SETTLE = 0.25

# Narrow links: seconds without a byte that are a stall.
_STALL = 1.0


@dataclass(frozen=True)
class Claim:
    """
    One line of the table.

    @ivar met: L{None} for what is only told.
    """

    measure: str
    claim: str
    seen: str
    met: bool | None

    def verdict(self) -> str:
        """
        In a word.
        """
        return {True: "met", False: "MISSED", None: ""}[self.met]


def payload_share(setting: Setting) -> float:
    """
    What uTP's headers, and the link's, leave of the link's rate when all packets are full.  A link with delay has no
    Ethernet headers.
    """
    return (_PACKET - _UTP_HEADERS) / (_PACKET + (0 if setting.delay else ETHERNET))


def judge_sharing(seen: Seen) -> list[Claim]:
    """
    The claims about who gets what.
    """
    return [*_alone(seen), *_together(seen), *_pings(seen)]


def judge_late(seen: Seen) -> list[Claim]:
    """
    The claim about a uTP that comes when TCP is there.
    """
    share = share_of_utp(seen)
    return [Claim("uTP joins TCP", "<= 10 % of what is carried", f"{share:.1%}", share <= 0.1)]


def figures(seen: Seen) -> dict[str, float]:
    """
    The numbers that the claims are about, for machines to read.  Shares are of the link's rate, times seconds.
    """
    rate = seen.setting.rate / 8
    start, end = seen.spans["utp"]
    settled = start + (end - start) * SETTLE, end
    both = seen.spans["both"]
    full = _FULL_AGAIN * payload_share(seen.setting) * rate
    regained = seen.utp.reaches(full, both[1], seen.spans["back"][1])
    alone = seen.spans["tcp"]
    return {
        "utp_alone": seen.utp.rate(settled) / rate,
        "utp_beside_tcp": share_of_utp(seen),
        "utp_regains": math.inf if regained is None else regained - both[1],
        "utp_beside_tcp_late": share_of_utp(seen, ((both[0] + both[1]) / 2, both[1])),
        "tcp_slower": (both[1] - both[0]) / (alone[1] - alone[0]),
        "pings_lost": float(len(seen.lost)),
        **{
            f"ping_{name}_{percent}": seen.ping(name, percent / 100, settle=SETTLE)
            for name in ("idle", "utp", "both", "tcp")
            for percent in (50, 95)
        },
    }


def share_of_utp(seen: Seen, span: Span | None = None) -> float:
    """
    Of all that came in a span, or while both sent.
    """
    span = span or seen.spans["both"]
    utp, tcp = seen.utp.rate(span), seen.tcp.rate(span)
    return utp / (utp + tcp)


def _alone(seen: Seen) -> list[Claim]:
    told = figures(seen)
    link, target = payload_share(seen.setting), TARGET_MS.get(seen.setting.congestion)
    share, queue = told["utp_alone"], (told["ping_utp_50"] - told["ping_idle_50"]) * 1e3
    most = (told["ping_utp_95"] - told["ping_idle_50"]) * 1e3
    tcp = told["ping_tcp_95"] - told["ping_idle_50"]
    claims = [
        Claim(
            "uTP alone",
            f"payload >= 95 % of the link (headers leave {link:.1%})",
            f"{share:.1%}",
            share >= 0.95,
        )
    ]
    if target is not None:
        claims.append(
            Claim(
                "queue, uTP alone",
                f"near its target of {target} ms",
                f"{queue:.0f} ms, 95th percentile {most:.0f} ms",
                target / 2 <= queue and most <= target * 1.2,
            )
        )
    elif seen.setting.congestion == "scavenger":
        claims.append(
            Claim(
                "queue, uTP alone",
                "<= {} ms, 95th percentile <= {} ms".format(*_SMALL_QUEUE_MS),
                f"{queue:.0f} ms, 95th percentile {most:.0f} ms",
                queue <= _SMALL_QUEUE_MS[0] and most <= _SMALL_QUEUE_MS[1],
            )
        )
    buffer = seen.setting.buffer
    fills = f"95th percentile {tcp * 1e3:.0f} ms"
    return [
        *claims,
        Claim("queue, TCP alone", f"all of the buffer's {buffer * 1e3:.0f} ms", fills, tcp >= 0.9 * buffer),
    ]


def _together(seen: Seen) -> list[Claim]:
    told = figures(seen)
    share, slower, regained = told["utp_beside_tcp"], told["tcp_slower"], told["utp_regains"]
    both, alone = (seen.spans[name][1] - seen.spans[name][0] for name in ("both", "tcp"))
    return [
        Claim("uTP beside TCP", "<= 10 % of what is carried", f"{share:.1%}", share <= 0.1),
        Claim(
            "TCP beside uTP", "<= 1.05 x its time alone", f"{both:.1f} s / {alone:.1f} s = {slower:.3f}", slower <= 1.05
        ),
        Claim("uTP after TCP", ">= 90 % of the link from 1 s on", f"from {regained:.2f} s on", regained <= 1.0),
    ]


def _pings(seen: Seen) -> list[Claim]:
    told = figures(seen)
    names = {"idle": "nothing", "utp": "uTP", "both": "uTP and TCP", "tcp": "TCP"}
    return [
        Claim(
            f"UDP ping beside {name}",
            "",
            f"{told[f'ping_{span}_50'] * 1e3:.1f} ms, 95th percentile {told[f'ping_{span}_95'] * 1e3:.1f} ms",
            None,
        )
        for span, name in names.items()
    ]


def judge_forward(uploads: Uploads) -> list[Claim]:
    """
    What a call next to an upload gains by C{twist utp-forward}, and what the upload pays.
    """
    told = forward_figures(uploads)
    claims = [
        Claim(
            f"UDP ping beside an upload {how}",
            "",
            f"{told[f'ping_{span}_50'] * 1e3:.1f} ms, 95th percentile {told[f'ping_{span}_95'] * 1e3:.1f} ms, "
            f"{told[f'rate_{span}'] * 8 / 1e6:.1f} Mb/s",
            None,
        )
        for how, span in (("by TCP", "tcp"), ("forwarded by uTP", "utp"))
    ]
    paid = told["rate_utp"] / told["rate_tcp"]
    return [*claims, Claim("the same upload, forwarded", ">= 0.95 x TCP's rate", f"{paid:.3f}", paid >= 0.95)]


def forward_figures(uploads: Uploads) -> dict[str, float]:
    """
    The numbers, for machines to read: seconds, and bytes/s.
    """
    return {
        **{f"rate_{span}": uploads.rate(span) for span in ("tcp", "utp")},
        **{
            f"ping_{span}_{percent}": uploads.seen.ping(span, percent / 100, settle=SETTLE)
            for span in ("idle", "tcp", "utp")
            for percent in (50, 95)
        },
    }


def judge_narrow(case: Case, passage: Passage) -> list[Claim]:
    """
    The claims about a link that carries only 1280 bytes.
    """
    found = passage.datagram + HEADERS
    seen = f"{'exact' if passage.exact else 'CORRUPT'}, no longer silence than {passage.longest_silence:.2f} s"
    claims = [
        Claim(
            f"1280 bytes, {case.name}",
            f"every byte, never {_STALL:g} s without any",
            seen,
            passage.exact and passage.longest_silence < _STALL,
        )
    ]
    if not case.late:
        told = f"{found} bytes after {passage.too_long} probes that were too long; {passage.icmp} ICMP messages"
        claims.append(Claim("", "finds 95 % of it, no fragments", told, _finds(found) and not passage.fragments))
    return claims


def _finds(found: int) -> bool:
    return NARROW * 0.95 <= found <= NARROW


def format_claims(claims: Sequence[Claim]) -> str:
    """
    The table.
    """
    rows = [
        ("measure", "claim", "seen", "met"),
        *((claim.measure, claim.claim, claim.seen, claim.verdict()) for claim in claims),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
