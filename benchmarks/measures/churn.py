"""
How many connections a second can be opened, used for one byte, and closed?
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.contenders import AIOQUIC, LIBUTP, OURS, OURS_ONE_PORT, OURS_PLAIN, TCP, Contender
from benchmarks.measure import Case, Column, Figures, Goal, Measure, Scale, ratio

CONTENDERS = (OURS, OURS_ONE_PORT, TCP, OURS_PLAIN, LIBUTP, AIOQUIC)
AT_ONCE = 50

# Fewer where there is only one at a time, and of those that are slow.
ONE_AT_A_TIME = 0.25
SHARES = {AIOQUIC: 0.1}


def churn(contender: Contender, count: int, at_once: int) -> Figures:
    """
    So many, in one burst; the client's C{connectionLost} replaces a connection by the next.  The server must have got
    each byte.
    """
    with contender.start("serve", "sink", 0) as serving:
        port = serving.expect("listening")["port"]
        before = serving.now()["cpu"]
        with contender.start("churn", port, count, at_once) as client:
            done = client.expect("done")
            received = serving.wait_until("received", count)
    return {
        "connections/s": count / done["seconds"],
        "client CPU, µs each": done["cpu"] / count * 1e6,
        "server CPU, µs each": (received["cpu"] - before) / count * 1e6,
    }


def label(contender: Contender, at_once: int) -> str:
    """
    A row's name.
    """
    return contender.name if at_once == AT_ONCE else f"{contender.name}, one at a time"


def _case(contender: Contender, at_once: int) -> Case:
    def run(scale: Scale) -> Figures:
        share = SHARES.get(contender, 1.0) * (1.0 if at_once > 1 else ONE_AT_A_TIME)
        return churn(contender, max(int(scale.churn * share), 2), at_once)

    return Case(label(contender, at_once), run, (contender,))


def _cases(scale: Scale) -> Sequence[Case]:
    return [_case(contender, at_once) for at_once in (AT_ONCE, 1) for contender in CONTENDERS]


CHURN = Measure(
    "churn",
    f"connect, send one byte, close: {AT_ONCE} at a time, and one at a time",
    """A burst of connections, each replaced as soon as its client hears of its end (libutp's: of the server's FIN;
    aioquic's: as it begins to close; what either does for politeness after that is not waited for).  Ours dials as an
    endpoint string does, from an ephemeral port as long as any connection on it lasts, and also all from one port that
    stays, as BitTorrent does (libutp always does).  The byte of each must have arrived.""",
    (Column("connections/s"), Column("client CPU, µs each"), Column("server CPU, µs each")),
    _cases,
    (
        Goal("connections / Twisted TCP's", ratio("ours", "Twisted TCP", "connections/s"), 0.5),
        Goal("all from one UDP port / Twisted TCP's", ratio(OURS_ONE_PORT.name, TCP.name, "connections/s"), 0.5),
    ),
)
