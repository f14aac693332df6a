"""
What does C{benchmarks/lab.py} take, and what does it print?
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.bottleneck import forwarding, narrow, neighbours, programs, sharing, uploads, wire
from benchmarks.bottleneck.claims import (
    Claim,
    figures,
    format_claims,
    forward_figures,
    judge_forward,
    judge_late,
    judge_narrow,
    judge_sharing,
    share_of_utp,
)
from benchmarks.bottleneck.namespaces import NotPossible, why_not
from benchmarks.bottleneck.picture import draw
from benchmarks.child import MeasurementFailed
from twisted_utp.udp.offload import SWITCH

EXPERIMENTS = ("sharing", "late", "narrow", "forward")
MORE = ("neighbours", "uploads", "programs", "wire", "answers")
"""Only when asked for.  The last two tell what costs how much, and judge nothing."""

# A transfer through a narrow link: a few of them show all there is to see.
_NARROW_SECONDS = 5.0
_NARROW_RATE = 10e6

MET, MISSED, NOT_POSSIBLE = 0, 1, 3


def main(arguments: Sequence[str]) -> int:
    """
    Run, print the table.

    @return: the exit status: 0 when all claims are met, 1 when one is missed, 3 where it cannot be tried.
    """
    options = _parse(arguments)
    # As an exception, so that programs and namespaces are ended on the way.
    signal.signal(signal.SIGTERM, _end)
    reason = why_not()
    if reason is not None:
        print(f"not possible here: {reason}", file=sys.stderr)
        return NOT_POSSIBLE
    try:
        claims, account = _run(options)
    except (NotPossible, MeasurementFailed) as error:
        print(f"failed: {error}", file=sys.stderr)
        return MISSED
    if claims:
        print(format_claims(claims))
    if options.json is not None:
        account["claims"] = [asdict(claim) for claim in claims]
        options.json.write_text(json.dumps(account, indent=1) + "\n")
    return MISSED if any(claim.met is False for claim in claims) else MET


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    usual = sharing.Setting()
    parser = argparse.ArgumentParser(description="uTP beside kernel TCP behind a bottleneck of network namespaces.")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="of TCP's transfer (default 30; all: 7 x)")
    parser.add_argument("--rate", type=float, default=usual.rate / 1e6, help="of the bottleneck, Mb/s (default 20)")
    parser.add_argument("--buffer", type=float, default=usual.buffer * 1e3, help="of the bottleneck, ms (default 500)")
    parser.add_argument("--delay", type=float, default=0, help="of the path in each direction, ms (default 0)")
    parser.add_argument("--congestion", default=usual.congestion, help=f"uTP's (default {usual.congestion})")
    parser.add_argument(
        "--plain",
        action="store_true",
        default=os.environ.get(SWITCH) == "0",
        help=f"uTP without the kernel's help for trains, as with {SWITCH}=0",
    )
    parser.add_argument("--only", nargs="+", choices=(*EXPERIMENTS, *MORE), default=EXPERIMENTS, help="these")
    parser.add_argument("--parts", nargs="+", choices=tuple(neighbours.PARTS), help="of neighbours; all by default")
    parser.add_argument("--who", nargs="+", choices=tuple(uploads.WAYS), help="of uploads; all by default")
    parser.add_argument(
        "--contenders",
        nargs="+",
        choices=wire.NAMES,
        metavar="NAME",
        default=wire.USUAL,
        help=f"of wire: {', '.join(wire.NAMES)}",
    )
    parser.add_argument("--loss", type=float, default=0, help="of packets each way, %% (wire, answers; --delay)")
    parser.add_argument("--jitter", type=float, default=0, help="ms, in order (the same)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    parser.add_argument("--plot", type=Path, metavar="OUT.svg", help="draw the run there (needs matplotlib)")
    return parser.parse_args(arguments)


def _end(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _run(options: argparse.Namespace) -> tuple[list[Claim], dict[str, Any]]:
    claims: list[Claim] = []
    account: dict[str, Any] = {}
    setting = sharing.Setting(
        rate=options.rate * 1e6,
        buffer=options.buffer / 1e3,
        delay=options.delay / 1e3,
        seconds=options.seconds,
        congestion=options.congestion,
        offload=not options.plain,
        loss=options.loss / 100,
        jitter=options.jitter / 1e3,
    )
    _measure_costs(setting, options, account)
    if "sharing" in options.only:
        seen = sharing.run(setting)
        claims += judge_sharing(seen)
        account["sharing"] = {"setting": asdict(setting), **figures(seen), "stats": seen.stats}
        if options.plot is not None:
            print(draw(seen, options.plot))
    if "late" in options.only:
        late = sharing.run_late(setting)
        claims += judge_late(late)
        account["late"] = {"utp_beside_tcp": share_of_utp(late)}
    if "narrow" in options.only:
        account["narrow"] = {}
        for case in narrow.CASES:
            passage = narrow.run(
                replace(case, offload=not options.plain), _NARROW_RATE, min(options.seconds, _NARROW_SECONDS)
            )
            claims += judge_narrow(case, passage)
            account["narrow"][case.name] = asdict(passage)
    if "forward" in options.only:
        uploads = forwarding.run(setting)
        claims += judge_forward(uploads)
        account["forward"] = forward_figures(uploads)
    _run_more(options, setting, claims, account)
    return claims, account


def _run_more(
    options: argparse.Namespace, setting: sharing.Setting, claims: list[Claim], account: dict[str, Any]
) -> None:
    if "neighbours" in options.only:
        names = options.parts or list(neighbours.PARTS)
        account["neighbours"] = {"setting": asdict(setting)}
        for name, (claim, seen) in zip(names, neighbours.run(setting, names), strict=True):
            claims.append(claim)
            account["neighbours"][name] = seen
    if "uploads" in options.only:
        heard = uploads.run(setting, options.who or list(uploads.WAYS))
        claims += uploads.judge(heard)
        account["uploads"] = [asdict(upload) for upload in heard]
    if "programs" in options.only:
        runs = programs.run(setting)
        claims += programs.judge(runs)
        account["programs"] = [asdict(one) for one in runs]


def _measure_costs(setting: sharing.Setting, options: argparse.Namespace, account: dict[str, Any]) -> None:
    if "wire" in options.only:
        rows = wire.run(setting, options.contenders)
        account["wire"] = [asdict(row) for row in rows]
        print(wire.format_rows(rows))
    if "answers" in options.only:
        answers = wire.ask(setting, offload=not options.plain)
        account["answers"] = [asdict(answer) for answer in answers]
        print(wire.format_answers(answers))
