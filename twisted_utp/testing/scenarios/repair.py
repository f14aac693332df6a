"""
How long does one lost packet hold things up?
"""

from __future__ import annotations

from functools import partial

from twisted_utp.proto.config import UTPConfig
from twisted_utp.testing.pair import TO_CLIENT, TO_SERVER, Pair
from twisted_utp.testing.scenarios.scenario import Outcome, Scenario
from twisted_utp.testing.wire import DATA, STATE

NBYTES = 20_000


def lost_packet(controller: str, position: str = "last") -> Outcome:
    """
    A transfer of 20 kB at 50 ms, with and without the loss of one packet.
    """
    seconds = []
    for lose in (False, True):
        pair = Pair(link={"delay": 25_000}, config=UTPConfig(congestion=controller))
        ends = pair.connect()
        pair.run_for(1)
        last = -(-NBYTES // ends.client.connection.stats().mss)
        if lose:
            number = {"first": 1, "middle": last // 2, "last": last}[position]
            pair.drop(TO_SERVER, lambda header: header.type == DATA, first=number)
        transfer = pair.transfer(ends, NBYTES)
        seconds.append((transfer.finished - transfer.started) / 1e6)
    more = seconds[1] - seconds[0]
    return Outcome(f"+{more * 1000:.0f} ms", more <= 3 * 0.05 + 1e-9, {"seconds": more})


def lost_syn_ack(controller: str) -> Outcome:
    """
    The acceptor's answer is lost.
    """
    pair = Pair(link={"delay": 25_000}, config=UTPConfig(congestion=controller))
    pair.drop(TO_CLIENT, lambda header: header.type == STATE)
    started = pair.now
    pair.connect()
    # Undisturbed it takes a round trip and a half: who accepts hears of it with the packet that follows the SYN-ACK.
    more = (pair.now - started) / 1e6 - 0.075
    return Outcome(f"+{more:.2f} s", more <= 1.0 + 1e-9, {"seconds": more})


SCENARIOS = [
    *[
        Scenario(
            f"lost-{position}",
            f"20 kB at 50 ms, {position} packet lost",
            libutp,
            "<= +3 RTT (150 ms)",
            partial(lost_packet, position=position),
            ("ledbat++",),
        )
        for position, libutp in (("first", "+1.45 s"), ("middle", "+0.05 s"), ("last", "+1.3 s"))
    ],
    Scenario("lost-syn-ack", "lost SYN-ACK", "never connects", "<= +1 s", lost_syn_ack, ("ledbat++",)),
]
